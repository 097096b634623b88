"""The facts that travel between capture, wire and tracking.

Hot paths pass columnar batches (`DatagramBatch`); everything else passes the small frozen
classes below. Lowest module of the package: it imports nothing of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from telephony.model import Endpoint, RegistrationOutcome


class Payload(IntEnum):
    """What a datagram carries: the HEP protocol type, or 0x100 + it for bytes we captured ourselves."""

    SIP = 1
    RTCP_JSON = 5
    RTP_REPORT_JSON_OLD = 32
    """What older hepipe of FreeSWITCH calls the next."""
    RTP_REPORT_JSON = 34
    VQ_RTCPXR = 35
    LOG = 100
    RTP = 0x104
    RTCP = 0x105


REPORT_PAYLOADS = [
    Payload.RTCP_JSON,
    Payload.RTCP,
    Payload.RTP_REPORT_JSON_OLD,
    Payload.RTP_REPORT_JSON,
    Payload.VQ_RTCPXR,
]
"""Payloads that report on media."""
MAX_PAYLOAD_TYPE = 0x1FF
IS_REPORT = np.zeros(MAX_PAYLOAD_TYPE + 1, np.bool_)
"""By payload type, whether it reports on media: indexing this is far cheaper than a search for every batch."""
IS_REPORT[REPORT_PAYLOADS] = True


DATAGRAM = np.dtype(
    [
        ("captured_ns", "<i8"),  # UTC ns of the capture clock (the agent's, for HEP)
        ("src_ip", "u1", 16),  # network order, IPv4 as ::ffff:a.b.c.d
        ("dst_ip", "u1", 16),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("payload_type", "<u2"),  # Payload
        ("ip_proto", "u1"),
        ("flags", "u1"),  # DATAGRAM_* bits below
        ("node_id", "<u4"),  # HEP capture agent id
        ("payload_at", "<u4"),  # offsets and lengths into DatagramBatch.buffer; length 0 = absent
        ("payload_len", "<u4"),
        ("correlation_at", "<u4"),
        ("correlation_len", "<u4"),
        ("node_name_at", "<u4"),
        ("node_name_len", "<u4"),
        ("auth_key_at", "<u4"),
        ("auth_key_len", "<u4"),
    ]
)
"""One parsed datagram; all positions are offsets into the batch's buffer."""

DATAGRAM_DUPLICATE = 1
"""Flag: the same message at the same hop was already seen (another agent, or a mirrored capture)."""


def _keep() -> None:
    """Release nothing: the batch's buffer belongs to it alone."""


@dataclass(frozen=True, slots=True)
class DatagramBatch:
    """Parsed datagrams over one buffer. The buffer may be reused once the batch is fed: copy what you keep."""

    rows: npt.NDArray[np.void]
    """Structured array of `DATAGRAM`."""
    buffer: npt.NDArray[np.uint8]
    """Contiguous bytes all offsets point into."""
    release: Callable[[], None] = _keep
    """Gives the buffer back to its source; called once, by whoever consumed the batch."""


class FramesTaken(NamedTuple):
    """What a reader of frames did with those it was given."""

    frames: int
    """How many were taken, from the first on; the others are to be given again."""
    rtp: int
    """RTP packets among them."""
    handed: npt.NDArray[np.void]
    """Those that are for others to read (`collectors.kernels.frames.FRAME`), in order."""
    wants_datagrams: bool
    """Hand on what was found in the others before giving more frames: SDP among it, or a border of time."""


@lru_cache(maxsize=16_384)
def format_ip(ip: bytes) -> str:
    """Return the text of a 16-byte address; v4-mapped ones as dotted quads."""
    address = IPv6Address(ip)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(address)


class Codec(NamedTuple):
    """A codec as SDP names it."""

    name: str
    """Encoding name in upper case (`PCMA`, `G729`, `OPUS`)."""
    clock_rate_hz: int
    channels: int = 1
    fmtp: str = ""


