"""Exports hold every row, come back as they were, and are not believed where they were changed."""

import json
from pathlib import Path

import pytest
from storage_support import DAY_NS, ENGINEER, EVER, NOW, interval, write_intervals, write_minutes

from storage.embedded.store import EmbeddedStore
from storage.seam import BadQuery, Scope, StoreError, Window
from storage.transfer import export_store, import_store


def _quiet(line: str) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    store = EmbeddedStore(tmp_path / "store")
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, time_ns=NOW + i * 10**11) for i in range(30)])
    write_minutes(writer, [NOW, NOW + DAY_NS, NOW + 3 * DAY_NS], attempts=3)
    writer.close()
    return store


def test_what_was_exported_is_imported_the_same(tmp_path: Path, store: EmbeddedStore) -> None:
    files = export_store(store.reader(ENGINEER), tmp_path / "out", (), EVER, _quiet)
    assert ["session_minute"] * 3 + ["stream_interval"] == sorted(file.measurement for file in files)
    other = EmbeddedStore(tmp_path / "other")
    for _ in range(2):  # twice changes nothing
        writer = other.writer("import")
        assert files == import_store(other.reader(ENGINEER), writer, tmp_path / "out", (), _quiet)
        writer.close()
        for name in ("stream_interval", "session_minute"):
            assert store.reader(ENGINEER).select(name, EVER) == other.reader(ENGINEER).select(name, EVER)
    store.close()
    other.close()


def test_an_export_keeps_to_its_window_measurements_and_scope(tmp_path: Path, store: EmbeddedStore) -> None:
    window = Window(NOW, NOW + 10**11 + 10**10)
    files = export_store(store.reader(ENGINEER), tmp_path / "out", ["stream_interval"], window, _quiet)
    assert [("stream_interval", 2)] == [(file.measurement, file.rows) for file in files]
    nobody = store.reader(Scope.of("client", "globex"))
    assert [] == export_store(nobody, tmp_path / "nothing", ["stream_interval"], window, _quiet)
    with pytest.raises(BadQuery, match="no measurement 'weather'"):
        export_store(nobody, tmp_path / "none", ["weather"], window, _quiet)
    with pytest.raises(StoreError, match="is not empty"):
        export_store(nobody, tmp_path / "out", [], window, _quiet)
    store.close()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda out: (out / "manifest.json").unlink(), "no manifest.json"),
        (lambda out: (out / "manifest.json").write_text("{}"), "is no manifest"),
        (lambda out: (out / "manifest.json").write_text('{"format": 2, "files": []}'), "has format 2"),
        (lambda out: next(out.glob("stream_interval/*")).write_bytes(b"x"), "its SHA-256 differs"),
        (lambda out: next(out.glob("stream_interval/*")).unlink(), "No such file"),
        (lambda out: _change(out, file="../../etc/passwd"), "not of this version"),
        (lambda out: _change(out, measurement="weather"), "not of this version"),
        (lambda out: _change(out, rows=31), "has 30 rows, 31 were exported"),
    ],
)
def test_what_was_changed_is_not_imported(tmp_path: Path, store: EmbeddedStore, harm: object, says: str) -> None:
    export_store(store.reader(ENGINEER), tmp_path / "out", ["stream_interval"], EVER, _quiet)
    harm(tmp_path / "out")  # type: ignore[operator]
    other = EmbeddedStore(tmp_path / "other")
    with pytest.raises(StoreError, match=says):
        import_store(other.reader(ENGINEER), other.writer("import"), tmp_path / "out", (), _quiet)
    assert 0 == other.reader(ENGINEER).select("stream_interval", EVER).num_rows
    store.close()
    other.close()


def _change(out: Path, **values: object) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][0] |= values
    (out / "manifest.json").write_text(json.dumps(manifest))


def test_the_status_says_what_there_is_and_what_goes_next(store: EmbeddedStore) -> None:
    found = {m.sizes.measurement: m for m in store.status(NOW).measurements}
    minutes, intervals = found["session_minute"], found["stream_interval"]
    assert (3, 3, NOW, NOW + 3 * DAY_NS) == (
        minutes.sizes.segments, minutes.rows, minutes.oldest_ns, minutes.newest_ns,
    )  # fmt: skip
    assert (NOW + 400 * DAY_NS, "age", 1) == (minutes.next_at_ns, minutes.next_why, minutes.next_rows)
    assert (30, 1, 0) == (intervals.rows, intervals.sizes.segments, intervals.sizes.quarantined)
    assert "stream_interval" == store.status(NOW).next_for_the_disk
    store.close()
