"""Ridge regression in closed form, from sums of days that add up to weeks.

A day's sums never change once the day is over, so a nightly refit adds one day and solves small systems: no
library, no iteration, milliseconds. The penalty is chosen by leaving whole weeks out, because slots of one day err
together and would make any smaller fold look better than it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecast.localtime import EPOCH_WEEKDAY, Floats, Ints

PENALTIES = (0.003, 0.03, 0.3, 1.0, 3.0)
"""Candidate penalties on standardised features; long leads have few independent days and take the large ones."""
_TINY = 1e-9
_KEPT = ("gram", "cross", "square", "count", "coefficients")


@dataclass(frozen=True, slots=True)
class DaySums:
    """Sums per day over that day's training rows: enough for any least-squares fit on any stretch of days.

    Shapes: `gram` [days, features, features], `cross` [days, features], `square` and `count` [days].
    """

    gram: Floats
    cross: Floats
    square: Floats
    count: Floats


def day_sums(day: Ints, features: Floats, target: Floats, days: int) -> DaySums:
    """Return the sums of rows by the `day` (0 to `days` - 1, rising) they belong to; features [rows, features]."""
    width = features.shape[1]
    gram, cross = np.zeros((days, width, width)), np.zeros((days, width))
    square, count = np.zeros(days), np.zeros(days)
    edges = np.searchsorted(day, np.arange(days + 1))
    for d in np.flatnonzero(np.diff(edges)):
        x, y = features[edges[d] : edges[d + 1]], target[edges[d] : edges[d + 1]]
        gram[d], cross[d], square[d], count[d] = x.T @ x, x.T @ y, y @ y, y.size
    return DaySums(gram, cross, square, count)


@dataclass(frozen=True, slots=True)
class LearnedSums:
    """What ridges learned of the days before one, to be gone on from bit for bit."""

    until: int
    """That day."""
    first_week: int
    gram: Floats
    """[weeks, ridges, pairs]: the upper triangles."""
    cross: Floats
    """[weeks, ridges, features]"""
    square: Floats
    """[weeks, ridges]"""
    count: Floats
    coefficients: Floats
    """[ridges, features]"""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return it by name, to be kept."""
        return {"place": np.array([self.until, self.first_week]), **{name: getattr(self, name) for name in _KEPT}}

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "LearnedSums":
        """Return it from what `arrays` gave."""
        until, first_week = arrays["place"].tolist()
        return cls(until, first_week, *(arrays[name] for name in _KEPT))


class Ridges:
    """Ridge regressions on features of one kind, which learn day by day; days are local, from the epoch."""

    def __init__(self, ridges: int, features: int) -> None:
        self._shape = ridges, features
        self._first_week = self._until = 0
        self._weeks: list[DaySums] = []
        """Of each week so far, the one that runs last: the arrays have [ridges] where days have days."""
        self._found: Floats | None = None
        """The coefficients, once they are asked for."""

    def add(self, day: int, sums: DaySums) -> None:
        """Take in a day's sums [ridges, ...]; day after day."""
        week = week_of(day)
        if not self._weeks:
            self._first_week = week
        while len(self._weeks) <= week - self._first_week:
            self._weeks.append(_nothing(*self._shape))
        running = self._weeks[-1]
        for total, new in zip(_arrays(running), _arrays(sums), strict=True):
            total += new
        self._until, self._found = day + 1, None

    def coefficients(self) -> Floats:
        """Return those learned from all days so far [ridges, features]; zeros where there are no rows."""
        if self._found is None:
            self._found = self._solved() if self._weeks else np.zeros(self._shape)
        return self._found

    def _solved(self) -> Floats:
        weeks = _stacked(self._weeks)
        gram, cross, rows = weeks.gram.sum(axis=0), weeks.cross.sum(axis=0), _at_least_one(weeks.count.sum(axis=0))
        scale = _scale(gram, rows)
        system = gram / (rows[:, None, None] * scale[:, :, None] * scale[:, None, :])
        _diagonal(system)[...] += np.array(PENALTIES)[_best_penalties(weeks), None]
        found = np.linalg.solve(system, (cross / (rows[:, None] * scale))[..., None])[..., 0]
        return np.asarray(found / scale)

    def learned(self) -> LearnedSums:
        """Return what `resume` goes on from."""
        sums = _stacked(self._weeks or [_nothing(*self._shape)])
        return LearnedSums(
            self._until,
            self._first_week,
            sums.gram[:, :, *np.triu_indices(self._shape[1])],
            sums.cross,
            sums.square,
            sums.count,
            self.coefficients(),
        )

    def resume(self, learned: LearnedSums, first_day: int) -> None:
        """Go on from what ridges of the same shape had learned, without the weeks that end before `first_day`."""
        self._until, self._found = learned.until, learned.coefficients
        upper = np.triu_indices(self._shape[1])
        self._first_week = max(week_of(first_day), learned.first_week)
        for number in range(self._first_week - learned.first_week, len(learned.count)):
            sums = _nothing(*self._shape)
            sums.gram[:, upper[0], upper[1]] = sums.gram[:, upper[1], upper[0]] = learned.gram[number]
            for total, kept in zip(_arrays(sums)[1:], (learned.cross, learned.square, learned.count), strict=True):
                total += kept[number]
            self._weeks.append(sums)


def week_of(day: int) -> int:
    """Return the week, from Monday on, that a day is in; both counted from the epoch."""
    return (day + EPOCH_WEEKDAY) // 7


def _nothing(ridges: int, features: int) -> DaySums:
    return DaySums(
        np.zeros((ridges, features, features)), np.zeros((ridges, features)), np.zeros(ridges), np.zeros(ridges)
    )


def _arrays(sums: DaySums) -> tuple[Floats, Floats, Floats, Floats]:
    return sums.gram, sums.cross, sums.square, sums.count


def _stacked(weeks: list[DaySums]) -> DaySums:
    return DaySums(*(np.stack(parts) for parts in zip(*map(_arrays, weeks), strict=True)))


def _at_least_one(count: Floats) -> Floats:
    return np.maximum(count, 1.0)


def _scale(gram: Floats, rows: Floats) -> Floats:
    """Return the root mean square of every feature [ridges, features]."""
    return np.asarray(np.sqrt(np.diagonal(gram, axis1=1, axis2=2) / rows[:, None]) + _TINY)


def _diagonal(matrices: Floats) -> Floats:
    """Return a view of the diagonals [..., features]."""
    found: Floats = np.einsum("...ii->...i", matrices)
    return found


def _best_penalties(weeks: DaySums) -> Ints:
    """Return for each ridge which penalty predicts left-out weeks best; the largest where there are not two."""
    total, count = weeks.gram.sum(axis=0), weeks.count.sum(axis=0)
    scale = _scale(total, _at_least_one(count))
    square = scale[:, :, None] * scale[:, None, :]
    gram, cross = weeks.gram / square, weeks.cross / scale
    rest = _at_least_one(count - weeks.count)[..., None]
    system, right = (total / square - gram) / rest[..., None], (cross.sum(axis=0) - cross) / rest
    errors, before = [], 0.0
    for penalty in PENALTIES:
        _diagonal(system)[...] += penalty - before
        before = penalty
        found = np.linalg.solve(system, right[..., None])
        explained = (found * (2 * cross[..., None] - gram @ found)).sum(axis=(-2, -1))
        errors.append((weeks.square - explained).sum(axis=0))
    few = (weeks.count > 0).sum(axis=0) < 2
    return np.where(few, len(PENALTIES) - 1, np.argmin(errors, axis=0))
