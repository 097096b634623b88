"""The embedded store under load: a writer at full speed, a reader in another process, then the pages' queries.

The traffic is that of 30,000 calls: 60,000 streams, one row each 10 s, in ticks of 6,000 rows.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.embedded.store import EmbeddedStore
from storage.rows import batch, shard_of, stream_interval_batch
from storage.schema import QUALITY_MINUTE, STREAM_INTERVAL, TIME
from storage.seam import Scope, StoreError, Window
from telephony.model import INTERVAL_NS, MINUTE_NS, Direction, Endpoint, Labels, Observer, Scale, StreamInterval

_STREAMS = 60_000
_TICK_ROWS = _STREAMS // 10
_ROWS = 3_000_000
_START_NS = 1_790_000_000 * 1_000_000_000 // INTERVAL_NS * INTERVAL_NS
_TENANTS, _TRUNKS, _NODES = 20, 40, 6
_REPEATS = 5
_PACED_TICKS = 100
_PACE_SECONDS = 0.05
"""The last ticks are written at 20 a second, for latencies that are not those of a saturated writer."""


def run(rows: int = _ROWS) -> dict[str, Any]:
    """Return rates, latencies (ms) and sizes; takes a minute and half a gigabyte of temporary files."""
    with tempfile.TemporaryDirectory(prefix="surgecast-bench-") as directory:
        root = Path(directory)
        writing = _write(root, rows)
        queries = _queries(root, rows)
        size = sum(f.stat().st_size for f in (root / "data" / STREAM_INTERVAL.name).rglob("*.parquet"))
        return {
            "rows": rows,
            "build_rows_per_second": _build_rate(),
            "write": writing,
            "query_ms": queries,
            "megabytes_per_million_rows": round(size / 1e6 / (rows / 1e6), 1),
        }


def _write(root: Path, rows: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    stop, newest, answered = context.Event(), context.Value("q", _START_NS), context.Queue()
    reader = context.Process(target=_read_until, args=(str(root), stop, newest, answered))
    store = EmbeddedStore(root)
    writer = store.writer("collect")
    flat_out: list[float] = []
    paced: list[float] = []
    reader.start()
    answered.get()
    cpu = 0.0
    try:
        for number, tick in enumerate(_ticks(rows)):
            last = rows // _TICK_ROWS - number <= _PACED_TICKS
            if last:
                time.sleep(_PACE_SECONDS)
            at, cpu_at = time.perf_counter(), time.process_time()
            writer.write(STREAM_INTERVAL.name, tick)
            writer.flush()
            (paced if last else flat_out).append(time.perf_counter() - at)
            cpu += time.process_time() - cpu_at  # with what the sealing thread used meanwhile
            newest.value = _START_NS + number // 10 * INTERVAL_NS
    finally:
        stop.set()
        queries, failures, median_ms = answered.get()
        reader.join()
    _minutes(writer, rows)
    store.close()
    return {
        "rows_per_second": round(len(flat_out) * _TICK_ROWS / sum(flat_out)),
        "tick_rows": _TICK_ROWS,
        "tick_ms_p50": round(statistics.median(paced) * 1e3, 2),
        "tick_ms_p99": round(sorted(paced)[int(len(paced) * 0.99)] * 1e3, 2),
        "core_share_at_30000_calls": round(cpu / rows * _TICK_ROWS, 4),
        "reader_queries": queries,
        "reader_failures": failures,
        "reader_ms_p50": median_ms,
    }


def _read_until(root: str, stop: Event, newest: Any, answered: "multiprocessing.Queue[Any]") -> None:
    """Ask for the worst calls of the newest 2 minutes every second until told to stop (another process)."""
    store = EmbeddedStore(Path(root))
    reader = store.reader(Scope.everything("bench"))
    answered.put("ready")
    times, failures = [], 0
    while not stop.is_set():
        at = time.perf_counter()
        try:
            reader.worst_calls(Window(newest.value - 2 * MINUTE_NS, newest.value + INTERVAL_NS))
        except StoreError:
            failures += 1
        times.append((time.perf_counter() - at) * 1e3)
        stop.wait(1.0)
    store.close()
    answered.put((len(times), failures, round(statistics.median(times), 1)))


def _queries(root: Path, rows: int) -> dict[str, dict[str, float]]:
    end = _START_NS + rows // _STREAMS * INTERVAL_NS
    last5, last15, whole = (Window(end - m * MINUTE_NS, end) for m in (5, 15, 24 * 60))
    engineer, tenant = Scope.everything("bench"), Scope.of("bench", "tenant-3")
    asked: dict[str, tuple[Scope, Callable[[Any], object]]] = {
        "worst_calls_5m": (engineer, lambda r: r.worst_calls(last5)),
        "worst_calls_15m": (engineer, lambda r: r.worst_calls(last15)),
        "worst_calls_15m_tenant": (tenant, lambda r: r.worst_calls(last15)),
        "call": (engineer, lambda r: r.call(_call_id(777))),
        "newest_1000_intervals": (
            engineer,
            lambda r: r.select(STREAM_INTERVAL.name, last5, limit=1000, newest_first=True),
        ),
        "tag_values_trunk_15m": (engineer, lambda r: r.tag_values(STREAM_INTERVAL.name, "trunk", last15)),
        "quality_sums_24h": (engineer, lambda r: r.sums(QUALITY_MINUTE.name, whole, step_seconds=300)),
        "quality_sums_1h": (
            engineer,
            lambda r: r.sums(QUALITY_MINUTE.name, Window(end - 60 * MINUTE_NS, end), step_seconds=60),
        ),
        "quality_by_trunk_24h": (
            engineer,
            lambda r: r.sums(QUALITY_MINUTE.name, whole, step_seconds=0, by=["trunk"]),
        ),
    }
    figures = {}
    for name, (scope, ask) in asked.items():
        store = EmbeddedStore(root)  # a new one: nothing of ours is warm
        reader = store.reader(scope)
        times = []
        for _ in range(1 + _REPEATS):
            at = time.perf_counter()
            ask(reader)
            times.append((time.perf_counter() - at) * 1e3)
        figures[name] = {"first": round(times[0], 1), "p50": round(statistics.median(times[1:]), 1)}
        store.close()
    return figures


def _call_id(number: int) -> str:
    return f"{number * 2_654_435_761 % 2**32:08x}-{number}@10.0.0.1"


def _ticks(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield ticks of one second: a tenth of the streams each, every stream once in 10 s."""
    random = np.random.default_rng(1)
    streams = random.permutation(_STREAMS).reshape(10, _TICK_ROWS)
    calls = np.array([_call_id(number) for number in range(_STREAMS // 2)])
    shards = np.array([shard_of(call) for call in calls])
    first = [_tick(random, _START_NS, at, calls, shards) for at in streams]
    for number in range(rows // _TICK_ROWS):
        interval, tenth = divmod(number, 10)
        tick = first[tenth]
        times = pa.array(tick["time"].cast(pa.int64()).to_numpy() + interval * INTERVAL_NS)
        yield tick.set_column(0, STREAM_INTERVAL.schema.field("time"), times.cast(TIME))


def interval_rows(rows: int) -> pa.RecordBatch:
    """Return rows of the same traffic as one batch, for other benches."""
    return pa.concat_batches(list(_ticks(rows)))


def _tick(random: np.random.Generator, time_ns: int, at: Any, calls: Any, shards: Any) -> pa.RecordBatch:
    n, call = len(at), at // 2
    lost = random.poisson(0.5, n)
    r_factor = np.round(random.normal(88, 4, n), 2)
    offsets = at.astype(np.int64) * 48_271 * 65_537 % INTERVAL_NS
    values: dict[str, Any] = {
        "time": time_ns + offsets,
        "tenant": _named("tenant", call % _TENANTS),
        "trunk": _named("trunk", call % _TRUNKS),
        "region": _named("region", call % 4),
        "node": _named("node", call % _NODES),
        "direction": np.where(at % 2, "to_caller", "to_callee"),
        "observer": np.full(n, "rtcp_rr"),
        "codec": np.where(call % 3, "PCMA", "OPUS"),
        "shard": shards[call],
        "call_id": calls[call],
        "ssrc": at * 40_503 % 2**32,
        "src": _named("10.0.0.1:", at),
        "dst": _named("10.0.0.2:", at),
        "clock_rate_hz": np.full(n, 8000),
        "expected": np.full(n, 500),
        "received": 500 - lost,
        "lost": lost,
        "jitter_ms": np.round(random.gamma(2, 2, n), 3),
        "rtt_ms": np.round(random.gamma(4, 10, n), 2),
        "r_factor": r_factor,
        "mos": np.round(1 + 0.035 * r_factor, 3),
        "mos_scale": np.full(n, "nb"),
        "own_drops": np.zeros(n, dtype=np.int64),
        "verdict": np.full(n, ""),
    }
    arrays = [
        pa.array(values[f.name]).cast(f.type) if f.name in values else pa.nulls(n, f.type)
        for f in STREAM_INTERVAL.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=STREAM_INTERVAL.schema)


def _named(prefix: str, numbers: Any) -> Any:
    return np.char.add(f"{prefix}-", numbers.astype(str))


def _minutes(writer: Any, rows: int) -> None:
    """Write a day of quality minutes up to the end of the intervals."""
    end = (_START_NS + rows // _STREAMS * INTERVAL_NS) // MINUTE_NS
    counts = {name: [3] * buckets.count for name, buckets in QUALITY_MINUTE.histograms.items()}
    tags = {"region": "region-1", "codec": "PCMA", "observer": "rtcp_rr"}
    for minute in range(end - 24 * 60, end):
        writer.write(
            QUALITY_MINUTE.name,
            batch(
                QUALITY_MINUTE.name,
                [
                    {
                        "time": minute * MINUTE_NS,
                        "tenant": f"tenant-{trunk % _TENANTS}",
                        "trunk": f"trunk-{trunk}",
                        "node": f"node-{trunk % _NODES}",
                        "direction": "to_caller",
                        "intervals": 9000,
                        "expected": 4_500_000,
                        "lost": 900,
                        "stream_seconds": 90_000.0,
                        **tags,
                        **counts,
                    }
                    for trunk in range(_TRUNKS)
                ],
            ),
        )
    writer.flush()


def _build_rate() -> int:
    """Return how many intervals a second become rows."""
    facts = [
        StreamInterval(
            _START_NS,
            Labels(f"tenant-{i % _TENANTS}", f"trunk-{i % _TRUNKS}", "region-1", "node-1"),
            _call_id(i // 2),
            i,
            Endpoint("10.0.0.1", i),
            Endpoint("10.0.0.2", i),
            Direction.TO_CALLEE,
            Observer.RTCP_RR,
            "PCMA",
            8000,
            500,
            499,
            1,
            jitter_ms=1.5,
            r_factor=90.0,
            mos=4.3,
            mos_scale=Scale.NARROWBAND,
        )
        for i in range(_STREAMS)
    ]
    stream_interval_batch(facts)  # streams are known after their first interval
    at = time.perf_counter()
    stream_interval_batch(facts)
    return round(len(facts) / (time.perf_counter() - at))
