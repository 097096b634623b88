"""A week of history: the day of the last days, and the level that the load has of late."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.backtest import backtest
from forecast.localtime import Floats
from forecast.members import named
from forecast.panel import Panel, from_root
from forecast.series import Series, State

MONDAY_S = 1_704_067_200
PER_DAY = 96


def working_week(mean: float, saturday: float) -> Floats:
    """Return calls per quarter of an hour from Monday to Saturday, of which five days are alike."""
    shape = 1 + 0.8 * np.sin(2 * np.pi * np.arange(PER_DAY) / PER_DAY - 2)
    levels = np.array([1.0] * 5 + [saturday])
    return np.random.default_rng(1).poisson(mean * np.outer(levels, shape).ravel()).astype(np.float64)


def series(y: Floats) -> Series:
    return Series(MONDAY_S, 900, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))


@pytest.mark.parametrize(("lead", "most"), [(1, 0.15), (4, 0.4), (48, 1.2)])
def test_the_first_saturday_is_followed_for_some_hours(lead: int, most: float) -> None:
    """It has half the load; without a look at it the error would be 1."""
    y = working_week(100.0, 0.5)
    panel = Panel(series(y), PER_DAY)
    origin = 5 * PER_DAY + 44
    fitted = named("day-type").build(panel).fit(5)
    forecast = float(from_root(fitted.predict(np.array([origin]), np.array([origin + lead])))[0])
    came = float(100 * 0.5 * (1 + 0.8 * np.sin(2 * np.pi * ((origin + lead) % PER_DAY) / PER_DAY - 2)))
    assert forecast / came - 1 < most


def test_counting_noise_is_not_followed() -> None:
    got = backtest(series(working_week(8.0, 1.0)), test_days=4, horizons_s=(900,)).horizons[900]
    assert got.wape / got.wape_floor < 1.15