class SipSighting(NamedTuple):
    """One SIP message seen once, on one hop, by one agent (a row of the ladder)."""

    at_ns: int
    call_id: str
    src: Endpoint
    dst: Endpoint
    node_id: int
    node_name: str
    method: str
    """Of the request, or of the CSeq for a response."""
    status: int
    """0 for a request."""
    reason: str
    """Reason phrase of a response, Request-URI user part masked by the caller for a request."""
    cseq: int
    from_tag: str
    to_tag: str
    branch: str
    vias: int
    """Number of Via headers: the hop's distance from the caller for requests."""
    has_sdp: bool
    retransmission: bool


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """An audio (or image, for T.38) m-line of an SDP offer or answer, seen in a dialog."""

    at_ns: int
    call_id: str
    from_caller: bool
    """True where the side that placed the call describes where *it* wants to receive."""
    media: str
    endpoint: Endpoint
    rtcp: Endpoint
    """From a=rtcp, a=rtcp-mux (same as `endpoint`), else port + 1."""
    codecs: Mapping[int, Codec]
    """Payload type to codec, in order of preference."""
    ptime_ms: int
    sendrecv: str
    """sendrecv | sendonly | recvonly | inactive"""
    is_answer: bool
    is_reinvite: bool


@dataclass(slots=True)
class SipCall:
    """A session attempt as the dialog tracker knows it; mutable while it lives.

    Timings are of the hop nearest the caller (fewest Via headers seen), so that `sip_code` is what the caller saw.
    """

    call_id: str
    started_ns: int
    from_user: str
    from_domain: str
    to_user: str
    to_domain: str
    src: Endpoint
    """Source of the first INVITE."""
    dst: Endpoint
    node_id: int
    node_name: str
    tenant_key: str = ""
    """HEP auth key of the first sighting."""
    headers: dict[str, str] = field(default_factory=dict)
    """Lower-case names of the headers that were asked for (tenant header, x-cid, session-id, user-agent)."""
    attempts: int = 1
    ringing_ns: int = 0
    """First 18x; 0 where none."""
    first_response_ns: int = 0
    """First 18x or final response: stops the post-dial delay."""
    answered_ns: int = 0
    ended_ns: int = 0
    last_seen_ns: int = 0
    sip_code: int = 0
    q850: int = 0
    cancelled: bool = False
    released_by: str = ""
    """caller | callee | network | timeout"""
    clean_end: bool = False
    """BYE was answered with 2xx (RFC 6076 session completion)."""
    legs: int = 1
    hops: list[str] = field(default_factory=list)
    """`src > dst` of each hop seen, in order, bounded."""
    expired: bool = False
    """Ended by the tracker because nothing came any more."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A new session attempt."""

    call: SipCall


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A session attempt was answered (2xx seen)."""

    call: SipCall


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A session attempt is final (failed, released, or given up); `call` changes no more."""

    call: SipCall


@dataclass(frozen=True, slots=True)
class RegistrationEnded:
    """A REGISTER attempt is final."""

    at_ns: int
    aor: str
    outcome: RegistrationOutcome
    sip_code: int
    challenged: bool
    rrd_ns: int
    """0 where no final answer came."""
    src: Endpoint
    dst: Endpoint
    node_id: int
    node_name: str
    tenant_key: str
    auth_failed: bool
    """Credentials were presented and refused (403, or 401/407 again)."""


@dataclass(frozen=True, slots=True)
class HeartbeatEnded:
    """An OPTIONS ping is final: answered after `rtt_ns`, or not (0)."""

    at_ns: int
    src: Endpoint
    dst: Endpoint
    node_id: int
    node_name: str
    tenant_key: str
    sip_code: int
    rtt_ns: int


SipEvent = CallStarted | CallAnswered | CallEnded | MediaDescription | RegistrationEnded | HeartbeatEnded


# --- RTCP -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """Sender information of an SR (RFC 3550 section 6.4.1)."""

    ssrc: int
    ntp: int
    """64-bit NTP timestamp, 0 where unknown."""
    rtp_timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """A report block of an SR or RR (RFC 3550 section 6.4.1)."""

    reporter_ssrc: int
    source_ssrc: int
    fraction_lost: int
    """0..255"""
    cumulative_lost: int
    """Signed 24 bit."""
    extended_highest_seq: int
    seq_is_16_bit: bool
    """The cycles were not carried (rtpengine's JSON): unwrap modulo 2^16."""
    jitter_ticks: float
    lsr: int
    dlsr: int


