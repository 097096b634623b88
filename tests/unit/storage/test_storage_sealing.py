"""Logs become segments under the readers' eyes: no row twice, none missing."""

from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from storage_support import (
    DAY_NS,
    ENGINEER,
    EVER,
    NOW,
    attempts,
    interval,
    logs,
    sealing,
    segments,
    ssrcs,
    write_intervals,
    write_minutes,
)

from storage.embedded import log as log_module
from storage.embedded import segments as segments_module
from storage.embedded.layout import Layout
from storage.embedded.log import LogTails
from storage.embedded.sealer import Sealer
from storage.embedded.store import EmbeddedStore
from storage.rows import stream_interval_batch
from storage.seam import StoreUnavailable
from storage.settings import StorageSettings


def _with_leftover_log(root: Path, days: int = 1) -> EmbeddedStore:
    """Return a store with one log that nobody has sealed: ten intervals over so many days."""
    store = EmbeddedStore(root)
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, time_ns=NOW + i % days * DAY_NS) for i in range(10)])
    return store


def _seal(store: EmbeddedStore, root: Path) -> None:
    Sealer(Layout(root), "collect", store.stats).recover()


@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Layout, "list_logs"), (LogTails, "read"), (Layout, "list_segments")],
    ids=["after listing logs", "after reading logs", "after listing segments"],
)
def test_a_seal_between_any_two_looks_of_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, days: int
) -> None:
    store = _with_leftover_log(tmp_path, days)
    reader = store.reader(ENGINEER)
    original: Callable[..., object] = getattr(owner, name)
    sealed = []

    def then_seal(*args: object, **kwargs: object) -> object:
        answer = original(*args, **kwargs)
        if not sealed:
            sealed.append(True)
            _seal(store, tmp_path)
        return answer

    monkeypatch.setattr(owner, name, then_seal)
    table = reader.select("stream_interval", EVER, columns=["ssrc"])
    monkeypatch.undo()
    assert list(range(10)) == sorted(table["ssrc"].to_pylist())
    assert (1, days) == (len(sealed), len(segments(tmp_path, "stream_interval")))


