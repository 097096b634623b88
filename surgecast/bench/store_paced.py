"""The embedded store at the pace of 30,000 calls: 6,000 interval rows a second, and what the calls leave behind.

Flat out a writer shows what it can; at its pace it shows what a collector's machine must have to spare.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from storage.embedded.store import EmbeddedStore
from storage.schema import STREAM_INTERVAL
from surgecast.bench.store import resident_bytes
from surgecast.bench.store_traffic import TICK_ROWS, Traffic

_UPKEEP_SECONDS = 300


def run(seconds: float) -> dict[str, Any]:
    """Write a tick each second, or at once where the last one took longer; return shares of a core, ms, MB."""
    with tempfile.TemporaryDirectory(prefix="surgecast-bench-") as directory:
        store = EmbeddedStore(Path(directory))
        writer = store.writer("collect")
        ticks = round(seconds)
        traffic = Traffic().ticks(ticks * TICK_ROWS)
        latencies: list[float] = []
        making, resident = 0.0, 0
        cpu_at, began = time.process_time(), time.perf_counter()
        for number in range(ticks):
            made_at = time.thread_time()
            tick, others = next(traffic)
            making += time.thread_time() - made_at
            at = time.perf_counter()
            writer.write(STREAM_INTERVAL.name, tick)
            for name, batch in others.items():
                writer.write(name, batch)
            writer.flush()
            latencies.append((time.perf_counter() - at) * 1e3)
            if number and number % _UPKEEP_SECONDS == 0:
                store.maintain(time.time_ns())
            resident = max(resident, resident_bytes())
            time.sleep(max(began + number + 1 - time.perf_counter(), 0))
        wall = time.perf_counter() - began
        core_share = (time.process_time() - cpu_at - making) / wall  # with sealing and upkeep
        store.close()
    return {
        "seconds": round(wall, 1),
        "rows_per_second": round(ticks * TICK_ROWS / wall),
        "core_share": round(core_share, 4),
        "flush_ms_p50": round(statistics.median(latencies), 1),
        "flush_ms_p99": round(sorted(latencies)[int(len(latencies) * 0.99)], 1),
        "flush_ms_max": round(max(latencies), 1),
        "memory_megabytes": round(resident / 1e6),
    }
