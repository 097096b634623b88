"""REGISTER attempts (RFC 3261 section 10): challenges folded, several hops taken as one.

A registration attempt is known by its Call-ID and address of record, since one user agent may register several
accounts under one Call-ID. A refresh is an attempt of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from collectors.facts import RegistrationEnded
from collectors.kernels.sip_layout import MessageFlag
from collectors.tracking.attempts import NOWHERE
from collectors.tracking.names import Place
from collectors.tracking.timers import TimerWheel
from collectors.wire.sip import SipMessage, contact_expires, uri_parts
from telephony.model import RegistrationOutcome

_CHALLENGES = frozenset({401, 407})
_MAX_AOR = 256

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class RegistrationTimers:
    """How long a registration attempt waits."""

    linger_ns: int
    """After a final answer, for the one nearer to the user agent."""
    challenge_ns: int
    """After a challenge, for the REGISTER with credentials."""
    timeout_ns: int
    """For any final answer."""


class _Registration:
    """An attempt while it lives."""

    __slots__ = (
        "challenged",
        "code",
        "credentials",
        "cseq",
        "due_ns",
        "final_ns",
        "final_vias",
        "key",
        "last_seen_ns",
        "place",
        "removes",
        "sent_ns",
        "slot",
        "vias",
    )

    def __init__(self, key: Key, at_ns: int, cseq: int, vias: int, place: Place) -> None:
        self.key = key
        self.place = place
        self.challenged = False
        self.credentials = False
        self.removes = False
        self.last_seen_ns = at_ns
        self.due_ns = 0
        self.slot = 0
        self.sent(at_ns, cseq, vias)

    def sent(self, at_ns: int, cseq: int, vias: int) -> None:
        """Start a transaction of the attempt."""
        self.sent_ns = at_ns
        self.cseq = cseq
        self.vias = vias
        self.code = 0
        self.final_ns = 0
        self.final_vias = NOWHERE


class RegistrationTracker:
    """All REGISTER attempts that are not final."""

    def __init__(self, limit: int, timers: RegistrationTimers, emit: Callable[[RegistrationEnded], None]) -> None:
        self.evicted = 0
        self._limit = limit
        self._timers = timers
        self._emit = emit
        self._open: dict[Key, _Registration] = {}
        self._wheel: TimerWheel[_Registration] = TimerWheel()

    def __len__(self) -> int:
        return len(self._open)

    def feed(self, message: SipMessage, at_ns: int, now_ns: int, place: Place) -> None:
        """Take a REGISTER or an answer to one."""
        user, host = uri_parts(message.to_value)
        key = (int(message.row["call_hash"]), f"{user}@{host}"[:_MAX_AOR] if user else host[:_MAX_AOR])
        if message.status:
            self._response(self._open.get(key), message, at_ns, now_ns)
        else:
            self._request(key, message, at_ns, now_ns, place)

    def _request(self, key: Key, message: SipMessage, at_ns: int, now_ns: int, place: Place) -> None:
        attempt, cseq, vias = self._open.get(key), message.cseq, message.vias
        credentials = bool(message.flags & MessageFlag.CREDENTIALS)
        if attempt is not None and cseq > attempt.cseq:
            if attempt.code in _CHALLENGES or (credentials and not attempt.code and not attempt.credentials):
                attempt.challenged = attempt.challenged or attempt.code in _CHALLENGES
                attempt.sent(at_ns, cseq, vias)
            else:
                self._end(attempt)
                attempt = None
        if attempt is None:
            if len(self._open) >= self._limit:
                self._end(next(iter(self._open.values())))
                self.evicted += 1
            attempt = self._open[key] = _Registration(key, at_ns, cseq, vias, place)
        elif cseq == attempt.cseq and vias < attempt.vias:
            attempt.sent_ns, attempt.vias, attempt.place = at_ns, vias, place
        if cseq != attempt.cseq:
            return
        attempt.last_seen_ns = max(attempt.last_seen_ns, at_ns)
        attempt.credentials = attempt.credentials or credentials
        attempt.removes = _removes(message)
        if not attempt.code:
            self._wheel.arm(attempt, now_ns + self._timers.timeout_ns, now_ns)

    def _response(self, attempt: _Registration | None, message: SipMessage, at_ns: int, now_ns: int) -> None:
        status, vias = message.status, message.vias
        if attempt is None or status < 200:
            return
        if message.cseq != attempt.cseq:
            # The challenge of a transaction that was followed up before its answer came by.
            attempt.challenged = attempt.challenged or (message.cseq < attempt.cseq and status in _CHALLENGES)
            return
        attempt.last_seen_ns = max(attempt.last_seen_ns, at_ns)
        if vias < attempt.final_vias:
            attempt.final_vias, attempt.code, attempt.final_ns = vias, status, at_ns
        if vias <= attempt.vias:
            linger_ns = self._timers.challenge_ns if attempt.code in _CHALLENGES else self._timers.linger_ns
            self._wheel.arm(attempt, now_ns + linger_ns, now_ns)

    def advance(self, now_ns: int) -> None:
        """End what waited long enough."""
        for attempt in self._wheel.expired(now_ns):
            self._end(attempt)

    def close(self) -> None:
        """End all that is open."""
        for attempt in list(self._open.values()):
            self._end(attempt)

    def _end(self, attempt: _Registration) -> None:
        self._wheel.cancel(attempt)
        if self._open.get(attempt.key) is attempt:
            del self._open[attempt.key]
        code = attempt.code
        challenge = code in _CHALLENGES
        self._emit(
            RegistrationEnded(
                at_ns=attempt.final_ns or attempt.last_seen_ns,
                aor=attempt.key[1],
                outcome=_outcome(code, removes=attempt.removes),
                sip_code=code,
                challenged=attempt.challenged or challenge,
                rrd_ns=max(attempt.final_ns - attempt.sent_ns, 0) if code else 0,
                src=attempt.place.src,
                dst=attempt.place.dst,
                node_id=attempt.place.node_id,
                node_name=attempt.place.node_name,
                tenant_key=attempt.place.tenant_key,
                auth_failed=attempt.credentials and (challenge or code == 403),
            )
        )


def _removes(message: SipMessage) -> bool:
    """Return whether a REGISTER removes bindings (RFC 3261 section 10.2.2)."""
    contact = message.contact
    if not contact:
        return False
    expires = contact_expires(contact)
    return (message.expires if expires is None else expires) == 0


def _outcome(code: int, *, removes: bool) -> RegistrationOutcome:
    if code in _CHALLENGES:
        return RegistrationOutcome.CHALLENGED
    if not code or code == 408:
        return RegistrationOutcome.TIMEOUT
    if code >= 300:
        return RegistrationOutcome.REJECTED
    return RegistrationOutcome.UNREGISTERED if removes else RegistrationOutcome.REGISTERED
