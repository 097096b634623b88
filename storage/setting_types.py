"""Types of settings that several packages share."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator

from telephony.durations import parse_duration

Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as `10s`, `15m`, `4h` or `7d`."""


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
    return value


Zone = Annotated[str, AfterValidator(_known_zone)]
"""Name of an IANA time zone that this machine knows."""

ZoneOrEmpty = Annotated[str, AfterValidator(lambda value: value and _known_zone(value))]
"""The same; empty where a more general setting holds."""
