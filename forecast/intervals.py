"""Quantiles around a model's forecast from its own recent errors (split conformal, rolling), kept honest online.

Errors are taken in z and divided by a scale that grows with the volume as counting noise plus a level error does,
and by how wild this hour of the day is beside the others (locally weighted conformal prediction, Lei et al. 2018).
Each bin of leads has its own. Two things keep coverage at what is asked: the errors are of forecasts that were
made before the fact, and each night every quantile is moved by how far yesterday's coverage missed (adaptive
conformal inference, Gibbs and Candes 2021, as quantile tracking). Errors within a day are much alike, so that a
few extreme hours could make the outermost quantile for weeks: they are an episode, and learned from only when
more days show the like. Quantiles are sorted, so they never cross.
"""

from collections import deque
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from forecast.accuracy import LEVELS, NORMAL_SCORES
from forecast.localtime import Bools, Floats, Ints
from forecast.panel import POISSON_VARIANCE

Halves = npt.NDArray[np.float16]
WINDOW_DAYS = 56
HALF_LIFE_DAYS = 21.0
"""An error this old weighs half as much as yesterday's: a model improves, a load becomes wilder."""
_FEW_DAYS = 3
HOURS = 24
_SPREAD_PRIOR = 10.0
"""Days like the usual hour that the spread of each hour is mixed with: few days say little of an hour."""
_KEEP = 0.5 ** (1 / HALF_LIFE_DAYS)
_NOTHING_ODD = 2.0
"""So large scaled errors are usual, however quiet a series was."""
_EPISODE_DAYS = 3
_EPISODE_RATIO = 2.0
"""An error is of an episode beyond so many times what the largest of that many days reached, or, in the first two
weeks, of fewer."""
STEP = 0.1
"""How far a quantile moves a night: scaled errors per part of missed coverage over the normal density there."""
_FIRST_LEVEL_VARIANCE = 0.06
"""Before a model has errors to learn from, z is taken as uncertain by a quarter."""
_DENSITIES = np.array([NormalDist().pdf(score) for score in NORMAL_SCORES])
_LEVELS = np.array(LEVELS)
_LARGEST = float(np.finfo(np.float16).max)
_SELDOM_NEEDED = 0.75
"""Share of the errors, the smallest, that hardly ever hold a quantile above the median: they are not sorted."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Forecasts whose slots have come: all arrays [rows], `under` [rows, levels]."""

    bins: Ints
    forecast: Floats
    error: Floats
    under: Bools
    """Whether the actual lay at or under each quantile that was issued."""
    hours: Ints
    """Local hours of the day, 0 to 23."""


@dataclass(frozen=True, slots=True)
class LearnedBands:
    """All that bands have learned, to be gone on from: bit for bit, because errors are rounded as they come."""

    sizes: Ints
    """[bins, days] rows."""
    forecast: Halves
    """[rows] of all bins and days in turn."""
    error: Halves
    offset: Floats
    shift: Floats
    level_variance: Floats
    spread: Floats
    """[sums of scaled errors' sizes and days; bins, hours], older days weighing less."""
    limit: Floats
    """[bins] Scaled errors larger than this are of an episode."""


class _Errors:
    """What one bin forecast and missed by over the last days, the oldest first."""

    def __init__(self) -> None:
        self.halves: tuple[Halves, Halves] = (np.empty(0, np.float16), np.empty(0, np.float16))
        """Forecasts and errors as they are kept."""
        self.square: Floats = np.empty(0)
        """Of the forecast."""
        self.error: Floats = np.empty(0)
        self.sizes = deque[int](maxlen=WINDOW_DAYS)
        """Rows of each day."""

    def append(self, forecast: Floats, error: Floats) -> None:
        """Take in a day and forget the one that falls out of the window."""
        halves = _halves(forecast), _halves(error)
        gone = self.sizes[0] if len(self.sizes) == WINDOW_DAYS else 0
        self.sizes.append(error.size)
        self.square = np.concatenate([self.square[gone:], halves[0].astype(np.float64) ** 2])
        self.error = np.concatenate([self.error[gone:], halves[1].astype(np.float64)])
        forecasts, errors = self.halves
        self.halves = np.concatenate([forecasts[gone:], halves[0]]), np.concatenate([errors[gone:], halves[1]])

    def resume(self, sizes: Ints, forecast: Halves, error: Halves) -> None:
        """Go on from what was kept."""
        self.sizes.extend(sizes.tolist())
        self.halves = forecast, error
        self.square, self.error = forecast.astype(np.float64) ** 2, error.astype(np.float64)


