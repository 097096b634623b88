"""What external regressors do to a load: by how much each moves it per unit, learned before a forecast's day.

As with events, what was measured is divided by the effect that was believed on its day, so that profile and levels
are those of a load at usual values of the regressors; what is forecast is multiplied by it. So every model, from
the last value to the stack, knows of regressors, and none has to learn them. This module does no I/O.

The effect is linear in z (see `forecast.panel`): z is multiplied by 1 + sum of b x / 2, x from its usual value on.
b is a ridge regression of what z lies off profile and level on what x lies off its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.localtime import Bools, Floats, Ints
from forecast.profiles import WEEK
from forecast.regressor_points import Regressor
from forecast.ridge import DaySums, day_sums

LEAST_DAYS = 14
"""Days that are learned from before an effect is believed."""
_FIRST_DAY = 8
"""Before it there is no profile by the time of the week."""
_USUAL_WEEKS = 6
_USUAL_DAYS = 14
"""What is usual at first is the mean of so many days."""
_GAP_DAYS = 28
"""What is not known is taken as the mean of so many days before."""
_LEVEL_KEEP = 0.5**0.5
"""Levels of days lose half their weight in two days."""
_PENALTY = 0.01
"""On standardised regressors; two that say the same share the effect."""
_BEYOND = 0.5
"""How far outside the range seen so far a value counts, in ranges."""
_STRONGEST = 20.0
"""Times the usual load, and its reciprocal."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class RegressorEffect:
    """What a regressor is believed to do."""

    name: str
    per_unit: float
    """Relative change of the load with one more unit, others as usual: 0.3 is + 30 %."""
    usual: float
    """The value at which it changes nothing."""
    learned_days: int
    """Days it was learned from."""
    left_out: str = ""
    """Why it has no effect at all; empty where it may have."""


