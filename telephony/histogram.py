"""Histograms over fixed buckets that merge across nodes, trunks, tenants and time.

Percentiles come from merged histograms, never from averaging percentiles. The error of a quantile is
at most the width of the bucket it falls in (values are interpolated linearly inside a bucket).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite


@dataclass(frozen=True, slots=True)
class Buckets:
    """A fixed partition of the real line: bucket i holds edges[i] <= x < edges[i+1]; values outside are clamped.

    >>> Buckets("r", (0.0, 50.0, 100.0)).index(72.5)
    1
    """

    name: str
    edges: tuple[float, ...]
    count: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", len(self.edges) - 1)

    def index(self, value: float) -> int:
        """Return the bucket of a value, clamped to the first and last; the value must be finite."""
        return min(max(bisect_right(self.edges, value) - 1, 0), self.count - 1)

    def zeros(self) -> list[int]:
        """Return an empty histogram."""
        return [0] * self.count

    def of(self, values: Iterable[float]) -> list[int]:
        """Return the histogram of the finite values.

        >>> Buckets("r", (0.0, 50.0, 100.0)).of([10, 60, 70, float("nan")])
        [1, 2]
        """
        counts = self.zeros()
        for value in values:
            if isfinite(value):
                counts[self.index(value)] += 1
        return counts

    def quantile(self, counts: Sequence[int], q: float) -> float | None:
        """Return the q-quantile (0..1), linear inside its bucket; None for an empty histogram.

        >>> Buckets("r", (0.0, 50.0, 100.0)).quantile([1, 3], 0.5)
        66.66666666666667
        """
        total = sum(counts)
        if total == 0:
            return None
        rank = min(max(q, 0.0), 1.0) * total
        seen = 0
        for i, n in enumerate(counts):
            if n and seen + n >= rank:
                low, high = self.edges[i], self.edges[i + 1]
                return low + (high - low) * (rank - seen) / n
            seen += n
        return self.edges[-1]


def merge(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Return the histogram of both samples together.

    >>> merge([1, 2], [3, 0])
    [4, 2]
    """
    if len(a) != len(b):
        raise ValueError(f"histograms of {len(a)} and {len(b)} buckets do not merge")
    return [x + y for x, y in zip(a, b, strict=True)]


def _steps(low: float, high: float, width: float) -> tuple[float, ...]:
    return tuple(round(low + i * width, 10) for i in range(round((high - low) / width) + 1))


def _growing(first: float, ratio: float, top: float) -> tuple[float, ...]:
    edges, value = [0.0], first
    while value < top:
        edges.append(round(value, 6))
        value *= ratio
    return (*edges, top)


R_FACTOR = Buckets("r_factor", _steps(0, 150, 2))
"""Steps of 2: the band edges 50, 60, 70, 80, 90 are bucket edges."""
MOS = Buckets("mos", _steps(1.0, 5.0, 0.05))
JITTER_MS = Buckets("jitter_ms", _growing(0.25, 1.12, 2000.0))
"""Relative error of a quantile at most 12 %."""
LOSS_RATIO = Buckets("loss_ratio", _growing(0.0005, 1.15, 1.0))
"""Bucket 0 holds loss below 0.05 %."""
PDD_MS = Buckets("pdd_ms", _growing(10.0, 1.15, 120_000.0))
RRD_MS = Buckets("rrd_ms", _growing(1.0, 1.2, 60_000.0))
HOLDING_S = Buckets("holding_s", _growing(1.0, 1.12, 36_000.0))
