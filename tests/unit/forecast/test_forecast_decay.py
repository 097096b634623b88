import numpy as np
import pytest

from forecast.decay import BLOCK, Powers, Running, decayed_ratios

LIVES = [Powers(life) for life in (0.5, 6.0, 500.0)]


def slots(per_day: int, days: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what slots add to both sums, a third of which do not count, and their days."""
    random, day = np.random.default_rng(seed), np.repeat(np.arange(days), per_day)[per_day // 3 :]
    under = random.uniform(0.1, 400.0, day.size) * (random.random(day.size) < 0.66)
    return random.normal(size=day.size) * under, under, day


@pytest.mark.parametrize("per_day", [24, 64, 96, 288, 1440])
def test_the_sums_are_those_of_the_definition(per_day: int) -> None:
    over, under, day = slots(per_day)
    expected = np.zeros((len(LIVES), day.size))
    for number, life in enumerate((0.5, 6.0, 500.0)):
        total = mass = 0.0
        for place in range(day.size):
            if under[place] > 0:
                keep = 0.5 ** (1 / life)
                total, mass = total * keep + over[place], mass * keep + under[place]
            expected[number, place] = total / mass if mass else 0.0
    np.testing.assert_allclose(decayed_ratios(over, under, day, LIVES, day.size - 1)[0], expected, rtol=1e-9)


@pytest.mark.parametrize("known", [24 * 3 + 1, 24 * 3 + BLOCK - 24, 250, 300])
def test_slot_by_slot_is_bit_for_bit_all_at_once(known: int) -> None:
    over, under, day = slots(96)
    later = slice(known, None)
    hidden = (np.where(np.arange(day.size) < known, values, 0.0) for values in (over, under))
    _, states = decayed_ratios(*hidden, day, LIVES, known - 1)
    places = (np.arange(day.size) - np.searchsorted(day, day))[later].tolist()
    rows = list(zip(places, over[later].tolist(), under[later].tolist(), strict=True))
    found = [[running.add(*row) for row in rows] for running in states]
    np.testing.assert_array_equal(decayed_ratios(over, under, day, LIVES, known - 1)[0][:, later], found)


def test_where_nothing_counted_yet_the_ratio_is_none() -> None:
    nothing = np.zeros(200)
    ratios, states = decayed_ratios(nothing, nothing, np.repeat([0, 1], 100), LIVES, 150)
    assert 0.0 == np.abs(ratios).max()
    assert [Running(powers, (0.0, 0.0), (0.0, 0.0), 0) for powers in LIVES] == states
