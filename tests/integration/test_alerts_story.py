"""What alerts make of the demo's network: one cause of a trunk that fails, and its end.

Time is simulated: no clock is read and nothing waits.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from alerts.incidents import Incident, State
from alerts.notify import Message
from alerts.outbox import Outbox
from alerts.records import stored
from alerts.service import Service
from collectors.capture.listeners import hep_parser
from collectors.pipeline import Pipeline
from collectors.publish import StoreSink
from collectors.settings import CollectorSettings
from storage.embedded.store import EmbeddedStore
from storage.seam import Scope
from surgecast import demonstration
from surgecast.collecting import labeller_of, pipeline_settings, pools_of
from surgecast.config import Settings
from surgecast.roles.alert import zones_of
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import Engine
from surgecast.simulator.incidents import IncidentPlan, fault_start_ns, live_incidents
from surgecast.simulator.network import collector_config
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CALLS, SEED, WEEKS = 500, 1, 2.3
SECOND_NS = 1_000_000_000
TURN_NS = 5 * SECOND_NS


class Desk:
    """Takes every message that a route of warnings would."""

    name = "desk"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def wants(self, incident: Incident) -> bool:
        return incident.severity.value != "info"

    def send(self, message: Message) -> None:
        self.sent.append(message)


def at(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def settings_of(path: Path, start_ns: int) -> Settings:
    return demonstration.demo_settings(
        path, calls=CALLS, seed=SEED, now_ns=start_ns, sink_port=1, hep_port=2, web_port=3, metrics_port=4
    )


def service_of(store: EmbeddedStore, settings: Settings, desk: Desk) -> Service:
    reader = store.reader(Scope.everything("alerts"))
    return Service(reader, store.writer("alerts"), settings.alerts, Outbox([desk]), zones=zones_of(settings))


def incidents(store: EmbeddedStore, since_ns: int) -> list[Incident]:
    """Return those that began since then, resolved ones too, as they stand in the store."""
    kept = stored(store.reader(Scope.everything("test")), since_ns // SECOND_NS + 86_400)
    return [one.incident for one in kept if one.incident.started_ns >= since_ns]


class Collector:
    """The real collector's middle, fed by the simulated network in simulated time."""

    def __init__(self, store: EmbeddedStore, start_ns: int, plan: IncidentPlan) -> None:
        settings = CollectorSettings(**collector_config(DEMO_NETWORK))
        labeller = labeller_of(settings)
        self._writer = store.writer("collect")
        sink = StoreSink(self._writer, lambda: 0.0)
        self._pipeline = Pipeline(labeller, pools_of(settings), sink, pipeline_settings(settings, labeller))
        self._parser = hep_parser(settings)
        self._engine = Engine(start_ns=start_ns, calls=CALLS, seed=SEED, plan=plan)

    def run(self, until_ns: int, since_ns: int) -> None:
        for now_ns in range(since_ns + SECOND_NS // 2, until_ns + 1, SECOND_NS // 2):
            datagrams = [datagram.data for datagram in self._engine.datagrams(now_ns)]
            if datagrams:
                lengths = np.array([len(data) for data in datagrams], np.uint32)
                offsets = np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.uint32)
                buffer = np.frombuffer(b"".join(datagrams), np.uint8)
                self._pipeline.feed(self._parser.parse(buffer, offsets, lengths, now_ns), now_ns)
            self._pipeline.tick(now_ns)

    def close(self) -> None:
        self._writer.close()


def test_the_demo_raises_one_incident_and_ends_it(tmp_path: Path) -> None:
    """The story as the demo plays it: a warm start, an announced campaign, a trunk that fails and recovers."""
    start_ns = at("2026-11-17 09:00") + 23 * SECOND_NS
    settings = settings_of(tmp_path, start_ns)
    demonstration.write_history(settings, weeks=WEEKS, calls=CALLS, seed=SEED, until_ns=warm_from_ns(start_ns))
    demonstration.announce_campaign(settings, start_ns)
    store, desk = EmbeddedStore(tmp_path), Desk()
    service = service_of(store, settings, desk)
    service.step(start_ns / SECOND_NS)
    collector = Collector(store, start_ns, live_incidents(start_ns))
    raised_ns = 0
    for now_ns in range(start_ns + TURN_NS, start_ns + 13 * MINUTE_NS, TURN_NS):
        collector.run(now_ns, now_ns - TURN_NS)
        if now_ns / SECOND_NS >= service.due_s:
            service.step(now_ns / SECOND_NS)
        if desk.sent and not raised_ns:
            raised_ns = now_ns
    told = [(m.incident.scope.name, m.incident.state) for m in desk.sent]
    assert [state for name, state in told if name == "transit-x"] == [State.FIRING, State.RESOLVED]
    assert {i.cause for i in incidents(store, start_ns)} == {"trunk transit-x"}
    assert raised_ns - fault_start_ns(start_ns) <= 150 * SECOND_NS
    collector.close()
    service.writer.close()
    store.close()
