"""Quantiles around a model's forecast from its own recent errors (split conformal, rolling), kept honest online.

Errors are taken in z and divided by a scale that grows with the volume as counting noise plus a level error does.
Each bin of leads has its own. Two things keep coverage at what is asked: the errors are of forecasts that were
made before the fact, and each night every quantile is moved by how far yesterday's coverage missed (adaptive
conformal inference, Gibbs and Candes 2021, as quantile tracking). Quantiles are sorted, so they never cross.
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
_HALF_LIFE_DAYS = 21.0
"""An error this old weighs half as much as yesterday's: a model improves, a load becomes wilder."""
_HALF_LIFE_PER_DAY = 7.0
"""Longer by so much per day of lead: far leads have few independent errors."""
_FEW_DAYS = 3
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


def half_life_days(lead_days: Floats) -> Floats:
    """Return after how many days an error at a lead counts half."""
    return _HALF_LIFE_DAYS + _HALF_LIFE_PER_DAY * lead_days


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
        self._half_life = half_life_days(lead_days)
        self._step = STEP / (1 + lead_days)
        self._shift = np.zeros((bins, len(LEVELS)))

    def quantiles(self, bins: Ints, forecast: Floats) -> Floats:
        """Return [rows, levels] in z for forecasts [rows] in z of the given bins; rising along levels."""
        scale = np.sqrt(POISSON_VARIANCE + self._level_variance[bins] * forecast**2)
        offsets = np.maximum.accumulate(self._offset + self._shift, axis=1)
        return np.asarray(forecast[:, None] + scale[:, None] * offsets[bins])

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
        )

    def resume(self, learned: LearnedBands) -> None:
        """Go on from what bands of the same leads had learned."""
        edges = np.r_[0, np.cumsum(learned.sizes.sum(axis=1))].tolist()
        for window, sizes, (first, last) in zip(self._window, learned.sizes, pairwise(edges), strict=True):
            window.resume(sizes, learned.forecast[first:last], learned.error[first:last])
        self._offset, self._shift = learned.offset.copy(), learned.shift.copy()
        self._level_variance = learned.level_variance.copy()

    def learn(self, day: Outcomes) -> None:
        """Take in the outcomes of the day that ended; in the order of days."""
        if not day.bins.size:
            return
        count = np.bincount(day.bins, minlength=len(self._window))
        order = np.argsort(day.bins, kind="stable")
        edges = np.r_[0, np.cumsum(count)]
        for number, window in enumerate(self._window):
            rows = order[edges[number] : edges[number + 1]]
            window.append(day.forecast[rows], day.error[rows])
        days = len(self._window[0].sizes)
        ready = (count > 0) & (days > _FEW_DAYS)
        for level in range(1, len(LEVELS)):
            under = np.bincount(day.bins, weights=day.under[:, level], minlength=len(self._shift))
            missed = LEVELS[level] - under / np.maximum(count, 1)
            self._shift[ready, level] += self._step[ready] * missed[ready] / _DENSITIES[level]
        if days >= _FEW_DAYS:
            for number in range(len(self._window)):
                self._relearn(number)

    def _relearn(self, number: int) -> None:
        window = self._window[number]
        count = window.error.size
        if count < 1 / (1 - LEVELS[-2]):
            return
        excess = float(window.error @ window.error) / count - POISSON_VARIANCE
        variance = max(excess, 0.0) / max(float(window.square.mean()), 1e-9)
        self._level_variance[number] = variance
        scaled = window.error / np.sqrt(POISSON_VARIANCE + variance * window.square)
        middle, usual = _median_and_more(scaled)
        # One more observation than there is, as in split conformal: few errors make wide quantiles.
        levels = np.minimum(_LEVELS[1:] * (1 + 1 / count), 1.0)
        weight = 0.5 ** (np.arange(len(window.sizes))[::-1] / self._half_life[number])
        weights = np.repeat(weight, window.sizes)
        self._offset[number, 1:] = _weighted_quantiles(scaled, weights, levels, usual)
        # The middle of far leads drifts with the season; its short memory would follow what is over.
        self._offset[number, 0] = min(middle, self._offset[number, 1])


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
