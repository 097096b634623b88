from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.backtest import backtest
from forecast.calendar import month_places
from forecast.series import Series, State

PER_DAY = 24
MONDAY_S = 1_704_067_200


def monthly_pool(days: int = 240) -> Series:
    """Return hourly calls that lie 25 % higher in the first five days of every month, with a random day level."""
    random = np.random.default_rng(4)
    slots = np.arange(days * PER_DAY)
    places = month_places(np.arange(days) + MONDAY_S // 86_400)
    level = np.where((places >= 0) & (places < 5), 1.25, 1.0) * np.exp(0.03 * random.normal(size=days))
    mean = 300 * (1 + 0.6 * np.sin((slots % PER_DAY / PER_DAY - 0.3) * 2 * np.pi)) * np.repeat(level, PER_DAY)
    y = random.poisson(mean).astype(np.float64)
    return Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))


@pytest.fixture(scope="module")
def week_ahead():
    return backtest(monthly_pool(), test_days=56, horizons_s=(86_400, 604_800)).horizons[604_800]


def test_what_comes_with_the_month_is_forecast_a_week_ahead(week_ahead) -> None:
    # Without the level of earlier months at that place it is 0.080.
    assert week_ahead.wape < 0.076


def test_and_without_bias(week_ahead) -> None:
    assert abs(week_ahead.bias) < 0.03
