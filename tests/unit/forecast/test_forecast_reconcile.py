import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.accuracy import NORMAL_SCORES
from forecast.reconcile import reconcile


def fan(median: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return np.maximum(median[..., None] + deviation[..., None] * NORMAL_SCORES, 0.0)


@st.composite
def hierarchies(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count, rows = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    amounts = st.floats(0, 1e6)
    numbers = lambda size: np.array(draw(st.lists(amounts, min_size=size, max_size=size)))
    tenants = fan(numbers(count * rows).reshape(count, rows), numbers(count * rows).reshape(count, rows))
    return fan(numbers(rows), numbers(rows)), tenants


@settings(deadline=None)
@given(hierarchies())
def test_medians_add_up(given_: tuple[np.ndarray, np.ndarray]) -> None:
    got = reconcile(*given_)
    np.testing.assert_allclose(got.tenants[:, :, 0].sum(axis=0), got.pool[:, 0], rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(hierarchies())
def test_nothing_is_negative(given_: tuple[np.ndarray, np.ndarray]) -> None:
    got = reconcile(*given_)
    assert min(got.pool.min(), got.tenants.min()) >= 0


@settings(deadline=None)
@given(hierarchies())
def test_quantiles_do_not_cross(given_: tuple[np.ndarray, np.ndarray]) -> None:
    got = reconcile(*given_)
    assert min(np.diff(got.pool, axis=-1).min(), np.diff(got.tenants, axis=-1).min()) >= 0


@settings(deadline=None)
@given(hierarchies())
def test_the_pool_ends_between_its_forecast_and_the_sum_of_its_tenants(
    given_: tuple[np.ndarray, np.ndarray],
) -> None:
    pool, tenants = given_
    ends = np.sort(np.stack([pool[:, 0], tenants[:, :, 0].sum(axis=0)]), axis=0)
    median = reconcile(pool, tenants).pool[:, 0]
    slack = 1e-6 * (1 + ends[1])
    assert ((median >= ends[0] - slack) & (median <= ends[1] + slack)).all()


def test_what_adds_up_is_left_alone() -> None:
    tenants = fan(np.array([[10.0], [20.0]]), np.array([[3.0], [4.0]]))
    pool = fan(np.array([30.0]), np.array([5.0]))
    got = reconcile(pool, tenants)
    np.testing.assert_allclose(got.tenants, tenants, atol=1e-9)
    np.testing.assert_allclose(got.pool, pool, atol=1e-9)


def test_the_least_sure_moves_most() -> None:
    tenants = fan(np.array([[10.0], [20.0]]), np.array([[1.0], [3.0]]))
    got = reconcile(fan(np.array([41.0]), np.array([1.0])), tenants)
    # A gap of 11 over variances 1 (pool), 1 and 9.
    np.testing.assert_allclose([got.pool[0, 0], *got.tenants[:, 0, 0]], [40.0, 11.0, 29.0], rtol=1e-6)


def test_a_pool_without_tenants_is_left_alone() -> None:
    pool = fan(np.array([41.0]), np.array([1.0]))
    assert reconcile(pool, np.zeros((0, 1, 5))).pool is pool


def test_tenants_that_expect_nothing_share_what_the_pool_expects() -> None:
    got = reconcile(fan(np.array([8.0]), np.array([0.0])), np.zeros((2, 1, 5)))
    np.testing.assert_allclose(got.tenants[:, 0, 0].sum(), got.pool[0, 0])
