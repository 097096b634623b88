"""What is watched: an amount per slot, for ratios and means with what it is counted against.

A ratio keeps numerator and denominator, a mean keeps sum and count: pooling slots adds both and divides once.
Durations and quality come as ratios too: the share of a histogram beyond a bound that the baseline learned, which
needs no raw rows and merges over nodes. This module knows no baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from forecast.localtime import Floats
from forecast.series import Series
from telephony.histogram import Buckets


class Kind(StrEnum):
    """How an amount varies by chance."""

    COUNT = "count"
    """Arrivals: variance about the mean."""
    RATIO = "ratio"
    """Numerator of `base` trials: binomial."""
    MEAN = "mean"
    """Sum over `base` items: relative spread by one over the root of the items."""


class Direction(StrEnum):
    """Where the observed lies from the expected."""

    UP = "up"
    DOWN = "down"


BOTH = (Direction.UP, Direction.DOWN)


@dataclass(frozen=True)
class Signal:
    """One thing watched in one scope. `series.y` is the amount per slot; `base` what it is counted against.

    `base` is None for counts and otherwise [slots], NaN where nothing was measured; slots whose `base` is zero say
    nothing about the ratio and are no missing data.
    """

    series: Series
    kind: Kind = Kind.COUNT
    base: Floats | None = None

    def __post_init__(self) -> None:
        if (self.base is None) != (self.kind is Kind.COUNT):
            raise ValueError("a ratio or a mean needs what it is counted against, a count has no such thing")
        if self.base is not None and self.base.shape != self.series.y.shape:
            raise ValueError("amounts and what they are counted against differ in length")

    def __len__(self) -> int:
        return len(self.series)

    def until(self, count: int) -> "Signal":
        """Return the first `count` slots."""
        base = None if self.base is None else self.base[:count]
        return replace(self, series=self.series.until(count), base=base)


def share_beyond(
    histograms: Sequence[Sequence[int]] | Floats, buckets: Buckets, bound: float, *, below: bool = False
) -> tuple[Floats, Floats]:
    """Return per slot the samples at or beyond `bound` (under it if `below`) and all samples.

    The bound is moved to the edge of the bucket that holds it: whole buckets are counted, nothing is guessed.

    >>> share_beyond([[3, 1], [0, 0]], Buckets("r", (0.0, 50.0, 100.0)), 50.0)
    (array([1., 0.]), array([4., 0.]))
    """
    counts = np.asarray(histograms, np.float64).reshape(len(histograms), buckets.count)
    at = buckets.index(bound)
    part = counts[:, :at] if below else counts[:, at:]
    return part.sum(axis=1), counts.sum(axis=1)


def worst_share_bound(counts: Sequence[int], buckets: Buckets, share: float = 0.1, *, low: bool = False) -> float:
    """Return the bound that the worst `share` of a clean history lay beyond (the lowest if `low`).

    >>> worst_share_bound([90, 10], Buckets("r", (0.0, 50.0, 100.0)))
    50.0
    """
    total = sum(counts)
    if not total:
        return buckets.edges[1]
    seen = 0
    order = range(buckets.count) if low else range(buckets.count - 1, -1, -1)
    for bucket in order:
        seen += counts[bucket]
        if seen >= share * total:
            return buckets.edges[bucket + 1] if low else buckets.edges[bucket]
    return buckets.edges[1]
