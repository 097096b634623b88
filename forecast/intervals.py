"""Quantiles around a model's forecast from its own recent errors (split conformal, rolling), kept honest online.

Errors are taken in z and divided by a scale that grows with the volume as counting noise plus a level error does.
Each bin of leads has its own. Two things keep coverage at what is asked: the errors are of forecasts that were
made before the fact, and each night every quantile is moved by how far yesterday's coverage missed (adaptive
conformal inference, Gibbs and Candes 2021, as quantile tracking). Quantiles are sorted, so they never cross.
"""

from collections import deque
from copy import copy
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecast.accuracy import LEVELS, NORMAL_SCORES
from forecast.localtime import Bools, Floats, Ints
from forecast.panel import POISSON_VARIANCE

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


class Bands:
    """The quantile offsets of every bin, learned day by day."""

    def __init__(self, lead_days: Floats) -> None:
        bins = lead_days.size
        self._window: deque[Outcomes] = deque(maxlen=WINDOW_DAYS)
        self._offset = np.tile(NORMAL_SCORES, (bins, 1))
        self._level_variance = np.full(bins, _FIRST_LEVEL_VARIANCE)
        # The further the lead, the later its outcome tells: a full step each night would overshoot.
        self._half_life = half_life_days(lead_days)
        self._step = STEP / (1 + lead_days)
        self._shift = np.zeros((bins, len(LEVELS)))

    def quantiles(self, bins: Ints, forecast: Floats) -> Floats:
        """Return [rows, levels] in z for forecasts [rows] in z of the given bins; rising along levels."""
        scale = self._scale(bins, forecast)
        offsets = np.maximum.accumulate(self._offset + self._shift, axis=1)
        return np.asarray(forecast[:, None] + scale[:, None] * offsets[bins])

    def _scale(self, bins: Ints, forecast: Floats) -> Floats:
        return np.sqrt(POISSON_VARIANCE + self._level_variance[bins] * forecast**2)

    def settled(self) -> "Bands":
        """Return the same quantiles without the errors they were learned from: small, and learns no more."""
        kept = copy(self)
        kept._window = deque(maxlen=WINDOW_DAYS)
        return kept

    def learn(self, day: Outcomes) -> None:
        """Take in the outcomes of the day that ended; in the order of days."""
        if not day.bins.size:
            return
        self._window.append(day)
        count = np.bincount(day.bins, minlength=len(self._shift))
        ready = (count > 0) & (len(self._window) > _FEW_DAYS)
        for level in range(1, len(LEVELS)):
            under = np.bincount(day.bins, weights=day.under[:, level], minlength=len(self._shift))
            missed = LEVELS[level] - under / np.maximum(count, 1)
            self._shift[ready, level] += self._step[ready] * missed[ready] / _DENSITIES[level]
        if len(self._window) >= _FEW_DAYS:
            self._relearn()

    def _relearn(self) -> None:
        bins = np.concatenate([day.bins for day in self._window])
        forecast = np.concatenate([day.forecast for day in self._window])
        error = np.concatenate([day.error for day in self._window])
        age = np.repeat(np.arange(len(self._window))[::-1], [day.bins.size for day in self._window])
        order = np.argsort(bins, kind="stable")
        edges = np.searchsorted(bins[order], np.arange(len(self._shift) + 1))
        for number in range(len(self._shift)):
            rows = order[edges[number] : edges[number + 1]]
            if rows.size < 1 / (1 - LEVELS[-2]):
                continue
            middle, spread = forecast[rows], error[rows]
            excess = float(np.mean(spread**2)) - POISSON_VARIANCE
            self._level_variance[number] = max(excess, 0.0) / max(float(np.mean(middle**2)), 1e-9)
            scaled = spread / self._scale(np.full(rows.size, number), middle)
            # One more observation than there is, as in split conformal: few errors make wide quantiles.
            levels = np.minimum(_LEVELS * (1 + 1 / rows.size), 1.0)
            weight = 0.5 ** (age[rows] / self._half_life[number])
            self._offset[number] = _weighted_quantiles(scaled, weight, levels)
            # The middle of far leads drifts with the season; its short memory would follow what is over.
            self._offset[number, 0] = min(float(np.median(scaled)), self._offset[number, 1])


def _weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    order = np.argsort(values)
    upto = np.cumsum(weights[order])
    return np.interp(levels, (upto - weights[order] / 2) / upto[-1], values[order])
