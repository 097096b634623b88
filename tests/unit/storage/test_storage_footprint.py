"""Memory of a process that writes for long: what sealing and upkeep took goes back to the system.

In a process of its own, whose memory is its own. Bounds are generous: a third of what is kept where nothing is
given back.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_DAYS = 4
_READS_PROC = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and gives back with malloc_trim")
_COMMON = """
import json, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from storage.embedded.giveback import give_back
from storage.embedded.store import EmbeddedStore
from storage.rows import stream_interval_batch
from storage.settings import StorageSettings
from storage_support import DAY_NS, ENGINEER, EVER, NOW, interval

ROWS = 8_000
template = stream_interval_batch([interval(i, call_id=f"call-{i}@192.0.2.1") for i in range(ROWS)])
offsets = np.arange(ROWS)

def anonymous_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024

def write(writer, day, tick):
    times = pa.array(NOW + day * DAY_NS + tick * 10**9 + offsets, pa.timestamp("ns", "UTC"))
    writer.write("stream_interval", template.set_column(0, template.schema.field("time"), times))
    writer.flush()
"""
_DAYS_OF_SEALS = (
    _COMMON
    + """
today = [0]
store = EmbeddedStore(
    Path(sys.argv[1]),
    StorageSettings(seal_rows=10 * ROWS, retention={"stream_interval": {"age": "2d"}}),
    clock_ns=lambda: NOW + today[0] * DAY_NS,
)
before, sealed, kept = anonymous_mb(), [], []
for today[0] in range(int(sys.argv[2])):
    writer = store.writer("collect")
    for tick in range(20):
        write(writer, today[0], tick)
    writer.close()
    sealed.append(anonymous_mb() - before)
    store.maintain(NOW + today[0] * DAY_NS)
    kept.append(anonymous_mb() - before)
stats = store.stats
store.close()
print(json.dumps([sealed, kept, stats.segments_sealed, stats.segments_compacted, stats.segments_expired]))
"""
)
_READ = (
    _COMMON
    + """
store = EmbeddedStore(Path(sys.argv[1]), clock_ns=lambda: NOW)
writer, reader = store.writer("collect"), store.reader(ENGINEER)
reader.tag_values("stream_interval", "codec", EVER)  # DuckDB is there
give_back()
held = []
before = anonymous_mb()
for tick in range(40):
    write(writer, 0, tick)
    reader.tag_values("stream_interval", "codec", EVER)
held.append(anonymous_mb() - before)
writer.close()
reader.tag_values("stream_interval", "codec", EVER)
held.append(anonymous_mb() - before)
store.close()
print(json.dumps(held))
"""
)


def _outcome(script: str, *arguments: object) -> list[Any]:
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(p for p in [str(Path(__file__).parent), *sys.path] if p)},
    )
    found: list[Any] = json.loads(run.stdout)
    return found


@_READS_PROC
def test_days_of_seals_compactions_and_retention_leave_nothing_behind(tmp_path: Path) -> None:
    sealed, kept, seals, compacted, expired = _outcome(_DAYS_OF_SEALS, tmp_path, _DAYS)
    assert (2 * _DAYS, True, True) == (seals, compacted > 0, expired > 0)
    assert sealed[0] < 50  # before upkeep brought DuckDB
    assert max(kept[-2:]) - kept[1] < 20


@_READS_PROC
def test_a_reader_gives_back_the_rows_of_a_log_that_was_sealed(tmp_path: Path) -> None:
    held, after = _outcome(_READ, tmp_path)
    assert held > 90  # of 320,000 rows
    assert after < 60
