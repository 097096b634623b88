"""What each signal of the starter pack counts: which fields of which minutes, and what people call it.

The alert role judges these sums and the pages draw them; neither may import the other, and a signal that one
counts differently is an incident whose chart shows something else. Nothing here reads or decides.
"""

from dataclasses import dataclass
from enum import StrEnum


class Quantity(StrEnum):
    """What the figures of a signal are."""

    COUNT = "count"
    """Things per slot."""
    RATIO = "ratio"
    """Amount over base, 0 to 1."""
    SECONDS = "seconds"
    """Amount over base, a mean."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One signal: the fields whose sum is the amount, and those it is counted against (none for a count).

    Without amounts it is not in the minutes: it is counted beyond a bound that only the alert role knows, or by
    presence.
    """

    title: str
    measurement: str
    amount: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    quantity: Quantity = Quantity.RATIO
    amount_unit: float = 1.0
    """What the sum of the amount is multiplied with."""
    base_unit: float = 1.0
    counts: str = "calls"
    """What `n` and an excess are so many of."""


_STREAM_MINUTE = 1 / 60
"""Media is summed in stream-seconds, its histograms too. Seconds of one stream are alike: a minute of one is taken
as one observation."""

COUNTED: dict[str, Counted] = {
    "attempts": Counted("Session attempts", "session_minute", ("attempts",), quantity=Quantity.COUNT),
    "answer_ratio": Counted("Answer-seizure ratio", "session_minute", ("answered",), ("attempts",)),
    "network_effectiveness": Counted(
        "Network effectiveness ratio", "session_minute", ("answered", "busy", "no_answer", "rejected"),
        ("attempts",),
    ),
    "post_dial_delay": Counted("Share of slow call set-ups (post-dial delay)", "session_minute"),
    # By the calls that ended: answers run ahead of them when load rises.
    "call_duration": Counted(
        "Average call duration (s)", "session_minute", ("minutes",), ("completed",), Quantity.SECONDS,
        amount_unit=60.0,
    ),
    "degraded_media": Counted(
        "Share of degraded media", "quality_minute", ("degraded_seconds",), ("stream_seconds",),
        amount_unit=_STREAM_MINUTE, base_unit=_STREAM_MINUTE, counts="stream-minutes",
    ),
    "quality_rating": Counted(
        "Share of media with a low R factor", "quality_minute",
        amount_unit=_STREAM_MINUTE, base_unit=_STREAM_MINUTE, counts="stream-minutes",
    ),
    "media_loss": Counted(
        "Share of media with 1 % loss or more", "quality_minute",
        amount_unit=_STREAM_MINUTE, base_unit=_STREAM_MINUTE, counts="stream-minutes",
    ),
    "registration_success": Counted(
        "Registration success", "registration_minute", ("registered", "unregistered"), ("attempts",),
        counts="registrations",
    ),
    "auth_failures": Counted(
        "Authentication failures", "registration_minute", ("auth_failures",), quantity=Quantity.COUNT,
        counts="registrations",
    ),
    "auth_failure_share": Counted(
        "Share of registrations that fail authentication", "registration_minute", ("auth_failures",),
        ("attempts",), counts="registrations",
    ),
    "heartbeats": Counted(
        "Answered OPTIONS heartbeats", "trunk_minute", ("options_answered",), ("options_sent",),
        counts="heartbeats",
    ),
    "capture_drops": Counted(
        "Share of traffic that capture itself dropped", "load_now", ("drops_kernel", "drops_queue", "drops_table"),
        ("frames", "datagrams"), counts="packets",
    ),
    "agent_minutes": Counted(
        "Share of minutes in which a capture agent was heard", "load_minute", counts="minutes"
    ),
    "watched_minutes": Counted(
        "Share of minutes in which anything was measured", "load_minute", counts="minutes"
    ),
}  # fmt: skip
"""By the name that stands in `alert_event`."""
