"""The walk of one series: what it says where nothing was ever learned."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.leads import lead_bins
from forecast.panel import Panel
from forecast.rolling import Rolling
from forecast.series import Series, State
from forecast.states import mark_closed

MONDAY_S = 1_704_067_200
DAYS = 21


@pytest.mark.parametrize("outside", [np.nan, 0.0], ids=["not measured", "measured zero"])
def test_nothing_is_expected_while_closed(outside: float) -> None:
    hours = np.arange(DAYS * 24)
    worked = (hours // 24 % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18)
    y = np.where(worked, 40.0, outside)
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    panel = Panel(mark_closed(Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, state)), ahead=24)
    rolling = Rolling(panel, lead_bins(3600, 24))
    for day in range(DAYS):
        rolling.start_day(day)
        rolling.rehearse()
    origins = np.full(24, DAYS * 24 - 1)
    highest = rolling.quantiles(origins, origins + np.arange(1, 25))[:, -1]
    assert (0.0, True) == (highest[:6].sum(), bool((highest[8:18] > 30).all()))


def test_what_was_missed_before_the_week_was_known_is_forgotten() -> None:
    random = np.random.default_rng(4)
    hours = np.arange(19 * 24)
    # From a Saturday on: the first Monday is forecast from the weekend, and comes ten times as high.
    mean = np.where((hours // 24 + 5) % 7 < 5, 10.0, 1.0) * (10 + 90 * ((hours % 24 >= 8) & (hours % 24 < 18)))
    y = random.poisson(mean).astype(np.float64)
    state = np.full(y.size, State.OPEN, np.uint8)
    panel = Panel(Series(MONDAY_S + 5 * 86_400, 3600, ZoneInfo("UTC"), y, state), ahead=48)
    rolling = Rolling(panel, lead_bins(3600, 48))
    for day in range(19):
        rolling.start_day(day)
        rolling.rehearse()
    quantiles = rolling.quantiles(np.full(24, y.size - 1), y.size + np.arange(24))
    assert (quantiles[8:18, -1] < 1.5 * quantiles[8:18, 0]).all()
