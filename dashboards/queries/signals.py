"""What the learned rules count, so that a page can draw an incident's slots from the minutes of the store.

It says what `alerts.catalog` says (dashboards and alerts know each other through the store alone); a test holds
them together. What is counted beyond a bound that only the alert role knows has a title here, and no slots.
"""

from dataclasses import dataclass

from dashboards.incident_views import Quantity


@dataclass(frozen=True, slots=True)
class Counted:
    """One rule: the fields whose sum is the amount, and those it is counted against (none for a count)."""

    title: str
    measurement: str
    amount: tuple[str, ...]
    base: tuple[str, ...] = ()
    quantity: Quantity = Quantity.COUNT
    amount_unit: float = 1.0
    base_unit: float = 1.0


RULES: dict[str, Counted] = {
    "attempts": Counted("Session attempts", "session_minute", ("attempts",)),
    "answer_ratio": Counted(
        "Answer-seizure ratio", "session_minute", ("answered",), ("attempts",), Quantity.RATIO
    ),
    "network_effectiveness": Counted(
        "Network effectiveness ratio", "session_minute", ("answered", "busy", "no_answer", "rejected"),
        ("attempts",), Quantity.RATIO,
    ),
    "call_duration": Counted(
        "Average call duration (s)", "session_minute", ("minutes",), ("completed",), Quantity.SECONDS, 60.0
    ),
    "degraded_media": Counted(
        "Share of degraded media", "quality_minute", ("degraded_seconds",), ("stream_seconds",), Quantity.RATIO,
        1 / 60, 1 / 60,
    ),
    "registration_success": Counted(
        "Registration success", "registration_minute", ("registered", "unregistered"), ("attempts",),
        Quantity.RATIO,
    ),
    "auth_failure_share": Counted(
        "Share of registrations that fail authentication", "registration_minute", ("auth_failures",),
        ("attempts",), Quantity.RATIO,
    ),
    "capture_drops": Counted(
        "Share of traffic that capture itself dropped", "load_now", ("drops_kernel", "drops_queue", "drops_table"),
        ("frames", "datagrams"), Quantity.RATIO,
    ),
    "auth_failures": Counted("Authentication failures", "registration_minute", ("auth_failures",)),
    "heartbeats": Counted(
        "Answered OPTIONS heartbeats", "trunk_minute", ("options_answered",), ("options_sent",), Quantity.RATIO
    ),
}  # fmt: skip

BOUNDED: dict[str, str] = {
    "post_dial_delay": "Share of slow call set-ups (post-dial delay)",
    "quality_rating": "Share of intervals with a low R factor",
    "media_loss": "Share of intervals with 1 % loss or more",
    "agent_minutes": "Share of minutes in which a capture agent was heard",
    "watched_minutes": "Share of minutes in which anything was measured",
}
"""Shares that cannot be counted again from the minutes: their bound, or their base, is the alert role's."""


def title_of(rule: str) -> str:
    """Return the words for a rule; its name where it is one of the configuration."""
    known = RULES.get(rule)
    title = known.title if known else BOUNDED.get(rule) or rule.replace("_", " ").capitalize()
    return title.removesuffix(" (s)")


def quantity_of(signal: str) -> Quantity:
    """Return what the figures of a signal are."""
    known = RULES.get(signal)
    return known.quantity if known else Quantity.RATIO if signal in BOUNDED else Quantity.UNKNOWN
