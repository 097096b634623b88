"""The unit that an amount is given in moves no figure of a backtest; counts keep theirs."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.backtest import backtest
from forecast.series import Series, State
from forecast.units import unit_of


def demand(days: int = 42) -> np.ndarray:
    """Return hourly megawatts: smooth, with a day, a week and slow weather."""
    random = np.random.default_rng(2)
    hours = np.arange(24 * days)
    weather = np.cumsum(random.normal(0, 8, hours.size)) * 0.97
    return 5000 + 900 * np.sin(hours / 24 * 2 * np.pi) - 400 * (hours // 24 % 7 > 4) + weather


def report(y: np.ndarray):
    series = Series(1_704_067_200, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return backtest(series, horizons_s=(3600, 86_400), test_days=7).horizons


@pytest.mark.parametrize("factor", [1e-6, 1e6, 1e12])
def test_a_change_of_unit_moves_neither_error_nor_coverage(factor: float) -> None:
    for plain, other in zip(report(demand()).values(), report(demand() * factor).values(), strict=True):
        assert plain.wape == pytest.approx(other.wape, rel=0.03)
        assert np.abs(np.subtract(plain.coverage, other.coverage)).max() < 0.04


def test_losses_are_in_units_of_the_series() -> None:
    plain, other = (report(demand() * factor)[3600].pinball[0] for factor in (1.0, 1e-3))
    assert plain == pytest.approx(1000 * other, rel=0.05)


@pytest.mark.parametrize(
    "y",
    [
        np.random.default_rng(1).poisson(3.0, 2000).astype(np.float64),
        np.full(2000, 4.5),
        np.zeros(2000),
        np.full(2000, np.nan),
        np.random.default_rng(1).poisson(1.0, 2000) / 2 + 0.25 * (np.arange(2000) % 2),
    ],
    ids=["counts", "constant", "zeros", "unknown", "means with zeros among them"],
)
def test_counts_and_what_does_not_vary_keep_their_unit(y: np.ndarray) -> None:
    assert unit_of(y, 168) == 1.0
