"""When a stream paused, as its packets show it: for reports that take the pause for jitter.

A receiver's jitter (RFC 3550 section 6.4.1) leaps where a sender falls silent without advancing its timestamps,
splices two sources or goes on hold, and its reports carry the leap for a while. Where we see the same packets we
know better.
"""

from collectors.tracking.generations import Generations
from telephony.model import INTERVAL_NS, Endpoint, StreamInterval, Verdict

PAUSES = (
    Verdict.DTX,
    Verdict.COMFORT_NOISE,
    Verdict.HOLD,
    Verdict.EARLY_MEDIA_SPLICE,
    Verdict.SEQ_RESTART,
    Verdict.REINVITE,
)
"""Verdicts on an interval across which a receiver's jitter means nothing."""

_Key = tuple[int, Endpoint, int]


class SilenceMemory:
    """Pauses by SSRC, target and interval; bounded."""

    def __init__(self, limit: int, lifetime_ns: int) -> None:
        self._pauses: Generations[_Key, tuple[Verdict, ...]] = Generations(limit=limit, lifetime_ns=lifetime_ns)

    def add(self, interval: StreamInterval) -> None:
        """Take an interval of packets we saw."""
        if not interval.verdict:
            return
        found = tuple(v for v in PAUSES if v.value in interval.verdict.split())
        if not found:
            return
        whole = (interval.ssrc, interval.dst, 0)
        before = self._pauses.get(whole) or ()
        self._pauses.put(whole, tuple(dict.fromkeys((*before, *found))), interval.time_ns)
        self._pauses.put((interval.ssrc, interval.dst, interval.time_ns), found, interval.time_ns)

    def of(self, ssrc: int, dst: Endpoint, start_ns: int | None) -> tuple[Verdict, ...]:
        """Return the pauses of a stream in an interval or the one before it; of None, in any."""
        if start_ns is None:
            return self._pauses.get((ssrc, dst, 0)) or ()
        here = self._pauses.get((ssrc, dst, start_ns))
        return here or self._pauses.get((ssrc, dst, start_ns - INTERVAL_NS)) or ()
