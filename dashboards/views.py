"""What each panel shows, as frozen values: the border between queries and drawing.

Queries make these from tables, figures and components draw them; neither side needs the other to be
tested. Series are tuples of equal length over `starts_ns`; None in a series means that nothing is
known there and is drawn as a gap, never as zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from telephony.kpis import Ratio
from telephony.model import Direction, Outcome

Series = tuple[float | None, ...]


class PanelState(StrEnum):
    """The states of a panel; every one but `ready` comes with a reason in words."""

    READY = "ready"
    LOADING = "loading"
    EMPTY = "empty"
    STALE = "stale"
    PARTIAL = "partial"
    ERROR = "error"
    NOT_ALLOWED = "not allowed"


@dataclass(frozen=True, slots=True)
class Status:
    """State of a panel and why."""

    state: PanelState = PanelState.READY
    reason: str = ""

    def __post_init__(self) -> None:
        if self.state is not PanelState.READY and not self.reason:
            raise ValueError(f"a panel that is {self.state.value} must say why")

    @property
    def drawn(self) -> bool:
        """Whether there is something to draw (perhaps old, perhaps not all)."""
        return self.state in (PanelState.READY, PanelState.STALE, PanelState.PARTIAL)


READY = Status()


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """One capture agent, from its newest row."""

    node: str
    alive: bool
    age_s: float
    datagrams_hz: float
    clock_offset_ms: float | None


@dataclass(frozen=True, slots=True)
class CaptureHealth:
    """How well we see. Rates are means over the last seconds; totals are of the last minute."""

    status: Status
    agents: tuple[AgentHealth, ...] = ()
    agents_alive: int | None = None
    datagrams_hz: float | None = None
    sip_hz: float | None = None
    rtcp_hz: float | None = None
    drops_kernel: int | None = None
    """Those of rings and of CPU backlogs among them."""
    drops_ring: int | None = None
    drops_softnet: int | None = None
    drops_queue: int | None = None
    drops_table: int | None = None
    errors: int | None = None
    duplicates: int | None = None
    unmatched: int | None = None
    spool_rows: int | None = None
    """Rows that wait on the collector's disk for the store, as of its newest row."""
    spool_age_s: float | None = None
    store_rows_shed: int | None = None
    newest_ns: int | None = None
    measured: Ratio | None = None
    """Calls up whose media somebody reports on, of all calls up."""


@dataclass(frozen=True, slots=True)
class Load:
    """Calls in progress and arriving."""

    status: Status
    starts_ns: tuple[int, ...] = ()
    step_seconds: float = 0.0
    concurrent: Series = ()
    setup: Series = ()
    attempts_hz: Series = ()
    concurrent_now: float | None = None
    setup_now: float | None = None
    attempts_hz_now: float | None = None
    erlangs: float | None = None
    """Carried traffic: mean of the calls in progress over the range."""
    attempts: int | None = None
    """Session attempts in the range."""


@dataclass(frozen=True, slots=True)
class WireQuality:
    """What one observer saw of the media over the range."""

    observer: str
    words: str
    intervals: int
    loss: Ratio
    loss_p95: float | None
    jitter_p50_ms: float | None
    jitter_p95_ms: float | None
    jitter_intervals: int
    mos_p50: float | None
    mos_p5: float | None
    mos_intervals: int
    """Rated ones."""


@dataclass(frozen=True, slots=True)
class Wire:
    """RTP that our own interfaces saw; totals are of the range."""

    status: Status
    interfaces: str = ""
    """Names of those configured."""
    interfaces_down: int = 0
    packets_hz_now: float | None = None
    streams_now: int | None = None
    ring_drops: int = 0
    softnet_drops: int = 0
    refused: int = 0
    """Frames that are neither RTP nor SIP nor RTCP."""
    quality: tuple[WireQuality, ...] = ()
    starts_ns: tuple[int, ...] = ()
    step_seconds: int = 0
    packets_hz: Series = ()
    streams: Series = ()
    ring_drops_by_step: Series = ()
    softnet_drops_by_step: Series = ()


