"""What the incident pages show, as frozen values: the border between their queries and their drawing.

A view holds what its viewer may see and nothing else: what a tenant must not read is left out, not hidden later.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, urlencode

from dashboards.views import READY, Series, Status

SEVERITIES = ("critical", "warning", "info")
_MAX_VALUES = 50


class Shown(StrEnum):
    """Which incidents a list holds."""

    OPEN = "open"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    ALL = "all"

    def takes(self, state: str) -> bool:
        """Tell whether incidents of this state belong to the list."""
        if self is Shown.OPEN:
            return state not in _NOT_OPEN
        return self is Shown.ALL or state == self.value


_NOT_OPEN = ("resolved", "learning")


@dataclass(frozen=True, slots=True)
class Sought:
    """A list of incidents: of which state, severities and scopes (empty: all). The address is its only home."""

    shown: Shown = Shown.OPEN
    severity: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    """As `IncidentRow.where` writes them: `trunk carrier-a`, `platform`."""

    def to_search(self) -> str:
        """Return the query string, without what is default; the same list always gives the same string."""
        pairs = [("state", self.shown.value)] if self.shown is not Shown.OPEN else []
        pairs += [("severity", value) for value in self.severity]
        pairs += [("scope", value) for value in self.scope]
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_search(cls, search: str | None) -> "Sought":
        """Read a query string (with or without `?`); what is unknown is ignored.

        >>> Sought.from_search("?state=all&severity=critical&severity=bad&scope=platform").to_search()
        '?state=all&severity=critical&scope=platform'
        """
        query = parse_qs((search or "").removeprefix("?"), max_num_fields=500)
        state = query.get("state", [""])[0]
        return cls(
            Shown(state) if state in set(Shown) else Shown.OPEN,
            tuple(name for name in SEVERITIES if name in query.get("severity", ())),
            tuple(sorted(set(query.get("scope", ())))[:_MAX_VALUES]),
        )


class Quantity(StrEnum):
    """What an incident's figures are."""

    COUNT = "count"
    """Things per slot."""
    RATIO = "ratio"
    SECONDS = "seconds"
    UNKNOWN = "unknown"
    """The rule is none that the pages know."""


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident as it stands; times are UTC nanoseconds, figures means per slot of the pool that raised it."""

    id: str
    rule: str
    signal: str
    """What is measured; a learned rule has its name."""
    title: str
    quantity: Quantity
    direction: str
    scope_kind: str
    scope: str
    tenant: str
    severity: str
    state: str
    """As the alert role wrote it, but acknowledged from the moment on when somebody says so."""
    began_ns: int
    """First slot of the pool that raised it; where unknown, `raised_ns`."""
    raised_ns: int
    """Start of the slot at whose end it was raised."""
    ended_ns: int | None
    changed_ns: int
    """When the alert role last wrote of it."""
    slot_seconds: int
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None
    score: float | None
    detectable_change: float | None
    n: int | None
    impact_calls: float | None
    counts: str
    """What the impact is so many of, and `n`: calls, stream-minutes."""
    minutes: float
    """How long it has been going on since `raised_ns`."""
    cause: str
    notified: str
    """Whom it was sent to, or `no: ` and why not; empty where the viewer is not told."""
    message: str
    runbook: str
    parent_id: str
    children: int = 0

    @property
    def where(self) -> str:
        """What it is about, in words: `trunk carrier-a`."""
        return self.scope if self.scope_kind == "platform" else f"{self.scope_kind} {self.scope}"

    @property
    def is_open(self) -> bool:
        """Whether it still goes on."""
        return Shown.OPEN.takes(self.state)

    def silence_targets(self) -> dict[str, str]:
        """Return what a silence asked for here may cover, by key, in words."""
        return {
            "incident": "This incident", "scope": f"All of {self.where}", "rule": f"{self.title}, everywhere",
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """An acknowledgement or a silence."""

    id: str
    is_silence: bool
    target: str
    """What it is about, in words."""
    author: str
    reason: str
    recorded_ns: int
    until_ns: int
    withdrawn: bool
    in_force: bool


@dataclass(frozen=True, slots=True)
class IncidentsView:
    """Everything the list shows."""

    at_ns: int
    sought: Sought
    status: Status
    silences_status: Status
    may_act: bool
    rows: tuple[IncidentRow, ...] = ()
    """Open ones first, worst first; those that belong to a listed one are counted there."""
    hidden: int = 0
    open_total: int = 0
    scopes: tuple[str, ...] = ()
    silences: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class BandStep:
    """What would have been normal from one time until another."""

    since_ns: int
    until_ns: int
    expected: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was observed around an incident, in its slots, and the band it was judged by."""

    status: Status
    quantity: Quantity = Quantity.UNKNOWN
    title: str = ""
    starts_ns: tuple[int, ...] = ()
    slot_seconds: int = 0
    observed: Series = ()
    n: Series = ()
    """What each slot is counted against; empty where the observed is a count itself."""
    band: tuple[BandStep, ...] = ()
    began_ns: int = 0
    raised_ns: int = 0
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an incident's history."""

    at_ns: int
    state: str
    severity: str
    observed: float | None
    expected: float | None
    n: int | None
    notified: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """Everything the page of one incident shows."""

    at_ns: int
    one: IncidentRow
    evidence: Evidence
    may_act: bool
    parent: IncidentRow | None = None
    children: tuple[IncidentRow, ...] = ()
    history: tuple[Change, ...] = ()
    told_status: Status = READY
    told: tuple[Told, ...] = ()
