"""The starter pack: what is watched without any configuration, from which minutes, in which scopes.

A rule names counts that add over minutes, nodes and scopes; nothing here reads or decides. Each has a runbook of
its name in docs/runbooks.
"""

from dataclasses import dataclass
from enum import StrEnum

from alerts.signals import BOTH, Direction, Kind
from telephony.histogram import LOSS_RATIO, PDD_MS, R_FACTOR, Buckets


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
    share: Share | None = None
    source: Source = Source.SUMS
    learned: bool = True
    """Judged against its own past; where not, only by limits."""


_MEDIA_DIMENSIONS = ("platform", "tenant", "trunk", "node", "region", "codec")

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
        Rule.POST_DIAL_DELAY, "Share of slow call set-ups (post-dial delay)", "session_minute", (), (), Kind.RATIO,
        directions=(Direction.UP,), share=Share("pdd_ms_histogram", PDD_MS, 5_000.0),
    ),
    Watched(
        # By the calls that ended: answers run ahead of them when load rises.
        Rule.CALL_DURATION, "Average call duration (s)", "session_minute", ("minutes",), ("completed",), Kind.MEAN,
        amount_unit=60.0, directions=(Direction.DOWN,),
    ),
    # Intervals of one stream are alike: a minute of one is taken as one observation, not six.
    Watched(
        Rule.DEGRADED_MEDIA, "Share of degraded media", "quality_minute", ("degraded_seconds",),
        ("stream_seconds",), Kind.RATIO, amount_unit=1 / 60, base_unit=1 / 60,
        dimensions=_MEDIA_DIMENSIONS, directions=(Direction.UP,),
    ),
    # Six intervals of a minute of one stream are as alike as its seconds.
    Watched(
        Rule.QUALITY_RATING, "Share of intervals with a low R factor", "quality_minute", (), (), Kind.RATIO,
        amount_unit=1 / 6, base_unit=1 / 6, dimensions=_MEDIA_DIMENSIONS, directions=(Direction.UP,),
        share=Share("r_histogram", R_FACTOR, 70.0, below=True),
    ),
    Watched(
        Rule.MEDIA_LOSS, "Share of intervals with 1 % loss or more", "quality_minute", (), (), Kind.RATIO,
        amount_unit=1 / 6, base_unit=1 / 6, dimensions=_MEDIA_DIMENSIONS, directions=(Direction.UP,),
        share=Share("loss_histogram", LOSS_RATIO, 0.01, learned=False),
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
        Rule.AUTH_FAILURE_SHARE, "Share of registrations that fail authentication", "registration_minute",
        ("auth_failures",), ("attempts",), Kind.RATIO, directions=(Direction.UP,), learned=False,
    ),
    Watched(
        Rule.HEARTBEATS, "Answered OPTIONS heartbeats", "trunk_minute", ("options_answered",), ("options_sent",),
        Kind.RATIO, dimensions=("trunk",), directions=(Direction.DOWN,), least_volume=10.0,
    ),
    Watched(
        Rule.CAPTURE_DROPS, "Share of traffic that capture itself dropped", "load_now",
        ("drops_kernel", "drops_queue", "drops_table"), ("frames", "datagrams"), Kind.RATIO,
        dimensions=("platform", "node"), learned=False,
    ),
    Watched(
        Rule.AGENT_MINUTES, "Share of minutes in which a capture agent was heard", "load_minute", (), (),
        Kind.RATIO, dimensions=("node",), source=Source.AGENTS, learned=False,
    ),
    Watched(
        Rule.WATCHED_MINUTES, "Share of minutes in which anything was measured", "load_minute", (), (),
        Kind.RATIO, dimensions=("platform",), source=Source.WATCHED, learned=False,
    ),
)  # fmt: skip


def watched(rule: str) -> Watched | None:
    """Return a rule of the starter pack by its name."""
    return next((w for w in STARTER if w.rule == rule), None)
