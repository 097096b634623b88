"""The embedded store under load: a writer at full speed, a reader in another process, then the pages' queries.

The traffic is that of 30,000 calls (see `store_traffic`), in its own time: logs are sealed, and minutes merged and
rolled up, as in operation. Queries are timed cold, in a store that was opened for them and whose files are not in
memory, and warm; beside the time their CPU time, which others disturb less.
"""

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.embedded.store import EmbeddedStore
from storage.quantiles import quantiles
from storage.rows import stream_interval_batch
from storage.schema import CALL, QUALITY_MINUTE, STREAM_INTERVAL
from storage.seam import CallMatch, OutOfScope, Reader, Scope, StoreError, Window
from surgecast.bench.store_traffic import (
    CALL_INTERVALS,
    START_NS,
    STREAMS,
    TENANTS,
    TICK_ROWS,
    TRUNKS,
    Traffic,
    call_id_of,
    quality_minutes,
)
from telephony.histogram import R_FACTOR
from telephony.model import INTERVAL_NS, MINUTE_NS, Direction, Endpoint, Labels, Observer, Scale, StreamInterval

ROWS = 3_000_000
_MINUTES = 1440
_UPKEEP_MINUTES = 5
_REPEATS = 5
_PACED_TICKS = 100
_PACE_SECONDS = 0.05
"""The last ticks are written at 20 a second, for latencies that are not those of a saturated writer."""
_ROUNDING_NS = 12_345_678
"""Windows begin inside an interval, as those of pages do: nothing lies as it would be convenient."""


def run(rows: int = ROWS, directory: Path | None = None) -> dict[str, Any]:
    """Return rates, latencies (ms) and sizes; 3 million rows take two minutes, 50 million ten and 3 GB on disk.

    The store of an earlier run with as many rows in `directory` is measured as it is, else one is made there.
    """
    with tempfile.TemporaryDirectory(prefix="surgecast-bench-") as temporary:
        root = directory or Path(temporary)
        built = root / f"built-{rows}"
        if not built.exists() and root.exists() and any(root.iterdir()):
            raise StoreError(f"{root} is not empty and holds no store of this benchmark with {rows} rows")
        writing = {} if built.exists() else _build(root, rows)
        built.touch()
        sizes = {
            name: sum(f.stat().st_size for f in (root / "data" / name).rglob("*") if f.is_file())
            for name in (STREAM_INTERVAL.name, CALL.name, QUALITY_MINUTE.name)
        }
        return {
            "rows": rows,
            "write": writing,
            "load_average": [round(load, 1) for load in os.getloadavg()],
            "queries": _queries(root, rows),
            "megabytes_per_million_rows": round(sizes[STREAM_INTERVAL.name] / rows, 1),
            "megabytes": {name: round(size / 1e6, 1) for name, size in sizes.items()},
        }


