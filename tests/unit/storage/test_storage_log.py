"""The write log is read up to its last whole batch, whatever follows."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.layout import Log
from storage.embedded.log import LogBatch, LogFile, LogTail
from storage.embedded.points import SEQUENCE, STORED_TIME

_SCHEMA = pa.schema([("time", STORED_TIME), ("text", pa.string()), (SEQUENCE, pa.int64())])


def _batch(number: int, rows: int = 3) -> pa.RecordBatch:
    times = pa.array([number * 100 + i for i in range(rows)], STORED_TIME)
    return pa.RecordBatch.from_arrays(
        [times, pa.array([f"{number}"] * rows), pa.array([2 * number] * rows)], schema=_SCHEMA
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """Return the bytes of a log of four batches, and the size after each."""
    path = tmp_path_factory.mktemp("log") / "a.1.frames"
    log = LogFile(Log(path, "a", 1), _SCHEMA, 0)
    sizes = []
    for number in range(4):
        log.append(_batch(number))
        sizes.append(path.stat().st_size)
    log.close()
    return path.read_bytes(), sizes


def _texts(tail: LogTail) -> list[str]:
    return [text for batch in tail.read() for text in batch.rows["text"].to_pylist()]


@given(data=st.data())
def test_a_log_cut_anywhere_gives_its_whole_batches(
    whole: tuple[bytes, list[int]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content, sizes = whole
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("cut") / "a.1.frames"
    path.write_bytes(content[:cut])
    tail = LogTail(path, _SCHEMA)
    batches = sum(size <= cut for size in sizes)
    assert [str(n) for n in range(batches) for _ in range(3)] == _texts(tail)
    assert tail.torn == (cut not in (0, *sizes) and cut != _header(sizes))


def _header(sizes: list[int]) -> int:
    return sizes[0] - (sizes[1] - sizes[0])


@given(data=st.data())
def test_garbage_behind_the_last_batch_is_not_read(
    whole: tuple[bytes, list[int]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content, _ = whole
    path = tmp_path_factory.mktemp("garbage") / "a.1.frames"
    path.write_bytes(content + data.draw(st.binary(min_size=1, max_size=64)))
    tail = LogTail(path, _SCHEMA)
    assert 12 == len(_texts(tail))


def test_a_growing_log_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.1.frames"
    log = LogFile(Log(path, "a", 1), _SCHEMA, 0)
    tail = LogTail(path, _SCHEMA)
    counts = []
    for number in range(100):
        log.append(_batch(number, rows=1))
        counts.append(len(_texts(tail)))
    log.close()
    assert list(range(1, 101)) == counts


def test_many_small_batches_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "a.1.frames"
    log = LogFile(Log(path, "a", 1), _SCHEMA, 0)
    for number in range(500):
        log.append(_batch(number, rows=1))
    log.close()
    assert 1 == len(LogTail(path, _SCHEMA).read())


def test_a_batch_knows_its_span_and_its_marks() -> None:
    marked = _batch(5).set_column(2, SEQUENCE, pa.array([10, 11, 11]))
    found = LogBatch.of(marked)
    assert (500, 502, [501, 502]) == (found.min_ns, found.max_ns, found.marked.tolist())


def test_a_dropped_log_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogTail(tmp_path / "a.1.frames", _SCHEMA).read()


def test_a_log_of_another_version_is_read_with_this_ones_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.1.frames"
    log = LogFile(Log(path, "a", 1), _SCHEMA, 0)
    log.append(_batch(1, rows=1))
    log.close()
    newer = pa.schema([*_SCHEMA, ("added", pa.int64())])
    (batch,) = LogTail(path, newer).read()
    assert [None] == batch.rows["added"].to_pylist()


def test_a_generation_is_never_opened_twice(tmp_path: Path) -> None:
    log = Log(tmp_path / "a.1.frames", "a", 1)
    LogFile(log, _SCHEMA, 0).close()
    with pytest.raises(FileExistsError):
        LogFile(log, _SCHEMA, 0)
