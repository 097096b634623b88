"""What alerts make of the simulated network at several times of the week: nothing, and one cause of a fault.

Time is simulated: no clock is read and nothing waits.
"""

from dataclasses import replace
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
from surgecast.simulator.history import write_history
from surgecast.simulator.incidents import IncidentPlan, Place, fault_start_ns, live_incidents, past_incidents
from surgecast.simulator.network import collector_config
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CALLS, SEED, WEEKS = 500, 1, 2.3
SECOND_NS = 1_000_000_000
TURN_NS = 5 * SECOND_NS
QUIET_MINUTES = 30


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


def causes(service: Service) -> set[str]:
    return {str(one.scope) for one in service.incidents() if not one.parent_id}


def incidents(store: EmbeddedStore, since_ns: int) -> list[Incident]:
    """Return those that began since then, resolved ones too, as they stand in the store."""
    kept = stored(store.reader(Scope.everything("test")), since_ns // SECOND_NS + 86_400)
    return [one.incident for one in kept if one.incident.started_ns >= since_ns]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("2026-11-17 09:00", id="weekday morning"),
        pytest.param("2026-11-22 23:40", id="Sunday night into Monday"),
        pytest.param("2026-10-25 00:45", id="the hour in which Europe's clocks go back"),
        pytest.param("2026-03-30 06:00", id="the morning after they went forward"),
    ],
)
def test_half_an_hour_is_quiet_and_then_a_trunk_fails(tmp_path: Path, start: str) -> None:
    """Minutes as a collector would write them, drawn from the calls of the same network."""
    start_ns = at(start)
    fails_ns = start_ns + QUIET_MINUTES * MINUTE_NS
    (fault,) = (i for i in live_incidents(start_ns).incidents if i.place is Place.TRUNK and i.name == "transit-x")
    plan = IncidentPlan((
        *(i for i in past_incidents(start_ns).incidents if not i.period_ns),
        replace(fault, start_ns=fails_ns, period_ns=0),
    ))  # fmt: skip
    store, desk = EmbeddedStore(tmp_path), Desk()
    history = store.writer("history")
    write_history(history, weeks=WEEKS, calls=CALLS, seed=SEED, until_ns=fails_ns + 4 * MINUTE_NS, plan=plan)
    history.close()
    settings = settings_of(tmp_path, start_ns)
    service = service_of(store, settings, desk)
    delay_s = settings.alerts.delay
    service.step(start_ns / SECOND_NS + delay_s)
    service.step(fails_ns / SECOND_NS + delay_s)
    assert ([f"{i.rule} of {i.scope}" for i in incidents(store, start_ns)], desk.sent) == ([], [])
    for minute in (1, 2, 3):
        service.step((fails_ns + minute * MINUTE_NS) / SECOND_NS + delay_s)
    assert causes(service) == {"trunk transit-x"}
    assert desk.sent[-1].incident.scope.name == "transit-x"
    # At a quiet hour who suffers may be seen a slot before the cause has volume enough.
    assert {i.cause for i in incidents(store, start_ns)} == {"trunk transit-x"}
    service.writer.close()
    store.close()


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
    assert [(m.incident.scope.name, m.incident.state) for m in desk.sent] == [
        ("transit-x", State.FIRING), ("transit-x", State.RESOLVED),
    ]  # fmt: skip
    assert "Tenants that feel it: atlas-wholesale." in desk.sent[0].body
    assert {i.cause for i in incidents(store, start_ns)} == {"trunk transit-x"}
    assert raised_ns - fault_start_ns(start_ns) <= 150 * SECOND_NS
    collector.close()
    service.writer.close()
    store.close()