class _Clock:
    """The time of the traffic, so that logs become segments as often as they do in operation."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def _build(root: Path, rows: int) -> dict[str, Any]:
    rate = _build_rate()
    _write_minutes(root, START_NS + rows // TICK_ROWS * 1_000_000_000)
    return {"build_rows_per_second": rate} | _write(root, rows)


def _write_minutes(root: Path, end_ns: int) -> None:
    """Write a day of minutes as a collector does: each again every 10 s while it lasts, with upkeep between."""
    clock = _Clock()
    store = EmbeddedStore(root, clock_ns=clock)
    writer = store.writer("collect")
    for number, batch in enumerate(quality_minutes(end_ns, _MINUTES)):
        minute_ns = (end_ns // MINUTE_NS - _MINUTES + number) * MINUTE_NS
        for tenth in range(1, 7):
            clock.now_ns = minute_ns + tenth * INTERVAL_NS
            writer.write(QUALITY_MINUTE.name, batch)
            writer.flush()
        if number % _UPKEEP_MINUTES == 0:
            store.maintain(clock.now_ns)
    store.close()


def _write(root: Path, rows: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    stop, newest, answered = context.Event(), context.Value("q", START_NS), context.Queue()
    reader = context.Process(target=_read_until, args=(str(root), stop, newest, answered))
    clock = _Clock()
    store = EmbeddedStore(root, clock_ns=clock)
    writer = store.writer("collect")
    flat_out: list[float] = []
    paced: list[float] = []
    reader.start()
    answered.get()
    cpu = 0.0
    resident: list[int] = []
    ticks = rows // TICK_ROWS
    try:
        for number, (tick, others) in enumerate(Traffic().ticks(rows)):
            last = ticks - number <= _PACED_TICKS
            if last:
                time.sleep(_PACE_SECONDS)
            clock.now_ns = START_NS + number * 1_000_000_000
            at, cpu_at = time.perf_counter(), time.process_time()
            writer.write(STREAM_INTERVAL.name, tick)
            for name, batch in others.items():
                writer.write(name, batch)
            writer.flush()
            (paced if last else flat_out).append(time.perf_counter() - at)
            cpu += time.process_time() - cpu_at  # with what the sealing thread used meanwhile
            newest.value = START_NS + number // 10 * INTERVAL_NS
            if number % max(ticks // 10, 1) == 0:
                resident.append(resident_bytes())
    finally:
        stop.set()
        queries, failures, median_ms = answered.get()
        reader.join()
    store.close()
    return {
        "rows_per_second": round(len(flat_out) * TICK_ROWS / sum(flat_out)),
        "tick_rows": TICK_ROWS,
        "tick_ms_p50": round(statistics.median(paced) * 1e3, 2),
        "tick_ms_p99": round(sorted(paced)[int(len(paced) * 0.99)] * 1e3, 2),
        "core_share_at_30000_calls": round(cpu / rows * TICK_ROWS, 4),
        "resident_megabytes": [round(size / 1e6) for size in resident],
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
    end = START_NS + rows // TICK_ROWS * 1_000_000_000
    last5, last15, last60, day = (Window(end - m * MINUTE_NS + _ROUNDING_NS, end) for m in (5, 15, 60, _MINUTES))
    ever = Window(0, 1 << 62)
    ended, live = call_id_of(STREAMS // 4), call_id_of(_newest_call(rows))
    engineer, tenant = Scope.everything("bench"), Scope.of("bench", "tenant-3")
    r, quality = ["r_histogram"], QUALITY_MINUTE.name
    busy = {"outcome": ["busy"]}
    asked: dict[str, tuple[Scope, Callable[[Reader], object]]] = {
        "worst_calls_5m": (engineer, lambda q: q.worst_calls(last5)),
        "worst_calls_15m": (engineer, lambda q: q.worst_calls(last15)),
        "worst_calls_60m": (engineer, lambda q: q.worst_calls(last60)),
        "worst_calls_15m_tenant": (tenant, lambda q: q.worst_calls(last15)),
        "call_ended": (engineer, lambda q: q.call(ended)),
        "call_live": (engineer, lambda q: q.call(live)),
        "call_unknown": (engineer, _unknown_call),
        "calls_newest_100": (engineer, lambda q: q.calls(ever)),
        "calls_by_number": (engineer, lambda q: q.calls(ever, match=CallMatch(number="xxx777"))),
        "calls_of_tenant_busy": (tenant, lambda q: q.calls(ever, where=busy, match=CallMatch(mos_below=3.0))),
        "newest_1000_intervals": (
            engineer, lambda q: q.select(STREAM_INTERVAL.name, last5, limit=1000, newest_first=True),
        ),
        "tag_values_trunk_15m": (engineer, lambda q: q.tag_values(STREAM_INTERVAL.name, "trunk", last15)),
        "quantiles_tenant_minute_24h": (
            tenant,
            lambda q: _r_quantiles(q.sums(quality, day, step_seconds=60, fields=r)),
        ),
        "quality_300s_24h": (engineer, lambda q: q.sums(quality, day, step_seconds=300, fields=r)),
        "quality_1h_24h_all_fields": (engineer, lambda q: q.sums(quality, day, step_seconds=3600)),
        "quality_by_trunk_24h": (engineer, lambda q: q.sums(quality, day, step_seconds=0, by=["trunk"], fields=r)),
    }  # fmt: skip
    EmbeddedStore(root).maintain(end)  # as the collector does every few minutes: rollups, indexes
    return {name: _timed(root, scope, ask) for name, (scope, ask) in asked.items()}


def _timed(root: Path, scope: Scope, ask: Callable[[Reader], object]) -> dict[str, float]:
    """Return wall and CPU time (all threads) of the first question to a store, from the disk, and of the next."""
    _forget_files(root)
    store = EmbeddedStore(root)
    reader = store.reader(scope)
    wall, cpu = [], []
    for _ in range(1 + _REPEATS):
        at, cpu_at = time.perf_counter(), time.process_time()
        ask(reader)
        wall.append((time.perf_counter() - at) * 1e3)
        cpu.append((time.process_time() - cpu_at) * 1e3)
    store.close()
    return {
        "cold_ms": round(wall[0], 1),
        "cold_cpu_ms": round(cpu[0], 1),
        "warm_ms": round(statistics.median(wall[1:]), 1),
        "warm_cpu_ms": round(statistics.median(cpu[1:]), 1),
    }


def _newest_call(rows: int) -> int:
    """Return the number of a call that has not ended: the first of the newest generation of the first tenth."""
    newest_interval = (rows // TICK_ROWS - 1) // 10
    return newest_interval // CALL_INTERVALS * (STREAMS // 2)


def _r_quantiles(sums: pa.Table) -> object:
    return quantiles(sums["r_histogram"], R_FACTOR, (0.5, 0.95))


def _unknown_call(reader: Reader) -> None:
    try:
        reader.call("nobody@nowhere")
    except OutOfScope:
        return
    raise AssertionError("a call that nobody made was found")


def _forget_files(root: Path) -> None:
    """Have the system drop the store's files from memory: the next query reads the disk."""
    for path in (p for p in root.rglob("*") if p.is_file()):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def resident_bytes() -> int:
    """Return what of this process is in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _build_rate() -> int:
    """Return how many intervals a second become rows."""
    facts = [
        StreamInterval(
            START_NS,
            Labels(f"tenant-{i % TENANTS}", f"trunk-{i % TRUNKS}", "region-1", "node-1"),
            call_id_of(i // 2),
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
        for i in range(STREAMS)
    ]
    stream_interval_batch(facts)  # streams are known after their first interval
    at = time.perf_counter()
    stream_interval_batch(facts)
    return round(len(facts) / (time.perf_counter() - at))
