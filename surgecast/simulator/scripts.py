"""What is said in a planned call: the SIP messages of each outcome, in order of capture.

Each phase (setup, hold, release) is written when its time comes, so a waiting call holds no text.
"""

from collections.abc import Iterator
from operator import itemgetter

from surgecast.simulator.calls import PlannedCall, trunkside
from surgecast.simulator.dialog import Dialog, Transaction
from surgecast.simulator.messages import Sighting
from telephony.model import Outcome, ReleasedBy

_MS = 1_000_000
_T1_NS = 500 * _MS
_BY_TIME = itemgetter(0)
_CAUSES = {
    486: 'Reason: Q.850;cause=17;text="User busy"',
    480: 'Reason: Q.850;cause=18;text="No user responding"',
    404: 'Reason: Q.850;cause=1;text="Unallocated number"',
    484: 'Reason: Q.850;cause=28;text="Invalid number format"',
    503: 'Reason: Q.850;cause=34;text="No circuit available"',
    603: 'Reason: Q.850;cause=21;text="Call rejected"',
}
_ELSEWHERE = 'Reason: SIP;cause=200;text="Call completed elsewhere"'


def sip_script(call: PlannedCall, hep_key: str) -> Iterator[Sighting]:
    """Yield every SIP sighting of a call in order of capture time."""
    dialog = Dialog(call, hep_key)
    yield from sorted(_setup(call, dialog, hep_key), key=_BY_TIME)
    if call.hold is not None:
        yield from sorted(_hold(call, dialog), key=_BY_TIME)
    if call.answered and not call.vanished:
        yield from sorted(_release(call, dialog), key=_BY_TIME)


def _setup(call: PlannedCall, dialog: Dialog, hep_key: str) -> list[Sighting]:
    offer = ("ILBC",) if call.sip_code == 488 else call.caller.codecs
    out: list[Sighting] = []
    cseq = 1
    edge = range(1)
    if call.challenged:
        first = Transaction("INVITE", cseq, dialog.branch(cseq))
        challenged_ns = call.invite_ns + call.hop_us * 1000
        out += dialog.request(first, call.invite_ns, hops=edge, offer=offer)
        out += dialog.response(first, 407, challenged_ns, hops=edge, extra=(_challenge(call, "Proxy"),))
        out += _ack(dialog, first, min(challenged_ns + _round_trip(call), call.routed_ns - _MS), edge)
        cseq = 2
    invite = Transaction("INVITE", cseq, dialog.branch(cseq))
    credentials = (_credentials(call, "Proxy-Authorization", "INVITE"),) if call.challenged else ()
    if call.outcome is Outcome.CHALLENGED:
        out += dialog.request(invite, call.routed_ns, hops=edge, extra=credentials, offer=offer)
        return out + _refusal(call, dialog, invite, edge, 407, extra=(_challenge(call, "Proxy"),))
    out += dialog.request(invite, call.routed_ns, extra=credentials, offer=offer)
    for hop in range(dialog.last_hop):
        at_ns = dialog.reply_at(call.routed_ns, hop, call.hop_us * 500)
        out += dialog.response(invite, 100, at_ns, hops=range(hop, hop + 1))
    if call.invite_repeated:  # the 100 got lost on its way to the caller
        again_ns = call.routed_ns + _T1_NS
        if again_ns < min(call.final_ns, call.ring_ns or call.final_ns):
            out += dialog.request(invite, again_ns, hops=edge, extra=credentials, offer=offer)
            out += dialog.response(invite, 100, again_ns + _MS, hops=edge)
    if call.ring_ns:
        early = () if call.nonce % 5 else (call.codec,)
        code = 183 if early else 180
        out += dialog.response(invite, code, call.ring_ns, answer=early)
    if call.forked_to is not None:
        out += _fork(call, hep_key, invite, credentials, offer)
    return out + _final(call, dialog, invite, credentials, offer)


