"""Which clock wrote stamps without an offset: the one on the wall, or one that is never changed.

A load in an hour that the clock skips in spring is no proof: files are filled, and calls are stamped late. People
live by the clock on the wall, so the stamps are from the clock by which the shape of the day stays in place over
its changes. One that is never changed shows UTC, or the zone's winter time, as electricity markets keep it: that
by which the night is the quieter.
"""

from zoneinfo import ZoneInfo

import numpy as np

from forecast.localtime import DAY_S, Floats, Ints, utc_offset_s, utc_offsets_s

_AROUND_DAYS = 14
"""Days compared on either side of a change; whole weeks."""
_STEP_S = 900
_NIGHT_S = 21_600
"""Between midnight and this time of the day people load next to nothing."""
_QUIETER = 0.95
"""The night by winter time over the night by UTC under which the stamps are winter time."""


def fixed_offset_s(stamp_s: Ints, values: Floats, zone: ZoneInfo) -> int | None:
    """Return how far the clock that wrote sorted stamps (seconds as if UTC) was ahead of UTC all year.

    None where that was the clock on the zone's walls. Where nothing can be compared it is taken as UTC, 0.
    """
    if not _moves_with_changes(stamp_s, values, zone):
        return None
    known = np.isfinite(values)
    if not known.any():
        return 0
    stamp_s, values = stamp_s[known], values[known]
    first_s = int(stamp_s[0])
    winter_s = min(utc_offset_s(first_s + quarter * 91 * DAY_S, zone) for quarter in range(4))
    by_utc, by_winter = (_night(stamp_s - ahead_s, values, zone) for ahead_s in (0, winter_s))
    return winter_s if by_winter < _QUIETER * by_utc else 0


def _night(times_s: Ints, values: Floats, zone: ZoneInfo) -> float:
    """Return the mean value of the local night."""
    night = (times_s + utc_offsets_s(times_s, zone)) % DAY_S < _NIGHT_S
    return float(values[night].mean()) if night.any() else 0.0


def _moves_with_changes(stamp_s: Ints, values: Floats, zone: ZoneInfo) -> bool:
    """Tell whether the shape of the day moves when the zone's clock is changed.

    Compares the days before each change with those after it, as they are and moved by the change.
    """
    as_they_are = moved = 0.0
    known = np.isfinite(values)
    stamp_s, values = stamp_s[known], values[known]
    for at_s, change_s in _changes(stamp_s, zone):
        before = _shape(stamp_s, values, at_s - _AROUND_DAYS * DAY_S, at_s)
        after = _shape(stamp_s, values, at_s + DAY_S, at_s + (1 + _AROUND_DAYS) * DAY_S)
        # By UTC the day moves to earlier stamps when the clock is put forward.
        shifted = np.roll(before, -change_s // _STEP_S)
        both = np.isfinite(before) & np.isfinite(after) & np.isfinite(shifted)
        as_they_are += float(np.abs(after - before)[both].sum())
        moved += float(np.abs(after - shifted)[both].sum())
    return moved <= as_they_are


def _changes(stamp_s: Ints, zone: ZoneInfo) -> list[tuple[int, int]]:
    """Return the days (as stamps) on which the zone's clock changes within the stamps, and by how many seconds."""
    days = range(int(stamp_s[0]) // DAY_S * DAY_S, int(stamp_s[-1]) + 1, DAY_S) if stamp_s.size else range(0)
    offsets = [utc_offset_s(day, zone) for day in days]
    pairs = zip(days, offsets[:-1], offsets[1:], strict=False)
    return [(day, after - before) for day, before, after in pairs if after != before]


def _shape(stamp_s: Ints, values: Floats, first_s: int, last_s: int) -> Floats:
    """Return the mean value by time of day between two stamps, NaN where nothing was measured."""
    part = slice(*np.searchsorted(stamp_s, [first_s, last_s]).tolist())
    place = stamp_s[part] % DAY_S // _STEP_S
    count = np.bincount(place, minlength=DAY_S // _STEP_S)
    total = np.bincount(place, weights=values[part], minlength=DAY_S // _STEP_S)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
