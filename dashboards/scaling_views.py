"""What the scaling page shows, as frozen values; see `dashboards.views` for the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

from dashboards.capacity_views import Span
from dashboards.views import Series, Status

LOG_ROWS = 20
LOG_PAGES = 200
"""Older decisions than these are read with `surgecast query replica_decision`."""
SOURCES = ("forecast", "reactive", "reserved", "calendar", "minimum")
SOURCE_WORDS = {
    "forecast": "Forecast",
    "reactive": "Load now",
    "reserved": "Reserved",
    "calendar": "Calendar",
    "minimum": "Minimum",
}
STABILISATION_S = 300
"""How long the reactive policy that is compared with waits before pods go: the default of the HPA."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a view looks back, and ahead where something is forecast."""

    key: str
    back_seconds: int
    ahead_seconds: int
    step_seconds: int
    """Of the measured load."""


REACHES: dict[str, Reach] = {
    reach.key: reach
    for reach in (
        Reach("15m", 900, 900, 60),
        Reach("1h", 3600, 1800, 60),
        Reach("6h", 21_600, 7200, 300),
        Reach("24h", 86_400, 14_400, 900),
    )
}
DEFAULT_REACH = "1h"


@dataclass(frozen=True, slots=True)
class ScalingSubject:
    """Which pool is shown, how far back, and which decisions; the query string of the page is its only home."""

    pool: str = ""
    """Empty: the first pool there is."""
    reach_key: str = DEFAULT_REACH
    page: int = 0
    """Of the decision log, newest first."""
    decision: str = ""
    """Empty: the newest."""

    @property
    def reach(self) -> Reach:
        """The reach chosen."""
        return REACHES[self.reach_key]

    def to_search(self) -> str:
        """Return the query string, without what is default."""
        pairs = [("pool", self.pool)] if self.pool else []
        pairs += [("reach", self.reach_key)] if self.reach_key != DEFAULT_REACH else []
        pairs += [("page", str(self.page))] if self.page else []
        pairs += [("decision", self.decision)] if self.decision else []
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_search(cls, search: str | None) -> "ScalingSubject":
        """Read a query string; what it does not understand is ignored.

        >>> ScalingSubject.from_search("?pool=media-eu&reach=6h&page=x&decision=media-eu-17").to_search()
        '?pool=media-eu&reach=6h&decision=media-eu-17'
        """
        query = parse_qs((search or "").removeprefix("?"), max_num_fields=20)

        def first(name: str) -> str:
            return query.get(name, [""])[0][:200]

        page = first("page")
        reach = first("reach") or DEFAULT_REACH
        return cls(
            first("pool"),
            reach if reach in REACHES else DEFAULT_REACH,
            min(int(page), LOG_PAGES - 1) if page.isdecimal() and len(page) < 6 else 0,
            first("decision"),
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """The load of a pool as measured, what is forecast of it, and what is announced."""

    status: Status
    now_ns: int = 0
    step_seconds: int = 60
    measured_ns: tuple[int, ...] = ()
    measured: Series = ()
    """Most calls in progress of each step."""
    ahead_ns: tuple[int, ...] = ()
    slot_seconds: int = 0
    q50: Series = ()
    q95: Series = ()
    issued_ns: int | None = None
    events: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods over time as steps: each value holds from its time to the next."""

    status: Status
    now_ns: int = 0
    since_ns: int = 0
    starts_ns: tuple[int, ...] = ()
    needs: Mapping[str, Series] = field(default_factory=dict)
    """By source, see `SOURCES`."""
    decided: Series = ()
    ready: Series = ()
    limits: tuple[str, ...] = ()
    """The limit that changed the number, empty where none did."""
    decisions: int = 0
    alone_ns: tuple[int, ...] = ()
    alone: Series = ()
    """Pods that would be ready had only the load seen been followed, over `alone_ns`."""
    short_pod_minutes: float | None = None
    """Pods that the load asked for and were not ready, times minutes."""
    alone_short_pod_minutes: float | None = None
    """The same, had only the load seen been followed."""


@dataclass(frozen=True, slots=True)
class NeedRow:
    """What one source asked for."""

    source: str
    pods: int
    term: str
    why: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit that changed the number."""

    limit: str
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision as stored."""

    id: str
    at_ns: int
    mode: str
    current: int
    ready: int
    draining: int
    wanted: int
    final: int
    source: str
    term: str
    limit: str
    verdict: str
    message: str
    applied: bool
    error: str
    lead_seconds: float
    quantile: float | None
    cost_per_hour: float | None
    load_ns: int | None
    forecast_ns: int | None
    needs: tuple[NeedRow, ...] = ()
    holds: tuple[str, ...] = ()
    limits: tuple[LimitRow, ...] = ()
    inputs: str = ""
    """JSON, all that the policy saw."""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """A page of decisions, newest first."""

    status: Status
    rows: tuple[Decision, ...] = ()
    page: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What an operator told the scaler."""

    id: str
    kind: str
    target: str
    to: str
    author: str
    reason: str
    starts_ns: int
    until_ns: int | None
    """None: until it is released."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What is in force for a pool, newest last."""

    status: Status
    rows: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class ScalingView:
    """Everything the scaling page shows."""

    at_ns: int
    subject: ScalingSubject
    pools: tuple[str, ...]
    newest: Decision | None
    demand: Demand
    pods: Pods
    log: Log
    chosen: Decision | Status
    controls: Controls
