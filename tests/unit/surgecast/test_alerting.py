"""The alert role's inside: the loop survives a store that is away; its metrics are all documented."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from alerts.outbox import Outbox, RouteStats
from alerts.service import Service, ServiceStats
from storage.seam import StoreUnavailable
from surgecast.alert_metrics import AlertMetrics
from surgecast.alerting import Loop

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"


class Steps:
    """A service whose steps do or raise what they are told to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.due_s = 0.0
        self.stats = ServiceStats()
        self.outbox = Outbox([])
        self.settings = SimpleNamespace(slot=300.0)

    def step(self, now_s: float) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def incidents(self) -> list[object]:
        return []


def loop(*outcomes: Exception | None) -> Loop:
    return Loop(cast(Service, Steps(*outcomes)), lambda: 1000.0)


def test_a_store_that_is_away_is_asked_again_and_said_to_be() -> None:
    turned = loop(StoreUnavailable("gone"), None)
    turned.turn()
    assert ("the store does not answer: gone", 1) == (turned.trouble(), turned.failures)
    turned.turn()
    assert turned.trouble() == ""


def test_a_stalled_loop_is_unhealthy() -> None:
    times = iter([0.0, 7200.0])
    stalled = Loop(cast(Service, Steps()), lambda: next(times))
    assert stalled.trouble() == "nothing was judged for 7200 s"


def exposed() -> str:
    service = Steps()
    service.stats.open["critical", "no_data"] = 1
    service.outbox.stats["desk"] = RouteStats(sent=2, failed=1)
    registry = CollectorRegistry()
    registry.register(AlertMetrics(cast(Service, service), loop()))
    return cast(str, generate_latest(registry).decode())


def test_every_family_is_documented() -> None:
    names = set(re.findall(r"^# TYPE (\w+)", exposed(), re.M))
    documented = set(re.findall(r"^\| `(\w+)`", DOCUMENTED.read_text(), re.M))
    assert not [name for name in names if not {name, f"{name}_total", f"{name}_info"} & documented]


def test_counts_are_told_by_route_severity_and_state() -> None:
    text = exposed()
    assert 'surgecast_alert_messages_total{outcome="sent",route="desk"} 2.0' in text
    assert 'surgecast_alert_incidents{severity="critical",state="no_data"} 1.0' in text