class Bands:
    """The quantile offsets of every bin, learned day by day."""

    def __init__(self, lead_days: Floats) -> None:
        bins = lead_days.size
        self._window = [_Errors() for _ in range(bins)]
        self._offset = np.tile(NORMAL_SCORES, (bins, 1))
        self._level_variance = np.full(bins, _FIRST_LEVEL_VARIANCE)
        # The further the lead, the later its outcome tells: a full step each night would overshoot.
        self._step = STEP / (1 + lead_days)
        self._shift = np.zeros((bins, len(LEVELS)))
        self._spread = np.zeros((2, bins, HOURS))
        self._relative = np.ones((bins, HOURS))
        """How wide the errors of an hour are beside the mean hour's; the middle keeps to the mean."""
        self._limit = np.full(bins, np.inf)

    def quantiles(self, bins: Ints, forecast: Floats, hours: Ints) -> Floats:
        """Return [rows, levels] in z for forecasts [rows] in z of the given bins; rising along levels.

        `hours` are the local hours of the day of their slots.
        """
        scale = self._scale(bins, forecast)
        offsets = (self._offset + self._shift)[bins]
        offsets[:, 1:] *= self._relative[bins, hours][:, None]
        offsets = np.maximum.accumulate(offsets, axis=1)
        return np.asarray(forecast[:, None] + scale[:, None] * offsets)

    def _scale(self, bins: Ints, forecast: Floats) -> Floats:
        return np.asarray(np.sqrt(POISSON_VARIANCE + self._level_variance[bins] * forecast**2))

    def settled(self) -> "Bands":
        """Return the same quantiles without the errors they were learned from: small, and learns no more."""
        kept = copy(self)
        kept._window = []
        return kept

    def learned(self) -> LearnedBands:
        """Return what `resume` goes on from."""
        return LearnedBands(
            np.array([window.sizes for window in self._window], np.int64),
            np.concatenate([window.halves[0] for window in self._window]),
            np.concatenate([window.halves[1] for window in self._window]),
            self._offset,
            self._shift,
            self._level_variance,
            self._spread,
            self._limit,
        )

    def resume(self, learned: LearnedBands) -> None:
        """Go on from what bands of the same leads had learned."""
        edges = np.r_[0, np.cumsum(learned.sizes.sum(axis=1))].tolist()
        for window, sizes, (first, last) in zip(self._window, learned.sizes, pairwise(edges), strict=True):
            window.resume(sizes, learned.forecast[first:last], learned.error[first:last])
        self._offset, self._shift = learned.offset.copy(), learned.shift.copy()
        self._level_variance = learned.level_variance.copy()
        self._spread, self._limit = learned.spread.copy(), learned.limit.copy()
        self._relative = _relative(self._spread)

    def begin_anew(self) -> None:
        """Forget the errors of a model unlike the one that forecasts from now on.

        Until that one has errors of its own, each bin keeps the narrower of the width that it had and the width
        before anything was learned: what a model missed that did not know the week is no measure of one that does.
        """
        self._window = [_Errors() for _ in self._window]
        self._shift[:] = 0.0
        width = np.sqrt(self._level_variance) * self._offset[:, -1]
        wide = width > np.sqrt(_FIRST_LEVEL_VARIANCE) * NORMAL_SCORES[-1]
        self._offset[wide], self._level_variance[wide] = NORMAL_SCORES, _FIRST_LEVEL_VARIANCE
        self._spread = np.zeros_like(self._spread)
        self._relative = _relative(self._spread)
        self._limit[:] = np.inf

    def learn(self, day: Outcomes) -> None:
        """Take in the outcomes of the day that ended; in the order of days."""
        if not day.bins.size:
            return
        count = np.bincount(day.bins, minlength=len(self._window))
        relative = self._relative[day.bins, day.hours]
        error = day.error / relative
        size = np.abs(error) / self._scale(day.bins, day.forecast)
        usual = size <= self._limit[day.bins]
        # What lies beyond the 99 % quantile says no more of an hour than that it does.
        self._widen(day, np.minimum(size, np.maximum(self._offset[:, -1], _NOTHING_ODD)[day.bins]) * relative)
        order = np.argsort(day.bins, kind="stable")
        edges = np.r_[0, np.cumsum(count)]
        for number, window in enumerate(self._window):
            rows = order[edges[number] : edges[number + 1]]
            window.append(day.forecast[rows], error[rows])
        days = len(self._window[0].sizes)
        # Coverage too is missed by an episode once, and for weeks that would be made up for.
        bins, unders = (day.bins, day.under) if usual.all() else (day.bins[usual], day.under[usual])
        judged = np.bincount(bins, minlength=len(self._window))
        ready = (judged > 0) & (days > _FEW_DAYS)
        for level in range(1, len(LEVELS)):
            under = np.bincount(bins, weights=unders[:, level], minlength=len(self._shift))
            missed = LEVELS[level] - under / np.maximum(judged, 1)
            self._shift[ready, level] += self._step[ready] * missed[ready] / _DENSITIES[level]
        if days >= _FEW_DAYS:
            for number in range(len(self._window)):
                self._relearn(number)

    def _widen(self, day: Outcomes, size: Floats) -> None:
        """Learn how wide the errors of each hour are from their scaled sizes."""
        place, shape = day.bins * HOURS + day.hours, self._relative.shape
        rows = np.bincount(place, minlength=self._relative.size).reshape(shape)
        total = np.bincount(place, weights=size, minlength=self._relative.size).reshape(shape)
        came = rows > 0
        self._spread[:, came.any(axis=1)] *= _KEEP
        self._spread[0] += total / np.maximum(rows, 1)
        self._spread[1] += came
        self._relative = _relative(self._spread)

    def _relearn(self, number: int) -> None:
        window = self._window[number]
        error, square, sizes = window.error, window.square, np.array(window.sizes)
        if error.size < 1 / (1 - LEVELS[-2]) or np.count_nonzero(sizes) < _FEW_DAYS:
            return
        weights = np.repeat(_KEEP ** np.arange(sizes.size)[::-1], sizes)
        variance, scaled = _scaled(error, square)
        size = np.abs(scaled)
        limit = _EPISODE_RATIO * max(_reached(size, sizes), _NOTHING_ODD)
        usual = size <= limit
        if not usual.all():
            days = np.repeat(np.arange(sizes.size), sizes)[usual]
            error, square, weights = error[usual], square[usual], weights[usual]
            variance, scaled = _scaled(error, square)
            reached = _reached(np.abs(scaled), np.bincount(days, minlength=sizes.size))
            limit = _EPISODE_RATIO * max(reached, _NOTHING_ODD)
        self._level_variance[number], self._limit[number] = variance, limit
        middle, usually = _median_and_more(scaled)
        # One more observation than there is, as in split conformal: few errors make wide quantiles.
        levels = np.minimum(_LEVELS[1:] * (1 + 1 / error.size), 1.0)
        self._offset[number, 1:] = _weighted_quantiles(scaled, weights, levels, usually)
        # The middle of far leads drifts with the season; its short memory would follow what is over.
        self._offset[number, 0] = min(middle, self._offset[number, 1])


