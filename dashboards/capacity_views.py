"""What the capacity page shows, as frozen values; see `dashboards.views` for the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

from dashboards.views import Series, Status
from forecast.targets import KIND_SIGNALS, Kind, Signal

HOUR_S, DAY_S = 3600, 86_400


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a view looks back and ahead."""

    key: str
    back_seconds: int
    ahead_seconds: int
    words: str


REACHES: dict[str, Reach] = {
    reach.key: reach
    for reach in (
        Reach("4h", 4 * HOUR_S, 4 * HOUR_S, "4 hours"),
        Reach("24h", DAY_S, DAY_S, "24 hours"),
        Reach("7d", 3 * DAY_S, 7 * DAY_S, "7 days"),
        Reach("28d", 7 * DAY_S, 28 * DAY_S, "28 days"),
    )
}
DEFAULT_REACH = "24h"
SIGNAL_WORDS = {
    Signal.CONCURRENT_MAX: "Peak calls in progress",
    Signal.ARRIVALS: "Call arrivals",
    Signal.CONCURRENT: "Mean calls in progress",
    Signal.PACKETS: "RTP packets per second",
    Signal.CPS_MAX: "Peak attempts per second",
    Signal.TRANSCODES: "Transcoded calls",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Which load a view is of, and how far; the query string of the page is its only home."""

    kind: Kind | None = None
    """None: the first pool there is."""
    name: str = ""
    signal: Signal | None = None
    reach_key: str = DEFAULT_REACH

    @property
    def reach(self) -> Reach:
        """The reach chosen."""
        return REACHES[self.reach_key]

    @property
    def target(self) -> str:
        """The value of the control that chooses it: `pool:media-eu`."""
        return f"{self.kind.value}:{self.name}" if self.kind else ""

    def of(self, kind: Kind, name: str) -> "Subject":
        """Return this view of another load."""
        return Subject(kind, name, self.signal, self.reach_key)

    @property
    def shown_signal(self) -> Signal:
        """The signal chosen where the load has it; else what capacity must hold."""
        signals = KIND_SIGNALS[self.kind] if self.kind else tuple(Signal)
        if self.signal in signals:
            return self.signal
        return Signal.CONCURRENT_MAX if Signal.CONCURRENT_MAX in signals else signals[0]

    def to_search(self) -> str:
        """Return the query string, without what is default."""
        pairs = [("of", self.target)] if self.kind else []
        pairs += [("signal", self.signal.value)] if self.signal else []
        pairs += [("reach", self.reach_key)] if self.reach_key != DEFAULT_REACH else []
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_search(cls, search: str | None) -> "Subject":
        """Read a query string; what it does not understand is ignored.

        >>> Subject.from_search("?of=tenant:acme&reach=7d&signal=nonsense").to_search()
        '?of=tenant%3Aacme&reach=7d'
        """
        query = parse_qs((search or "").removeprefix("?"), max_num_fields=20)
        kind_text, _, name = query.get("of", [""])[0].partition(":")
        kind = next((kind for kind in Kind if kind.value == kind_text and name), None)
        signal = next((s for s in Signal if s.value == query.get("signal", [""])[0]), None)
        reach = query.get("reach", [DEFAULT_REACH])[0]
        return cls(kind, name if kind else "", signal, reach if reach in REACHES else DEFAULT_REACH)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with a name: an event, a mask, a gap."""

    start_ns: int
    end_ns: int
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Belief:
    """What was forecast for slots that are, or were, still to come then."""

    words: str
    starts_ns: tuple[int, ...]
    q50: Series


@dataclass(frozen=True, slots=True)
class Outlook:
    """Actual load, the forecast that holds now, and what was believed before."""

    status: Status
    unit: str = ""
    slot_seconds: int = 0
    now_ns: int = 0
    actual_ns: tuple[int, ...] = ()
    actual: Series = ()
    ahead_ns: tuple[int, ...] = ()
    quantiles: Mapping[str, Series] = field(default_factory=dict)
    """`q50` to `q99` over `ahead_ns`."""
    beliefs: tuple[Belief, ...] = ()
    events: tuple[Span, ...] = ()
    masks: tuple[Span, ...] = ()
    gaps: tuple[Span, ...] = ()
    model: str = ""
    issued_ns: int | None = None
    watermark_ns: int | None = None
    inputs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeadAccuracy:
    """How good forecasts of one class of leads were over the days looked at."""

    lead: str
    horizon: str
    model: str
    n: int
    wape: float | None
    floor: float | None
    naive: float | None
    """WAPE of the same time last week."""
    mase: float | None
    bias: float | None
    coverage: tuple[float | None, ...]
    """Of the quantiles, in their order."""


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Accuracy by lead, and which part of it was really issued."""

    status: Status
    rows: tuple[LeadAccuracy, ...] = ()
    """The forecasts that hold, one per lead."""
    profile: Mapping[str, float] = field(default_factory=dict)
    """WAPE of the weekly profile by lead, from rehearsals."""
    days: int = 0


@dataclass(frozen=True, slots=True)
class PeakRow:
    """The highest a load is expected to go within a day."""

    kind: Kind
    name: str
    peak_ns: int
    q50: float
    q95: float
    q99: float
    slot_note: str = ""
    """Said where its slots are longer than those of most loads."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The busiest slots ahead, of every load of the chosen signal."""

    status: Status
    rows: tuple[PeakRow, ...] = ()
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class EventRow:
    """An announced event or mask."""

    id: str
    kind: str
    name: str
    start_ns: int
    end_ns: int
    tenants: tuple[str, ...]
    uplift: float | None
    author: str


@dataclass(frozen=True, slots=True)
class Events:
    """What is announced, coming first."""

    status: Status
    rows: tuple[EventRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CapacityView:
    """Everything the capacity page shows."""

    at_ns: int
    subject: Subject
    choices: tuple[tuple[str, str], ...]
    """Value and words of every load there is a forecast or history of."""
    outlook: Outlook
    accuracy: Accuracies
    peaks: Peaks
    events: Events
