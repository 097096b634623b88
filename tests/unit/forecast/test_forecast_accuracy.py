import numpy as np
import pytest

from forecast.accuracy import LEVELS, Score, pinball, poisson_mean_deviation


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.5, 60.0, 199.5, 250.0])
def test_poisson_floor_is_the_mean_error_of_knowing_the_mean(mean: float) -> None:
    counts = np.random.default_rng(7).poisson(mean, 200_000)
    assert poisson_mean_deviation(np.array([mean]))[0] == pytest.approx(np.abs(counts - mean).mean(), rel=0.01)


def scored(actual: np.ndarray, quantiles: np.ndarray, naive: np.ndarray) -> Score:
    score = Score()
    for part in (slice(0, 1), slice(1, None)):
        score.add(actual[part], quantiles[part], np.ones(actual[part].size), naive[part])
    return score


def test_figures_of_a_worked_example() -> None:
    actual = np.array([10.0, 20.0, 30.0])
    quantiles = np.array([[12.0, 13, 14, 15, 16], [18.0, 19, 20, 21, 22], [30.0, 31, 32, 33, 34]])
    got = scored(actual, quantiles, np.array([14.0, np.nan, 24.0])).accuracy(seasonal_error=4.0)
    assert (3, 4 / 60, 3 / 60, (4 / 3) / 4, 0.0, 1 - 2 / 10) == (
        got.n, got.wape, got.wape_floor, got.mase, got.bias, got.skill_vs_seasonal_naive
    )  # fmt: skip


def test_coverage_counts_what_lies_at_or_under() -> None:
    actual = np.array([10.0, 20.0])
    quantiles = np.array([[10.0, 11, 12, 13, 14], [15.0, 16, 17, 18, 21]])
    assert (0.5, 0.5, 0.5, 0.5, 1.0) == scored(actual, quantiles, actual).accuracy(1.0).coverage


def test_pinball_agrees_with_its_function() -> None:
    actual = np.array([3.0, 9.0, 4.0])
    quantiles = np.sort(np.random.default_rng(1).normal(5, 3, (3, len(LEVELS))), axis=1)
    got = scored(actual, quantiles, actual).accuracy(1.0).pinball
    assert got == pytest.approx([pinball(actual, quantiles[:, i], q) for i, q in enumerate(LEVELS)])


def test_nothing_scored_is_not_a_number_rather_than_zero() -> None:
    got = Score().accuracy(1.0)
    assert np.isnan([got.wape, got.wape_floor, got.mase, got.bias, got.skill_vs_seasonal_naive]).all()
