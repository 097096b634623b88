"""What the learned rules count, so that a page can draw an incident's slots from the minutes of the store.

It says what `alerts.catalog` says (dashboards and alerts know each other through the store alone); a test holds
them together. A rule that is not here is drawn from the figures of its own rows.
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
        "Average call duration (s)", "session_minute", ("minutes",), ("answered",), Quantity.SECONDS, 60.0
    ),
    "degraded_media": Counted(
        "Share of degraded media", "quality_minute", ("degraded_seconds",), ("stream_seconds",), Quantity.RATIO,
        1 / 60, 1 / 60,
    ),
    "registration_success": Counted(
        "Registration success", "registration_minute", ("registered", "unregistered"), ("attempts",),
        Quantity.RATIO,
    ),
    "auth_failures": Counted("Authentication failures", "registration_minute", ("auth_failures",)),
    "heartbeats": Counted(
        "Answered OPTIONS heartbeats", "trunk_minute", ("options_answered",), ("options_sent",), Quantity.RATIO
    ),
}  # fmt: skip


def title_of(rule: str) -> str:
    """Return the words for a rule; its name where it is none of the learned ones."""
    known = RULES.get(rule)
    return known.title.removesuffix(" (s)") if known else rule.replace("_", " ").capitalize()
