"""The horizons at which forecasts are issued, when each is due, and the classes of leads accuracy is told by."""

from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from forecast.localtime import DAY_S


class Horizon(StrEnum):
    """How far an issue reaches; the values are tags of the store."""

    SHORT = "short"
    """Up to an hour, issued every slot."""
    MEDIUM = "medium"
    """Up to four hours, issued every hour."""
    LONG = "long"
    """Up to 28 days, issued at local midnight, after the refit."""

    @property
    def reach_s(self) -> int:
        """The longest lead in seconds."""
        return _REACH_S[self]


_REACH_S = {Horizon.SHORT: 3600, Horizon.MEDIUM: 4 * 3600, Horizon.LONG: 28 * DAY_S}

LEAD_CLASSES: dict[str, int] = {
    "15m": 900,
    "1h": 3600,
    "4h": 14_400,
    "24h": DAY_S,
    "7d": 7 * DAY_S,
    "28d": 28 * DAY_S,
}
"""Class of leads to its longest lead in seconds; a class starts after the previous one."""


def lead_class(lead_s: int) -> str:
    """Return the class of a lead, counted to the end of the slot that was forecast.

    >>> lead_class(900), lead_class(901), lead_class(40 * 86_400)
    ('15m', '1h', '28d')
    """
    return next((name for name, longest in LEAD_CLASSES.items() if lead_s <= longest), "28d")


def due_s(horizon: Horizon, now_s: int, slot_s: int, zone: ZoneInfo) -> int:
    """Return when the newest issue of a horizon should have been made: the last slot, hour or local midnight.

    >>> due_s(Horizon.MEDIUM, 7300, 900, ZoneInfo("UTC")), due_s(Horizon.LONG, 90_000, 900, ZoneInfo("Asia/Tokyo"))
    (7200, 54000)
    """
    if horizon is Horizon.SHORT:
        return now_s // slot_s * slot_s
    if horizon is Horizon.MEDIUM:
        step = max(3600, slot_s)
        return now_s // step * step
    return local_midnight_s(now_s, zone)


def local_midnight_s(at_s: int, zone: ZoneInfo) -> int:
    """Return the UTC second at which the local day of an instant began."""
    local = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
