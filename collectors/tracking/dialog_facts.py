"""What the dialog tracker is told (settings), what it counts, and what it says beyond `collectors.facts`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.facts import SipEvent
from collectors.kernels.sip_layout import Method, Reject
from telephony.model import Endpoint

_S_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DialogSettings:
    """Bounds and timers of the tracker."""

    max_calls: int = 200_000
    max_registrations: int = 200_000
    max_heartbeats: int = 50_000
    max_sightings_per_call: int = 200
    max_pending: int = 200_000
    """Events, and sightings, that may wait to be taken; what comes beyond is shed."""
    wanted_headers: tuple[str, ...] = ("x-cid", "session-id", "user-agent")
    """Headers of the first INVITE to keep."""
    failed_linger_ns: int = 2 * _S_NS
    """After a final refusal: for the answer of a nearer hop, or another INVITE of the same attempt."""
    challenge_linger_ns: int = 5 * _S_NS
    """After 401 or 407: for the request with credentials."""
    released_linger_ns: int = _S_NS
    """After the answer to a BYE: for the same on other hops."""
    bye_timeout_ns: int = 32 * _S_NS
    """For the answer to a BYE (timer F)."""
    no_response_ns: int = 40 * _S_NS
    """For any response to the INVITE (timer B is 32 s)."""
    setup_timeout_ns: int = 240 * _S_NS
    """For the next message before the answer (timer C is above 3 minutes)."""
    idle_timeout_ns: int = 4 * 3600 * _S_NS
    """For the next sign of life of an answered call: its BYE was lost."""
    reorder_ns: int = 2 * _S_NS
    """For the INVITE of which an answer came by first."""
    ghost_ns: int = 32 * _S_NS
    """How long late copies of an ended attempt's messages are recognised (timer H, at least)."""
    registration_timeout_ns: int = 40 * _S_NS
    heartbeat_timeout_ns: int = 32 * _S_NS
    max_clock_step_ns: int = 3600 * _S_NS
    """A capture time further ahead moves the clock only if no message of its batch is earlier."""
    hash_seed: int = 0
    """Key of the hashes; keep it secret where strangers can send."""


@dataclass(frozen=True, slots=True)
class QualityReportBody:
    """A vq-rtcpxr body (RFC 6035) that came in a PUBLISH or NOTIFY; it names the call it speaks of itself."""

    at_ns: int
    call_id: str
    """Of the message that carried it, or its HEP correlation id."""
    body: bytes
    src: Endpoint
    dst: Endpoint
    node_id: int


@dataclass(frozen=True, slots=True)
class RtpStatHeader:
    """X-RTP-Stat or P-RTP-Stat of a BYE or of its answer: what one side says of the whole call."""

    at_ns: int
    call_id: str
    value: str
    from_caller: bool
    src: Endpoint
    dst: Endpoint
    node_id: int


DialogEvent = SipEvent | QualityReportBody | RtpStatHeader


@dataclass(slots=True)
class DialogStats:
    """Counters since the start."""

    messages: int = 0
    requests: list[int] = field(default_factory=lambda: [0] * len(Method))
    """By `Method`."""
    responses: list[int] = field(default_factory=lambda: [0] * 7)
    """By status class: index 4 is 4xx."""
    rejected: list[int] = field(default_factory=lambda: [0] * len(Reject))
    """By `Reject`; index 0 stays 0."""
    retransmissions: int = 0
    duplicates: int = 0
    """The same message on the same hop from another agent, or marked so in the batch."""
    late: int = 0
    """Messages of attempts that had ended."""
    without_invite: int = 0
    """Messages of dialogs whose INVITE was not seen."""
    calls_evicted: int = 0
    sightings_shed: int = 0
    events_shed: int = 0
    bad_sdp_lines: int = 0

    def requests_by_method(self) -> Mapping[str, int]:
        """Return the requests seen, by method."""
        return {m.name: n for m, n in zip(Method, self.requests, strict=True) if n}

    def responses_by_class(self) -> Mapping[str, int]:
        """Return the responses seen, by status class (`2xx`)."""
        return {f"{status_class}xx": n for status_class, n in enumerate(self.responses) if n}

    def rejected_by_reason(self) -> Mapping[str, int]:
        """Return what was not taken for SIP, by reason."""
        return {r.name.lower(): n for r, n in zip(Reject, self.rejected, strict=True) if n}
