"""The demo's story from the truth of the simulated network to what people are told, in simulated time.

The real parts in a row: history, HEP, the collector's pipeline, the store, the alert service, apprise, a sink on
the loopback, the report. No clock is read and nothing waits.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.catalog import STARTER, Rule
from alerts.incidents import Incident, State
from alerts.outbox import Outbox
from alerts.records import stored
from alerts.service import Service
from collectors.capture.listeners import hep_parser
from collectors.pipeline import Pipeline
from collectors.publish import StoreSink
from collectors.settings import CollectorSettings
from dashboards.reports.build import build_report
from dashboards.reports.period import parse_period
from storage.embedded.store import EmbeddedStore
from storage.seam import Scope, Window
from surgecast import demonstration
from surgecast.collecting import labeller_of, pipeline_settings, pools_of
from surgecast.demo_sink import MessageSink
from surgecast.roles.alert import sinks_of, zones_of
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import Engine
from surgecast.simulator.history import write_history
from surgecast.simulator.incidents import live_incidents
from surgecast.simulator.network import Network, collector_config
from surgecast.simulator.warm import start_after
from telephony.model import MINUTE_NS

pytestmark = pytest.mark.timeout(600)

S = 1_000_000_000
CALLS, SEED, WEEKS = 80, 1, 2.05
HISTORY_END_NS = 1_794_906_000 * S  # 2026-11-17 09:00 UTC, a Tuesday
START_NS = start_after(HISTORY_END_NS) + 20 * S
TURN_NS = 5 * S
RULES = (Rule.NETWORK_EFFECTIVENESS, Rule.DEGRADED_MEDIA)
TENANT, BESIDE = "atlas-wholesale", "harbour-ucaas"


def network() -> Network:
    """Return two tenants of the demo: who feels the fault, and one that sends a few of its calls over it."""
    tenants = {tenant.name: tenant for tenant in DEMO_NETWORK.tenants}
    few = replace(tenants[BESIDE], trunks=(("carrier-b", 0.6), ("carrier-a", 0.3), ("transit-x", 0.1)))
    return replace(DEMO_NETWORK, tenants=(tenants[TENANT], few))


class Collector:
    """The collector's middle, fed by the simulated network."""

    def __init__(self, store: EmbeddedStore) -> None:
        settings = CollectorSettings(**collector_config(network()))
        labeller = labeller_of(settings)
        self._writer = store.writer("collect")
        sink = StoreSink(self._writer, lambda: 0.0)
        self._pipeline = Pipeline(labeller, pools_of(settings), sink, pipeline_settings(settings, labeller))
        self._parser = hep_parser(settings)
        self._engine = Engine(
            start_ns=START_NS, calls=CALLS, seed=SEED, network=network(), plan=live_incidents(START_NS),
            history_end_ns=HISTORY_END_NS,
        )  # fmt: skip

    def run(self, now_ns: int) -> None:
        datagrams = [datagram.data for datagram in self._engine.datagrams(now_ns)]
        lengths = np.array([len(data) for data in datagrams], np.uint32)
        offsets = (np.cumsum(lengths) - lengths).astype(np.uint32)
        buffer = np.frombuffer(b"".join(datagrams), np.uint8)
        self._pipeline.feed(self._parser.parse(buffer, offsets, lengths, now_ns), now_ns)
        self._pipeline.tick(now_ns)

    def close(self) -> None:
        self._writer.close()


@dataclass
class Played:
    """What the story left behind."""

    store: EmbeddedStore
    sent: list[str]
    """Titles, in order."""
    now_ns: int

    def incidents(self) -> list[Incident]:
        kept = stored(self.store.reader(Scope.everything("test")), self.now_ns // S)
        return [one.incident for one in kept if one.incident.started_ns >= HISTORY_END_NS]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Let the trunk fail for four minutes, and go on until its incident is over."""
    path = tmp_path_factory.mktemp("story")
    messages = MessageSink(path / "messages.jsonl", lambda title: None)
    settings = demonstration.demo_settings(
        path, calls=CALLS, seed=SEED, now_ns=START_NS, sink_port=messages.port, hep_port=2, web_port=3,
        metrics_port=4,
    )  # fmt: skip
    store = EmbeddedStore(path)
    past = store.writer("history")
    write_history(past, weeks=WEEKS, calls=CALLS, seed=SEED, until_ns=HISTORY_END_NS, network=network())
    past.close()
    demonstration.announce_campaign(settings, START_NS)
    collector, writer = Collector(store), store.writer("alerts")
    service = Service(
        store.reader(Scope.everything("alerts")), writer, settings.alerts, Outbox(sinks_of(settings.alerts)),
        [rule for rule in STARTER if rule.rule in RULES], zones=zones_of(settings),
    )  # fmt: skip
    now_ns = START_NS
    service.step(now_ns / S)
    while now_ns < START_NS + 16 * MINUTE_NS:
        now_ns += TURN_NS
        collector.run(now_ns)
        if now_ns / S >= service.due_s:
            service.step(now_ns / S)
    writer.close()
    collector.close()
    messages.close()
    sent = [json.loads(line)["title"] for line in messages.path.read_text(encoding="utf-8").splitlines()]
    yield Played(store, sent, now_ns)
    store.close()


def test_its_beginning_and_its_end_are_sent_once_and_nothing_else(played: Played) -> None:
    assert [("transit-x" in title, "RESOLVED" in title) for title in played.sent] == [(True, False), (True, True)]


def test_one_incident_with_its_cause_is_raised_and_over(played: Played) -> None:
    found = {(str(one.scope), one.state) for one in played.incidents() if not one.parent_id}
    assert found == {("trunk transit-x", State.RESOLVED)}


def test_all_else_is_part_of_it(played: Played) -> None:
    assert {(one.cause, one.state) for one in played.incidents()} == {("trunk transit-x", State.RESOLVED)}


def test_live_load_goes_on_where_history_ends(played: Played) -> None:
    """No minute is missing at the seam, and as many calls are up after it as before."""
    reader = played.store.reader(Scope.everything("test"))
    window = Window(HISTORY_END_NS - MINUTE_NS, HISTORY_END_NS + MINUTE_NS)
    before, after = reader.load(window, step_seconds=60)["concurrent_max"].to_pylist()
    assert 0.8 * before < after < 1.25 * before


@pytest.mark.parametrize("tenant", [TENANT, BESIDE])
def test_the_report_of_who_felt_it_names_it(played: Played, tenant: str) -> None:
    """Also of who felt it a little: by its own calls, and without the name of what others share."""
    period = parse_period("today", ZoneInfo("Europe/Berlin"), played.now_ns)
    reader = played.store.reader(Scope.of("test", tenant))
    report = build_report(reader, tenant, period, now_ns=played.now_ns)
    found = {(one.scope, one.cause) for one in report.incidents}
    assert found == {(f"tenant {tenant}", "something that is shared with others")}
    assert all(0 < (one.impact_calls or 0) for one in report.incidents)
