"""What the page of one call shows, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass

from dashboards.views import Series, Status
from telephony.model import Direction
from telephony.quality import Term


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value of the header."""

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class LadderMessage:
    """One message seen on one hop; `src` and `dst` index the ladder's endpoints."""

    at_ns: int
    since_start_s: float
    src: int
    dst: int
    label: str
    """Method of a request; status and reason of a response."""
    kind: str
    """request | provisional | success | redirect | failure"""
    cseq: str
    detail: str
    node: str
    has_sdp: bool
    retransmission: bool


@dataclass(frozen=True, slots=True)
class Ladder:
    """Messages in order of time between endpoints in order of first sight."""

    status: Status
    endpoints: tuple[str, ...] = ()
    messages: tuple[LadderMessage, ...] = ()
    hidden: int = 0
    """Messages beyond those drawn; the CSV export has them."""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class StreamSeries:
    """One stream as one observer saw it, interval by interval."""

    name: str
    """Observer and addresses, in words."""
    observer: str
    ssrc: int
    codec: str
    middles_ns: tuple[int, ...]
    r_factor: Series
    """On the narrowband scale, so that bands apply."""
    mos: Series
    loss_ratio: Series
    jitter_ms: Series
    rtt_ms: Series
    verdicts: tuple[str, ...]
    packets: tuple[str, ...]
    """What was seen of the packets: payload types, spacing, markers, DSCP, density of loss."""


@dataclass(frozen=True, slots=True)
class Lane:
    """All streams of one direction; one without streams says why."""

    direction: Direction
    status: Status
    streams: tuple[StreamSeries, ...] = ()
    intervals: int = 0
    degraded: int = 0
    lost: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a MOS is what it is."""

    title: str
    inputs: str
    """What was observed, in words."""
    terms: tuple[Term, ...]
    band: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """Explanations of a call: its worst interval, and each direction as a whole."""

    status: Status
    explanations: tuple[Explanation, ...] = ()


@dataclass(frozen=True, slots=True)
class CallFinding:
    """A finding of the call, or a reason that a figure is missing."""

    kind: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class CallView:
    """Everything the call page shows."""

    call_id: str
    live: bool
    headline: str
    """Outcome in words."""
    tone: str
    """good | bad | neutral"""
    facts: tuple[Fact, ...]
    related: tuple[str, ...]
    """Call-IDs of other legs."""
    verdicts: Mapping[str, int]
    """Intervals each verdict was given to."""
    since_ns: int
    until_ns: int
    ladder: Ladder
    lanes: tuple[Lane, ...]
    why: Why
    findings: tuple[CallFinding, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A call that resembles one that was not found."""

    call_id: str
    words: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that does not exist within the scope, with some that look like it."""

    call_id: str
    suggestions: tuple[Suggestion, ...]
