"""A stream as we counted it and as its receiver reports it: where they disagree, the place of the loss shows.

Our tap and the receiver count different stretches of time (the first report waits for the next, the last one comes
before the end), so what one of them lost at an end that the other does not cover is taken off first. A second sum
skips the first reported interval, which may hold what a receiver lost before our capture began; a disagreement
must show in both. It is told again only when it has grown.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from collectors.tracking.generations import Generations
from telephony.model import Endpoint, Observer, StreamInterval, Verdict

MIN_PACKETS = 5
"""Packets that one side lost and the other did not, below which nothing is said."""
MIN_RATIO = 0.003
"""The same as a share of the packets."""

LOSS_AFTER_TAP, TAP_LOSS = "loss_after_tap", "tap_loss"

_WAITING = 6
"""Intervals that we counted before the first report, which may speak of them."""
_REPORTS = (Observer.RTCP_RR, Observer.RTCP_XR)
_NOT_COMPARED = frozenset(
    {
        Verdict.SEQ_RESTART,
        Verdict.COUNTER_RESET,
        Verdict.IMPLAUSIBLE_REPORT,
        Verdict.ENCRYPTED_RTCP,
        Verdict.DUPLICATE_CAPTURE,
    }
)
"""From an interval with one of these on, both count something else."""


class Disagreement(NamedTuple):
    """Loss that only one of two views of a stream has."""

    kind: str
    text: str


@dataclass(slots=True)
class _Side:
    """What one view counted: in all, and what of the loss was in its first and its newest interval."""

    expected: int = 0
    lost: int = 0
    first_lost: int | None = None
    newest_lost: int = 0

    def add(self, expected: int, lost: int) -> None:
        self.expected += expected
        self.lost += lost
        self.newest_lost = lost
        if self.first_lost is None:
            self.first_lost = lost

    def excess(self, other: "_Side") -> int:
        """Return how many packets this view lost beyond the other, at least.

        Where it covers more time, at either end, loss of those intervals may be of that time.
        """
        longer = max(0, self.expected - other.expected)
        at_ends = max(0, (self.first_lost or 0) + self.newest_lost)
        return self.lost - other.lost - min(longer, at_ends)


@dataclass(slots=True)
class _Counts:
    """What two views counted of a stream since some time."""

    seen: _Side = field(default_factory=_Side)
    reported: _Side = field(default_factory=_Side)
    duplicates: int = 0


@dataclass(slots=True)
class _Pair:
    observer: Observer | None = None
    """Whose reports are compared: the first kind that came."""
    first_ns: int = 0
    """Start of the first interval that was reported; what was seen before it waits in `before`."""
    before: deque[StreamInterval] = field(default_factory=lambda: deque(maxlen=_WAITING))
    whole: _Counts = field(default_factory=_Counts)
    later: _Counts = field(default_factory=_Counts)
    """The same without that first interval."""
    told: dict[str, int] = field(default_factory=dict)

    def see(self, interval: StreamInterval) -> None:
        """Take what we counted."""
        if not self.first_ns:
            self.before.append(interval)
            return
        for counts in self._sums(interval.time_ns):
            counts.seen.add(interval.expected or 0, interval.lost or 0)
            counts.duplicates += interval.duplicates or 0

    def hear(self, interval: StreamInterval) -> None:
        """Take what was reported."""
        if not self.first_ns:
            self.first_ns = interval.time_ns
            for seen in self.before:
                self.see(seen)
            self.before.clear()
        for counts in self._sums(interval.time_ns):
            counts.reported.add(interval.expected or 0, interval.lost or 0)

    def _sums(self, at_ns: int) -> tuple[_Counts, ...]:
        if at_ns < self.first_ns:
            return ()
        return (self.whole, self.later) if at_ns > self.first_ns else (self.whole,)


class TwoViews:
    """Streams seen by us and reported on by their receivers; bounded."""

    def __init__(self, limit: int, lifetime_ns: int) -> None:
        self._pairs: Generations[tuple[int, Endpoint], _Pair] = Generations(limit=limit, lifetime_ns=lifetime_ns)

    def add(self, interval: StreamInterval) -> Disagreement | None:
        """Take an interval of either view, and return what the two now disagree about."""
        measured = interval.observer is Observer.RTP
        if not measured and interval.observer not in _REPORTS:
            return None
        key = (interval.ssrc, interval.dst)
        pair = self._pairs.get(key)
        if pair is None or (interval.verdict and _NOT_COMPARED.intersection(interval.verdict.split())):
            pair = _Pair()
        self._pairs.put(key, pair, interval.time_ns)
        if interval.expected is None or interval.lost is None:
            return None
        if measured:
            pair.see(interval)
            return None
        pair.observer = pair.observer or interval.observer
        if interval.observer is not pair.observer:
            return None
        pair.hear(interval)
        return _judge(pair, interval)


def _judge(pair: _Pair, interval: StreamInterval) -> Disagreement | None:
    whole, later = pair.whole, pair.later
    if not later.seen.expected:
        return None
    least = max(MIN_PACKETS, MIN_RATIO * later.reported.expected)
    # A duplicate hides a loss from a receiver (RFC 3550 appendix A.3).
    at_tap = min(counts.seen.excess(counts.reported) - counts.duplicates for counts in (whole, later))
    after = min(counts.reported.excess(counts.seen) for counts in (whole, later))
    for kind, packets in ((LOSS_AFTER_TAP, after), (TAP_LOSS, at_tap)):
        if packets - pair.told.get(kind, 0) < least:
            continue
        pair.told[kind] = packets
        figures = (
            f"SSRC 0x{interval.ssrc:08x}: the receiver {interval.dst} reports {later.reported.lost} of "
            f"{later.reported.expected} packets lost, seen here {later.seen.lost} of {later.seen.expected}"
        )
        meaning = (
            "the loss is after this tap, towards the receiver"
            if kind == LOSS_AFTER_TAP
            else "the receiver got packets that were not captured: the capture loses them, not the network"
        )
        return Disagreement(kind, f"{figures}; {meaning}")
    return None
