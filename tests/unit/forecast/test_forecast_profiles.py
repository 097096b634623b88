import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecast.profiles import base_profile, smoothed, trimmed_mean, weekly_profiles


def table(days: int = 70, slots: int = 8) -> np.ndarray:
    return np.random.default_rng(5).normal(10, 1, (days, slots))


def test_a_row_is_made_of_earlier_weeks_only() -> None:
    seen, changed = table(), table()
    changed[40:] = 1e6
    same = weekly_profiles(seen)[:, :47] == weekly_profiles(changed)[:, :47]
    assert (same | np.isnan(weekly_profiles(seen)[:, :47])).all()


def test_the_base_row_is_made_of_earlier_weeks_only() -> None:
    seen, changed = table(), table()
    seen[:, 3] = changed[:, 3] = np.nan
    changed[40:] = 1e6
    before, after = (base_profile(weekly_profiles(t))[:47] for t in (seen, changed))
    np.testing.assert_array_equal(before, after)


def test_one_bad_week_does_not_move_the_median() -> None:
    flat = np.full((70, 4), 5.0)
    flat[49] = 0.0
    assert [5.0] * 4 == weekly_profiles(flat)[1][56].tolist()


def test_smoothing_stays_within_the_day() -> None:
    steps = np.array([[1.0, 1, 1], [9, 9, 9]])
    np.testing.assert_allclose(smoothed(steps, 1), steps)


def test_smoothing_neither_invents_nor_spreads_the_unknown() -> None:
    got = smoothed(np.array([[4.0, np.nan, 4.0]]), 1)
    np.testing.assert_array_equal(got, [[4.0, np.nan, 4.0]])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.integers(0, 3))
def test_half_trimmed_mean_is_the_median(values: list[float], unknown: int) -> None:
    ordered = np.sort(np.array([*values, *[np.nan] * unknown]))[:, None, None]
    np.testing.assert_allclose(trimmed_mean(ordered, 0.5)[0, 0], np.median(values), atol=1e-6)
