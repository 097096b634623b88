"""How good a forecast was: each figure with its definition, and sums that merge so that nothing is kept per slot.

WAPE alone says little: a quiet pool cannot be forecast to 5 % by anyone. So it stands beside the Poisson floor,
the error that would remain if the mean of every slot were known.
"""

from dataclasses import dataclass, field, fields
from statistics import NormalDist

import numpy as np

from forecast.localtime import Bools, Floats, Ints
from storage.schema import QUANTILES

LEVELS = QUANTILES
"""The quantiles that every forecast carries are those it is stored with."""
NORMAL_SCORES = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
"""Where they lie in a standard normal distribution."""


def poisson_mean_deviation(mean: Floats) -> Floats:
    """Return E|Y - mean| of a Poisson Y: 2 e^-m m^(k+1) / k! with k = floor(m) (De Moivre; Crow 1958).

    For large m this is sqrt(2 m / pi).

    >>> poisson_mean_deviation(np.array([0.0, 1.0, 100.0])).round(4).tolist()
    [0.0, 0.7358, 7.9722]
    """
    mean = np.maximum(np.asarray(mean, np.float64), 0.0)
    whole = np.floor(np.minimum(mean, _EXACT_TO)).astype(np.int64)
    small = np.minimum(mean, _EXACT_TO)
    log_factorial = np.r_[0.0, np.cumsum(np.log(np.arange(1, int(_EXACT_TO) + 1)))]
    log_mean = np.log(np.maximum(small, 1e-300))
    exact = 2 * np.exp(-small + (whole + 1) * log_mean - log_factorial[whole])
    return np.where(mean <= _EXACT_TO, exact, np.sqrt(2 * mean / np.pi))


_EXACT_TO = 200.0


def wape(actual: Floats, forecast: Floats) -> float:
    """Return the sum of absolute errors over the sum of actuals; NaN when nothing came.

    >>> wape(np.array([10.0, 30.0]), np.array([12.0, 26.0]))
    0.15
    """
    total = float(np.sum(actual))
    return float(np.sum(np.abs(actual - forecast))) / total if total > 0 else float("nan")


def pinball(actual: Floats, forecast: Floats, level: float) -> float:
    """Return the mean pinball loss of a quantile forecast (Koenker and Bassett 1978), in units of the actual.

    >>> pinball(np.array([10.0, 10.0]), np.array([8.0, 14.0]), 0.9)
    1.1
    """
    error = actual - forecast
    return round(float(np.mean(np.maximum(level * error, (level - 1) * error))), 12)


@dataclass(slots=True)
class Score:
    """Sums over the scored forecasts of one horizon; see `Accuracy` for what comes of them."""

    n: int = 0
    actual: float = 0.0
    error: float = 0.0
    bias: float = 0.0
    floor: float = 0.0
    naive_n: int = 0
    naive_error: float = 0.0
    error_beside_naive: float = 0.0
    loss: Floats = field(default_factory=lambda: np.zeros(len(LEVELS)))
    covered: Floats = field(default_factory=lambda: np.zeros(len(LEVELS)))

    def add(self, actual: Floats, quantiles: Floats, floor: Floats, naive: Floats) -> None:
        """Count forecasts in: quantiles [rows, levels] (the median is the point forecast), naive may be NaN."""
        point = quantiles[:, 0]
        error = np.abs(actual - point)
        self.n += actual.size
        self.actual += float(actual.sum())
        self.error += float(error.sum())
        self.bias += float((point - actual).sum())
        self.floor += float(floor.sum())
        beside = np.isfinite(naive)
        self.naive_n += int(beside.sum())
        self.naive_error += float(np.abs(actual - naive)[beside].sum())
        self.error_beside_naive += float(error[beside].sum())
        for place, level in enumerate(LEVELS):
            over = actual - quantiles[:, place]
            self.loss[place] += float(np.maximum(level * over, (level - 1) * over).sum())
            self.covered[place] += float((over <= 0).sum())

    @classmethod
    def by_group(
        cls, group: Ints, count: int, actual: Floats, quantiles: Floats, floor: Floats, naive: Floats
    ) -> "list[Score]":
        """Return the score of each of `count` groups of forecasts, of which each row names its own; see `add`."""

        def summed(values: Floats | Bools) -> list[float]:
            found: list[float] = np.bincount(group, weights=values, minlength=count).tolist()
            return found

        error, beside = np.abs(actual - quantiles[:, 0]), np.isfinite(naive)
        over = actual[:, None] - quantiles
        levels = np.array(LEVELS)
        loss = np.maximum(levels * over, (levels - 1) * over)
        columns = zip(
            summed(np.ones(actual.size)),
            summed(actual),
            summed(error),
            summed(quantiles[:, 0] - actual),
            summed(floor),
            summed(beside),
            summed(np.where(beside, np.abs(actual - naive), 0.0)),
            summed(np.where(beside, error, 0.0)),
            zip(*(summed(loss[:, place]) for place in range(levels.size)), strict=True),
            zip(*(summed(over[:, place] <= 0) for place in range(levels.size)), strict=True),
            strict=True,
        )
        return [
            cls(int(n), came, missed, bias, least, int(n_naive), naive_error, own, np.array(lost), np.array(under))
            for n, came, missed, bias, least, n_naive, naive_error, own, lost, under in columns
        ]

    def __add__(self, other: "Score") -> "Score":
        """Return the score of these forecasts and others."""
        return Score(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def accuracy(self, seasonal_error: float) -> "Accuracy":
        """Return the figures; `seasonal_error` is the mean absolute change from week to week before the test."""
        return Accuracy(
            n=self.n,
            wape=_ratio(self.error, self.actual),
            wape_floor=_ratio(self.floor, self.actual),
            mase=_ratio(_ratio(self.error, self.n), seasonal_error),
            pinball=tuple(_ratio(loss, self.n) for loss in self.loss),
            coverage=tuple(_ratio(covered, self.n) for covered in self.covered),
            bias=_ratio(self.bias, self.actual),
            skill_vs_seasonal_naive=1 - _ratio(self.error_beside_naive, self.naive_error),
        )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Figures over one horizon; ratios are parts of one, NaN where nothing was to be measured."""

    n: int
    """Forecasts that were scored."""
    wape: float
    """Sum of absolute errors of the median over the sum of what came."""
    wape_floor: float
    """The same if the mean of every slot were known and arrivals Poisson."""
    mase: float
    """Mean absolute error over that of the same time last week, before the test (Hyndman and Koehler 2006)."""
    pinball: tuple[float, ...]
    """Mean pinball loss per level of `LEVELS`, in units of the series."""
    coverage: tuple[float, ...]
    """Share of slots at or under each quantile."""
    bias: float
    """Sum of (median - actual) over the sum of what came."""
    skill_vs_seasonal_naive: float
    """1 - error over the error of the same time last week, on the slots where both exist."""


def _ratio(top: float, bottom: float) -> float:
    return float(top) / float(bottom) if bottom > 0 else float("nan")