def _final(
    call: PlannedCall, dialog: Dialog, invite: Transaction, credentials: tuple[str, ...], offer: tuple[str, ...]
) -> list[Sighting]:
    code = call.sip_code
    if code == 200:
        out = dialog.response(invite, 200, call.final_ns, answer=(call.codec,))
        ack = Transaction("ACK", invite.cseq, dialog.branch(40), to_tag=True)
        ack_ns = call.final_ns + _round_trip(call)
        out += dialog.request(ack, ack_ns)
        if call.answer_repeated:  # the ACK got lost before the callee
            out += dialog.response(invite, 200, call.final_ns + _T1_NS, answer=(call.codec,))
            out += dialog.request(ack, ack_ns + _T1_NS)
        return out
    if code == 487:
        return _cancelled(call, dialog, invite)
    if code == 408:
        # The callee says nothing: timer A repeats the INVITE on the last hop (RFC 3261 section 17.1.1.2).
        last = range(dialog.last_hop, dialog.last_hop + 1)
        out = []
        for waited_ns in (_T1_NS, 3 * _T1_NS, 7 * _T1_NS):
            out += dialog.request(invite, call.routed_ns + waited_ns, hops=last, extra=credentials, offer=offer)
        return out + _refusal(call, dialog, invite, range(dialog.last_hop), 408)
    if code in (500, 503):
        # A proxy that has only a 503 to give answers 500 (RFC 3261 section 16.7 step 6), unless it was told to
        # say for itself that there is no service.
        last = range(dialog.last_hop, dialog.last_hop + 1)
        out = _refusal(call, dialog, invite, last, 503, extra=(_CAUSES[503],))
        return out + _refusal(call, dialog, invite, range(dialog.last_hop), code)
    reason = (_CAUSES[code],) if code in _CAUSES and trunkside(call.callee) else ()
    if code == 302:
        reason = (f"Contact: <sip:{call.callee.user}@voicemail.{call.callee.domain}>",)
    return _refusal(call, dialog, invite, range(dialog.last_hop + 1), code, extra=reason)


def _cancelled(call: PlannedCall, dialog: Dialog, invite: Transaction) -> list[Sighting]:
    cancel = Transaction("CANCEL", invite.cseq, invite.branch)
    way_ns = 2 * call.transit_ns + round(2 * call.callee.path.delay_ms * 1000) * 1000 + 3 * _MS
    cancel_ns = call.final_ns - way_ns
    out = dialog.request(cancel, cancel_ns)
    for hop in range(dialog.last_hop):  # hop by hop (RFC 3261 section 9.2)
        out += dialog.response(cancel, 200, dialog.reply_at(cancel_ns, hop, 400_000), hops=range(hop, hop + 1))
    last = range(dialog.last_hop, dialog.last_hop + 1)
    out += dialog.response(cancel, 200, call.final_ns - _MS, hops=last)
    return out + _refusal(call, dialog, invite, range(dialog.last_hop + 1), 487)


def _refusal(
    call: PlannedCall, dialog: Dialog, invite: Transaction, hops: range, code: int, extra: tuple[str, ...] = ()
) -> list[Sighting]:
    """Return a final failure on its way back, and the ACK of each hop (RFC 3261 section 17.1.1.3)."""
    out = dialog.response(invite, code, call.final_ns, hops=hops, extra=extra)
    for hop in hops:
        wait_ns = call.hop_us * 400 if hop else _round_trip(call)
        out += _ack(dialog, invite, dialog.acked_at(call.final_ns, hop, wait_ns), range(hop, hop + 1))
    return out


def _ack(dialog: Dialog, invite: Transaction, at_ns: int, hops: range) -> list[Sighting]:
    ack = Transaction("ACK", invite.cseq, invite.branch, to_tag=True)
    return dialog.request(ack, at_ns, hops=hops)


