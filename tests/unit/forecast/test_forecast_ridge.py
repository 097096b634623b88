from itertools import pairwise

import numpy as np
import pytest

from forecast.ridge import PENALTIES, DaySums, Ridges, day_sums

MONDAY = 19_723


def rows(days: int = 30, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    day = np.repeat(np.arange(days), 50)
    features = random.normal(size=(day.size, 3)) * [1.0, 10.0, 0.1]
    return day, features, features @ [2.0, -0.3, 5.0] + noise * random.normal(size=day.size)


def taught(*ridges: tuple[np.ndarray, np.ndarray, np.ndarray], days: range, given: Ridges | None = None) -> Ridges:
    """Return ridges that learned the rows of some days, or the given ones that went on with them."""
    found = given or Ridges(len(ridges), 3)
    each = [day_sums(*ridge, days=days.stop) for ridge in ridges]
    for day in days:
        arrays = ((sums.gram[day], sums.cross[day], sums.square[day], sums.count[day]) for sums in each)
        found.add(MONDAY + day, DaySums(*(np.stack(parts) for parts in zip(*arrays, strict=True))))
    return found


def test_coefficients_are_found_whatever_their_scale() -> None:
    np.testing.assert_allclose(taught(rows(), days=range(30)).coefficients(), [[2.0, -0.3, 5.0]], rtol=0.02)


def test_agrees_with_the_textbook_formula() -> None:
    _, x, y = rows(14)
    scaled = x / np.sqrt((x**2).mean(axis=0))
    direct = np.linalg.solve(scaled.T @ scaled / y.size + PENALTIES[0] * np.eye(3), scaled.T @ y / y.size)
    found = taught(rows(14), days=range(14)).coefficients()
    np.testing.assert_allclose(found, [direct / np.sqrt((x**2).mean(axis=0))])


def test_one_week_alone_gets_the_largest_penalty() -> None:
    _, x, y = rows(7)
    scaled = x / np.sqrt((x**2).mean(axis=0))
    direct = np.linalg.solve(scaled.T @ scaled / y.size + PENALTIES[-1] * np.eye(3), scaled.T @ y / y.size)
    found = taught(rows(7), days=range(7)).coefficients()
    np.testing.assert_allclose(found, [direct / np.sqrt((x**2).mean(axis=0))])


def test_ridges_learn_apart_from_one_another() -> None:
    day, x, _ = rows()
    noise = day, x, np.random.default_rng(4).normal(size=day.size)
    both = taught(rows(), noise, days=range(30)).coefficients()
    alone = [taught(each, days=range(30)).coefficients()[0] for each in (rows(), noise)]
    np.testing.assert_allclose(both, alone, rtol=1e-12)


def test_noise_gets_next_to_nothing() -> None:
    day, x, _ = rows()
    noise = np.random.default_rng(4).normal(size=day.size)
    found = taught((day, x, noise), days=range(30)).coefficients()
    assert np.abs(found * [1.0, 10.0, 0.1]).max() < 0.05


@pytest.mark.parametrize("days", [0, 30])
def test_nothing_to_learn_from_gives_zeros(days: int) -> None:
    day, x, y = rows()
    assert [[0.0] * 3] == taught((day[:0], x[:0], y[:0]), days=range(days)).coefficients().tolist()


def test_what_goes_on_is_bit_for_bit_what_learned_without_a_break() -> None:
    going = Ridges(1, 3)
    for first, last in pairwise((0, 9, 14, 15, 30)):
        taught(rows(), days=range(first, last), given=going)
        resumed = Ridges(1, 3)
        resumed.resume(going.learned(), MONDAY)
        going = resumed
    np.testing.assert_array_equal(taught(rows(), days=range(30)).coefficients(), going.coefficients())


def test_weeks_before_the_history_are_forgotten() -> None:
    later = Ridges(1, 3)
    later.resume(taught(rows(), days=range(29)).learned(), MONDAY + 15)
    taught(rows(), days=range(29, 30), given=later)
    np.testing.assert_allclose(taught(rows(), days=range(14, 30)).coefficients(), later.coefficients(), rtol=1e-12)
