"""What the InfluxDB writer makes of a server's answers, an outage, a full disk and a restart."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from influx_stub import StubServer
from storage_support import NOW, interval

from storage.embedded.rollups import HOUR_NS
from storage.influx.address import address_of
from storage.influx.sender import Sender, WriteOutcome
from storage.influx.settings import InfluxSettings
from storage.influx.store import InfluxStore
from storage.influx.targets import Target, policy_of
from storage.influx.writer import InfluxWriter, Pauses, compressed
from storage.rows import batch, stream_interval_batch
from storage.schema import MEASUREMENTS
from storage.seam import BadQuery, StoreError, StoreLocked, StoreUnavailable
from storage.settings import StorageSettings

Answer = tuple[int, str, dict[str, str]]


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()
    yield stub
    stub.close()


@pytest.fixture
def opened(server: StubServer, tmp_path: Path) -> Iterator[Callable[..., InfluxStore]]:
    """Return what opens a store at the server, with quick pauses and the given settings."""
    stores = []

    def open_it(port: int = 0, **influx: object) -> InfluxStore:
        quick = {"backoff": 0.01, "backoff_max": 0.05, "write_timeout": 60.0} | influx
        spool = {"directory": str(tmp_path / "spool"), "bytes": 1024**2, "segment_bytes": 4096, "fsync": "never"}
        settings = StorageSettings.model_validate({"influx": quick, "spool": spool})
        store = InfluxStore(f"influx://127.0.0.1:{port or server.port}/db", settings)
        stores.append(store)
        return store

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., InfluxStore]) -> InfluxStore:
    return opened()


def written(writer: InfluxWriter, *ssrcs: int) -> None:
    writer.write("stream_interval", stream_interval_batch([interval(ssrc) for ssrc in ssrcs]))
    writer.flush()


def ssrcs(lines: list[str]) -> list[int]:
    return [int(line.split(",ssrc=")[1].split("i")[0]) for line in lines]


def eventually(holds: Callable[[], bool]) -> bool:
    """Wait for another thread, at most a minute."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


def test_rows_are_in_the_server_when_flush_returns(server: StubServer, store: InfluxStore) -> None:
    writer = store.writer("collect")
    written(writer, 1, 2)
    assert [1, 2] == ssrcs(server.lines())
    assert (2, {"written": 1}) == (writer.stats.rows_sent, dict(writer.stats.requests))


@pytest.mark.parametrize(
    ("version", "path", "query"),
    [
        ("1.6.7~rc0", "/write", {"db": "db", "rp": "raw", "precision": "ns"}),
        ("1.8.10", "/api/v2/write", {"bucket": "db/raw", "precision": "ns", "org": "ops"}),
        ("v2.7.12", "/api/v2/write", {"bucket": "db/raw", "precision": "ns", "org": "ops"}),
        ("dev", "/api/v2/write", {"bucket": "db/raw", "precision": "ns", "org": "ops"}),
        ("3.0.1", "/api/v2/write", {"bucket": "db/raw", "precision": "ns", "org": "ops"}),
        ("", "/api/v2/write", {"bucket": "db/raw", "precision": "ns", "org": "ops"}),
    ],
)
def test_the_endpoint_is_that_of_the_version(
    server: StubServer, opened: Callable[..., InfluxStore], version: str, path: str, query: dict[str, str]
) -> None:
    server.version = version
    written(opened(org="ops").writer("collect"), 1)
    assert [(path, query)] == [taken[:2] for taken in server.taken]


