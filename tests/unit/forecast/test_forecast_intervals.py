import numpy as np
import pytest

from forecast.accuracy import LEVELS
from forecast.intervals import Bands, Outcomes

LEAD_DAYS = np.array([0.1, 0.1])


def one_hour(rows: int) -> np.ndarray:
    return np.zeros(rows, np.int64)


def walk(spread_of_day, days: int, per_day: int = 100, warm: int = 20) -> np.ndarray:
    """Return coverage [levels] after `warm` days of errors with the given spread in z."""
    random = np.random.default_rng(11)
    bands = Bands(LEAD_DAYS)
    covered = []
    for day in range(days):
        bins = np.arange(per_day) % 2
        forecast = random.uniform(5, 25, per_day)
        came = forecast + spread_of_day(day) * random.standard_t(4, per_day)
        under = came[:, None] <= bands.quantiles(bins, forecast, one_hour(per_day))
        bands.learn(Outcomes(bins, forecast, came - forecast, under, one_hour(per_day)))
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
        bands.learn(Outcomes(one_hour(50), np.full(50, 9.0), np.linspace(-1, 1, 50), under, one_hour(50)))
    got = bands.quantiles(np.zeros(3, np.int64), np.array([0.6, 9.0, 400.0]), one_hour(3))
    assert (np.diff(got, axis=1) >= 0).all()


@pytest.mark.parametrize("ties", [False, True])
def test_quantiles_are_those_of_all_errors_sorted_by_weight(ties: bool) -> None:
    random = np.random.default_rng(5)
    bands = Bands(np.array([1.0]))
    under = np.arange(100)[:, None] < 100 * np.array(LEVELS)
    errors = random.standard_normal((70, 100))
    errors = np.round(2 * errors) if ties else errors
    for error in errors:
        bands.learn(Outcomes(np.zeros(100, np.int64), np.full(100, 9.0), error, under, one_hour(100)))
    weight, error = np.repeat(0.5 ** (np.arange(56)[::-1] / 21), 100), errors[-56:].ravel()
    order = np.argsort(error)
    upto = np.cumsum(weight[order])
    middles = (upto - weight[order] / 2) / upto[-1]
    expected = np.interp(np.array(LEVELS[1:]) * (1 + 1 / error.size), middles, error[order])
    got = bands.quantiles(np.zeros(1, np.int64), np.array([9.0]), one_hour(1))[0]
    np.testing.assert_allclose(got - 9.0, [np.median(error), *expected], rtol=5e-4, atol=5e-4)


def test_without_outcomes_the_quantiles_are_wide() -> None:
    low, high = Bands(LEAD_DAYS).quantiles(one_hour(1), np.array([10.0]), one_hour(1))[0, [0, -1]]
    assert high > 1.5 * low


def test_a_bin_without_outcomes_keeps_its_width() -> None:
    bands = Bands(LEAD_DAYS)
    before = bands.quantiles(np.ones(1, np.int64), np.array([10.0]), one_hour(1))
    under = np.ones((50, 5), np.bool_)
    for _ in range(10):
        bands.learn(Outcomes(one_hour(50), np.full(50, 9.0), np.zeros(50), under, one_hour(50)))
    assert before.tolist() == bands.quantiles(np.ones(1, np.int64), np.array([10.0]), one_hour(1)).tolist()


def learned(error_of_day, days: int) -> Bands:
    """Return bands of one bin after days of 96 errors at forecasts of 10, each in its hour."""
    bands = Bands(np.array([0.1]))
    bins, forecast, hours = one_hour(96), np.full(96, 10.0), np.arange(96) // 4
    for day in range(days):
        error = error_of_day(day)
        under = forecast[:, None] + error[:, None] <= bands.quantiles(bins, forecast, hours)
        bands.learn(Outcomes(bins, forecast, error, under, hours))
    return bands


def width(bands: Bands, hour: int, level: int = -1) -> float:
    got = bands.quantiles(one_hour(1), np.array([10.0]), np.array([hour]))[0]
    return float(got[level] - 10.0)


def noise(seed: int, spread: np.ndarray | float = 1.0):
    return lambda day: np.random.default_rng((seed, day)).normal(size=96) * spread


def test_wild_hours_are_wide_and_quiet_ones_narrow() -> None:
    spread = np.where(np.arange(96) // 4 < 12, 3.0, 1.0)
    bands = learned(noise(1, spread), 56)
    assert width(bands, 6) > 1.6 * width(bands, 18)


def with_episodes(days: tuple[int, ...]):
    calm = noise(2)
    return lambda day: calm(day) + (np.arange(96) < 32) * (day in days) * 12.0


@pytest.mark.parametrize("days", [(12,), (12, 17)])
def test_an_episode_does_not_widen_the_outermost_quantile(days: tuple[int, ...]) -> None:
    assert width(learned(with_episodes(days), 20), 20) < 1.25 * width(learned(noise(2), 20), 20)


def test_what_comes_again_is_learned() -> None:
    days = tuple(range(15, 56, 5))
    assert width(learned(with_episodes(days), 56), 2) > 8.0


def test_beginning_anew_nothing_stays_wider_than_at_the_first() -> None:
    bands = learned(noise(3, 9.0), 10)
    bands.begin_anew()
    assert width(bands, 5) == width(Bands(np.array([0.1])), 5)


def test_beginning_anew_what_was_narrow_stays() -> None:
    bands = learned(noise(4, 0.8), 10)
    bands.begin_anew()
    assert width(bands, 5) < 0.5 * width(Bands(np.array([0.1])), 5)
