"""Totals since start, for the exporter; labels are bounded (trunks come from the configuration)."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from telephony.bands import band_of
from telephony.model import StreamInterval

JITTER_EDGES_MS = (1, 2, 5, 10, 20, 30, 50, 100, 200)


@dataclass(slots=True)
class Counters:
    """Plain sums; the exporter turns them into metrics."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Session attempts by (outcome, trunk)."""
    registrations: Counter[str] = field(default_factory=Counter)
    """Registration attempts by outcome."""
    intervals: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Stream intervals by (band, direction, trunk); band `unrated` where no MOS could be computed."""
    jitter_histogram: list[int] = field(default_factory=lambda: [0] * (len(JITTER_EDGES_MS) + 1))
    """Intervals by jitter: up to each edge, and beyond the last."""
    jitter_ms_sum: float = 0.0
    payloads: Counter[str] = field(default_factory=Counter)
    """Datagrams by what they carry."""
    rtcp_rejected: Counter[str] = field(default_factory=Counter)
    """RTCP, XR and report bodies not believed, by reason."""
    rtcp_reports: int = 0
    reports_unmatched: int = 0
    """Reports that no call could be found for."""
    last_interval_ns: int = 0

    def add_interval(self, interval: StreamInterval) -> None:
        """Count one closed interval."""
        band = "unrated"
        if interval.r_factor is not None and interval.mos_scale is not None:
            band = band_of(interval.r_factor, interval.mos_scale).letter
        self.intervals[band, interval.direction.value, interval.labels.trunk] += 1
        if interval.jitter_ms is not None:
            self.jitter_histogram[bisect_left(JITTER_EDGES_MS, interval.jitter_ms)] += 1
            self.jitter_ms_sum += interval.jitter_ms
        self.last_interval_ns = max(self.last_interval_ns, interval.time_ns)