def _scaled(error: Floats, square: Floats) -> tuple[float, Floats]:
    """Return the level variance that errors at forecasts of some squares show, and the errors by their scale."""
    excess = float(error @ error) / error.size - POISSON_VARIANCE
    variance = max(excess, 0.0) / max(float(square.mean()), 1e-9)
    return variance, error / np.sqrt(POISSON_VARIANCE + variance * square)


def _reached(size: Floats, sizes: Ints) -> float:
    """Return what the largest of several days reached; rows [days] `sizes` of the sizes of errors, day by day."""
    days = np.flatnonzero(sizes)
    largest = np.maximum.reduceat(size, (np.cumsum(sizes) - sizes)[days])
    several = min(_EPISODE_DAYS, 1 + days.size // 7)
    return float(np.partition(largest, -several)[-several])


def _relative(spread: Floats) -> Floats:
    """Return [bins, hours] how wide the errors of each hour and its neighbours are beside the mean's."""
    total, days = (np.roll(spread, 1, axis=2) + 2 * spread + np.roll(spread, -1, axis=2)) / 4
    usual = total.sum(axis=1, keepdims=True) / np.maximum(days.sum(axis=1, keepdims=True), 1e-9)
    mixed = (total + _SPREAD_PRIOR * usual) / (days + _SPREAD_PRIOR)
    return np.where(usual > 0, mixed / np.maximum(usual, 1e-9), 1.0)


def _halves(values: Floats) -> Halves:
    """Return values in half precision: an error to a part in two thousand, absurd ones as the largest there is."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)


def _median_and_more(values: Floats) -> tuple[float, float]:
    """Return the median, and the value that all but the largest do not exceed, in one pass."""
    ranks = (values.size - 1) // 2, values.size // 2, int(_SELDOM_NEEDED * values.size)
    part = np.partition(values, ranks)
    low, high, usual = part[list(ranks)].tolist()
    return (low + high) / 2, usual


def _weighted_quantiles(values: Floats, weights: Floats, levels: Floats, usual: float) -> Floats:
    """Return the quantiles at high levels, rising; of values up to `usual` as a rule only the weight is needed."""
    total = float(weights.sum())
    upper = np.flatnonzero(values > usual)
    for rows in (upper, np.arange(values.size)):
        order = rows[np.argsort(values[rows])]
        held = weights[order]
        upto = np.cumsum(held) + (total - float(held.sum()))
        places = (upto - held / 2) / total
        if places.size and places[0] <= levels[0]:
            break
    return np.interp(levels, places, values[order])
