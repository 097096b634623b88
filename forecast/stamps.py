"""The stamps of CSV files: what is read as a time, and whether it is an instant or a wall clock's."""

from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple

_YEARS = (1900, 2200)


class Stamp(NamedTuple):
    """A time of a file."""

    at_s: int
    """UTC seconds; of a wall clock's, as if that showed UTC."""
    wall: bool
    """It came without an offset: which instant it is, its zone says."""


def read_stamp(text: str | None, odd: Counter[str]) -> Stamp | None:
    """Return the time that a text (ISO 8601) gives; None, counted in `odd` by the reason, where it gives none.

    >>> read_stamp("1970-01-01 01:00", Counter()), read_stamp("1970-01-01T01:00+01:00", Counter())
    (Stamp(at_s=3600, wall=True), Stamp(at_s=0, wall=False))
    """
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        odd["rows without a readable time"] += 1
        return None
    if not _YEARS[0] <= moment.year < _YEARS[1]:
        odd[f"times not between the years {_YEARS[0]} and {_YEARS[1]}"] += 1
        return None
    wall = moment.tzinfo is None
    return Stamp(round((moment.replace(tzinfo=UTC) if wall else moment).timestamp()), wall)
