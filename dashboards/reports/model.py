"""What a report says, as frozen values: the border between the store and what is printed.

A figure carries what it is made of: n, numerator and denominator, unit, definition, the greatest error of a
percentile, and the same figure of the period before. None is "not known", never zero.
"""

from dataclasses import dataclass
from enum import StrEnum

from telephony.kpis import ENOUGH, Ratio, SessionCounts


class Unit(StrEnum):
    """Units of figures, as CSV has them."""

    COUNT = "1"
    RATIO = "ratio"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MINUTES = "min"
    ERLANGS = "erlang"
    R = "R"
    MOS = "MOS"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report, with all that makes it comparable."""

    key: str
    name: str
    value: float | None
    unit: Unit
    n: float
    n_of: str
    """What was counted: session attempts, answered calls, stream-seconds."""
    definition: str
    reason: str = ""
    """Why there is no value, where there is none."""
    ratio: Ratio | None = None
    bound: float | None = None
    """The greatest error of a percentile: the width of its bucket, in the unit of the value."""
    before: float | None = None
    """The value in the period that this one is compared with."""
    before_n: float = 0.0
    incomparable: str = ""
    """Why no change is told though both values are known: the periods were not measured alike."""

    @property
    def few(self) -> bool:
        """Too few observations for a ratio or a percentile to mean something."""
        return self.value is not None and self.sampled and self.n < ENOUGH

    @property
    def sampled(self) -> bool:
        """Whether it is estimated from observations, and not simply counted."""
        return self.ratio is not None or self.bound is not None

    @property
    def change(self) -> float | None:
        """Relative change of what is counted, difference of everything else; None where it would mislead."""
        if self.incomparable or self.value is None or self.before is None:
            return None
        if self.sampled and (self.n < ENOUGH or self.before_n < ENOUGH):
            return None
        if self.relative:
            return self.value / self.before - 1 if self.before else None
        return self.value - self.before

    @property
    def relative(self) -> bool:
        """Whether `change` is a share of the value before."""
        return self.unit in (Unit.COUNT, Unit.MINUTES, Unit.ERLANGS, Unit.SECONDS, Unit.MILLISECONDS)


@dataclass(frozen=True, slots=True)
class Day:
    """One local day of the period, or one hour where it is a day."""

    start_ns: int
    counts: SessionCounts
    degraded: Ratio
    """Rated stream time with R below 70."""
    r_p50: float | None
    stored: bool = True
    """Something is stored of it: else it had no calls, or nobody watched."""


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident of the tenant that touched the period, as it stands now."""

    id: str
    tenant: str
    started_ns: int
    """Its onset: when what it tells of began, some minutes before it was raised."""
    ended_ns: int | None
    severity: str
    state: str
    rule: str
    title: str
    """What the rule watches, in words."""
    scope: str
    message: str
    cause: str
    """As its tenant may know it: what is shared with others is not named."""
    n: int | None
    impact_calls: float | None
    counts: str
    """What the impact is so many of, and `n`: calls, stream-minutes."""
    impact_minutes: float | None
    """Since it was raised; until now while it is open."""


@dataclass(frozen=True, slots=True)
class BadCall:
    """One of the worst calls, with nothing in it that tells who called whom."""

    last_seen_ns: int
    reference: str
    """The Call-ID without its host, by which an engineer finds it."""
    caller: str
    callee: str
    trunk: str
    codec: str
    r_min: float | None
    mos_min: float | None
    loss_ratio: float | None
    degraded: int
    intervals: int
    duration_s: float | None
    verdicts: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report of one tenant and period says."""

    id: str
    """Digest of what it says: two reports of one id are equal."""
    tenant: str
    period: str
    zone: str
    since_ns: int
    until_ns: int
    """End of the period, or when it was made where that is earlier."""
    before_since_ns: int
    before_until_ns: int
    incomparable: str
    """Why the figures are not compared with those of the period before; empty where they are."""
    runs: bool
    """The period has not ended: this is how it goes so far."""
    by_hour: bool
    """Its parts are the hours of one day."""
    provisional: str
    """Why its figures may still change; empty once they are final."""
    empty: str
    """Why there is nothing in it; empty where there is."""
    figures: tuple[Figure, ...]
    days: tuple[Day, ...]
    incidents: tuple[Incident, ...]
    worst: tuple[BadCall, ...]

    def figure(self, key: str) -> Figure:
        """Return a figure by its key; raises KeyError."""
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise KeyError(key)
