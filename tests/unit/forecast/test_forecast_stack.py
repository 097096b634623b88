"""The stack learns nothing from levels that follow an outage; a smooth load would show it most."""

from zoneinfo import ZoneInfo

import numpy as np

from forecast.panel import Panel, from_root
from forecast.series import Series, State
from forecast.stack import Stack

DAYS = 56
PER_DAY = 24


def demand() -> np.ndarray:
    """Return hourly megawatts whose evening peak comes later by the day, with slow weather and little noise."""
    random = np.random.default_rng(7)
    hours = np.arange(DAYS * PER_DAY)
    of_day, day = hours % PER_DAY, hours // PER_DAY
    evening = 2000 * np.exp(-(((of_day - 16 - 0.06 * day) / 1.5) ** 2))
    weather = np.repeat(np.convolve(random.normal(0, 60, DAYS), [0.5, 0.3, 0.2], "same"), PER_DAY)
    usual = 9000 + 1500 * np.sin((of_day - 8) / 24 * 2 * np.pi)
    return usual + evening + weather + random.normal(0, 15, hours.size)


def error_of_last_day(y: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean absolute error of the last day, forecast an hour ahead from every slot."""
    series = Series(1_704_067_200, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    panel = Panel(series, PER_DAY)
    origins = np.arange((DAYS - 1) * PER_DAY, DAYS * PER_DAY - 1)
    found = Stack(panel).fit(DAYS - 1).predict(origins, origins + 1)
    return float(np.abs(from_root(found) - truth[origins + 1]).mean())


def test_an_outage_a_week_before_does_not_teach() -> None:
    cut = demand()
    cut[(DAYS - 8) * PER_DAY + 10 :][:4] = 0.0
    assert error_of_last_day(cut, demand()) < 1.5 * error_of_last_day(demand(), demand())
