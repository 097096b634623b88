"""The quality of a call as one observer saw it; MOS of different scales are kept apart."""

from dataclasses import dataclass, field

from telephony.bands import DEGRADED_R, R_DIVISOR
from telephony.model import Observer, Scale, StreamInterval

PREFERENCE = (Observer.RTP, Observer.RTCP_RR, Observer.RTCP_XR, Observer.VQ_REPORT)
"""Whose word counts for a call that several observers saw, as no stream may count twice. Packets we counted
ourselves come first, then what tells of each interval, then what tells of the whole call at its end."""


@dataclass(slots=True)
class CallQuality:
    """Rated intervals of a call, of one observer."""

    intervals: int = 0
    degraded: int = 0
    r_last: float | None = None
    """On the narrowband scale, as `r_min`."""
    r_min: float | None = None
    mos_sum: dict[Scale, float] = field(default_factory=dict)
    mos_n: dict[Scale, int] = field(default_factory=dict)
    mos_lowest: dict[Scale, float] = field(default_factory=dict)

    def add(self, interval: StreamInterval) -> bool:
        """Take an interval; returns False for one without a rating, which changes nothing."""
        if interval.r_factor is None or interval.mos is None or interval.mos_scale is None:
            return False
        scale, r = interval.mos_scale, interval.r_factor / R_DIVISOR[interval.mos_scale]
        self.intervals += 1
        self.degraded += r < DEGRADED_R
        self.r_last = r
        self.r_min = r if self.r_min is None else min(self.r_min, r)
        self.mos_sum[scale] = self.mos_sum.get(scale, 0.0) + interval.mos
        self.mos_n[scale] = self.mos_n.get(scale, 0) + 1
        self.mos_lowest[scale] = min(self.mos_lowest.get(scale, interval.mos), interval.mos)
        return True

    @property
    def scale(self) -> Scale | None:
        """The scale that most intervals are on."""
        return max(self.mos_n, key=lambda s: self.mos_n[s], default=None)

    @property
    def mos_min(self) -> float | None:
        """The lowest MOS of an interval, on `scale`."""
        return self.mos_lowest[self.scale] if self.scale else None

    @property
    def mos_avg(self) -> float | None:
        """Mean MOS of the intervals on `scale`."""
        return self.mos_sum[self.scale] / self.mos_n[self.scale] if self.scale else None

    @property
    def degraded_ratio(self) -> float | None:
        """Intervals with R below 70 over rated intervals."""
        return self.degraded / self.intervals if self.intervals else None


NOT_RATED = CallQuality()
"""Of a call that nobody rated; nothing is ever added to it."""
