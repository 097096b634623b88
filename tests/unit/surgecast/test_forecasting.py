"""The forecast role's inside: the loop survives a store that is away; its metrics are all documented."""

import re
import threading
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from forecast.pool import Workers
from forecast.service import Service, ServiceStats
from forecast.targets import Kind, SeriesId, Signal
from storage.seam import StoreUnavailable
from surgecast.forecast_metrics import ForecastMetrics
from surgecast.forecasting import Loop

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"
KEY = SeriesId(Kind.POOL, "media", Signal.ARRIVALS)


FITTED = 7
"""Series issued by a step that fitted them."""


class Steps:
    """A service whose steps say or raise what they are told to."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.outcomes = list(outcomes)
        self.stats = ServiceStats()

    def step(self, now_s: int, stopped: object) -> int:
        outcome = self.outcomes.pop(0)
        if outcome == FITTED:
            self.stats.fits += outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def next_s(self, now_s: int) -> int:
        return now_s + 60


def loop(*outcomes: int | Exception, now_s: float = 1000.0) -> Loop:
    return Loop(cast(Service, Steps(*outcomes)), lambda: now_s)


def test_waits_for_the_next_slot() -> None:
    assert 60.0 == loop(3).turn(threading.Event())


def test_a_store_that_is_away_is_asked_again_soon_and_said_to_be() -> None:
    turned = loop(StoreUnavailable("gone"), 1)
    assert turned.turn(threading.Event()) < 60
    assert ("the store does not answer: gone", 1) == (turned.trouble(), turned.failures)
    turned.turn(threading.Event())
    assert turned.trouble() == ""


@pytest.mark.parametrize(("issued", "expected"), [(FITTED, 1), (3, 0)], ids=["fitted", "from the fits at hand"])
def test_what_fits_took_is_given_back(issued: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr("surgecast.forecasting.give_back", lambda: given.append(None))
    loop(issued).turn(threading.Event())
    assert expected == len(given)


def test_a_stalled_loop_is_unhealthy() -> None:
    times = iter([0.0, 7200.0])
    assert Loop(cast(Service, Steps()), lambda: next(times)).trouble() == "no step has ended for 7200 s"


@pytest.fixture
def exposed() -> str:
    stats = ServiceStats(series=1, fits=2, fit_seconds=0.5)
    stats.models[KEY] = "stack"
    stats.benched[KEY] = 1
    stats.issues["short"] = 3
    stats.last_issue_s["short"] = 99
    stats.troubles["silent"] = 1
    stats.learned["went on"] = 2
    stats.compared["1h"] = 4
    stats.covered["1h", "0.95"] = 4
    registry = CollectorRegistry()
    registry.register(ForecastMetrics(stats, loop(), Workers(0)))
    return cast(str, generate_latest(registry).decode())


def test_every_family_is_documented(exposed: str) -> None:
    names = set(re.findall(r"^# TYPE (\w+)", exposed, re.M))
    documented = set(re.findall(r"^\| `(\w+)`", DOCUMENTED.read_text(), re.M))
    kinds = Counter(name for name in names if not {name, f"{name}_total", f"{name}_info"} & documented)
    assert not kinds


def test_every_documented_family_of_forecasts_is_exposed(exposed: str) -> None:
    documented = set(re.findall(r"^\| `(surgecast_forecast_\w+)`", DOCUMENTED.read_text(), re.M))
    names = set(re.findall(r"^# TYPE (\w+)", exposed, re.M))
    assert not {name.removesuffix("_total") for name in documented} - names


@pytest.mark.parametrize(
    "sample",
    [
        'surgecast_forecast_model_series{model="stack"} 1.0',
        "surgecast_forecast_benched_series 1.0",
        "surgecast_forecast_fit_seconds_sum 0.5",
        'surgecast_forecast_learned_total{result="went on"} 2.0',
        'surgecast_forecast_covered_total{lead="1h",quantile="0.95"} 4.0',
        'surgecast_forecast_last_issue_timestamp_seconds{horizon="short"} 99.0',
    ],
)
def test_samples(exposed: str, sample: str) -> None:
    assert sample in exposed
