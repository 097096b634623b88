"""How numbers, shares and times are written: three significant digits, units spelled, `—` for unknown."""

from datetime import UTC, datetime
from math import floor, isfinite, log10
from zoneinfo import ZoneInfo

UNKNOWN_TEXT = "—"
"""Shown where nothing is known; never used for zero."""

SECOND_NS = 1_000_000_000


def significant(value: float | None, unit: str = "") -> str:
    """Write a measured value with three significant digits.

    >>> significant(0), significant(0.012345), significant(1234.5), significant(None)
    ('0', '0.0123', '1,230', '—')
    >>> significant(17.28, "ms")
    '17.3 ms'
    """
    if value is None or not isfinite(value):
        return UNKNOWN_TEXT
    suffix = f" {unit}" if unit else ""
    if value == 0:
        return f"0{suffix}"
    digits = 2 - floor(log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}{suffix}"


def count(value: int | None) -> str:
    """Write an exact count; a count is never rounded below a million.

    >>> count(12345), count(0), count(None), count(2_345_678)
    ('12,345', '0', '—', '2.35 M')
    """
    if value is None:
        return UNKNOWN_TEXT
    if abs(value) >= 1_000_000:
        return significant(value / 1e6, "M")
    return f"{value:,}"


_LEAST_SHOWN = 1e-5
"""Ratios under it are of no use but that they are not zero: one of a hundred thousand."""


def percent(ratio: float | None) -> str:
    """Write a ratio (0..1) in per cent.

    >>> percent(0.9731), percent(0), percent(1), percent(None), percent(3e-9)
    ('97.3 %', '0 %', '100 %', '—', '< 0.001 %')
    """
    if ratio is not None and 0 < ratio < _LEAST_SHOWN:
        return f"< {_LEAST_SHOWN * 100:g} %"
    return significant(None if ratio is None else ratio * 100, "%")


def duration(seconds: float | None) -> str:
    """Write a length of time in the two units that matter, or in one where it is whole.

    >>> duration(0.0423), duration(4.2), duration(75), duration(3720), duration(7200), duration(None)
    ('42.3 ms', '4.2 s', '1 min 15 s', '1 h 2 min', '2 h', '—')
    """
    if seconds is None or not isfinite(seconds):
        return UNKNOWN_TEXT
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return significant(seconds * 1000, "ms")
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return _in_units(divmod(whole, 60), "min", "s")
    return _in_units(divmod(whole // 60, 60), "h", "min")


def _in_units(parts: tuple[int, int], large: str, small: str) -> str:
    return f"{parts[0]} {large}" + (f" {parts[1]} {small}" if parts[1] else "")


def milliseconds(value_ms: float | None) -> str:
    """Write a length of time given in ms.

    >>> milliseconds(1840.0), milliseconds(None)
    ('1.84 s', '—')
    """
    return duration(None if value_ms is None else value_ms / 1000)


def _local(at_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ns / SECOND_NS, UTC).astimezone(zone)


def clock_time(at_ns: int | None, zone: ZoneInfo) -> str:
    """Write the time of day in a zone.

    >>> clock_time(0, ZoneInfo("Europe/Berlin"))
    '01:00:00'
    """
    return UNKNOWN_TEXT if at_ns is None else f"{_local(at_ns, zone):%H:%M:%S}"


def date_time(at_ns: int | None, zone: ZoneInfo) -> str:
    """Write date, time and the name of the zone.

    >>> date_time(0, ZoneInfo("UTC"))
    '1970-01-01 00:00:00 UTC'
    """
    return UNKNOWN_TEXT if at_ns is None else f"{_local(at_ns, zone):%Y-%m-%d %H:%M:%S %Z}"


def minute_time(at_ns: int, zone: ZoneInfo) -> str:
    """Write date, time to the minute and the name of the zone, for the ends of days and weeks.

    >>> minute_time(59 * SECOND_NS, ZoneInfo("UTC"))
    '1970-01-01 00:00 UTC'
    """
    return f"{_local(at_ns, zone):%Y-%m-%d %H:%M %Z}"


def day(at_ns: int, zone: ZoneInfo) -> str:
    """Write the day in a zone.

    >>> day(0, ZoneInfo("UTC"))
    '1 Jan 1970'
    """
    return f"{_local(at_ns, zone):%-d %b %Y}"


def short_time(at_ns: int, zone: ZoneInfo) -> str:
    """Write a time to the minute without its year, for tables of days near now.

    >>> short_time(0, ZoneInfo("Europe/Berlin"))
    '1 Jan 01:00'
    """
    return f"{_local(at_ns, zone):%-d %b %H:%M}"


def axis_time(at_ns: int, zone: ZoneInfo) -> str:
    """Write a time as a Plotly axis takes it: local to the zone, milliseconds, without an offset.

    >>> axis_time(1_500_000_000, ZoneInfo("UTC"))
    '1970-01-01T00:00:01.500'
    """
    return _local(at_ns, zone).replace(tzinfo=None).isoformat(timespec="milliseconds")


def zone_name(at_ns: int, zone: ZoneInfo) -> str:
    """Return the abbreviation of the zone in force at a time (CET or CEST)."""
    return f"{_local(at_ns, zone):%Z}"
