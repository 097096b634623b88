"""How long the stream kernel takes until it is ready, compiled anew and from its cache; part of `bench rtp`."""

import json
import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """\
import json, time
began = time.perf_counter()
import numba
loaded = time.perf_counter()
import numpy as np
from collectors.kernels.frames import FRAME
from collectors.tracking.streams import StreamSettings, StreamTable
table = StreamTable(StreamSettings())
table.take(np.zeros(64, np.uint8), np.zeros(1, FRAME))
print(json.dumps({"numba_import_seconds": loaded - began, "kernels_seconds": time.perf_counter() - loaded}))
"""


def run(folder: Path) -> dict[str, dict[str, float]]:
    """Return the times of two new processes, the first without a cache; wall clock."""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(folder / "kernels"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }

    def once() -> dict[str, float]:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    return {"cold": once(), "cached": once()}
