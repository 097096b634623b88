"""Ridge regression in closed form, from sums that are kept per day.

A day's sums never change once the day is over, so a nightly refit adds one day and solves small systems: no
library, no iteration, milliseconds. The penalty is chosen by leaving whole weeks out, because slots of one day err
together and would make any smaller fold look better than it is.
"""

from dataclasses import dataclass

import numpy as np

from forecast.localtime import Floats, Ints

PENALTIES = (0.003, 0.03, 0.3, 1.0, 3.0)
"""Candidate penalties on standardised features; long leads have few independent days and take the large ones."""
_TINY = 1e-9


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


def fit_ridge(sums: DaySums, until_day: int) -> Floats:
    """Return the coefficients [features] learned from the days before `until_day`; zeros when there are none."""
    width = sums.cross.shape[1]
    first = until_day % 7
    starts = np.arange(first, until_day, 7)
    if not starts.size:
        return np.zeros(width)
    part = slice(first, until_day)
    gram = np.add.reduceat(sums.gram[part], starts - first, axis=0)
    cross = np.add.reduceat(sums.cross[part], starts - first, axis=0)
    square = np.add.reduceat(sums.square[part], starts - first)
    count = np.add.reduceat(sums.count[part], starts - first)
    used = count > 0
    gram, cross, square, count = gram[used], cross[used], square[used], count[used]
    if not count.size:
        return np.zeros(width)
    scale = np.sqrt(np.diagonal(gram.sum(axis=0)) / count.sum()) + _TINY
    gram, cross = gram / np.outer(scale, scale), cross / scale
    penalty = PENALTIES[-1] if count.size < 2 else PENALTIES[_best_penalty(gram, cross, square, count)]
    whole = gram.sum(axis=0) / count.sum() + penalty * np.eye(width)
    return np.asarray(np.linalg.solve(whole, cross.sum(axis=0) / count.sum()) / scale)


def _best_penalty(gram: Floats, cross: Floats, square: Floats, count: Floats) -> int:
    """Return which penalty predicts left-out weeks best."""
    rest = (count.sum() - count)[:, None]
    system = ((gram.sum(axis=0) - gram) / rest[..., None])[None]
    penalties = np.array(PENALTIES)[:, None, None, None] * np.eye(cross.shape[1])
    right = ((cross.sum(axis=0) - cross) / rest)[None, ..., None].repeat(len(PENALTIES), axis=0)
    found = np.linalg.solve(system + penalties, right)[..., 0]
    errors = square - 2 * (found * cross).sum(axis=-1) + np.einsum("pwf,wfg,pwg->pw", found, gram, found)
    return int(errors.sum(axis=1).argmin())