def _fork(
    call: PlannedCall, hep_key: str, invite: Transaction, credentials: tuple[str, ...], offer: tuple[str, ...]
) -> list[Sighting]:
    """Return the second branch: it rings and is cancelled when the first is answered (RFC 3261 section 16.7)."""
    other = Dialog(call, hep_key, call.forked_to)
    fork = Transaction("INVITE", invite.cseq, invite.branch, fork="f")
    last = range(other.last_hop, other.last_hop + 1)
    out = other.request(fork, call.routed_ns + 80_000, hops=last, extra=credentials, offer=offer)
    out += other.response(fork, 180, (call.ring_ns + call.final_ns) // 2000 * 1000)
    cancel = Transaction("CANCEL", fork.cseq, fork.branch, fork="f")
    cancel_ns = other.acked_at(call.final_ns, other.last_hop, _MS)
    out += other.request(cancel, cancel_ns, hops=last, extra=(_ELSEWHERE,))
    out += other.response(cancel, 200, other.reply_at(cancel_ns, other.last_hop, 12 * _MS), hops=last)
    ended_ns = other.reply_at(cancel_ns, other.last_hop, 13 * _MS)
    out += other.response(fork, 487, ended_ns, hops=last)
    ack = Transaction("ACK", fork.cseq, fork.branch, to_tag=True, fork="f")
    return out + other.request(ack, other.acked_at(ended_ns, other.last_hop, _MS), hops=last)


def _hold(call: PlannedCall, dialog: Dialog) -> list[Sighting]:
    assert call.hold is not None
    out: list[Sighting] = []
    for n, (at_ns, offer, answer) in enumerate(
        ((call.hold[0], "sendonly", "recvonly"), (call.hold[1], "sendrecv", "sendrecv"))
    ):
        txn = Transaction("INVITE", 101 + n, dialog.branch(50 + n), from_caller=False, to_tag=True)
        ok_ns = at_ns + _round_trip(call)
        out += dialog.request(txn, at_ns, offer=(call.codec,), mode=offer)
        out += dialog.response(txn, 200, ok_ns, answer=(call.codec,), mode=answer)
        ack = Transaction("ACK", txn.cseq, dialog.branch(60 + n), from_caller=False, to_tag=True)
        out += dialog.request(ack, ok_ns + 2 * call.transit_ns + 20 * _MS)
    return out


def _release(call: PlannedCall, dialog: Dialog) -> list[Sighting]:
    by_caller = call.released_by is ReleasedBy.CALLER
    sender = call.caller if by_caller else call.callee
    bye = Transaction("BYE", 3 if by_caller else 103, dialog.branch(70), from_caller=by_caller, to_tag=True)
    cause = ('Reason: Q.850;cause=16;text="Normal call clearing"',) if trunkside(sender) else ()
    far = call.callee if by_caller else call.caller
    answered_ns = call.end_ns + 2 * (call.transit_ns if by_caller else 0) + round(2e3 * far.path.delay_ms) * 1000
    out = dialog.request(bye, call.end_ns, extra=cause)
    return out + dialog.response(bye, 200, answered_ns + 2 * _MS)


def _round_trip(call: PlannedCall) -> int:
    """Return the caller's round trip to the first proxy."""
    return round(2e3 * call.caller.path.delay_ms) * 1000 + 2 * _MS


def _challenge(call: PlannedCall, kind: str) -> str:
    name = "WWW" if kind == "WWW" else "Proxy"
    return f'{name}-Authenticate: Digest realm="{call.caller.domain}", nonce="{call.nonce:020x}", qop="auth"'


def _credentials(call: PlannedCall, header: str, method: str) -> str:
    domain = call.caller.domain
    return (
        f'{header}: Digest username="{call.caller.user}", realm="{domain}", nonce="{call.nonce:020x}", '
        f'uri="sip:{domain}", response="{digest_response(method, call.nonce)}", algorithm=MD5, qop=auth, '
        f'nc=00000001, cnonce="{call.nonce & 0xFFFFFFFF:08x}"'
    )


def digest_response(method: str, nonce: int) -> str:
    """Return 32 hexadecimal digits that look like a digest; nobody checks it.

    >>> len(digest_response("INVITE", 7))
    32
    """
    return f"{(nonce * 0x9E3779B97F4A7C15 + len(method)) & (2**128 - 1):032x}"
