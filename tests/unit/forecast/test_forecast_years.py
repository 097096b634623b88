"""What a holiday did in earlier years it is expected to do again, and that moves no other day."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.panel import Panel
from forecast.series import Series, State

FIRST_S = 1_640_995_200
CHRISTMAS = [int(np.datetime64(f"{year}-12-25").astype(int)) - FIRST_S // 86_400 for year in (2022, 2023)]


def panel(times: float, holiday: bool = True) -> Panel:
    """Return two years of hours, Christmas at so many times what other days are."""
    days = CHRISTMAS[1] + 3
    hours = np.arange(24 * days)
    y = 100 * (1 + 0.5 * np.sin(hours / 24 * 2 * np.pi)) * np.where(np.isin(hours // 24, CHRISTMAS), times, 1.0)
    series = Series(FIRST_S, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return Panel(series, 24, frozenset(day + FIRST_S // 86_400 for day in CHRISTMAS if holiday))


@pytest.mark.parametrize("times", [0.3, 2.0])
def test_most_of_it_is_expected_from_the_day_before(times: float) -> None:
    known = panel(times)
    target = np.array([24 * CHRISTMAS[1] + 12])
    usual, z = known.base[CHRISTMAS[1], 12], known.expected(np.array([CHRISTMAS[1] - 1]), target)[1]
    assert 0.5 < (z[0] - usual) / (usual * (np.sqrt(times) - 1)) < 0.9


def test_the_day_after_it_starts_nearer_to_what_is_usual() -> None:
    end = 24 * (CHRISTMAS[1] + 1) - 1
    with_it, without = (abs(panel(0.3, holiday).levels[4, end]) for holiday in (True, False))
    assert with_it < 0.5 * without


def test_a_year_without_holidays_is_as_it_was() -> None:
    assert not panel(0.3, holiday=False).year_shift.any()
