"""Whether a call's media flowed one way only, as far as RTP and RTCP can tell. It says None rather than guess.

A party that sends media says so in its sender reports, and says in their report blocks what it receives
(RFC 3550 section 6.4). Only where one party sends, hears nothing, and the other was never heard of, is a call
one-way; a party that never speaks RTCP proves nothing about its media. Where we see the RTP itself, a direction
of which no packet came and RTCP says nothing either, while many came the other way, is silent.
"""

from collections.abc import Iterable, Sequence

from collectors.tracking.media import MediaIndex, MediaSide
from collectors.tracking.senders import SenderActivity
from telephony.model import Direction, Observer, StreamInterval

MIN_REPORTS = 2
"""Sender reports without a report block that it takes to believe that nothing arrives there."""


MIN_PACKETS = 100
"""RTP packets one way that it takes to believe in the other's silence."""


class DirectionsHeard:
    """Packets per direction of a call: that receivers reported, and that we saw."""

    __slots__ = ("expected", "received", "seen", "voice")

    def __init__(self) -> None:
        self.voice = 0
        """RTP packets of streams that carry more than events and comfort noise, either way."""
        self.expected = {Direction.TO_CALLEE: 0, Direction.TO_CALLER: 0, Direction.UNKNOWN: 0}
        self.received = dict(self.expected)
        self.seen = dict(self.expected)

    def add(self, interval: StreamInterval) -> None:
        """Take an interval."""
        if interval.observer is Observer.RTP:
            self.seen[interval.direction] += interval.received or 0
            if interval.payload_type is not None:
                self.voice += interval.received or 0
            return
        self.expected[interval.direction] += interval.expected or 0
        self.received[interval.direction] += max(interval.received or 0, 0)


def one_way(
    activities: Iterable[SenderActivity], media: MediaIndex, sides: Sequence[MediaSide], heard: DirectionsHeard
) -> bool | None:
    """Return True for one-way media, False for both ways, None where nothing tells."""
    if all(heard.seen[d] > 0 for d in (Direction.TO_CALLEE, Direction.TO_CALLER)):
        return False
    sends = {Direction.TO_CALLEE: False, Direction.TO_CALLER: False}
    deaf = {Direction.TO_CALLEE: False, Direction.TO_CALLER: False}
    """Per direction: its sender reports, again and again, that nothing comes back."""
    announced = {address: side for side in sides for address in (side.rtp, side.rtcp)}
    for activity in activities:
        side = announced.get(activity.src) or media.find(activity.src)
        if side is None or activity.packets == 0:
            continue
        direction = Direction.TO_CALLEE if side.from_caller else Direction.TO_CALLER
        sends[direction] = True
        if activity.reports >= MIN_REPORTS and activity.reports_with_blocks == 0:
            deaf[direction] = True
    flows = {d: sends[d] or heard.received[d] > 0 or heard.seen[d] > 0 for d in sends}
    if all(flows.values()):
        silent = [d for d in flows if heard.expected[d] > 0 and heard.received[d] == 0]
        return bool(silent)
    if not any(flows.values()):
        return None
    sending = next(d for d in flows if flows[d])
    # Where RTCP speaks of the other direction too, it flows, and it is our tap that sees one direction only.
    return True if deaf[sending] or heard.seen[sending] >= MIN_PACKETS else None
