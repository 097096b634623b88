"""The starter pack: what is watched without any configuration, from which minutes, in which scopes.

What a rule counts (`storage.counted`) adds over minutes, nodes and scopes; nothing here reads or decides. Each has
a runbook of its name in docs/runbooks.
"""

from dataclasses import dataclass
from enum import StrEnum

from alerts.signals import BOTH, Direction, Kind
from storage.counted import COUNTED, Counted, Quantity
from telephony.histogram import LOSS_RATIO, PDD_MS, R_FACTOR, Buckets
from telephony.model import INTERVAL_NS


class Rule(StrEnum):
    """What is measured, by the name that stands in the store."""

    ATTEMPTS = "attempts"
    ANSWER_RATIO = "answer_ratio"
    NETWORK_EFFECTIVENESS = "network_effectiveness"
    POST_DIAL_DELAY = "post_dial_delay"
    CALL_DURATION = "call_duration"
    DEGRADED_MEDIA = "degraded_media"
    QUALITY_RATING = "quality_rating"
    MEDIA_LOSS = "media_loss"
    REGISTRATION_SUCCESS = "registration_success"
    AUTH_FAILURES = "auth_failures"
    AUTH_FAILURE_SHARE = "auth_failure_share"
    HEARTBEATS = "heartbeats"
    CAPTURE_DROPS = "capture_drops"
    AGENT_MINUTES = "agent_minutes"
    WATCHED_MINUTES = "watched_minutes"


class Source(StrEnum):
    """Where the amounts come from."""

    SUMS = "sums"
    """Fields of a measurement."""
    AGENTS = "agents"
    """Minutes in which a capture agent was alive."""
    WATCHED = "watched"
    """Minutes in which anything was measured at all."""


@dataclass(frozen=True, slots=True)
class Share:
    """Amount and base are of a histogram: the samples at or beyond a bound, and all of them."""

    field: str
    buckets: Buckets
    bound: float
    """Until there is history enough; or always, where nothing is learned."""
    learned: bool = True
    """Take the bound that the worst tenth of all history lay beyond."""
    below: bool = False
    """The low ones are the bad ones."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One rule: amount over base per slot, in each scope of its dimensions; what is counted is `COUNTED`'s."""

    rule: Rule
    dimensions: tuple[str, ...] = ("platform", "tenant", "trunk", "node")
    directions: tuple[Direction, ...] = BOTH
    least_volume: float = 30.0
    least_excess: float = 5.0
    share: Share | None = None
    source: Source = Source.SUMS
    learned: bool = True
    """Judged against its own past; where not, only by limits."""

    @property
    def counted(self) -> Counted:
        """Fields, units and title."""
        return COUNTED[self.rule]

    @property
    def kind(self) -> Kind:
        """How the amount varies by chance."""
        return _KINDS[self.counted.quantity]


_KINDS = {Quantity.COUNT: Kind.COUNT, Quantity.RATIO: Kind.RATIO, Quantity.SECONDS: Kind.MEAN}
_MEDIA_DIMENSIONS = ("platform", "tenant", "trunk", "node", "region", "codec")
_UP, _DOWN = (Direction.UP,), (Direction.DOWN,)
_INTERVAL_S = INTERVAL_NS / 1e9
"""Media is counted in seconds of streams, and judged by the interval: its seconds are good or bad together."""


def _of_media(rule: Rule, share: Share | None = None) -> Watched:
    return Watched(
        rule, _MEDIA_DIMENSIONS, _UP, share=share,
        least_volume=30.0 * _INTERVAL_S, least_excess=5.0 * _INTERVAL_S,
    )  # fmt: skip


STARTER: tuple[Watched, ...] = (
    Watched(Rule.ATTEMPTS),
    Watched(Rule.ANSWER_RATIO, directions=_DOWN),
    Watched(Rule.NETWORK_EFFECTIVENESS, directions=_DOWN),
    Watched(Rule.POST_DIAL_DELAY, directions=_UP, share=Share("pdd_ms_histogram", PDD_MS, 5_000.0)),
    Watched(Rule.CALL_DURATION, directions=_DOWN),
    _of_media(Rule.DEGRADED_MEDIA),
    _of_media(Rule.QUALITY_RATING, Share("r_histogram", R_FACTOR, 70.0, below=True)),
    _of_media(Rule.MEDIA_LOSS, Share("loss_histogram", LOSS_RATIO, 0.01, learned=False)),
    Watched(Rule.REGISTRATION_SUCCESS, directions=_DOWN),
    Watched(Rule.AUTH_FAILURES, directions=_UP, least_volume=20.0),
    Watched(Rule.AUTH_FAILURE_SHARE, directions=_UP, learned=False),
    Watched(Rule.HEARTBEATS, ("trunk",), _DOWN, least_volume=10.0),
    Watched(Rule.CAPTURE_DROPS, ("platform", "node"), learned=False),
    Watched(Rule.AGENT_MINUTES, ("node",), source=Source.AGENTS, learned=False),
    Watched(Rule.WATCHED_MINUTES, ("platform",), source=Source.WATCHED, learned=False),
)


def watched(rule: str) -> Watched | None:
    """Return a rule of the starter pack by its name."""
    return next((w for w in STARTER if w.rule == rule), None)
