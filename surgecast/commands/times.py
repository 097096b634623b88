"""Times, durations and zones as people write them on a command line: `now`, `-15m`, `2026-11-20T08:00:00Z`."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from surgecast.errors import CommandError, Exit
from telephony.durations import parse_duration

_LATEST_NS = 2**63 - 1
"""In the year 2262."""


def parse_time(text: str, now_ns: int) -> int:
    """Return UTC nanoseconds from 1970 to 2262; a time without a zone is UTC."""
    time_ns = _parsed(text.strip(), now_ns)
    if not 0 <= time_ns <= _LATEST_NS:
        raise CommandError(f"time {text.strip()[:40]!r} is not between 1970 and 2262", Exit.USAGE)
    return time_ns


def _parsed(text: str, now_ns: int) -> int:
    if text == "now":
        return now_ns
    if text.startswith("-"):
        try:
            return now_ns - round(parse_duration(text[1:]) * 1e9)
        except ValueError as error:
            raise CommandError(f"time {text!r}: {error}, with a minus for the past", Exit.USAGE) from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        example = "now, -15m, 2026-11-20 or 2026-11-20T08:00:00Z"
        raise CommandError(
            f"time {text[:40]!r} is not understood; write for example {example}", Exit.USAGE
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def seconds_of(option: str, text: str) -> int:
    """Return the whole seconds of an option's duration, at least 1."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}", Exit.USAGE) from error
    if seconds < 1:
        raise CommandError(f"{option}: {text[:40]!r} is under a second; write for example 15m", Exit.USAGE)
    return round(seconds)


def zone_of(name: str) -> ZoneInfo:
    """Return the zone that `--tz` names."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CommandError(f"--tz: no zone {name[:40]!r}; write for example Europe/Berlin", Exit.USAGE) from error
