"""Hostile tenants, tags, Call-IDs and search texts on a real InfluxDB: nothing escapes, nothing is mixed up."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from influx_servers import PATIENCE, InfluxServer, influxd1

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.rows import call_batch, stream_interval_batch
from storage.schema import MEASUREMENTS
from storage.seam import CallMatch, OutOfScope, Scope, Window
from storage.settings import StorageSettings
from telephony.model import (
    CallRecord,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    ReleasedBy,
    StreamInterval,
)

START_NS = 1_790_000_040_000_000_000
_HOURS = itertools.count()
_PIECES = [
    "'", '"', "\\", "/", "=", ",", " ", "\n", "\r", "\t", "\0", "$p0", "$", ";", "--", "/*", "*/", " OR 1=1",
    "' OR 'a'='a", '" OR "tenant"=\'x', ") OR (", "DROP DATABASE surgecast", "=~ /.*/", "::tag", "\u2060",
    "\u29f5", "ü", "𝄞", "%", "_", "{}", "(?i)", ".*", "a", "B",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5).map("".join)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]
) -> Iterator[InfluxStore]:
    root = tmp_path_factory.mktemp("hostile")
    server: InfluxServer = influxd1(require_program("influxd"), root)
    server.start()
    settings_ = StorageSettings.model_validate(
        {
            "url": f"influx://127.0.0.1:{server.port}/surgecast",
            "retention": {name: {"age": "36500d"} for name in MEASUREMENTS},
            "spool": {"directory": str(Path(root) / "spool")},
            "influx": {"tenant_classes": {"apart": ["victim"]}} | PATIENCE,
        }
    )
    init(settings_)
    opened = InfluxStore(settings_.url, settings_)
    yield opened
    opened.close()
    server.kill()


@pytest.fixture(scope="module")
def writer(store: InfluxStore):  # type: ignore[no-untyped-def]
    return store.writer("collect")


def interval(tenant: str, trunk: str, call_id: str, at_ns: int) -> StreamInterval:
    return StreamInterval(
        at_ns, Labels(tenant, trunk, "eu", "edge-1"), call_id, 1, Endpoint("192.0.2.1", 4000),
        Endpoint("192.0.2.2", 5000), Direction.TO_CALLEE, Observer.RTCP_RR, "PCMA", 8000, 500, 500, 0,
        r_factor=80.0,
    )  # fmt: skip


def call(tenant: str, trunk: str, call_id: str, at_ns: int, destination: str) -> CallRecord:
    return CallRecord(
        labels=Labels(tenant, trunk, "eu", "edge-1"), call_id=call_id, outcome=Outcome.ANSWERED, started_ns=at_ns,
        ended_ns=at_ns + 10**9, codec="PCMA", sip_code=200, q850=16, released_by=ReleasedBy.CALLER, attempts=1,
        pdd_ms=1.0, setup_ms=1.0, duration_s=1.0, from_masked="xxx", to_masked="xxx", destination=destination,
        legs=1, hops=(), codecs=(), one_way=False,
    )  # fmt: skip


@pytest.mark.timeout(300)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tenant=HOSTILE, trunk=HOSTILE, call_id=HOSTILE, text=HOSTILE)
def test_no_value_escapes(store: InfluxStore, writer, tenant: str, trunk: str, call_id: str, text: str) -> None:  # type: ignore[no-untyped-def]
    at_ns = START_NS + next(_HOURS) * 3600 * 10**9
    window = Window(at_ns, at_ns + 1800 * 10**9)
    for owner in (tenant, "victim", "bystander"):
        writer.write(
            "stream_interval", stream_interval_batch([interval(owner, trunk, f"{owner}{call_id}", at_ns)])
        )
        writer.write("call", call_batch([call(owner, trunk, f"{owner}{call_id}", at_ns, text)]))
    writer.flush()
    reader = store.reader(Scope.of("client", tenant))
    mine = f"{tenant}{call_id}"
    for name in ("stream_interval", "call"):
        rows = reader.select(name, window)
        assert [(tenant, trunk, mine)] == list(
            zip(*(rows[column].to_pylist() for column in ("tenant", "trunk", "call_id")), strict=True)
        )
        assert reader.tag_values(name, "trunk", window) == [trunk]
        assert reader.select(name, window, where={"trunk": [trunk]}).num_rows == 1
        assert reader.select(name, window, where={"trunk": [f"{trunk}x"]}).num_rows == 0
        assert reader.select(name, window, where={"tenant": ["victim", tenant]}).num_rows == 1
        assert reader.latest(name, window, by=["trunk"])["tenant"].to_pylist() == [tenant]
    for match in (CallMatch(contains=mine), CallMatch(destination=text), CallMatch()):
        page = reader.calls(window, match=match)
        assert (1, [mine]) == (page.total, page.rows["call_id"].to_pylist())
    assert reader.calls(window, match=CallMatch(destination=f"{text}x")).total == 0
    assert reader.worst_calls(window)["call_id"].to_pylist() == [mine]
    assert reader.call(mine).intervals["tenant"].to_pylist() == [tenant]
    with pytest.raises(OutOfScope):
        reader.call(f"victim{call_id}")


def test_the_database_is_still_there(store: InfluxStore) -> None:
    assert store.reader(Scope.everything("engineer")).tag_values(
        "call", "tenant", Window(START_NS, START_NS + 400 * 3600 * 10**9)
    )
