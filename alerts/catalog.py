"""The starter pack: what is watched without any configuration, from which minutes, in which scopes.

A rule names counts that add over minutes, nodes and scopes;
nothing here reads or decides.
"""

from dataclasses import dataclass
from enum import StrEnum

from alerts.signals import BOTH, Direction, Kind


class Rule(StrEnum):
    """Learned rules, by the name that stands in the store."""

    ATTEMPTS = "attempts"
    ANSWER_RATIO = "answer_ratio"
    NETWORK_EFFECTIVENESS = "network_effectiveness"
    CALL_DURATION = "call_duration"
    DEGRADED_MEDIA = "degraded_media"
    REGISTRATION_SUCCESS = "registration_success"
    AUTH_FAILURES = "auth_failures"
    HEARTBEATS = "heartbeats"


@dataclass(frozen=True, slots=True)
class Watched:
    """One rule: amount over base per slot, in each scope of its dimensions."""

    rule: Rule
    title: str
    measurement: str
    amount: tuple[str, ...]
    """Fields whose sum is the amount."""
    base: tuple[str, ...] = ()
    """Fields whose sum it is counted against; none for a count."""
    kind: Kind = Kind.COUNT
    amount_unit: float = 1.0
    """What the amount is multiplied with."""
    base_unit: float = 1.0
    dimensions: tuple[str, ...] = ("platform", "tenant", "trunk", "node")
    directions: tuple[Direction, ...] = BOTH
    least_volume: float = 30.0


STARTER: tuple[Watched, ...] = (
    Watched(Rule.ATTEMPTS, "Session attempts", "session_minute", ("attempts",)),
    Watched(
        Rule.ANSWER_RATIO, "Answer-seizure ratio", "session_minute", ("answered",), ("attempts",), Kind.RATIO,
        directions=(Direction.DOWN,),
    ),
    Watched(
        Rule.NETWORK_EFFECTIVENESS, "Network effectiveness ratio", "session_minute",
        ("answered", "busy", "no_answer", "rejected"), ("attempts",), Kind.RATIO, directions=(Direction.DOWN,),
    ),
    Watched(
        Rule.CALL_DURATION, "Average call duration (s)", "session_minute", ("minutes",), ("answered",), Kind.MEAN,
        amount_unit=60.0, directions=(Direction.DOWN,),
    ),
    # Intervals of one stream are alike: a minute of one is taken as one observation, not six.
    Watched(
        Rule.DEGRADED_MEDIA, "Share of degraded media", "quality_minute", ("degraded_seconds",),
        ("stream_seconds",), Kind.RATIO, amount_unit=1 / 60, base_unit=1 / 60,
        dimensions=("platform", "tenant", "trunk", "node", "region", "codec"), directions=(Direction.UP,),
    ),
    Watched(
        Rule.REGISTRATION_SUCCESS, "Registration success", "registration_minute", ("registered", "unregistered"),
        ("attempts",), Kind.RATIO, directions=(Direction.DOWN,),
    ),
    Watched(
        Rule.AUTH_FAILURES, "Authentication failures", "registration_minute", ("auth_failures",),
        directions=(Direction.UP,), least_volume=20.0,
    ),
    Watched(
        Rule.HEARTBEATS, "Answered OPTIONS heartbeats", "trunk_minute", ("options_answered",), ("options_sent",),
        Kind.RATIO, dimensions=("trunk",), directions=(Direction.DOWN,), least_volume=10.0,
    ),
)  # fmt: skip


def watched(rule: str) -> Watched | None:
    """Return a rule of the starter pack by its name."""
    return next((w for w in STARTER if w.rule == rule), None)