@dataclass(frozen=True, slots=True)
class VoipMetrics:
    """A VoIP metrics block (RFC 3611 section 4.7) or what a vq-rtcpxr report says; None = not available (127)."""

    reporter_ssrc: int
    source_ssrc: int
    loss_ratio: float | None
    discard_ratio: float | None
    burst_density: float | None = None
    gap_density: float | None = None
    burst_duration_ms: float | None = None
    gap_duration_ms: float | None = None
    round_trip_ms: float | None = None
    end_system_delay_ms: float | None = None
    r_factor: float | None = None
    mos_lq: float | None = None
    mos_cq: float | None = None
    plc: str = "unspecified"
    """unspecified | disabled | enhanced | standard"""
    jitter_ms: float | None = None
    codec: str = ""
    expected: int | None = None
    lost: int | None = None
    jitter_buffer_nominal_ms: float | None = None
    final: bool = False
    """True for a session report (vq) that closes the stream."""
    covers_ms: float | None = None
    """Length of time the report speaks of."""
    by_far_end: bool = False
    """vq RemoteMetrics: measured by the other party and relayed by the reporter."""


@dataclass(frozen=True, slots=True)
class StatisticsSummary:
    """A statistics summary block (RFC 3611 section 4.6); None = flag not set."""

    reporter_ssrc: int
    source_ssrc: int
    begin_seq: int
    end_seq: int
    lost: int | None
    duplicates: int | None
    jitter_mean_ticks: int | None
    jitter_max_ticks: int | None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE of the sources listed."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """CNAME and NAME of a source."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class SequenceRuns:
    """A run length block (RFC 3611 sections 4.1 and 4.2): which sequence numbers came, or came twice."""

    reporter_ssrc: int
    source_ssrc: int
    begin_seq: int
    end_seq: int
    """One past the last sequence number it speaks of."""
    thinning: int
    """Only every 2^thinning-th sequence number is in it."""
    of_duplicates: bool
    """False: set means received (4.1). True: set means *not* duplicated (4.2)."""
    runs: tuple[tuple[bool, int], ...]
    """Whether set, and for how many sequence numbers, from `begin_seq` on."""


@dataclass(frozen=True, slots=True)
class ReceiptTimes:
    """A packet receipt times block (RFC 3611 section 4.3); times are ticks of the source's RTP clock."""

    reporter_ssrc: int
    source_ssrc: int
    begin_seq: int
    end_seq: int
    thinning: int
    ticks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """A receiver reference time block (RFC 3611 section 4.4): what an SR's NTP is, of one that sends no media."""

    ssrc: int
    ntp: int
    """64-bit NTP timestamp."""


@dataclass(frozen=True, slots=True)
class ReferenceDelay:
    """A sub-block of a DLRR block (RFC 3611 section 4.5): LSR and DLSR, of a receiver's reference time."""

    reporter_ssrc: int
    source_ssrc: int
    """The receiver whose reference time is answered."""
    lrr: int
    dlrr: int
    """1/65536 s"""


RtcpFact = (
    SenderInfo
    | ReceptionReport
    | VoipMetrics
    | StatisticsSummary
    | Goodbye
    | SourceDescription
    | SequenceRuns
    | ReceiptTimes
    | ReferenceTime
    | ReferenceDelay
)


@dataclass(frozen=True, slots=True)
class RtcpMessage:
    """All facts of one RTCP datagram (or JSON, or vq body), with its addresses.

    `src` is who sent the report: the stream it speaks of flows from `dst` to `src`.
    """

    at_ns: int
    src: Endpoint
    dst: Endpoint
    call_id: str
    """HEP correlation id or vq CallID; empty where none."""
    node_id: int
    facts: tuple[RtcpFact, ...]
    from_vq: bool = False
    local: Endpoint | None = None
    """vq: media address of the reporter, where given."""
    remote: Endpoint | None = None


class Rejected(NamedTuple):
    """Why bytes were not believed; `reason` is one of a small fixed set and becomes a counter."""

    reason: str
