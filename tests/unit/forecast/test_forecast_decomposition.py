"""What a series is made of: strengths follow what it was made from; gaps and clocks do not shift the season."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.decomposition import Decomposition, decompose
from forecast.series import BadSeries, Series, State

MONDAY_S = 1_704_067_200
DAYS = 28
HOURS = np.arange(DAYS * 24)
DAY = np.sin(HOURS / 24 * 2 * np.pi)
WEEKDAY = np.where(HOURS // 24 % 7 < 5, 1.0, 0.0)


def found(
    mean: np.ndarray, *, zone: str = "UTC", start_s: int = MONDAY_S, gap: slice | None = None
) -> Decomposition:
    y = np.random.default_rng(2).poisson(mean).astype(np.float64)
    if gap is not None:
        y[gap] = np.nan
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return decompose(Series(start_s, 3600, ZoneInfo(zone), y, state))


CASES = {
    "day": 60 * (1 + 0.7 * DAY),
    "week": 60 * (0.4 + 0.9 * WEEKDAY),
    "trend": np.linspace(20, 200, HOURS.size),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_it_was_made_from_is_strong(kind: str) -> None:
    got = found(CASES[kind])
    strengths = {"day": got.daily_strength, "week": got.weekly_strength, "trend": got.trend_strength}
    assert strengths[kind] > 0.8
    assert kind == max(strengths, key=lambda name: strengths[name])


def test_counting_noise_is_left_and_nothing_more() -> None:
    got = found(CASES["day"])
    # Under the 0.5 of Poisson counts: of four weeks, a week's season takes in some of the noise.
    assert 0.4 == pytest.approx(got.remainder_deviation, abs=0.1)
    assert abs(got.autocorrelation[1]) < 0.25


def test_what_goes_on_from_hour_to_hour_is_told() -> None:
    random = np.random.default_rng(4)
    swing = np.zeros(HOURS.size)
    for at in range(1, HOURS.size):
        swing[at] = 0.8 * swing[at - 1] + 0.2 * random.normal()
    got = found(200 * np.exp(swing))
    assert got.autocorrelation[1] > 0.4
    assert got.ljung_box_p < 1e-6


def test_gaps_are_filled_and_left_out_of_the_remainder() -> None:
    gap = slice(200, 260)
    got = found(CASES["day"], gap=gap)
    assert (60 / HOURS.size, True) == (pytest.approx(got.filled_ratio), bool(np.isnan(got.remainder[gap]).all()))
    assert got.daily_strength > 0.8


def test_the_season_is_that_of_the_local_clock() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start_s = 1_711_843_200 - 14 * 86_400
    hour = np.array([datetime.fromtimestamp(start_s + 3600 * h, zone).hour for h in HOURS])
    got = found(10 + 90.0 * ((hour >= 9) & (hour < 17)), zone="Europe/Berlin", start_s=start_s)
    assert got.daily_strength > 0.95


def test_a_constant_series_has_no_season() -> None:
    y = np.full(HOURS.size, 5.0)
    got = decompose(Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, np.zeros(y.size, np.uint8)))
    assert (0.0, 0.0, 1.0) == (got.daily_strength, got.weekly_strength, got.ljung_box_p)


@pytest.mark.parametrize(
    ("days", "gap", "why"), [(20, None, "too few to decompose"), (28, slice(0, 600), "too few to decompose")]
)
def test_too_little_is_refused(days: int, gap: slice | None, why: str) -> None:
    with pytest.raises(BadSeries, match=why):
        found(CASES["day"][: days * 24], gap=gap)


def test_minutes_are_put_together() -> None:
    y = np.random.default_rng(1).poisson(3.0, 22 * 1440).astype(np.float64)
    got = decompose(Series(MONDAY_S, 60, ZoneInfo("UTC"), y, np.zeros(y.size, np.uint8)))
    assert (900, 21 * 96) == (got.slot_s, got.trend.size)