def test_the_version_is_said(server: StubServer, store: InfluxStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store.check()
    assert f"InfluxDB 1.8.10 at 127.0.0.1:{server.port}/db: writing to /api/v2/write" in caplog.text


@pytest.mark.parametrize(
    ("influx", "header"),
    [
        ({"token": "t0p"}, "Token t0p"),
        ({"username": "me", "password": "secret"}, "Basic bWU6c2VjcmV0"),
        ({"token": "t0p", "username": "me", "password": "secret"}, "Token t0p"),
        ({}, ""),
    ],
)
def test_credentials_are_sent(
    server: StubServer, opened: Callable[..., InfluxStore], influx: dict[str, object], header: str
) -> None:
    written(opened(**influx).writer("collect"), 1)
    assert header == server.authorization


def test_a_token_may_lie_in_a_file(server: StubServer, opened: Callable[..., InfluxStore], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    written(opened(token_file=tmp_path / "token").writer("collect"), 1)
    assert server.authorization == "Token from-file"
    with pytest.raises(StoreError, match="token_file"):
        opened(token_file=tmp_path / "nowhere")


CONFLICT = '{"error":"partial write: field type conflict: input field \\"lost\\" ... dropped=2"}'


@pytest.mark.parametrize(
    ("status", "body", "outcome", "rejected"),
    [
        (400, CONFLICT, "field_type_conflict", 2),
        (422, '{"message":"partial write: field type conflict dropped=1"}', "field_type_conflict", 1),
        (400, '{"error":"partial write: points beyond retention policy dropped=3"}', "beyond_retention", 3),
        (400, '{"error":"partial write: max-values-per-tag limit exceeded dropped=1"}', "partial", 1),
        (400, '{"error":"unable to parse \'x\': missing fields"}', "malformed", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_mended_is_counted_and_done(
    server: StubServer, store: InfluxStore, status: int, body: str, outcome: str, rejected: int
) -> None:
    server.answer = lambda lines: (status, body, {})
    writer = store.writer("collect")
    written(writer, 1, 2, 3)
    assert ({outcome: 1}, {outcome: rejected}) == (dict(writer.stats.requests), dict(writer.stats.rows_rejected))
    assert (3 - rejected, True) == (writer.stats.rows_sent, writer.spool.empty)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (401, '{"error":"unauthorized access"}', "unauthorised"),
        (403, "{}", "unauthorised"),
        (404, '{"error":"database not found: \\"db\\""}', "not_found"),
        (500, '{"error":"retention policy not found: raw"}', "not_found"),
        (400, '{"code":"invalid","message":"Please provide either orgID or org"}', "not_found"),
        (429, "{}", "throttled"),
        (503, "{}", "throttled"),
        (500, '{"error":"timeout"}', "server_error"),
        (504, "", "timeout"),
    ],
)
def test_what_may_pass_waits_in_the_spool(
    server: StubServer, store: InfluxStore, status: int, body: str, outcome: str
) -> None:
    server.answer = lambda lines: (status, body, {})
    writer = store.writer("collect")
    written(writer, 1, 2)
    assert (1, 2) == (writer.spool.records, writer.spool.rows)
    assert writer.stats.requests[outcome] >= 1
    server.answer = lambda lines: (204, "", {})
    assert [1, 2] == ssrcs(server.wait_for_lines(2))
    assert eventually(lambda: writer.stats.rows_replayed == 2)


def test_a_server_that_is_away_costs_nothing(
    opened: Callable[..., InfluxStore], server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port
    server.close()
    store = opened(port)
    writer = store.writer("collect")
    for ssrc in range(5):
        written(writer, ssrc)
    assert (5, 5) == (writer.spool.records, writer.stats.rows_spooled)
    assert writer.stats.requests["unreachable"] >= 1


def test_a_server_that_is_too_slow_is_a_time_out(server: StubServer, opened: Callable[..., InfluxStore]) -> None:
    given_up = threading.Event()

    def slow(lines: str) -> Answer:
        given_up.wait(60)
        return 204, "", {}

    server.answer = slow
    store = opened(write_timeout=0.5)
    writer = store.writer("collect")
    written(writer, 1)
    found = (writer.stats.requests["timeout"] >= 1, writer.spool.records)
    given_up.set()
    assert (True, 1) == found


def test_order_is_kept_over_an_outage(server: StubServer, store: InfluxStore) -> None:
    up = False
    server.answer = lambda lines: (204, "", {}) if up else (503, "", {})
    writer = store.writer("collect")
    for ssrc in range(20):
        written(writer, ssrc)
        up = up or ssrc == 10
    found = ssrcs(server.wait_for_lines(20))
    assert sorted(set(found)) == list(range(20))
    assert found == sorted(found)


def test_what_was_spooled_is_sent_by_the_next_process(
    server: StubServer, opened: Callable[..., InfluxStore]
) -> None:
    server.answer = lambda lines: (503, "", {})
    first = opened()
    written(first.writer("collect"), 1, 2, 3)
    first.close()
    server.answer = lambda lines: (204, "", {})
    second = opened()
    second.writer("collect")
    assert [1, 2, 3] == ssrcs(server.wait_for_lines(3))


def test_a_body_too_large_is_sent_in_halves(server: StubServer, store: InfluxStore) -> None:
    server.answer = lambda lines: (204, "", {}) if len(lines.splitlines()) <= 2 else (413, "", {})
    writer = store.writer("collect")
    written(writer, *range(9))
    assert list(range(9)) == ssrcs(server.lines())
    assert (9, 0) == (writer.stats.rows_sent, sum(writer.stats.rows_rejected.values()))


def test_a_row_too_large_is_lost_and_counted(server: StubServer, store: InfluxStore) -> None:
    server.answer = lambda lines: (413, "", {}) if ",ssrc=2i" in lines else (204, "", {})
    writer = store.writer("collect")
    written(writer, 1, 2, 3)
    assert [1, 3] == ssrcs(server.lines())
    assert {"too_large": 1} == dict(writer.stats.rows_rejected)


def test_a_full_spool_keeps_rows_in_memory_and_recovers(
    server: StubServer, opened: Callable[..., InfluxStore]
) -> None:
    server.answer = lambda lines: (503, "", {})
    store = opened(held_bytes=1024**2)
    writer = store.writer("collect")
    facts = [interval(ssrc, call_id=f"{ssrc * 7919:x}" * 30) for ssrc in range(1000)]
    taken = flushed = 0
    while not writer.stats.rows_shed:
        with suppress(StoreUnavailable):
            writer.write("stream_interval", stream_interval_batch(facts))
            taken += 1
            writer.flush()
            flushed += 1
    assert 0 < flushed < taken
    assert (1000, True) == (writer.stats.rows_shed, writer.spool.size_bytes <= 1024**2)
    server.answer = lambda lines: (204, "", {})
    assert eventually(lambda: writer.spool.empty)
    writer.flush()
    assert taken * 1000 == len(server.wait_for_lines(taken * 1000))
    written(writer, 1)
    assert (taken * 1000 + 1, 0) == (writer.stats.rows_sent, writer.held_bytes)


def test_a_writer_is_open_once(store: InfluxStore, opened: Callable[..., InfluxStore]) -> None:
    store.writer("collect")
    with pytest.raises(StoreLocked, match="collect"):
        opened().writer("collect")


def test_a_name_that_is_no_file_name_is_no_writers(store: InfluxStore) -> None:
    with pytest.raises(BadQuery):
        store.writer("../x")


def test_a_closed_store_gives_nothing(store: InfluxStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.writer("collect")


def test_classes_of_tenants_lie_apart(server: StubServer, opened: Callable[..., InfluxStore]) -> None:
    writer = opened(tenant_classes={"regulated": ["bank"]}).writer("collect")
    rows = [
        {"time": NOW, "pool": "p", "region": "r", "node": "n", "tenant": tenant} for tenant in ("acme", "bank")
    ]
    writer.write("load_minute", batch("load_minute", rows))
    writer.flush()
    found = {
        query["bucket"]: lines.split("tenant=")[1].split(" ")[0]
        for _, query, lines in server.taken
        if "tenant=" in lines
    }
    assert {"db/minutes": "acme", "db_regulated/minutes": "bank"} == found


def _minute(time_ns: int) -> dict[str, object]:
    return {"time": time_ns, "pool": "p", "region": "r", "node": "n", "tenant": "t"}


def _names(server: StubServer) -> list[str]:
    return [line.partition(",")[0] for line in server.lines()]


def test_late_minutes_are_marked_before_they_are_sent(server: StubServer, store: InfluxStore) -> None:
    writer = store.writer("collect")
    writer.write("load_minute", batch("load_minute", [_minute(NOW), _minute(time.time_ns())]))
    writer.flush()
    assert ["rollup_mark", "load_minute", "load_minute"] == _names(server)
    assert server.lines()[0].endswith(f" {NOW // HOUR_NS * HOUR_NS}")
    assert 2 == writer.stats.rows_sent


def test_late_minutes_wait_in_the_spool_while_their_mark_is_not_taken(
    server: StubServer, store: InfluxStore
) -> None:
    refused = iter([True, True])
    server.answer = lambda lines: (
        (503, "", {}) if lines.startswith("rollup_mark") and next(refused, False) else (204, "", {})
    )
    writer = store.writer("collect")
    writer.write("load_minute", batch("load_minute", [_minute(NOW)]))
    writer.flush()
    assert eventually(lambda: writer.stats.rows_replayed == 1)
    assert (["rollup_mark", "load_minute"], 1) == (_names(server), writer.stats.rows_spooled)


def test_large_batches_are_sent_in_parts(server: StubServer, opened: Callable[..., InfluxStore]) -> None:
    writer = opened(batch_rows=4).writer("collect")
    facts = [interval(ssrc, call_id="x" * 1_000_000) for ssrc in range(20)]
    writer.write("stream_interval", stream_interval_batch(facts))
    writer.flush()
    assert [4, 4, 4, 4, 4] == [len(lines.splitlines()) for _, _, lines in server.taken]


def test_values_that_are_not_finite_are_counted(server: StubServer, store: InfluxStore) -> None:
    writer = store.writer("collect")
    row = {"time": NOW, "tenant": "t", "pool": "p", "region": "r", "node": "n", "erlangs": float("nan")}
    writer.write("load_minute", batch("load_minute", [row]))
    writer.flush()
    assert writer.stats.values_not_finite == 1
    assert server.lines()[1:] == [f"load_minute,node=n,pool=p,region=r,tenant=t _fields=0i {NOW}"]


def test_pauses_grow_with_jitter_and_start_anew() -> None:
    pauses = Pauses(1.0, 10.0)
    spans = [pauses.begin(0) for _ in range(8)]
    for span, longest in zip(spans, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert longest / 2 <= span <= longest
    pauses.over()
    assert pauses.begin(0, 7.0) == 7.0
    assert (True, False) == (pauses.paused(6_999_999_999), pauses.paused(7_000_000_000))


def test_health_tells_what_waits(server: StubServer, store: InfluxStore) -> None:
    server.answer = lambda lines: (503, "", {})
    writer = store.writer("collect")
    written(writer, 1, 2)
    health = writer.health()
    assert (2, writer.spool.size_bytes) == (health.spool_rows, health.spool_bytes)
    assert health.spool_oldest_ns is not None
    assert health.requests["throttled"] >= 1


def test_measurements_share_four_policies() -> None:
    policies = {name: policy_of(name).value for name in MEASUREMENTS}
    assert {"now", "raw", "records", "minutes"} == set(policies.values())
    assert ("raw", "now", "records", "minutes") == (
        policies["stream_interval"], policies["load_now"], policies["call"], policies["quality_minute"],
    )  # fmt: skip


def test_how_long_to_wait_is_what_the_server_says(server: StubServer, tmp_path: Path) -> None:
    server.answer = lambda lines: (503, "", {"Retry-After": "7"})
    influx = InfluxSettings()
    sender = Sender(address_of(f"influx://127.0.0.1:{server.port}/db", influx), influx)
    sent = sender.send(Target("db", policy_of("call")), compressed([b"call x=1i 1\n"]))
    sender.close()
    assert (WriteOutcome.THROTTLED, 7.0) == (sent.outcome, sent.retry_after_s)


def test_a_full_disk_loses_nothing_that_was_acknowledged(server: StubServer, small_disk: Path) -> None:
    server.answer = lambda lines: (503, "", {})
    settings = StorageSettings.model_validate(
        {
            "influx": {"backoff": 0.01, "backoff_max": 0.05, "held_bytes": 1024**2},
            "spool": {"directory": str(small_disk), "segment_bytes": 65536, "fsync": "always"},
        }
    )
    store = InfluxStore(f"influx://127.0.0.1:{server.port}/db", settings)
    writer = store.writer("collect")
    acknowledged = refused = tick = 0
    while not writer.stats.rows_shed:
        facts = [interval(tick * 500 + i, call_id=f"{tick * 7919 + i * 104729:x}" * 10) for i in range(500)]
        with suppress(StoreUnavailable):
            writer.write("stream_interval", stream_interval_batch(facts))
            tick += 1
            try:
                writer.flush()
                acknowledged = tick
            except StoreUnavailable:
                refused += 1
    assert acknowledged > 3
    assert refused > 0
    server.answer = lambda lines: (204, "", {})
    assert eventually(lambda: writer.spool.empty)
    writer.flush()
    written(writer, tick * 500)
    store.close()
    assert list(range(tick * 500 + 1)) == sorted(set(ssrcs(server.lines())))


def test_intervals_come_with_marks_of_the_worst_before_them(
    server: StubServer, opened: Callable[..., InfluxStore]
) -> None:
    writer = opened(batch_rows=20).writer("collect")
    facts = [replace(interval(ssrc, call_id=f"c{ssrc}"), r_factor=80.0 - ssrc) for ssrc in range(50)]
    writer.write("stream_interval", stream_interval_batch(facts))
    writer.flush()
    names = [line.partition(",")[0] for line in server.lines()]
    assert (["stream_interval_worst", *["stream_interval"] * 50], 50) == (names, writer.stats.rows_sent)