def test_a_seal_that_has_written_some_days_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _with_leftover_log(tmp_path, days=3)
    write = segments_module.write_segment
    calls = []

    def fail_second(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("disk full")
        return write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(segments_module, "write_segment", fail_second)
    _seal(store, tmp_path)
    assert (1, 1, 1) == (
        store.stats.seal_failures,
        len(segments(tmp_path, "stream_interval")),
        len(logs(tmp_path, "stream_interval")),
    )
    assert list(range(10)) == ssrcs(store)
    _seal(store, tmp_path)
    assert (3, 0) == (len(segments(tmp_path, "stream_interval")), len(logs(tmp_path, "stream_interval")))
    assert list(range(10)) == ssrcs(store)
    store.close()


def test_a_writer_that_seals_all_the_time_is_read_whole(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(200))
    writer = store.writer("collect")
    flushes, rows = 60, 50

    def write() -> None:
        for number in range(flushes):
            write_intervals(writer, [interval(number * rows + i, time_ns=NOW + number) for i in range(rows)])

    thread = Thread(target=write)
    thread.start()
    counts = []
    while thread.is_alive() or not counts or counts[-1] < flushes * rows:
        found = ssrcs(store)
        counts.append(len(found))
        assert found == list(range(len(found)))
    thread.join()
    store.close()
    assert [0] * len(counts) == [count % rows for count in counts]


@pytest.mark.parametrize(
    "settings",
    [StorageSettings(seal_rows=10), StorageSettings(seal_bytes=1), StorageSettings(seal_age=1e-9)],
    ids=["rows", "bytes", "age"],
)
def test_a_log_is_sealed_by(tmp_path: Path, settings: StorageSettings) -> None:
    ticks = iter(range(NOW, NOW + 10**6, 1000))
    store = EmbeddedStore(tmp_path, settings, clock_ns=lambda: next(ticks))
    writer = store.writer("collect")
    for number in range(3):
        write_intervals(writer, [interval(number * 10 + i) for i in range(10)])
    store.close()
    assert len(segments(tmp_path, "stream_interval")) > 1  # closing alone makes one


def test_a_minute_written_often_is_one_row_of_its_segment_and_unmarked(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    writer = store.writer("collect")
    for number in range(5):
        write_minutes(writer, [NOW], attempts=number)
    assert [(NOW, 4)] == attempts(store)
    writer.close()
    (segment,) = segments(tmp_path, "session_minute")
    assert segment.name.endswith(".1.new.parquet")
    assert [(NOW, 4)] == attempts(store)
    store.close()


@pytest.mark.parametrize("measurement", ["interval", "minute"])
def test_a_rewrite_replaces_a_row_of_an_older_segment(tmp_path: Path, measurement: str) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    if measurement == "interval":
        for lost in (1, 2, 3):
            write_intervals(writer, [interval(1, lost=lost), interval(2)])
        table = store.reader(ENGINEER).select("stream_interval", EVER, columns=["ssrc", "lost"])
        assert [(1, 3), (2, 0)] == sorted(zip(*(c.to_pylist() for c in table.columns), strict=True))
    else:
        for number in (1, 2, 3):
            write_minutes(writer, [NOW - 600 * 10**9, NOW + number], attempts=number)
        assert [(NOW - 600 * 10**9, 3), (NOW + 1, 1), (NOW + 2, 2), (NOW + 3, 3)] == attempts(store)
    store.close()


def test_rows_keep_their_order_of_writing_when_the_clock_steps_back(tmp_path: Path) -> None:
    ticks = iter(range(NOW, 0, -(10**9)))
    store = EmbeddedStore(tmp_path, clock_ns=lambda: next(ticks))
    writer = store.writer("collect")
    for number in range(5):
        write_minutes(writer, [NOW], attempts=number)
    assert [(NOW, 4)] == attempts(store)
    store.close()


def test_a_full_disk_keeps_the_rows_for_the_next_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedStore(tmp_path)
    writer = store.writer("collect")
    write_intervals(writer, [interval(0)])
    write = log_module.os.write

    def half(descriptor: int, parts: list[bytes | memoryview]) -> int:
        data = b"".join(parts)
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(log_module.os, "writev", half)
    with pytest.raises(StoreUnavailable, match="stream_interval"):
        write_intervals(writer, [interval(1)])
    with pytest.raises(StoreUnavailable, match="stream_interval"):
        writer.flush()
    monkeypatch.undo()
    assert [0] == ssrcs(store)
    write_intervals(writer, [interval(2)])
    assert [0, 1, 2] == ssrcs(store)
    store.close()
    store = EmbeddedStore(tmp_path)
    assert [0, 1, 2] == ssrcs(store)
    store.close()


def test_a_writer_holds_no_more_than_a_segment_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(tmp_path, StorageSettings(seal_bytes=10_000))
    writer = store.writer("collect")
    monkeypatch.setattr(log_module.os, "writev", lambda *_: 0)
    taken = 0
    with pytest.raises(StoreUnavailable):  # noqa: PT012 - which write it is depends on the size of a row
        for taken in range(1000):
            writer.write("stream_interval", stream_interval_batch([interval(taken)]))
    monkeypatch.undo()
    writer.flush()
    assert list(range(taken)) == ssrcs(store)
    assert taken < 100
    store.close()


def test_a_disk_that_is_really_full_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1024**2))
    settings = StorageSettings(seal_rows=2_000, seal_bytes=200_000, min_free_bytes=0)
    store = EmbeddedStore(small_disk / "store", settings)
    writer = store.writer("collect")
    taken = acknowledged = refused = 0
    while refused < 9:
        facts = [interval(taken + i, call_id=f"{(taken + i) * 104729:x}" * 4) for i in range(200)]
        try:
            writer.write("stream_interval", stream_interval_batch(facts))
            taken += 200
            writer.flush()
            acknowledged = taken
        except StoreUnavailable:
            refused += 1
        assert set(range(acknowledged)) <= set(ssrcs(store))
    assert len(list((small_disk / "store" / "log").rglob("*.frames"))) < 5
    ballast.unlink()
    writer.flush()
    store.maintain(NOW)
    assert list(range(taken)) == ssrcs(store)
    store.close()
    store = EmbeddedStore(small_disk / "store", settings)
    assert list(range(taken)) == ssrcs(store)
    store.close()
    assert acknowledged > 0
