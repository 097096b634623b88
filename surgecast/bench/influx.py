"""The InfluxDB store under the load of 30,000 calls: 6,000 rows a second into a real server, then queries.

The server is Debian's, started on free ports of the loopback with a directory of its own.
"""

import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.influx.writer import InfluxWriter
from storage.schema import MEASUREMENTS, STREAM_INTERVAL, TIME
from storage.seam import Reader, Scope, StoreUnavailable, Window
from storage.settings import StorageSettings
from surgecast.bench.store_traffic import interval_rows
from telephony.model import INTERVAL_NS, MINUTE_NS

_TICK_ROWS = 6_000
_STREAMS = 60_000
_START_SECONDS = 30.0
_REPEATS = 3
_DRAIN_SECONDS = 300.0
_CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{root}/meta"
[data]
  dir = "{root}/data"
  wal-dir = "{root}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


def run(seconds: float) -> dict[str, Any]:
    """Return shares of a core, latencies (ms) and sizes; says why where there is no server to run."""
    program = shutil.which("influxd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if program is None:
        return {"skipped": "influxd is not installed (apt-get install influxdb)"}
    with tempfile.TemporaryDirectory(prefix="surgecast-bench-") as directory:
        root = Path(directory)
        with _server(program, root) as (port, process):
            settings = StorageSettings.model_validate(
                {
                    "url": f"influx://127.0.0.1:{port}/bench",
                    "retention": {name: {"age": "36500d"} for name in MEASUREMENTS},
                    "spool": {"directory": str(root / "spool")},
                }
            )
            _initialised(settings)
            store = InfluxStore(settings.url, settings)
            try:
                written, end_ns = _write(store, process.pid, seconds)
                queries = _queries(store, end_ns)
            finally:
                store.close()
            size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
        rows = written["rows"]
        return {
            "write": written,
            "query_ms": queries,
            "megabytes_per_million_rows_with_log": round(size / rows, 1),
        }


@contextmanager
def _server(program: str, root: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    port, rpc = _free_port(), _free_port()
    configuration = root / "influxd.conf"
    configuration.write_text(_CONFIGURATION.format(root=root, port=port, rpc=rpc), encoding="utf-8")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([program, "run", "-config", str(configuration)], stdout=log, stderr=log)
    try:
        yield port, process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _initialised(settings: StorageSettings) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            init(settings)
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _write(store: InfluxStore, server_pid: int, seconds: float) -> tuple[dict[str, Any], int]:
    """Write a tick each second, or at once where the last one took longer."""
    base = interval_rows(_STREAMS)
    start_ns = base["time"].cast(pa.int64()).to_numpy().min() // INTERVAL_NS * INTERVAL_NS
    writer = store.writer("collect")
    latencies: list[float] = []
    cpu, server_cpu = time.process_time(), _cpu_seconds(server_pid)
    began = time.perf_counter()
    for number in range(round(seconds)):
        interval, tenth = divmod(number, _STREAMS // _TICK_ROWS)
        tick = base.slice(tenth * _TICK_ROWS, _TICK_ROWS)
        times = tick["time"].cast(pa.int64()).to_numpy() + interval * INTERVAL_NS
        tick = tick.set_column(0, STREAM_INTERVAL.schema.field("time"), pa.array(times).cast(TIME))
        at = time.perf_counter()
        writer.write(STREAM_INTERVAL.name, tick)
        writer.flush()
        latencies.append((time.perf_counter() - at) * 1e3)
        time.sleep(max(began + number + 1 - time.perf_counter(), 0))
    wall = time.perf_counter() - began
    health = writer.health()
    figures = {
        "rows": round(seconds) * _TICK_ROWS,
        "rows_per_second": round(round(seconds) * _TICK_ROWS / wall),
        "tick_rows": _TICK_ROWS,
        "tick_ms_p50": round(statistics.median(latencies), 1),
        "tick_ms_p99": round(sorted(latencies)[int(len(latencies) * 0.99)], 1),
        "core_share": round((time.process_time() - cpu) / wall, 4),
        "server_core_share": round((_cpu_seconds(server_pid) - server_cpu) / wall, 4),
        "memory_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "server_memory_megabytes": _memory_megabytes(server_pid),
        "rows_spooled": writer.stats.rows_spooled,
        "spool_empty_after_s": _drained(writer),
        "requests": dict(health.requests),
    }
    return figures, int(start_ns) + (round(seconds) * _TICK_ROWS // _STREAMS + 1) * INTERVAL_NS


def _drained(writer: InfluxWriter) -> float:
    """Wait until the server has all; return the seconds it took."""
    began = time.perf_counter()
    while writer.health().spool_rows and time.perf_counter() - began < _DRAIN_SECONDS:
        time.sleep(0.1)
    return round(time.perf_counter() - began, 1)


def _queries(store: InfluxStore, end_ns: int) -> dict[str, dict[str, float | str]]:
    engineer, tenant = Scope.everything("bench"), Scope.of("bench", "tenant-3")
    last5 = Window(end_ns - 5 * MINUTE_NS, end_ns)
    newest = store.reader(engineer).select(
        STREAM_INTERVAL.name, last5, columns=["call_id"], limit=1, newest_first=True
    )
    call_id = newest["call_id"][0].as_py()
    asked: dict[str, tuple[Scope, Callable[[Reader], object]]] = {
        "worst_calls_5m": (engineer, lambda r: r.worst_calls(last5)),
        "worst_calls_5m_tenant": (tenant, lambda r: r.worst_calls(last5)),
        "call": (engineer, lambda r: r.call(call_id)),
        "newest_1000_intervals": (
            engineer,
            lambda r: r.select(STREAM_INTERVAL.name, last5, limit=1000, newest_first=True),
        ),
        "tag_values_trunk_5m": (engineer, lambda r: r.tag_values(STREAM_INTERVAL.name, "trunk", last5)),
    }
    figures: dict[str, dict[str, float | str]] = {}
    for name, (scope, ask) in asked.items():
        reader = store.reader(scope)
        times = []
        try:
            for _ in range(1 + _REPEATS):
                at = time.perf_counter()
                ask(reader)
                times.append((time.perf_counter() - at) * 1e3)
        except StoreUnavailable as error:
            figures[name] = {"failed": str(error)}
        else:
            figures[name] = {"first": round(times[0], 1), "p50": round(statistics.median(times[1:]), 1)}
    return figures


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
