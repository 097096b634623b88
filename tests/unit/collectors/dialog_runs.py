"""Ladders of calls, and a tracker that was fed one."""

import numpy as np
from sip_batches import CALLEE, CALLER, PROXY, START_NS, Ladder, batch_of, sdp

from collectors.facts import (
    CallEnded,
    MediaDescription,
    SipCall,
    SipSighting,
)
from collectors.tracking.dialogs import (
    DialogEvent,
    DialogSettings,
    DialogTracker,
)
from telephony.model import Endpoint

S_NS = 1_000_000_000
FAR_S = 5 * 3600.0


class Run:
    """A tracker that was fed ladders, one datagram a batch, and then closed."""

    def __init__(
        self, *ladders: Ladder, until_s: float | None = FAR_S, settings: DialogSettings | None = None
    ) -> None:
        self.tracker = DialogTracker(settings or DialogSettings())
        self.sightings: list[SipSighting] = []
        self.events: list[DialogEvent] = []
        for ladder in ladders:
            for datagram in ladder.datagrams:
                self.tracker.feed(batch_of([datagram]), np.arange(1))
                self.take()
        if until_s is not None:
            self.advance(until_s)

    def take(self) -> None:
        self.events += self.tracker.take_events()
        self.sightings += self.tracker.take_sightings()

    def advance(self, at_s: float) -> "Run":
        self.tracker.advance(START_NS + round(at_s * S_NS))
        self.take()
        return self

    @property
    def calls(self) -> list[SipCall]:
        return [event.call for event in self.events if isinstance(event, CallEnded)]

    @property
    def call(self) -> SipCall:
        (call,) = self.calls
        return call

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def media(self) -> list[MediaDescription]:
        return [event for event in self.events if isinstance(event, MediaDescription)]


def ms(call: SipCall, field: str) -> float | None:
    """Return a time of a call in ms since its start, None where it is 0."""
    at_ns = getattr(call, field)
    return round((at_ns - call.started_ns) / 1e6, 3) if at_ns else None


def answered(ladder: Ladder | None = None, *, at_s: float = 0.0, src: Endpoint = CALLER) -> Ladder:
    """Write a call that rings after 1 s and is answered after 3 s."""
    ladder = ladder or Ladder()
    return (
        ladder.request(at_s, "INVITE", src, body=sdp())
        .response(at_s + 0.1, 100, dst=src)
        .response(at_s + 1, 180, dst=src)
        .response(at_s + 3, 200, dst=src, body=sdp("10.0.0.3"))
        .request(at_s + 3.1, "ACK", src, in_dialog=True)
    )


def released(ladder: Ladder, at_s: float, *, by_callee: bool = False, cseq: int = 2) -> Ladder:
    src, dst = (CALLEE, CALLER) if by_callee else (CALLER, CALLEE)
    ladder.request(at_s, "BYE", src, dst, cseq=cseq, in_dialog=True, from_callee=by_callee)
    return ladder.response(at_s + 0.1, 200, dst, src, method="BYE", cseq=cseq, from_callee=by_callee)


def refused(status: int, *, ringing: bool = False, at_s: float = 2.0) -> Ladder:
    ladder = Ladder().request(0, "INVITE").response(0.1, 100)
    if ringing:
        ladder.response(1, 180)
    return ladder.response(at_s, status).request(at_s + 0.1, "ACK", in_dialog=True, branch="z9hG4bK-INVITE-1-a")


# -- one hop ---------------------------------------------------------------------------------------------------


def proxied(skew_s: float = 0.0) -> Ladder:
    """Write a call through a proxy, whose far side is stamped by a clock that is off by `skew_s`."""
    ladder = Ladder()
    ladder.request(0, "INVITE", CALLER, PROXY)
    ladder.request(0.01 + skew_s, "INVITE", PROXY, CALLEE, vias=2, node_id=2)
    ladder.response(1 + skew_s, 180, CALLEE, PROXY, vias=2, node_id=2)
    ladder.response(1.01, 180, PROXY, CALLER)
    ladder.response(3 + skew_s, 200, CALLEE, PROXY, vias=2, node_id=2)
    ladder.response(3.01, 200, PROXY, CALLER)
    ladder.request(3.1, "ACK", CALLER, PROXY, in_dialog=True)
    ladder.request(3.11 + skew_s, "ACK", PROXY, CALLEE, in_dialog=True, vias=2, node_id=2)
    ladder.request(9, "BYE", CALLER, PROXY, cseq=2, in_dialog=True)
    ladder.request(9.01 + skew_s, "BYE", PROXY, CALLEE, cseq=2, in_dialog=True, vias=2, node_id=2)
    ladder.response(9.1 + skew_s, 200, CALLEE, PROXY, method="BYE", cseq=2, vias=2, node_id=2)
    return ladder.response(9.11, 200, PROXY, CALLER, method="BYE", cseq=2)


def figures(call: SipCall) -> tuple[object, ...]:
    return (
        call.sip_code,
        call.attempts,
        ms(call, "ringing_ns"),
        ms(call, "first_response_ns"),
        ms(call, "answered_ns"),
        call.src,
        call.node_id,
        call.legs,
        call.released_by,
        call.clean_end,
    )


PROXIED = (200, 1, 1010.0, 1010.0, 3010.0, CALLER, 1, 1, "caller", True)
