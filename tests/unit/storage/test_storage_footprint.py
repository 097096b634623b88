"""Memory of a process that writes for long: what sealing and upkeep took goes back to the system.

In a process of its own, whose memory is its own. Bounds are generous: a third of what is kept where nothing is
given back.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_DAYS = 6
_RUN = """
import json, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from storage.embedded.store import EmbeddedStore
from storage.rows import stream_interval_batch
from storage.settings import StorageSettings
from storage_support import DAY_NS, NOW, interval

def anonymous_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024

ROWS = 8_000
template = stream_interval_batch([interval(i, call_id=f"call-{i}@192.0.2.1") for i in range(ROWS)])
offsets = np.arange(ROWS)
day = [0]
store = EmbeddedStore(
    Path(sys.argv[1]),
    StorageSettings(seal_rows=12 * ROWS, retention={"stream_interval": {"age": "3d"}}),
    clock_ns=lambda: NOW + day[0] * DAY_NS,
)
before, sealed, kept = anonymous_mb(), [], []
for day[0] in range(int(sys.argv[2])):
    writer = store.writer("collect")
    for tick in range(24):
        times = pa.array(NOW + day[0] * DAY_NS + tick * 10**9 + offsets, pa.timestamp("ns", "UTC"))
        writer.write("stream_interval", template.set_column(0, template.schema.field("time"), times))
        writer.flush()
    writer.close()
    sealed.append(anonymous_mb() - before)
    store.maintain(NOW + day[0] * DAY_NS)
    kept.append(anonymous_mb() - before)
stats = store.stats
store.close()
print(json.dumps([sealed, kept, stats.segments_sealed, stats.segments_compacted, stats.segments_expired]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and gives back with malloc_trim")
def test_days_of_seals_compactions_and_retention_leave_nothing_behind(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path), str(_DAYS)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(p for p in [str(Path(__file__).parent), *sys.path] if p)},
    )
    sealed, kept, seals, compacted, expired = json.loads(run.stdout)
    assert (2 * _DAYS, True, True) == (seals, compacted > 0, expired > 0)
    assert max(sealed) < 60
    assert max(kept[-2:]) - kept[1] < 20
