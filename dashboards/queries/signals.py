"""What an incident is about, in words and units: of the signals that `storage.counted` knows, and of others."""

from dashboards.incident_views import Quantity
from storage.counted import COUNTED


def title_of(rule: str) -> str:
    """Return the words for a rule; its name where it is one of the configuration."""
    known = COUNTED.get(rule)
    title = known.title if known else rule.replace("_", " ").capitalize()
    return title.removesuffix(" (s)")


def counted_in(signal: str) -> str:
    """Return what the impact of a signal is so many of: calls, stream-minutes."""
    known = COUNTED.get(signal)
    return known.counts if known else "calls"


def quantity_of(signal: str) -> Quantity:
    """Return what the figures of a signal are."""
    known = COUNTED.get(signal)
    return Quantity(known.quantity.value) if known else Quantity.UNKNOWN
