"""Interarrival jitter, the RFC 3550 estimator (section 6.4.1, appendix A.8), on RTP ticks and wrap-safe.

The caller decides which packets count: duplicates, comfort noise, DTMF and packets of another clock must not be
fed, and a new SSRC gets a new estimator. It reads no clock.
"""

from telephony.serial import delta32


def ticks_to_ms(ticks: float, clock_rate_hz: int) -> float:
    """Return a jitter in RTP ticks as milliseconds; the clock must be known.

    >>> ticks_to_ms(80, 8000)
    10.0
    """
    return ticks / clock_rate_hz * 1000


class JitterEstimator:
    """The running jitter J of one stream.

    >>> jitter = JitterEstimator(8000)
    >>> for n, late_ms in enumerate([0, 0, 16, 0]):
    ...     jitter.add(160 * n, (20 * n + late_ms) * 1_000_000)
    >>> jitter.ticks, jitter.ms  # |D| of 0, 128, 128 ticks
    (15.5, 1.9375)
    """

    __slots__ = ("_arrival_ns", "_clock_rate_hz", "_timestamp", "ticks")

    def __init__(self, clock_rate_hz: int) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._arrival_ns: int | None = None
        self._timestamp = 0
        self.ticks = 0.0

    def add(self, rtp_timestamp: int, arrival_ns: int) -> None:
        """Count a packet: its 32-bit RTP timestamp and the time it arrived."""
        if self._arrival_ns is not None:
            # Differences first: neither clock's absolute value is ever rounded to ticks.
            elapsed = (arrival_ns - self._arrival_ns) * self._clock_rate_hz / 1_000_000_000
            self.ticks += (abs(elapsed - delta32(rtp_timestamp, self._timestamp)) - self.ticks) / 16
        self._arrival_ns = arrival_ns
        self._timestamp = rtp_timestamp

    @property
    def ms(self) -> float:
        """J in milliseconds."""
        return ticks_to_ms(self.ticks, self._clock_rate_hz)
