import numpy as np
import pytest

from forecast.accuracy import LEVELS
from forecast.intervals import Bands, Outcomes

LEAD_DAYS = np.array([0.1, 0.1])


def walk(spread_of_day, days: int, per_day: int = 100, warm: int = 20) -> np.ndarray:
    """Return coverage [levels] after `warm` days of errors with the given spread in z."""
    random = np.random.default_rng(11)
    bands = Bands(LEAD_DAYS)
    covered = []
    for day in range(days):
        bins = np.arange(per_day) % 2
        forecast = random.uniform(5, 25, per_day)
        came = forecast + spread_of_day(day) * random.standard_t(4, per_day)
        under = came[:, None] <= bands.quantiles(bins, forecast)
        bands.learn(Outcomes(bins, forecast, came - forecast, under))
        if day >= warm:
            covered.append(under.mean(axis=0))
    return np.mean(covered, axis=0)


def test_coverage_is_what_was_asked() -> None:
    assert walk(lambda day: 1.0, 120) == pytest.approx(LEVELS, abs=0.02)


def test_coverage_returns_after_the_errors_double() -> None:
    got = walk(lambda day: 1.0 if day < 60 else 2.0, 130, warm=75)
    assert got[2:] == pytest.approx(LEVELS[2:], abs=0.02)


def test_quantiles_never_cross_even_after_one_sided_outcomes() -> None:
    bands = Bands(LEAD_DAYS)
    for _ in range(40):
        under = np.tile([True, False, True, False, True], (50, 1))
        bands.learn(Outcomes(np.zeros(50, np.int64), np.full(50, 9.0), np.linspace(-1, 1, 50), under))
    assert (np.diff(bands.quantiles(np.zeros(3, np.int64), np.array([0.6, 9.0, 400.0])), axis=1) >= 0).all()


@pytest.mark.parametrize("ties", [False, True])
def test_quantiles_are_those_of_all_errors_sorted_by_weight(ties: bool) -> None:
    random = np.random.default_rng(5)
    bands = Bands(np.array([1.0]))
    under = np.arange(100)[:, None] < 100 * np.array(LEVELS)
    errors = random.standard_t(3, (70, 100))
    errors = np.round(errors) if ties else errors
    for error in errors:
        bands.learn(Outcomes(np.zeros(100, np.int64), np.full(100, 9.0), error, under))
    weight, error = np.repeat(0.5 ** (np.arange(56)[::-1] / 28), 100), errors[-56:].ravel()
    order = np.argsort(error)
    upto = np.cumsum(weight[order])
    middles = (upto - weight[order] / 2) / upto[-1]
    expected = np.interp(np.array(LEVELS[1:]) * (1 + 1 / error.size), middles, error[order])
    got = bands.quantiles(np.zeros(1, np.int64), np.array([9.0]))[0]
    np.testing.assert_allclose(got - 9.0, [np.median(error), *expected], rtol=5e-4, atol=5e-4)


def test_without_outcomes_the_quantiles_are_wide() -> None:
    low, high = Bands(LEAD_DAYS).quantiles(np.zeros(1, np.int64), np.array([10.0]))[0, [0, -1]]
    assert high > 1.5 * low


def test_a_bin_without_outcomes_keeps_its_width() -> None:
    bands = Bands(LEAD_DAYS)
    before = bands.quantiles(np.ones(1, np.int64), np.array([10.0]))
    for _ in range(10):
        bands.learn(Outcomes(np.zeros(50, np.int64), np.full(50, 9.0), np.zeros(50), np.ones((50, 5), np.bool_)))
    assert before.tolist() == bands.quantiles(np.ones(1, np.int64), np.array([10.0])).tolist()
