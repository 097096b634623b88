"""kill -9 of a writing process: no flushed batch is lost, none is torn, none is there twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from storage_support import ENGINEER, EVER, ssrcs

from storage.embedded.store import EmbeddedStore

_BATCH_ROWS = 200
_WRITER = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from storage_support import NOW, interval, sealing, write_intervals
from storage.embedded.store import EmbeddedStore

store = EmbeddedStore(Path(sys.argv[1]), sealing(1000))
writer = store.writer("collect")
first = int(sys.argv[2])
for number in range(first, first + 100_000):
    rows = range(number * 200, number * 200 + 200)
    write_intervals(writer, [interval(ssrc, time_ns=NOW + number * 10**10) for ssrc in rows])
    print(number, flush=True)
"""
_PATHS = [str(Path(__file__).parent), str(Path(__file__).parents[3])]


def _write_until_killed(root: Path, first: int, flushes: int) -> int:
    """Return how many batches were acknowledged since `first`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(root), str(first), *_PATHS], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(flushes):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    assert -signal.SIGKILL == process.wait()
    return flushes + rest.count("\n")


@pytest.mark.parametrize("flushes", [1, 4, 5, 6, 13, 37])
def test_no_acknowledged_batch_is_lost(tmp_path: Path, flushes: int) -> None:
    written = 0
    for _ in range(2):  # the second writer recovers what the first left, and is killed too
        written += _write_until_killed(tmp_path, written, flushes)
        store = EmbeddedStore(tmp_path)
        found = ssrcs(store)
        store.close()
        whole = len(found) // _BATCH_ROWS
        assert found == list(range(whole * _BATCH_ROWS))
        assert whole in (written, written + 1)  # one may have been flushed and not yet acknowledged
        written = whole
    store = EmbeddedStore(tmp_path)
    store.writer("collect").close()
    assert list(range(written * _BATCH_ROWS)) == ssrcs(store)
    store.close()
    assert list(tmp_path.glob("log/*/*")) == []
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_dead_writers_rows_are_read_before_anyone_recovers_them(tmp_path: Path) -> None:
    written = _write_until_killed(tmp_path, 0, 3)
    store = EmbeddedStore(tmp_path)
    table = store.reader(ENGINEER).select("stream_interval", EVER, columns=["ssrc"], limit=10**6)
    store.close()
    assert table.num_rows >= written * _BATCH_ROWS


def test_upkeep_seals_the_logs_of_a_dead_writer(tmp_path: Path) -> None:
    written = _write_until_killed(tmp_path, 0, 2)
    store = EmbeddedStore(tmp_path)
    store.maintain(0)
    assert list(tmp_path.glob("log/*/*")) == []
    assert len(ssrcs(store)) >= written * _BATCH_ROWS
    assert store.stats.rows_recovered > 0
    store.close()
