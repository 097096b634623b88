"""InfluxDB is killed and restarted while rows are written, the writer too: nothing is lost or doubled."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from influx_servers import InfluxServer, influxd1, victoria

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.rows import batch, stream_interval_batch
from storage.schema import MEASUREMENTS
from storage.seam import Scope, Window
from storage.settings import StorageSettings
from telephony.model import INTERVAL_NS, Direction, Endpoint, Labels, Observer, StreamInterval

START_NS = 1_790_000_040_000_000_000
STREAMS = 100
TICKS = 400
AROUND = Window(START_NS - 3600 * 10**9, START_NS + 48 * 3600 * 10**9)
ENGINEER = Scope.everything("engineer")


def settings_of(url: str, spool: Path) -> StorageSettings:
    return StorageSettings.model_validate(
        {
            "url": url,
            "retention": {name: {"age": "36500d"} for name in MEASUREMENTS},
            "influx": {"backoff": 0.05, "backoff_max": 0.5, "write_timeout": 2.0},
            "spool": {"directory": str(spool), "segment_bytes": 65536},
        }
    )


def lost_in(tick: int, stream: int) -> int:
    return (tick * 7 + stream * 13) % 11


def intervals_of(tick: int) -> list[StreamInterval]:
    return [
        StreamInterval(
            START_NS + tick * INTERVAL_NS,
            Labels(f"tenant-{stream % 5}", "carrier", "eu", "edge-1"),
            f"call-{tick}-{stream}",
            stream,
            Endpoint("192.0.2.1", 4000),
            Endpoint("192.0.2.2", 5000),
            Direction.TO_CALLEE,
            Observer.RTCP_RR,
            "PCMA",
            8000,
            500,
            500 - lost_in(tick, stream),
            lost_in(tick, stream),
        )
        for stream in range(STREAMS)
    ]


def minute_of(tick: int) -> list[dict[str, Any]]:
    """Return the minute of a tick, written again and again while it lasts: the last write holds."""
    return [
        {
            "time": START_NS + tick // 6 * 60 * 10**9,
            "tenant": "acme",
            "trunk": "carrier",
            "region": "eu",
            "node": "edge-1",
            "attempts": 1000 * (tick // 6) + tick % 6,
        }
    ]


def simulate(url: str, spool: str, acknowledged: str) -> None:
    """Write tick after tick, from the first that was not acknowledged (a process of its own)."""
    store = InfluxStore(url, settings_of(url, Path(spool)))
    writer = store.writer("collect")
    with Path(acknowledged).open("a+b", buffering=0) as log:
        log.seek(0)
        for tick in range(len(log.read()), TICKS):
            writer.write("stream_interval", stream_interval_batch(intervals_of(tick)))
            writer.write("session_minute", batch("session_minute", minute_of(tick)))
            writer.flush()
            log.write(b".")
            time.sleep(0.01)
    store.close()


@pytest.fixture
def server(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[InfluxServer]:
    (tmp_path / "influxd").mkdir()
    found = influxd1(require_program("influxd"), tmp_path / "influxd")
    found.start()
    yield found
    found.kill()


@pytest.mark.timeout(300)
def test_three_outages_and_a_crash_lose_and_double_nothing(server: InfluxServer, tmp_path: Path) -> None:
    url = f"influx://127.0.0.1:{server.port}/surgecast"
    settings = settings_of(url, tmp_path / "spool")
    init(settings)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    context = multiprocessing.get_context("spawn")

    def start() -> "multiprocessing.process.BaseProcess":
        process = context.Process(target=simulate, args=(url, str(tmp_path / "spool"), str(acknowledged)))
        process.start()
        return process

    def reached(tick: int) -> None:
        deadline = time.monotonic() + 120
        while acknowledged.stat().st_size < tick:
            assert time.monotonic() < deadline, f"at tick {acknowledged.stat().st_size}, not {tick}"
            time.sleep(0.01)

    simulator = start()
    for outage, (away, back) in enumerate([(60, 110), (170, 220), (290, 330)]):
        reached(away)
        server.kill()
        if outage == 1:
            reached(away + 20)
            assert simulator.pid is not None
            os.kill(simulator.pid, signal.SIGKILL)
            simulator.join()
            simulator = start()
        reached(back)
        server.start()
    simulator.join(timeout=120)
    assert simulator.exitcode == 0

    store = InfluxStore(url, settings)
    writer = store.writer("collect")  # sends what the simulator left
    deadline = time.monotonic() + 120
    while writer.health().spool_rows and time.monotonic() < deadline:
        time.sleep(0.05)
    reader = store.reader(ENGINEER)
    rows = reader.select("stream_interval", AROUND, columns=["lost", "received", "call_id"], limit=10**6)
    minutes = reader.select("session_minute", AROUND, columns=["attempts"])["attempts"].to_pylist()
    store.close()
    truth = [lost_in(tick, stream) for tick in range(TICKS) for stream in range(STREAMS)]
    assert (len(truth), len(truth), sum(truth)) == (
        rows.num_rows,
        len(set(rows["call_id"].to_pylist())),
        pc.sum(rows["lost"]).as_py(),
    )
    last = [max(t for t in range(TICKS) if t // 6 == minute) for minute in range((TICKS - 1) // 6 + 1)]
    assert [row["attempts"] for tick in last for row in minute_of(tick)] == minutes


def test_victoria_metrics_takes_what_is_written(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """It has no InfluxQL and keeps no text: the write path only."""
    server = victoria(require_program("victoria-metrics"), tmp_path)
    server.start()
    try:
        url = f"influx://127.0.0.1:{server.port}/surgecast"
        store = InfluxStore(url, settings_of(url, tmp_path / "spool"))
        writer = store.writer("collect")
        rows = [
            {
                "time": START_NS + i % 10 * 60 * 10**9,
                "tenant": f"tenant-{i // 10}",
                "pool": "relays, =\"'\\",
                "region": "eu",
                "node": "edge-1",
                "arrivals": i,
                "erlangs": i / 8,
            }
            for i in range(1000)
        ]
        writer.write("load_minute", batch("load_minute", rows))
        writer.flush()
        requests = writer.health().requests
        store.close()
        assert {"written": 1} == requests
        server.get("/internal/force_flush")
        found = server.get("/api/v1/export?match[]=load_minute_erlangs").decode().splitlines()
        values = [v for line in found for v in json.loads(line)["values"]]
        assert (100, 1000, sum(i / 8 for i in range(1000))) == (len(found), len(values), sum(values))
    finally:
        server.kill()
