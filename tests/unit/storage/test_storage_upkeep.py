"""Retention and compaction: files go, answers stay."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_support import (
    DAY_NS,
    ENGINEER,
    EVER,
    NOW,
    attempts,
    interval,
    sealing,
    segments,
    ssrcs,
    write_intervals,
    write_minutes,
)

from storage.embedded import lock as lock_module
from storage.embedded import relation
from storage.embedded.layout import Layout
from storage.embedded.lock import UPKEEP, WriterLock
from storage.embedded.store import EmbeddedStore
from storage.embedded.upkeep import REPLACED_STAY_SECONDS
from storage.seam import StoreUnavailable
from storage.settings import Retention, StorageSettings

_LATER = NOW + 2 * DAY_NS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path, sealing(1))
    yield store
    store.close()


def _age(root: Path) -> None:
    """Make every segment look written long ago."""
    for path in root.rglob("*.parquet"):
        stat = path.stat()
        old = stat.st_mtime - REPLACED_STAY_SECONDS - 1
        os.utime(path, (old, old))


def _write_sealed(store: EmbeddedStore, batches: int, rows: int = 3) -> None:
    writer = store.writer("collect")
    for number in range(batches):
        write_intervals(writer, [interval(number * rows + i) for i in range(rows)])
    writer.close()


def test_segments_older_than_the_retention_go(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, StorageSettings(retention={"session_minute": Retention(age=3 * 86400.0)}))
    writer = store.writer("collect")
    write_minutes(writer, [NOW - days * DAY_NS for days in range(6)])
    writer.close()
    store.maintain(NOW)
    assert [NOW - days * DAY_NS for days in (3, 2, 1, 0)] == [time for time, _ in attempts(store)]
    assert 4 == len(list((tmp_path / "data" / "session_minute").iterdir()))
    assert 2 == store.stats.segments_expired
    store.close()


def test_what_is_more_than_the_retention_goes_oldest_first(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    writer = store.writer("collect")
    write_minutes(writer, [NOW - days * DAY_NS for days in range(4)])
    store.close()
    size = max(path.stat().st_size for path in segments(tmp_path, "session_minute"))
    kept = Retention(age=400 * 86400.0, bytes=2 * size + size // 2)
    store = EmbeddedStore(tmp_path, StorageSettings(retention={"session_minute": kept}))
    store.maintain(NOW)
    assert [NOW - DAY_NS, NOW] == [time for time, _ in attempts(store)]
    store.close()


def test_small_segments_of_a_closed_day_become_one(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 6)
    store.writer("collect")
    store.maintain(_LATER)
    _age(tmp_path)
    assert list(range(18)) == ssrcs(store)
    store.maintain(_LATER)
    assert 1 == len(segments(tmp_path, "stream_interval"))
    assert list(range(18)) == ssrcs(store)
    assert 6 == store.stats.segments_compacted


def test_replaced_segments_stay_for_readers_that_listed_them(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 3)
    store.writer("collect")
    store.maintain(_LATER)
    store.maintain(_LATER)
    assert 4 == len(segments(tmp_path, "stream_interval"))
    assert list(range(9)) == ssrcs(store)


def test_an_open_day_is_not_compacted(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 3)
    store.writer("collect")
    store.maintain(NOW)
    assert 3 == len(segments(tmp_path, "stream_interval"))


@pytest.mark.parametrize(("length_ns", "after_ns"), [(3600 * 10**9, 900 * 10**9), (DAY_NS // 4, 3600 * 10**9)])
def test_a_closed_part_of_the_open_day_becomes_one(
    store: EmbeddedStore, tmp_path: Path, length_ns: int, after_ns: int
) -> None:
    _write_sealed(store, 2)
    writer = store.writer("collect")
    closed = (NOW // length_ns + 1) * length_ns + after_ns
    store.maintain(closed - 1)
    store.maintain(closed)
    writer.close()
    assert closed < (NOW // DAY_NS + 1) * DAY_NS
    assert 1 == len(store._layout.list_segments("stream_interval", NOW, NOW + DAY_NS))


def test_segments_of_a_writer_that_is_open_elsewhere_are_not_compacted(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    _write_sealed(store, 3)
    other = EmbeddedStore(tmp_path)
    other.writer("collect")
    store.maintain(_LATER)
    other.close()
    assert 3 == len(segments(tmp_path, "stream_interval"))


def test_compaction_stays_below_its_bound(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, StorageSettings(seal_rows=1, compact_rows=6))
    _write_sealed(store, 5)
    store.writer("collect")
    store.maintain(_LATER)
    _age(tmp_path)
    store.maintain(_LATER)
    assert [3, 6, 6] == sorted(int(path.name.split(".")[3]) for path in segments(tmp_path, "stream_interval"))
    assert list(range(15)) == ssrcs(store)
    store.close()


def test_rewrites_survive_compaction_and_cost_nothing_after_it(store: EmbeddedStore, tmp_path: Path) -> None:
    writer = store.writer("collect")
    for number in range(4):
        write_minutes(writer, [NOW, NOW + number * 60 * 10**9], attempts=number)
    writer.close()
    expected = [(NOW, 3), *((NOW + n * 60 * 10**9, n) for n in (1, 2, 3))]
    assert expected == attempts(store)
    store.writer("collect")
    store.maintain(_LATER)
    assert expected == attempts(store)
    _age(tmp_path)
    store.maintain(_LATER)
    (segment,) = segments(tmp_path, "session_minute")
    assert segment.name.endswith(".4.new.parquet")
    assert expected == attempts(store)


def test_a_rewrite_of_a_compacted_day_replaces_its_row(store: EmbeddedStore) -> None:
    writer = store.writer("collect")
    for number in range(3):
        write_minutes(writer, [NOW + number], attempts=number)
    store.maintain(_LATER)
    write_minutes(writer, [NOW + 1], attempts=77)
    assert [(NOW, 0), (NOW + 1, 77), (NOW + 2, 2)] == attempts(store)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"nonsense" * 100])
def test_a_damaged_segment_is_skipped_and_counted(store: EmbeddedStore, tmp_path: Path, damage: bytes) -> None:
    _write_sealed(store, 3)
    segments(tmp_path, "stream_interval")[1].write_bytes(damage)
    remaining = ssrcs(store)
    assert 6 == len(remaining)
    assert remaining == ssrcs(store)
    assert 1 == store.stats.damaged_files


def test_a_segment_damaged_in_the_middle_is_skipped_and_counted(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 2, rows=400)
    path = segments(tmp_path, "stream_interval")[0]
    content = bytearray(path.read_bytes())
    content[4:2000] = os.urandom(1996)
    path.write_bytes(content)
    table = store.reader(ENGINEER).select("stream_interval", EVER, limit=10**6)
    assert (400, 1) == (table.num_rows, store.stats.damaged_files)


def test_a_damaged_segment_is_left_out_of_compaction(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 3)
    segments(tmp_path, "stream_interval")[1].write_bytes(b"nonsense")
    store.writer("collect")
    store.maintain(_LATER)
    assert 3 == len(segments(tmp_path, "stream_interval"))
    assert 6 == len(ssrcs(store))


def test_a_file_that_goes_away_under_a_query_makes_it_ask_again(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_sealed(store, 3)
    original = relation.snapshot
    gone = []

    def then_delete(*args: object) -> object:
        answer = original(*args)  # type: ignore[arg-type]
        if not gone:
            gone.append(segments(tmp_path, "stream_interval")[0])
            gone[0].unlink()
        return answer

    monkeypatch.setattr(relation, "snapshot", then_delete)
    assert 6 == len(ssrcs(store))
    assert (1, 0) == (len(gone), store.stats.damaged_files)


def test_files_that_go_away_for_ever_make_the_store_unavailable(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_sealed(store, 1)
    (path,) = segments(tmp_path, "stream_interval")
    stale = Layout(tmp_path).list_segments("stream_interval", NOW, NOW + DAY_NS)
    path.unlink()
    monkeypatch.setattr(Layout, "list_segments", lambda *_, **__: stale)
    with pytest.raises(StoreUnavailable, match=r"No such file|No files"):
        ssrcs(store)


def test_segments_of_a_writer_that_has_gone_are_compacted(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 3)
    store.maintain(_LATER)
    _age(tmp_path)
    store.maintain(_LATER)
    assert 1 == len(segments(tmp_path, "stream_interval"))


def test_other_directories_are_left_alone(store: EmbeddedStore, tmp_path: Path) -> None:
    _write_sealed(store, 1)
    for name in ("data/weather/2026-09-21", "data/stream_interval/lost+found"):
        (tmp_path / name).mkdir(parents=True)
    store.maintain(_LATER)
    assert 3 == len(ssrcs(store))


def test_a_writer_waits_for_upkeep(store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = WriterLock(tmp_path / "lock" / "collect.lock", "collect", UPKEEP)
    monkeypatch.setattr(lock_module.time, "sleep", lambda _: upkeep.release())
    store.writer("collect")