@dataclass(frozen=True, slots=True)
class QualityBands:
    """Share of stream-seconds in each band of R, over time."""

    status: Status
    starts_ns: tuple[int, ...] = ()
    step_seconds: int = 0
    shares: tuple[Series, ...] = ()
    """One series per band, A first; None where nothing was measured."""
    seconds: tuple[int, ...] = ()
    """Rated stream-seconds per step."""
    r_p5: Series = ()
    r_p50: Series = ()
    intervals: int = 0
    band_totals: tuple[int, ...] = ()
    """Stream-seconds per band over the range."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """p50, p95 and p99 of one figure in one direction over time."""

    p50: Series
    p95: Series
    p99: Series


@dataclass(frozen=True, slots=True)
class Impairment:
    """Percentiles of loss or jitter by direction."""

    status: Status
    starts_ns: tuple[int, ...] = ()
    step_seconds: int = 0
    by_direction: Mapping[Direction, Quantiles] | None = None
    overall: Mapping[Direction, tuple[float | None, float | None, float | None]] | None = None
    """p50, p95, p99 over the whole range."""
    intervals: int = 0
    observers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kpi:
    """A tile: a ratio or a time, with what it is made of."""

    name: str
    words: str
    ratio: Ratio | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    n: int = 0
    """Observations behind the percentiles; a ratio carries its own."""
    reason: str = ""
    """Why there is no figure, where there is none."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Session attempts by final outcome."""

    status: Status
    starts_ns: tuple[int, ...] = ()
    step_seconds: int = 0
    counts: Mapping[Outcome, tuple[int | None, ...]] | None = None
    totals: Mapping[Outcome, int] | None = None
    attempts: int = 0
    kpis: tuple[Kpi, ...] = ()
    provisional: bool = False
    """The last step is still open."""


@dataclass(frozen=True, slots=True)
class MediaRates:
    """One-way, no-media and short-call rates."""

    status: Status
    tiles: tuple[Kpi, ...] = ()


@dataclass(frozen=True, slots=True)
class Registrations:
    """REGISTER attempts of the range."""

    status: Status
    success: Ratio | None = None
    attempts: int = 0
    registered: int = 0
    unregistered: int = 0
    rejected: int = 0
    challenged: int = 0
    timeout: int = 0
    auth_failures: int = 0
    rrd_p50_ms: float | None = None
    rrd_p95_ms: float | None = None
    per_step: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class RankRow:
    """A trunk, region, node or tenant with its share of the trouble."""

    name: str
    degraded_seconds: float
    stream_seconds: float
    attempts: int
    asr: Ratio | None
    failed: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Places, worst first, for each kind of place."""

    status: Status
    by_place: Mapping[str, tuple[RankRow, ...]] | None = None
    hidden: Mapping[str, int] | None = None
    """Rows beyond those shown."""


@dataclass(frozen=True, slots=True)
class WorstCall:
    """A row of the worst-calls grid."""

    call_id: str
    tenant: str
    trunk: str
    region: str
    node: str
    codec: str
    r_min: float | None
    mos_min: float | None
    loss_ratio: float | None
    jitter_ms_max: float | None
    rtt_ms_max: float | None
    intervals: int
    degraded: int
    last_seen_ns: int
    live: bool
    outcome: str
    duration_s: float | None
    verdicts: str
    observers: str


@dataclass(frozen=True, slots=True)
class WorstCalls:
    """Calls with the worst intervals."""

    status: Status
    rows: tuple[WorstCall, ...] = ()


@dataclass(frozen=True, slots=True)
class CallNow:
    """A call in progress."""

    call_id: str
    tenant: str
    trunk: str
    region: str
    node: str
    codec: str
    state: str
    age_s: float
    from_masked: str
    to_masked: str
    r_last: float | None
    r_min: float | None
    reports: int
    quality_reason: str


@dataclass(frozen=True, slots=True)
class InProgress:
    """Calls in progress, worst first, then those that nobody reports on."""

    status: Status
    rows: tuple[CallNow, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class FindingRow:
    """Something that could not be joined or believed; equal ones are added up."""

    kind: str
    subject: str
    text: str
    count: int
    last_ns: int
    node: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of the range, newest first."""

    status: Status
    rows: tuple[FindingRow, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer."""

    tenant: tuple[str, ...] = ()
    trunk: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    node: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenIncidents:
    """How many incidents are open, those grouped under another not counted."""

    status: Status
    by_severity: tuple[tuple[str, int], ...] = ()
    """Open ones, the worst severity first."""
    recorded: int = 0
    """Incidents on record, open or over."""
    last_end_ns: int | None = None


class Stage(StrEnum):
    """How far an installation has come; anything before `running` shows the guide."""

    NO_COLLECTOR = "no collector"
    NO_TRAFFIC = "no traffic"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class LiveView:
    """Everything the live page shows."""

    at_ns: int
    stage: Stage
    capture: CaptureHealth
    wire: Wire
    load: Load
    bands: QualityBands
    loss: Impairment
    jitter: Impairment
    outcomes: Outcomes
    media: MediaRates
    registrations: Registrations
    ranking: Ranking
    worst: WorstCalls
    in_progress: InProgress
    findings: Findings
    incidents: OpenIncidents
    choices: Choices
