"""Durations as people write them in configuration files and on command lines: `10s`, `15m`, `4h`, `7d`."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$")


def parse_duration(text: str | float) -> float:
    """Return the seconds of a duration; a bare number is seconds. Raises ValueError that shows an example.

    >>> parse_duration("15m"), parse_duration("7d"), parse_duration(2)
    (900.0, 604800.0, 2.0)
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    match = _DURATION.match(str(text))
    if match is None:
        raise ValueError(f"{str(text)[:40]!r} is not a duration; write for example 10s, 15m, 4h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """Return a duration in its largest whole unit.

    >>> format_duration(900), format_duration(90), format_duration(604800)
    ('15m', '90s', '7d')
    """
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"
