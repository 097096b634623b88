"""One session attempt: what each message means for it (RFC 3261 sections 9, 12, 13, 15 and 16.7).

The same message is seen on several hops, by agents whose clocks differ. What counts is what the caller saw, so
every figure carries the rank of the hop it came from: fewer Via headers are nearer to the caller, and among equals
the hop of the first INVITE. Nothing here knows a batch, a timer or another attempt.
"""

from enum import IntEnum

from collectors.facts import SipCall
from collectors.tracking.dialog_facts import DialogEvent
from collectors.tracking.names import Place

NOWHERE = 1 << 20
"""Rank of what was not seen yet: any hop is nearer."""
MAX_HOPS = 16
MAX_LEGS = 16
MAX_SEEN = 1024
"""Messages of one attempt remembered to tell retransmissions; forgotten at once when there are more."""


class State(IntEnum):
    """Where a session attempt is."""

    SETUP = 0
    FAILED = 1
    """The caller's final answer was seen; one from a nearer hop, or an INVITE with credentials, may follow."""
    ANSWERED = 2
    RELEASED = 3
    """BYE was seen; its answer may follow."""
    ENDED = 4


class Attempt:
    """A session attempt and what must be remembered to follow it.

    Sets of numbers are dicts here: the garbage collector walks sets, but not dicts of plain numbers.
    """

    __slots__ = (
        "ack_ns",
        "answer_rank",
        "call",
        "confirmed",
        "cseq",
        "deferred",
        "described",
        "due_ns",
        "far_tag",
        "far_tag_hash",
        "final_rank",
        "first_cseq",
        "invite_vias",
        "key",
        "near_tag",
        "offer",
        "offered",
        "response_rank",
        "ring_rank",
        "seen",
        "sightings",
        "slot",
        "started_vias",
        "state",
        "tags",
    )

    def __init__(self, key: int, call: SipCall, cseq: int, near_tag: str) -> None:
        self.key = key
        self.near_tag = near_tag
        """Tag of the caller."""
        self.far_tag = ""
        """Tag of the side called that was seen last, and its hash."""
        self.far_tag_hash = 0
        self.call = call
        self.state = State.SETUP
        self.confirmed = False
        """An INVITE was seen; before that nothing is said about the attempt."""
        self.deferred: list[DialogEvent] | None = None
        """Events that wait for the INVITE."""
        self.cseq = cseq
        """CSeq of the INVITE transaction that counts now."""
        self.first_cseq = cseq
        self.invite_vias = NOWHERE
        """Fewest Via seen on an INVITE of `cseq`: final answers with no more than these are the caller's."""
        self.started_vias = NOWHERE
        self.ring_rank = NOWHERE
        self.response_rank = NOWHERE
        self.answer_rank = NOWHERE
        self.final_rank = NOWHERE
        self.ack_ns = 0
        """ACK of an INVITE whose final answer was not seen."""
        self.seen: dict[int, int] = {}
        """Message key to the place that showed it first."""
        self.tags: dict[int, None] = {}
        """To-tags that rang or answered."""
        self.offer = (True, cseq)
        """Side and CSeq of the latest offer."""
        self.offered = False
        """The latest INVITE carried SDP, so the answer is in its response."""
        self.described: dict[int, None] = {}
        """Bodies of the latest offer and its answers that were told already."""
        self.sightings = 0
        self.due_ns = 0
        self.slot = 0

    def invited(self, at_ns: int, cseq: int, vias: int, place: Place, *, credentials: bool) -> None:
        """Take an INVITE outside a dialog, on any hop."""
        call = self.call
        if cseq > self.cseq and self.state <= State.FAILED and (credentials or self.state is State.FAILED):
            self._invited_again(cseq, vias)
        elif cseq == self.cseq:
            if self.state is State.FAILED and at_ns > call.ended_ns and place.hop not in call.hops:
                self.state = State.SETUP  # a proxy tries the next target (RFC 3261 section 16.7, step 6)
            if vias < self.invite_vias:
                self.invite_vias = vias
        if vias < self.started_vias and cseq == self.first_cseq:
            self.started_vias = vias
            call.started_ns = at_ns
            call.src, call.dst = place.src, place.dst
            call.node_id, call.node_name, call.tenant_key = place.node_id, place.node_name, place.tenant_key
        if len(call.hops) < MAX_HOPS and place.hop not in call.hops:
            call.hops.append(place.hop)

    def _invited_again(self, cseq: int, vias: int) -> None:
        """Start the next transaction of the same attempt: challenged, redirected, or tried otherwise."""
        call = self.call
        call.attempts += 1
        call.sip_code = call.q850 = 0
        call.ringing_ns = call.first_response_ns = call.ended_ns = 0
        call.cancelled, call.released_by = False, ""
        self.cseq = cseq
        self.invite_vias = vias
        self.ring_rank = self.response_rank = self.answer_rank = self.final_rank = NOWHERE
        self.ack_ns = 0
        self.state = State.SETUP

    def rank(self, vias: int, place: Place) -> int:
        """Return how far from the caller the hop of a response is."""
        return 2 * vias + (place.dst != self.call.src)

    def rang(self, at_ns: int, rank: int, to_tag: int) -> None:
        """Take an 18x of the INVITE transaction."""
        call = self.call
        self._leg(to_tag)
        if rank < self.ring_rank:
            self.ring_rank = rank
            call.ringing_ns = call.first_response_ns = at_ns
        elif rank == self.ring_rank and at_ns < call.ringing_ns:
            call.ringing_ns = call.first_response_ns = at_ns

    def answered(self, at_ns: int, status: int, rank: int, to_tag: int) -> bool:
        """Take a 2xx of the INVITE transaction; return whether it is the first."""
        call = self.call
        self._leg(to_tag)
        first = self.state <= State.FAILED
        if first:
            self.state = State.ANSWERED
            call.sip_code, call.q850, call.ended_ns = status, 0, 0
            call.released_by = ""
            self.answer_rank = NOWHERE
        if rank < self.answer_rank:
            self.answer_rank = rank
            call.answered_ns = at_ns
            if not call.ringing_ns:
                call.first_response_ns = at_ns
        return first

    def refused(self, at_ns: int, status: int, rank: int, vias: int, q850: int) -> None:
        """Take a 3xx to 6xx of the INVITE transaction.

        From a hop beyond the caller's it is kept, but decides nothing: a proxy may try another target.
        """
        if self.state > State.FAILED:
            return
        call = self.call
        if rank < self.final_rank:
            self.final_rank = rank
            call.sip_code = status
            call.ended_ns = at_ns
            call.q850 = q850 or call.q850
        if vias > self.invite_vias:
            return
        self.state = State.FAILED
        if call.cancelled:
            call.released_by = "caller"
        if not call.ringing_ns and rank < self.response_rank:
            self.response_rank = rank
            call.first_response_ns = at_ns

    def cancelled(self, place: Place, q850: int) -> None:
        """Take a CANCEL: the caller's, where it is on the caller's hop; a proxy cancels other targets likewise."""
        call = self.call
        if self.state is State.SETUP and place.src.ip == call.src.ip and place.dst.ip == call.dst.ip:
            call.cancelled = True
            call.q850 = q850 or call.q850

    def released(self, at_ns: int, *, by_caller: bool, q850: int) -> bool:
        """Take a BYE; return whether it also tells that the call had been answered, by a 2xx that was not seen."""
        call = self.call
        was_answered = False
        if self.state is State.SETUP:
            if not self.ack_ns or call.sip_code:
                return False  # of an early dialog (RFC 3261 section 15): the INVITE gets its own final answer
            was_answered = True
            call.answered_ns, call.sip_code = self.ack_ns, 200
            call.first_response_ns = call.first_response_ns or self.ack_ns
            self.state = State.ANSWERED
        if self.state is State.ANSWERED:
            self.state = State.RELEASED
            call.ended_ns = at_ns
            call.released_by = "caller" if by_caller else "callee"
            call.q850 = q850 or call.q850
        elif self.state is State.RELEASED and at_ns < call.ended_ns:
            call.ended_ns = at_ns
        return was_answered

    def close(self) -> None:
        """Make the call final, as of what was seen."""
        call = self.call
        if self.state is State.SETUP or self.state is State.ANSWERED:
            call.expired = True
            call.ended_ns = call.last_seen_ns
            if self.state is State.ANSWERED or not call.sip_code:
                call.released_by = "timeout"
        self.state = State.ENDED
        self.seen = {}
        self.described = {}

    def _leg(self, to_tag: int) -> None:
        if to_tag and len(self.tags) < MAX_LEGS:
            self.tags[to_tag] = None
            self.call.legs = len(self.tags)
