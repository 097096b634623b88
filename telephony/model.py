"""The facts Surgecast deals in, in the words of the standards.

Everything that crosses a package border is one of these frozen dataclasses or enums.
Times are UTC nanoseconds of the capture clock (`*_ns`) unless the name says otherwise.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

UNASSIGNED = "unassigned"
"""The tenant of traffic that no rule maps to a tenant; only engineers see it."""

UNKNOWN = "unknown"
"""Value of a tag (trunk, region, node, codec) that could not be determined."""

INTERVAL_NS = 10_000_000_000
"""Length of a stream interval (10 s), aligned to the epoch."""

MINUTE_NS = 60_000_000_000


class Endpoint(NamedTuple):
    """A transport address; `str()` gives `ip:port`, IPv6 in brackets."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class Observer(StrEnum):
    """Who observed a stream interval."""

    RTP = "rtp"
    RTCP_RR = "rtcp_rr"
    RTCP_XR = "rtcp_xr"
    VQ_REPORT = "vq_report"


class Direction(StrEnum):
    """Which party a media stream flows to."""

    TO_CALLEE = "to_callee"
    TO_CALLER = "to_caller"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """Final outcome of a session attempt.

    `no_answer` is 480, or 408/487 after an 18x; `abandoned` is a CANCEL or 487 before any 18x;
    `challenged` is 401/407 as the *final* answer; `timeout` is no final answer, or 408 before an 18x;
    `no_facility` is the other 5xx; `rejected` is 603/607/608; `client_error` the other 4xx and 6xx.
    """

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    ABANDONED = "abandoned"
    REDIRECTED = "redirected"
    CHALLENGED = "challenged"
    NO_FACILITY = "no_facility"
    TIMEOUT = "timeout"
    CLIENT_ERROR = "client_error"


class ReleasedBy(StrEnum):
    """Who ended a session attempt."""

    CALLER = "caller"
    CALLEE = "callee"
    NETWORK = "network"
    TIMEOUT = "timeout"
    """Nobody was seen to end it: the BYE never came by."""


class RegistrationOutcome(StrEnum):
    """Final outcome of a REGISTER attempt, challenges folded."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    REJECTED = "rejected"
    CHALLENGED = "challenged"
    TIMEOUT = "timeout"


class Verdict(StrEnum):
    """Why apparent loss or jitter is not the network's, or cannot be believed."""

    DTX = "dtx"
    COMFORT_NOISE = "comfort_noise"
    DTMF = "dtmf"
    HOLD = "hold"
    REINVITE = "reinvite"
    SSRC_CHANGE = "ssrc_change"
    REROUTED = "rerouted"
    DUPLICATE_CAPTURE = "duplicate_capture"
    T38 = "t38"
    SEQ_RESTART = "seq_restart"
    PTIME_CHANGE = "ptime_change"
    CLOCK_DRIFT = "clock_drift"
    EARLY_MEDIA_SPLICE = "early_media_splice"
    LATE = "late"
    RETRANSMISSION = "retransmission"
    REDUNDANCY = "redundancy"
    OWN_DROP = "own_drop"
    ENCRYPTED_RTCP = "encrypted_rtcp"
    IMPLAUSIBLE_REPORT = "implausible_report"
    COUNTER_RESET = "counter_reset"


class Source(StrEnum):
    """Where a number that went into a MOS comes from."""

    PUBLISHED = "published"
    """From an ITU-T table or measured on the wire."""
    DECLARED = "declared"
    """Said by an endpoint (SDP, XR, vq-rtcpxr) and not checked."""
    ASSUMED = "assumed"
    """Neither: a documented default."""


class Scale(StrEnum):
    """Which E-model a MOS belongs to; MOS of different scales are never mixed."""

    NARROWBAND = "nb"
    WIDEBAND = "wb"
    FULLBAND = "fb"


@dataclass(frozen=True, slots=True)
class Labels:
    """The bounded dimensions of a fact; these become tags, nothing else does."""

    tenant: str = UNASSIGNED
    trunk: str = UNKNOWN
    region: str = UNKNOWN
    node: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class StreamInterval:
    """What one observer saw of one media stream in one interval.

    `expected`, `received`, `lost` are packets of this interval alone (never cumulative);
    `received` may exceed `expected - lost` where duplicates came. `None` means not observed.
    """

    time_ns: int
    """Start of the interval, a multiple of `INTERVAL_NS`."""
    labels: Labels
    call_id: str
    ssrc: int
    src: Endpoint
    dst: Endpoint
    direction: Direction
    observer: Observer
    codec: str
    clock_rate_hz: int
    expected: int | None
    received: int | None
    lost: int | None
    discarded: int | None = None
    duplicates: int | None = None
    reordered: int | None = None
    jitter_ms: float | None = None
    jitter_max_ms: float | None = None
    rtt_ms: float | None = None
    burst_ratio: float | None = None
    r_factor: float | None = None
    mos: float | None = None
    mos_scale: Scale | None = None
    delay_ms: float | None = None
    """One-way mouth-to-ear delay that went into R."""
    delay_source: Source = Source.ASSUMED
    codec_source: Source = Source.ASSUMED
    verdict: str = ""
    """Space-separated `Verdict` values."""
    own_drops: int = 0
    payload_types: tuple[int, ...] = ()
    """Seen since the stream began, by whoever saw its packets."""
    payload_type: int | None = None
    """Of the newest voice packet; None where none was seen. This and what follows: of packets we saw ourselves."""
    payload_type_changes: int | None = None
    markers: int | None = None
    """Packets with the marker bit: starts of talk spurts (RFC 3551 section 4.1)."""
    dscp: int | None = None
    """Of the newest packet."""
    spacing_min_ms: float | None = None
    """Least and most time between two consecutive voice packets."""
    spacing_max_ms: float | None = None
    burst_density: float | None = None
    """Share of packets lost within bursts of loss (RFC 3611 section 4.7.2, Gmin 16); None without a burst."""
    gap_density: float | None = None
    """The same between bursts."""
    first_ns: int = 0
    """When its stream began, and its newest packet came; 0 where only reports tell."""
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A session attempt at its end."""

    labels: Labels
    call_id: str
    outcome: Outcome
    started_ns: int
    """First INVITE of the attempt."""
    ended_ns: int
    codec: str
    sip_code: int | None
    """Final status that the caller saw; None where none was seen."""
    q850: int | None
    released_by: ReleasedBy | None
    attempts: int
    """INVITE transactions folded into this session attempt over authentication challenges."""
    pdd_ms: float | None
    setup_ms: float | None
    duration_s: float | None
    """Answer to end (RFC 6076 SDT); None for a call that was not answered."""
    from_masked: str
    to_masked: str
    destination: str
    legs: int
    hops: tuple[str, ...]
    """Each hop seen, `src > dst`, in the order of first sighting."""
    codecs: tuple[str, ...]
    one_way: bool | None
    """None where nothing that was seen can tell."""
    mos_min: float | None = None
    mos_avg: float | None = None
    degraded_ratio: float | None = None
    quality_reason: str = ""
    """Why there is no quality figure, where there is none."""
    correlated: tuple[str, ...] = field(default=())
    """Call-IDs of other legs that X-CID or Session-ID joined to this one."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A REGISTER attempt at its end."""

    labels: Labels
    time_ns: int
    aor: str
    outcome: RegistrationOutcome
    sip_code: int | None
    challenged: bool
    rrd_ms: float | None
    """Registration request delay (RFC 6076 section 4.1)."""
