"""Far ahead model, profile and last week share a forecast; near by the model stands alone, or is benched."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.ladder import LAST_WEEK, PROFILE
from forecast.leads import lead_bins
from forecast.naive import SeasonalNaive
from forecast.panel import Panel, from_root
from forecast.rolling import Rolling
from forecast.series import Series, State

PER_DAY = 24
DAYS = 100
MONDAY_S = 1_704_067_200


def panel(y: np.ndarray, holiday: frozenset[int] = frozenset()) -> Panel:
    series = Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return Panel(series, 7 * PER_DAY, holiday)


def shape(days: int = DAYS) -> np.ndarray:
    hours = np.arange(days * PER_DAY)
    return 400 * (1 + 0.5 * np.sin(hours % 24 / 24 * 2 * np.pi)) * np.where(hours // 24 % 7 > 4, 0.6, 1.0)


def walked(y: np.ndarray) -> Rolling:
    whole = panel(y)
    rolling = Rolling(whole, lead_bins(3600, 7 * PER_DAY))
    for day in range(DAYS - 45, DAYS):
        rolling.start_day(day)
        rolling.rehearse()
    return rolling


def wandering(seed: int = 3) -> np.ndarray:
    """Return a smooth load whose daily shape wanders from week to week: only last week knows it."""
    random = np.random.default_rng(seed)
    weeks = np.cumsum(random.normal(0, 0.25, (DAYS // 7 + 2, PER_DAY)), axis=0)
    week = np.arange(DAYS * PER_DAY) // (7 * PER_DAY)
    return np.round(shape() * np.exp(weeks[week, np.arange(DAYS * PER_DAY) % PER_DAY]))


def noisy(seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).poisson(shape() / 40).astype(np.float64)


@pytest.mark.parametrize(("y", "expected"), [(wandering(), True), (noisy(), False)], ids=["wandering", "noise"])
def test_last_week_has_the_largest_share_only_where_it_knows_most(y: np.ndarray, expected: bool) -> None:
    assert expected == (walked(y).model_at(6 * PER_DAY) == LAST_WEEK)


def test_a_far_forecast_lies_among_those_it_is_made_of() -> None:
    rolling = walked(noisy())
    chosen = rolling.ladder.fit(DAYS - 1)
    origins = np.full(7 * PER_DAY, (DAYS - 1) * PER_DAY)
    targets = origins + np.arange(1, origins.size + 1)
    parts = np.vstack([chosen.own.predict(origins, targets), chosen.simple.predict(origins, targets)])
    got = chosen.predict(origins, targets)
    assert bool(((parts.min(axis=0) - 1e-9 <= got) & (got <= parts.max(axis=0) + 1e-9)).all())


def test_near_leads_have_one_forecaster() -> None:
    rolling = walked(noisy())
    chosen = rolling.ladder.fit(DAYS - 1)
    origins = np.full(4, (DAYS - 1) * PER_DAY)
    targets = origins + np.arange(1, 5)
    alone = [chosen.own.predict(origins, targets), chosen.simple.predict(origins, targets)[0]]
    benched = rolling.model_at(1) == PROFILE
    np.testing.assert_array_equal(alone[benched][:1], chosen.predict(origins, targets)[:1])


def test_an_outage_last_week_is_looked_past() -> None:
    y = noisy() * 40
    target = (DAYS - 3) * PER_DAY + 12
    y[target - 7 * PER_DAY - 2 : target - 7 * PER_DAY + 2] = 0.0
    got = SeasonalNaive(panel(y)).predict(np.array([target - 30]), np.array([target]))
    assert y[target - 14 * PER_DAY] == pytest.approx(from_root(got)[0])


def test_a_holiday_last_week_is_looked_past() -> None:
    y = noisy()
    target = (DAYS - 3) * PER_DAY + 12
    holiday = frozenset({MONDAY_S // 86_400 + DAYS - 10})
    got = SeasonalNaive(panel(y, holiday)).predict(np.array([target - 30]), np.array([target]))
    assert y[target - 14 * PER_DAY] == pytest.approx(from_root(got)[0])
