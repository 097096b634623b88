"""How far a signal has lately been from what was expected of it: running means over hours, days, and today so far.

They are worked out for the slots that are asked for: who judges one slot pays for the few that its pools reach
back to, whatever the length of the history. Nothing here knows where the expected comes from.
"""

from dataclasses import dataclass

import numpy as np

from forecast.localtime import Bools, Floats, Ints

_HOURS = (0.5, 2.0)
_DAYS = (0.5, 2.0, 6.0)
"""Half-lives: hours, and days of measured slots."""
_SCALED_BY_DAYS = 28
_BLOCK = 64
"""Slots that a fading sum is made of at once."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Running excess over running weight of a signal; time stands still while nothing is usable."""

    _excess: Floats
    """Of all slots; 0 where not usable."""
    _mass: Floats
    _usable: Bools
    _day: Ints
    _usual: float
    """Weight that a level of few slots is shrunk by."""
    _keeps: tuple[float, ...]
    """What is left of a slot after the next one, for each half-life."""

    @classmethod
    def of(
        cls, observed: Floats, expected: Floats, weight: Floats, usable: Bools, day: Ints, per_day: int
    ) -> "Levels":
        """Return the levels of amounts per slot; `per_day` slots make a day, `day` counts from the first measured.

        Single slots are cut, so that a burst does not lift the level.
        """
        most = expected + 4 * np.sqrt(expected) + 4
        excess = np.where(usable, np.clip(observed - expected, -expected, most), 0.0)
        mass = np.where(usable, weight, 0.0)
        # From the first weeks, so that what comes later changes no level of before.
        early = usable & (day < _SCALED_BY_DAYS)
        usual = 2 * float(mass[early].mean()) if early.any() else 1.0
        days = day[early]
        open_per_day = max(1.0, days.size / (np.count_nonzero(np.diff(days)) + 1))
        lives = [*(hours * per_day / 24 for hours in _HOURS), *(days * open_per_day for days in _DAYS)]
        return cls(excess, mass, usable, day, usual, tuple(0.5 ** (1 / max(life, 1.0)) for life in lives))

    def between(self, first: int, until: int) -> Floats:
        """Return [level, slot] of the slots [first, until): of what was usable up to and with each of them."""
        usable = self._usable[:until]
        both = np.stack([self._excess[:until][usable], self._mass[:until][usable]])
        seen = np.cumsum(usable)[first:]
        before = max(int(seen[0]) - 1, 0)
        levels = np.zeros((len(self._keeps) + 1, until - first))
        for number, keep in enumerate(self._keeps):
            over, under = faded(both, keep, before)
            levels[number] = np.r_[0.0, over / (under + self._usual)][np.where(seen, seen - before, 0)]
        start = int(np.searchsorted(self._day, self._day[first]))
        total, under = (np.r_[0.0, np.cumsum(values[start:until])] for values in (self._excess, self._mass))
        morning = np.searchsorted(self._day[start:until], self._day[first:until])
        so_far = slice(first - start + 1, None)
        levels[-1] = (total[so_far] - total[morning]) / (under[so_far] - under[morning] + self._usual)
        return levels


def faded(values: Floats, keep: float, first: int = 0) -> Floats:
    """Return [row, from `first` on] the running sums in which each value fades by `keep` a step.

    >>> faded(np.array([[4.0, 0.0, 1.0]]), 0.5).tolist(), faded(np.array([[4.0, 0.0, 1.0]]), 0.5, 2).tolist()
    ([[4.0, 2.0, 2.0]], [[2.0]])
    """
    rows, size = values.shape[0], values.shape[1] - first
    blocks = np.zeros((rows, -(-size // _BLOCK) * _BLOCK))
    blocks[:, :size] = values[:, first:]
    powers = keep ** np.arange(_BLOCK + 1)
    steps = np.arange(_BLOCK)
    fading = np.triu(powers[np.maximum(steps - steps[:, None], 0)])  # [value, sum]
    sums = blocks.reshape(-1, _BLOCK) @ fading
    per_row = len(sums) // rows
    carried = np.empty(len(sums))
    fade = float(powers[_BLOCK])
    for row, left in enumerate(_sum_of(values[:, :first], keep).tolist()):
        for number, last in enumerate(sums[row * per_row : (row + 1) * per_row, -1].tolist(), row * per_row):
            carried[number] = left
            left = left * fade + last
    return np.asarray((sums + np.outer(carried, powers[1:])).reshape(rows, -1)[:, :size])


def _sum_of(values: Floats, keep: float) -> Floats:
    """Return the last of the faded sums of each row."""
    rows, size = values.shape
    blocks = np.zeros((rows, -(-size // _BLOCK) * _BLOCK))
    blocks[:, blocks.shape[1] - size :] = values
    within = blocks.reshape(rows, -1, _BLOCK) @ keep ** np.arange(_BLOCK - 1, -1, -1)
    return np.asarray(within @ (keep**_BLOCK) ** np.arange(within.shape[1] - 1, -1, -1))
