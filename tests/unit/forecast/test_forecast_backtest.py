from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.backtest import backtest
from forecast.ladder import Ladder
from forecast.leads import lead_bins
from forecast.panel import Panel
from forecast.rolling import Rolling
from forecast.series import BadSeries, Series, State

PER_DAY = 48
MONDAY_S = 1_704_067_200
UTC = ZoneInfo("UTC")


def pool(days: int = 91, mean: float = 200.0, seed: int = 1, level_sd: float = 0.08) -> np.ndarray:
    """Return half-hourly calls: a weekly shape, a random level per day, Poisson arrivals."""
    random = np.random.default_rng(seed)
    slots = np.arange(days * PER_DAY)
    shape = 1 + 0.7 * np.sin((slots % PER_DAY / PER_DAY - 0.3) * 2 * np.pi)
    weekend = np.where((slots // PER_DAY) % 7 > 4, 0.5, 1.0)
    level = np.repeat(np.exp(level_sd * random.normal(size=days)), PER_DAY)
    return random.poisson(mean * shape * weekend * level).astype(np.float64)


def series(y: np.ndarray, zone: ZoneInfo = UTC) -> Series:
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return Series(MONDAY_S, 1800, zone, y, state)


def quantiles_from(y: np.ndarray, origin: int, holiday: frozenset[int] = frozenset()) -> np.ndarray:
    panel = Panel(series(y), 7 * PER_DAY, holiday)
    rolling = Rolling(panel, lead_bins(1800, 7 * PER_DAY))
    last = int(panel.day[origin])
    for day in range(last - 20, last + 1):
        rolling.start_day(day)
        rolling.rehearse()
    return rolling.quantiles(np.full(7 * PER_DAY, origin), origin + 1 + np.arange(7 * PER_DAY))


@pytest.mark.parametrize("poison", [np.nan, 0.0, 1e6])
@pytest.mark.parametrize("days", [3, 8, 12, 25, 60])
def test_the_future_of_an_origin_changes_no_bit_of_its_forecast(poison: float, days: int) -> None:
    y = pool(days + 10)
    origin = days * PER_DAY + 19
    changed = y.copy()
    changed[origin + 1 :] = poison
    holiday = frozenset({MONDAY_S // 86_400 + 10, MONDAY_S // 86_400 + days + 3})
    np.testing.assert_array_equal(quantiles_from(y, origin, holiday), quantiles_from(changed, origin, holiday))


def test_the_last_slot_seen_does_change_the_forecast() -> None:
    y = pool(70)
    changed = y.copy()
    changed[60 * PER_DAY + 19] *= 1.5
    before, after = (quantiles_from(values, 60 * PER_DAY + 19) for values in (y, changed))
    assert (before != after).any()


@pytest.fixture(scope="module")
def report():
    return backtest(series(pool()), test_days=28)


def test_error_is_near_what_the_random_level_leaves(report) -> None:
    # The level of a day (8 %) is unknown a day ahead and learned within the day.
    ratios = [a.wape / a.wape_floor for a in report.horizons.values()]
    assert ratios[0] < 1.25
    assert ratios[-1] < 1.9


def test_beats_the_same_time_last_week(report) -> None:
    assert min(a.skill_vs_seasonal_naive for a in report.horizons.values()) > 0.2


def test_coverage_follows_what_was_asked_near_and_far(report) -> None:
    for accuracy in report.horizons.values():
        assert accuracy.coverage[2:] == pytest.approx((0.9, 0.95, 0.99), abs=0.035)


def test_every_slot_is_an_origin_and_every_lead_is_counted_once(report) -> None:
    # 28 days of 48 origins, of which those near the end have fewer slots left to be scored on.
    week = 7 * PER_DAY
    whole = 28 * PER_DAY * week - week * (week + 1) // 2
    assert whole == sum(a.n for a in report.horizons.values())


def test_a_horizon_under_one_slot_reports_the_next_slot(report) -> None:
    assert 28 * PER_DAY - 1 == report.horizons[900].n


def test_an_outage_a_week_earlier_hardly_moves_the_median() -> None:
    y = pool(80)
    broken = y.copy()
    start = 70 * PER_DAY + 18
    broken[start : start + 8] = 0.0
    origin = 77 * PER_DAY + 10
    clean, after = (quantiles_from(values, origin)[7:15, 0] for values in (y, broken))
    wape_moved = np.abs(clean - after).sum() / y[77 * PER_DAY + 18 : 77 * PER_DAY + 26].sum()
    assert wape_moved < 0.02


def test_a_step_of_two_fifths_is_followed_within_a_day() -> None:
    y = pool(80, level_sd=0.05)
    step = 70 * PER_DAY
    y[step:] = np.round(y[step:] * 1.4)
    target = slice(72 * PER_DAY, 73 * PER_DAY)
    median = quantiles_from(y, 71 * PER_DAY + PER_DAY - 1)[:PER_DAY, 0]
    assert np.abs(median - y[target]).sum() / y[target].sum() < 0.15


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "last-value"), (3, "day-type"), (7, "day-type"), (8, "universal"), (27, "universal"), (60, "stack")],
)
def test_history_decides_the_rung(days: int, name: str) -> None:
    ladder = Ladder(Panel(series(pool(70)), PER_DAY), lead_bins(1800, PER_DAY))
    assert name == ladder.choose(days).name


def test_noise_around_a_profile_is_not_followed() -> None:
    got = backtest(series(pool(mean=8.0, level_sd=0.0)), test_days=21)
    assert max(a.wape / a.wape_floor for a in got.horizons.values()) < 1.15


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(30 * PER_DAY),
        np.full(30 * PER_DAY, 3.0),
        np.where(np.arange(40 * PER_DAY) % 97 == 0, 1e12, 5.0),
        np.where(np.arange(40 * PER_DAY) % 3 == 0, np.nan, 5.0),
        np.r_[pool(30), np.full(5 * PER_DAY, np.nan)],
        pool(2),
    ],
    ids=["zeros", "constant", "absurd spikes", "holes", "ends missing", "two days"],
)
def test_odd_series_are_answered(y: np.ndarray) -> None:
    figures = backtest(series(y)).horizons.values()
    assert all(np.isnan(a.wape) or a.wape >= 0 for a in figures)


@pytest.mark.parametrize(("test_days", "says"), [(0, "at least 1"), (500, "do not fit")])
def test_impossible_test_days_say_why(test_days: int, says: str) -> None:
    with pytest.raises(BadSeries, match=says):
        backtest(series(pool(40)), test_days=test_days)


def test_a_series_of_one_day_says_why() -> None:
    with pytest.raises(BadSeries, match="do not fit a series of 1 days"):
        backtest(series(np.array([5.0, 4.0])))


def test_a_series_without_values_says_why() -> None:
    with pytest.raises(BadSeries, match="no slot"):
        backtest(series(np.full(500, np.nan)))


def test_test_days_without_values_say_why() -> None:
    with pytest.raises(BadSeries, match="nothing was measured in the last 14 days"):
        backtest(series(np.r_[pool(30), np.full(15 * PER_DAY, np.nan)]), test_days=14)


def test_closed_slots_are_not_counted() -> None:
    y = pool(60)
    open_hours = (np.arange(y.size) % PER_DAY >= 16) & (np.arange(y.size) % PER_DAY < 36)
    got = backtest(series(np.where(open_hours, y, np.nan)), test_days=14, horizons_s=(1800,))
    assert (14 * 20, 60 * 28) == (got.horizons[1800].n, got.states["closed"])
