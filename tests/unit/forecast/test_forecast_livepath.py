import numpy as np
import pytest

from forecast.livepath import LivePath

PER_DAY = 48


def walked(live_noise: float, own_noise: float, days: int = 40) -> tuple[LivePath, float, float]:
    """Return a path that saw noisy views of a Poisson load, and coverage of q90 and q99 in the last 20 days."""
    random = np.random.default_rng(2)
    path = LivePath(2, PER_DAY)
    under = []
    means = 150 * np.exp(0.2 * random.normal(size=days * PER_DAY + 2))
    amounts = random.poisson(means)
    for slot in range(days * PER_DAY):
        path.came(slot, float(amounts[slot]))
        ahead = means[slot + 1 : slot + 3]
        live = ahead * np.exp(live_noise * random.normal(size=2))
        quantiles = path.issue(slot, live, ahead * np.exp(own_noise * random.normal(size=2)))
        if slot >= 20 * PER_DAY:
            under.append(amounts[slot + 1] <= quantiles[0])
        if slot % PER_DAY == PER_DAY - 1:
            path.end_day()
    covered = np.mean(under, axis=0)
    return path, float(covered[2]), float(covered[4])


def test_the_better_view_gets_the_weight() -> None:
    weights = [walked(*noise)[0].weight[0] for noise in ((0.0, 0.3), (0.3, 0.0), (0.2, 0.2))]
    assert weights == pytest.approx([1.0, 0.0, 0.5], abs=0.06)


def test_coverage_is_what_was_asked() -> None:
    _, q90, q99 = walked(0.1, 0.2)
    assert (q90, q99) == pytest.approx((0.90, 0.99), abs=0.02)


def test_before_anything_is_learned_the_live_calls_are_believed_and_wide() -> None:
    got = LivePath(1, PER_DAY).quantiles(np.array([100.0]), np.array([50.0]))[0]
    assert got[0] == pytest.approx(100.0)
    assert got[-1] > 150.0


def test_a_slot_that_never_came_is_forgotten() -> None:
    path = LivePath(2, PER_DAY)
    path.issue(0, np.ones(2), np.ones(2))
    path.came(5, 1.0)
    path.end_day()
    assert {} == path._issued


def test_quantiles_rise_and_are_not_negative() -> None:
    got = LivePath(3, PER_DAY).quantiles(np.zeros(3), np.array([0.0, 1.0, 1e6]))
    assert (np.diff(got, axis=1) >= 0).all()
    assert got.min() >= 0