class RegressorTable:
    """What regressors do to each slot, as believed on each day; slots and days are numbered as in the panel."""

    def __init__(self, regressors: Sequence[Regressor], start_s: int, slot_s: int, day: Ints) -> None:
        self.names = tuple(regressor.name for regressor in regressors)
        self._day = day
        days, width = int(day[-1]) + 1 if day.size else 0, len(self.names)
        per_day = 86_400 // slot_s
        self._usual: Floats = np.zeros(width)
        self._x: Floats = np.zeros((width, day.size))
        self._known: Bools = np.zeros((width, day.size), np.bool_)
        self._low, self._high = np.zeros((days, width)), np.zeros((days, width))
        for place, regressor in enumerate(regressors):
            values = regressor.on(start_s, slot_s, day.size)
            self._known[place] = np.isfinite(values)
            seen = values[self._known[place]]
            if seen.size:
                self._usual[place] = seen[: _USUAL_DAYS * per_day].mean()
                self._x[place] = _filled(values - self._usual[place], _GAP_DAYS * per_day)
        if width and days:
            starts = np.searchsorted(day, np.arange(days))
            low, high = (reduce.reduceat(self._x, starts, axis=1) for reduce in (np.minimum, np.maximum))
            # Of the days before; on the first nothing was seen.
            self._low[1:] = np.minimum.accumulate(low, axis=1)[:, :-1].T
            self._high[1:] = np.maximum.accumulate(high, axis=1)[:, :-1].T
        self._weight: Floats = np.zeros((days, width))
        self._deviation: Floats = np.zeros((days, width))
        self._learned: Ints = np.zeros((days, width), np.int64)
        self._varies: Bools = np.zeros((days, width), np.bool_)

    def learn(self, residual: Floats, expected: Floats, slot: Ints) -> None:
        """Learn from residuals of z from the profile `expected` [slots], NaN where unknown; `slot` of each day.

        A profile must be as it was known on its own day or before.
        """
        square = np.where(np.isfinite(residual), expected, 0.0) ** 2
        deviating = self._x - self._usual_by_week(slot)
        signal = np.vstack([np.where(square > 0, residual / np.maximum(expected, _TINY), 0.0), deviating])
        signal = signal - self._levels(signal, square)[:, self._day]
        rows = np.flatnonzero((square > 0) & (self._day >= _FIRST_DAY))
        if not rows.size:
            return
        # Off the level of the days before: what lasts is the level's business, of the load as of the regressor.
        half = expected[rows] / 2
        sums = day_sums(
            self._day[rows], (half * signal[1:, rows]).T, 2 * half * signal[0, rows], len(self._weight)
        )
        mass = np.cumsum(np.bincount(self._day[rows], weights=half**2, minlength=len(self._weight)))
        for place, known in enumerate(self._known):
            seen = np.bincount(self._day[rows], weights=known[rows], minlength=len(self._weight)) > 0
            self._learned[1:, place] = np.cumsum(seen)[:-1]
        for made in range(_FIRST_DAY, len(self._weight)):
            self._solve(sums, made, float(mass[made - 1]))

    def _usual_by_week(self, slot: Ints) -> Floats:
        """Return each regressor's mean at the same time of the week in the weeks before [regressors, slots]."""
        days, per_day = len(self._weight), int(slot.max(initial=0)) + 1
        table = np.full((len(self.names), days, per_day), np.nan)
        table[:, self._day, slot] = self._x
        known = np.isfinite(table)
        total, count = np.zeros(table.shape), np.zeros(table.shape)
        for back in range(WEEK, (_USUAL_WEEKS + 1) * WEEK, WEEK):
            if back < days:
                total[:, back:] += np.where(known, table, 0.0)[:, :-back]
                count[:, back:] += known[:, :-back]
        return np.asarray((total / np.maximum(count, 1))[:, self._day, slot])

    def _levels(self, signal: Floats, square: Floats) -> Floats:
        """Return [signals, days]: the mean of the days before each, recent ones weighing more."""
        days = len(self._weight)
        mass = np.bincount(self._day, weights=square, minlength=days)
        total = np.stack([np.bincount(self._day, weights=row * square, minlength=days) for row in signal])
        levels = np.zeros(total.shape)
        over, under = np.zeros(len(signal)), 0.0
        for day in range(days):
            levels[:, day] = over / under if under > 0 else 0.0
            if mass[day] > 0:
                over, under = over * _LEVEL_KEEP + total[:, day], under * _LEVEL_KEEP + float(mass[day])
        return levels

    def _solve(self, sums: DaySums, made: int, mass: float) -> None:
        """Set what is believed on day `made`, from the days before it."""
        gram, cross = sums.gram[:made], sums.cross[:made]
        diagonal = np.diagonal(gram, axis1=1, axis2=2)
        reach = np.maximum(np.abs(self._low[made]), np.abs(self._high[made]))
        scale = np.sqrt(diagonal.sum(axis=0))
        self._varies[made] = scale > _TINY * reach * np.sqrt(mass)
        used = np.flatnonzero(self._varies[made] & (self._learned[made] >= LEAST_DAYS))
        if not used.size:
            return
        scale = scale[used]
        gram = gram[:, used][:, :, used] / np.outer(scale, scale)
        cross = cross[:, used] / scale
        inverse = np.linalg.inv(gram.sum(axis=0) + _PENALTY * np.eye(used.size))
        found = inverse @ cross.sum(axis=0)
        # What each day says of it: slots of a day err together. First beyond what is believed of all, then as if
        # nothing were believed of this one: an effect seen on a single day explains that day, and proves nothing.
        beyond = (cross - gram @ found) @ inverse.T
        alone = beyond + np.einsum("jk,dkj->dj", inverse, gram) * found
        doubt = np.minimum((alone**2).sum(axis=0) / np.maximum(found**2, _TINY**2), 1.0)
        self._weight[made, used] = found * (1 - doubt) / scale
        self._deviation[made, used] = np.sqrt((beyond**2).sum(axis=0) + (found * doubt) ** 2) / scale

    def _values(self, made: Ints, targets: Ints) -> Floats:
        """Return [rows, regressors] from the usual value on, not far beyond what was seen before."""
        low, high = self._low[made], self._high[made]
        room = _BEYOND * (high - low)
        return np.clip(self._x[:, targets].T, low - room, high + room)

    def log_factor(self, made: Ints, targets: Ints) -> Floats:
        """Return log of the factor of target slots as believed on days `made`; arrays of one length."""
        if not self.names:
            return np.zeros(targets.size)
        moved = 1 + (self._weight[made] * self._values(made, targets)).sum(axis=1) / 2
        return np.asarray(2 * np.log(np.clip(moved, _STRONGEST**-0.5, _STRONGEST**0.5)))

    def log_variance(self, made: Ints, targets: Ints) -> Floats:
        """Return the variance of `log_factor`: how unsure the factor is."""
        if not self.names:
            return np.zeros(targets.size)
        return np.asarray(((self._deviation[made] * self._values(made, targets)) ** 2).sum(axis=1))

    def shares(self, made: Ints, targets: Ints) -> Floats:
        """Return [rows, regressors]: the relative change of the load by each alone."""
        moved = 1 + self._weight[made] * self._values(made, targets) / 2
        return np.asarray(np.clip(moved, _STRONGEST**-0.5, _STRONGEST**0.5) ** 2 - 1)

    def effects(self, made: int) -> tuple[RegressorEffect, ...]:
        """Return what each regressor is believed to do on a day."""
        return tuple(
            RegressorEffect(
                name,
                float(np.maximum(1 + self._weight[made, place] / 2, 0.0) ** 2 - 1),
                float(self._usual[place]),
                int(self._learned[made, place]),
                self._left_out(made, place),
            )
            for place, name in enumerate(self.names)
        )

    def _left_out(self, made: int, place: int) -> str:
        if not self._known[place].any():
            return "nothing is known of it in the time of the series"
        if not self._varies[made, place]:
            return "it did not vary where the load was measured"
        if self._learned[made, place] < LEAST_DAYS:
            return f"too little history: {self._learned[made, place]} of {LEAST_DAYS} days"
        return ""


def _filled(values: Floats, reach: int) -> Floats:
    """Return values with what is missing taken as the mean of the `reach` slots before it; 0 before the first."""
    known = np.isfinite(values)
    total, count = np.r_[0.0, np.cumsum(np.where(known, values, 0.0))], np.r_[0, np.cumsum(known)]
    last = np.maximum.accumulate(np.where(known, np.arange(values.size), -1)) + 1
    first = np.maximum(last - reach, 0)
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)
    return np.where(known, values, mean)
