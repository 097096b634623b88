"""The scale role: its rounds, what it does with a store that is away, and what it exports."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from scaler.decision import Hold, Mode, ReplicaDecision, Source, SourceNeed
from scaler.drain import DrainStats
from scaler.service import Scaler, ScalerStats
from storage.seam import StoreUnavailable
from surgecast.roles.scale import Loop
from surgecast.scale_metrics import LoopFigures, ScaleMetrics

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"


class Rounds:
    """A scaler that does what the test says."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.told: list[tuple[int, bool]] = []

    def round(self, now_ns: int, may_act: bool) -> Mapping[str, ReplicaDecision]:
        self.told.append((now_ns, may_act))
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return {}


def loop(rounds: Rounds, leads: bool = True) -> Loop:
    return Loop(cast(Scaler, rounds), lambda: leads, lambda: 5.0)


def test_so_many_rounds_are_done_with_the_clock_and_the_lease() -> None:
    rounds = Rounds(None, None)
    loop(rounds, leads=False).run(0.0, threading.Event(), 2)
    assert [(5_000_000_000, False)] * 2 == rounds.told


def test_a_store_that_is_away_is_said_and_asked_again() -> None:
    ours = loop(Rounds(StoreUnavailable("gone"), None))
    ours.turn()
    said = ours.trouble()
    ours.turn()
    assert ("the store does not answer: gone", "", 1) == (said, ours.trouble(), ours.figures.store_failures)


@pytest.fixture
def exposed() -> str:
    needs = (SourceNeed(Source.REACTIVE, 9, "sessions", ""),)
    decision = ReplicaDecision("eu", 99.0, Mode.ACT, 4, 3, 7, needs, (Hold.LOAD_STALE,), (), 60.0, "", "")
    stats = ScalerStats(5, 2, 1, {"wrong_victim": 1}, {"eu": decision}, {"eu": 2})
    stats.drains["eu"] = DrainStats(begun=3, undone=1, removed=2, given_up_calls=4, relay_errors=6)
    registry = CollectorRegistry()
    registry.register(ScaleMetrics(stats, LoopFigures(leading=True)))
    return cast(str, generate_latest(registry).decode())


def test_what_is_exposed_is_what_is_documented(exposed: str) -> None:
    documented = set(re.findall(r"^\| `(surgecast_scale_\w+)`", DOCUMENTED.read_text(), re.M))
    names = set(re.findall(r"^# TYPE (surgecast_scale_\w+)", exposed, re.M))
    assert documented == names


@pytest.mark.parametrize(
    "sample",
    [
        'surgecast_scale_errors_total{kind="wrong_victim"} 1.0',
        'surgecast_scale_pods{pool="eu",state="current"} 4.0',
        'surgecast_scale_pods{pool="eu",state="wanted"} 9.0',
        'surgecast_scale_pods{pool="eu",state="final"} 7.0',
        'surgecast_scale_pods{pool="eu",state="draining"} 2.0',
        'surgecast_scale_held{pool="eu"} 1.0',
        'surgecast_scale_lead_time_seconds{pool="eu"} 60.0',
        'surgecast_scale_mode{mode="act",pool="eu"} 1.0',
        'surgecast_scale_mode{mode="observe",pool="eu"} 0.0',
        'surgecast_scale_drains_total{event="undone",pool="eu"} 1.0',
        'surgecast_scale_calls_given_up_total{pool="eu"} 4.0',
        "surgecast_scale_leading 1.0",
    ],
)
def test_samples(exposed: str, sample: str) -> None:
    assert sample in exposed
