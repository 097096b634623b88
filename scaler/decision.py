"""What the policy is given and what it says: plain facts, enough to make any decision again."""

from dataclasses import dataclass, field
from enum import StrEnum

from scaler.capacity import Load


class Mode(StrEnum):
    """How far a decision goes."""

    OBSERVE = "observe"
    ADVISE = "advise"
    ACT = "act"


class Source(StrEnum):
    """Where a need comes from."""

    FORECAST = "forecast"
    REACTIVE = "reactive"
    BLOCKING = "blocking"
    RESERVATION = "reserved"
    CAMPAIGN = "calendar"
    MINIMUM = "minimum"


class Hold(StrEnum):
    """Why no pod may go now."""

    LOAD_MISSING = "load_missing"
    LOAD_STALE = "load_stale"
    LOAD_INVALID = "load_invalid"
    LOAD_ZERO = "load_zero"
    LOAD_JUMPED = "load_jumped"
    FORECAST_STALE = "forecast_stale"
    FORECAST_INVALID = "forecast_invalid"
    FEW_READY = "few_ready"
    GRACE_SHORT = "grace_short"
    STABILISING = "stabilising"

    @property
    def words(self) -> str:
        """The reason, as a person reads it."""
        return _HOLD_WORDS[self]


_HOLD_WORDS = {
    Hold.LOAD_MISSING: "no load of this pool was ever seen",
    Hold.LOAD_STALE: "the newest load is too old",
    Hold.LOAD_INVALID: "the load is not a number, or negative",
    Hold.LOAD_ZERO: "the load fell to nothing at once",
    Hold.LOAD_JUMPED: "the load leapt and was not yet seen again",
    Hold.FORECAST_STALE: "the forecast is too old",
    Hold.FORECAST_INVALID: "the forecast is not a number, or absurd",
    Hold.FEW_READY: "too few of the pods are ready",
    Hold.GRACE_SHORT: "nothing empties pods, and their termination grace period is shorter than drain.deadline",
    Hold.STABILISING: "more was wanted within the stabilisation time",
}


class Limit(StrEnum):
    """What changed the number that was wanted."""

    OWNER = "owner"
    KILL_SWITCH = "kill_switch"
    FREEZE = "freeze"
    OVERRIDE = "override"
    STEP_UP = "step_up"
    STEP_DOWN = "step_down"
    BUDGET = "budget"
    MAXIMUM = "maximum"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class ForecastSlot:
    """What is forecast of one slot: the quantile of its maximum that is provided for, and its median."""

    start_s: float
    end_s: float
    high: Load
    median: Load


@dataclass(frozen=True, slots=True)
class Forecast:
    """The newest forecast of a pool's load."""

    id: str
    issued_at_s: float
    slots: tuple[ForecastSlot, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """A load that is provided for whatever else says: a campaign, a rule of the calendar."""

    name: str
    start_s: float
    end_s: float
    load: Load


@dataclass(frozen=True, slots=True)
class Controls:
    """What operators asked for, as far as it holds now."""

    kill_switch: bool = False
    frozen_until_s: float | None = None
    override: int | None = None
    override_until_s: float | None = None
    author: str = ""


@dataclass(frozen=True, slots=True)
class PoolInputs:
    """Everything that a decision may look at."""

    replicas: int
    """Pods asked for now."""
    ready: int
    load: Load | None
    """As measured last, None where it never was."""
    load_at_s: float = 0.0
    load_by_tenant: tuple[tuple[str, float], ...] = ()
    """Concurrent calls of the tenants that have reservations."""
    forecast: Forecast | None = None
    floors: tuple[Floor, ...] = ()
    lead_time_s: float = 180.0
    draining: int = 0
    """Pods that are being emptied."""
    grace_s: float | None = None
    """What a pod gets to end before it is killed; None where that is not known."""
    owner: str = ""
    """Another autoscaler that writes the replicas; empty where there is none."""
    controls: Controls = field(default_factory=Controls)


@dataclass(frozen=True, slots=True)
class SourceNeed:
    """What one source asks for, and why."""

    source: Source
    pods: int
    term: str
    why: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A limit that changed the number."""

    limit: Limit
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class ReplicaDecision:
    """One decision about one pool, with all that led to it."""

    pool: str
    at_s: float
    mode: Mode
    current: int
    ready: int
    final: int
    needs: tuple[SourceNeed, ...]
    holds: tuple[Hold, ...]
    limits: tuple[Applied, ...]
    lead_time_s: float
    forecast_id: str
    reason: str
    drain: int = 0
    """Pods to be emptied now: those that shall go, and while in doubt those begun that no need asks back."""

    @property
    def wanted(self) -> int:
        """The largest need, before limits and holds."""
        return max((need.pods for need in self.needs), default=0)

    @property
    def binding(self) -> SourceNeed | None:
        """The need that asked for most; of equal ones the first listed."""
        return max(self.needs, key=lambda need: need.pods, default=None)

    @property
    def reactive(self) -> int:
        """What the load seen now asks for; 0 where none can be believed."""
        return max((need.pods for need in self.needs if need.source is Source.REACTIVE), default=0)
