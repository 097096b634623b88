"""Public holidays as local days, and which day of the week a holiday behaves like.

That a holiday looks like a Sunday is not assumed: in a country whose rest day is Saturday it does not. The weekday
that past holidays resembled most is learned; before there are any, the quietest weekday is taken.
"""

from datetime import date, timedelta
from enum import IntEnum

import holidays
import numpy as np
import numpy.typing as npt

from forecast.localtime import Bools, Floats, Ints

_EPOCH = date(1970, 1, 1)
_QUIETER = 0.9
"""A weekday under this share of the mean is a rest day."""
_DAYS_OF_YEAR = 365.2425
_MOVES_DAYS = 7
OWN = 7
"""Instead of a weekday: the holiday behaves like the weekday it falls on."""


class UnknownCountry(ValueError):
    """No public holidays are known for the country code."""


class DayKind(IntEnum):
    """What a day is to the calendar."""

    PLAIN = 0
    EVE = 1
    HOLIDAY = 2
    AFTER = 3


def holiday_days(country: str, first_day: int, last_day: int) -> frozenset[int]:
    """Return the public holidays of a country (ISO 3166 code, or code-subdivision) between two local days.

    >>> [(_EPOCH + timedelta(d)).isoformat() for d in sorted(holiday_days("US", 12230, 12240))]
    ['2003-07-04']
    """
    code, _, subdivision = country.upper().partition("-")
    years = range((_EPOCH + timedelta(first_day)).year, (_EPOCH + timedelta(last_day)).year + 1)
    try:
        found = holidays.country_holidays(code, subdiv=subdivision or None, years=years)
    except NotImplementedError as error:
        raise UnknownCountry(
            f"no holidays known for {country[:20]!r}; write for example US, GB or DE-BY"
        ) from error
    days = ((day - _EPOCH).days for day in found)
    return frozenset(day for day in days if first_day <= day <= last_day)


def day_kinds(days: Ints, holiday: frozenset[int]) -> npt.NDArray[np.int8]:
    """Return a `DayKind` for each local day; a holiday is a holiday even next to another."""
    kinds = np.zeros(days.size, np.int8)
    for place, day in enumerate(days.tolist()):
        if day in holiday:
            kinds[place] = DayKind.HOLIDAY
        elif day - 1 in holiday:
            kinds[place] = DayKind.AFTER
        elif day + 1 in holiday:
            kinds[place] = DayKind.EVE
    return kinds


def resembled_weekday(errors: Floats, past: Bools, volumes: Floats) -> int:
    """Return the weekday (0 to 6) that holidays are like, or `OWN`.

    `errors` [holidays, 8] is how far each holiday lay from each weekday's profile and (last) from its own
    weekday's, NaN where it cannot be told; `past` [holidays] says which have happened; `volumes` [7] the usual
    amount of each weekday. One imaginary holiday that was like the quietest weekday stands for what is usual.
    """
    quietest = OWN
    if np.isfinite(volumes).all() and volumes.min() < _QUIETER * volumes.mean():
        quietest = int(volumes.argmin())
    known = errors[past]
    known = known[np.isfinite(known).any(axis=1)]
    if not known.size:
        return quietest
    # Where a weekday has no profile (closed), it cannot have been like it.
    filled = np.where(np.isfinite(known), known, np.nanmax(known, axis=1, keepdims=True))
    total = filled.sum(axis=0)
    total[np.arange(8) != quietest] += 0.25 * float(np.nanmean(filled))
    return int(total.argmin())


def years_before(kinds: npt.NDArray[np.int8], day: int) -> list[int]:
    """Return the days of earlier years that are to the calendar what an unusual day is, the latest first.

    `kinds` [days] holds a `DayKind` of each local day; of the same kind, and no further from the same date than a
    week: Christmas is found again, and a Thursday in November, but no Easter that moved by more.
    """
    found = []
    year = 1
    while (about := day - round(_DAYS_OF_YEAR * year)) >= -_MOVES_DAYS:
        first = max(about - _MOVES_DAYS, 0)
        alike = first + np.flatnonzero(kinds[first : about + _MOVES_DAYS + 1] == kinds[day])
        if alike.size:
            found.append(int(alike[np.abs(alike - about).argmin()]))
        year += 1
    return found


def month_places(days: Ints) -> Ints:
    """Return each local day's place in its month: 0, 1, ... from the first, or -1, -2, ... from the last.

    >>> month_places(np.array([0, 15, 16, 30, 31])).tolist()
    [0, 15, -15, -1, 0]
    """
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    after = (dates - months.astype("datetime64[D]")).astype(np.int64)
    before = ((months + 1).astype("datetime64[D]") - dates).astype(np.int64)
    return np.asarray(np.where(after < before, after, -before))
