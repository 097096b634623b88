"""Stored load for the tests of the forecast service: minutes of a few pools and tenants in an embedded store."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from storage.embedded.store import EmbeddedStore
from storage.schema import LOAD_MINUTE
from storage.seam import Scope, Writer

MONDAY_S = 1_704_067_200
DAY_S = 86_400
ENGINEER = Scope.everything("test")
SOURCES = (("acme", "media-eu", 1.0), ("beta", "media-eu", 0.5), ("beta", "media-us", 0.25))
"""Tenant, pool, share."""


def load_batch(
    since_s: int,
    until_s: int,
    *,
    calls: float = 60.0,
    seed: int = 1,
    sources: tuple[tuple[str, str, float], ...] = SOURCES,
) -> pa.RecordBatch:
    """Return minutes of load with a daily shape and Poisson arrivals; quiet ones have no row."""
    minutes = np.arange(since_s // 60, until_s // 60)
    shape = 1 + 0.8 * np.sin((minutes % 1440 / 1440 - 0.3) * 2 * np.pi)
    random = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {name: [] for name in LOAD_MINUTE.schema.names}
    for tenant, pool, share in sources:
        arrivals = random.poisson(calls / 3 * share * shape)
        for minute, count in zip(minutes.tolist(), arrivals.tolist()):
            if not count:
                continue
            row = {
                "time": minute * 60 * 10**9, "tenant": tenant, "pool": pool, "region": "eu", "node": "sbc",
                "arrivals": count, "concurrent_mean": 3.0 * count, "concurrent_max": 3 * count + 2,
                "cps_max": 1.0, "packets_per_second": 300.0 * count, "erlangs": 3.0 * count, "transcodes": 0.0,
                "holding_time_histogram": None,
            }  # fmt: skip
            for name, values in columns.items():
                values.append(row[name])
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[f.name], f.type) for f in LOAD_MINUTE.schema], schema=LOAD_MINUTE.schema
    )


def watched_batch(since_s: int, until_s: int) -> pa.RecordBatch:
    """Return the rows of a capture agent that is alive, without calls."""
    times = [minute * 60 * 10**9 for minute in range(since_s // 60, until_s // 60)]
    columns = {
        "time": times, "tenant": ["unassigned"] * len(times), "pool": ["capture"] * len(times),
        "region": ["eu"] * len(times), "node": ["sbc"] * len(times),
    }  # fmt: skip
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns
        else pa.nulls(len(times), f.type) if f.name == "holding_time_histogram"
        else pa.array([0] * len(times)).cast(f.type)
        for f in LOAD_MINUTE.schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=LOAD_MINUTE.schema)


def write(writer: Writer, *batches: pa.RecordBatch) -> None:
    for rows in batches:
        writer.write("load_minute", rows)
    writer.flush()


def store_at(path: Path) -> EmbeddedStore:
    return EmbeddedStore(path)
