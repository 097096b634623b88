"""Which local day and slot of the day every instant of a regular UTC grid falls in.

A grid that is regular in UTC has no gaps and no doubles on the days the clock changes; people live by the local
clock. So slots are counted in UTC and keyed by local time: a 25-hour day has two slots with the same key, a
23-hour day lacks some keys. This module must not know about load, states or holidays.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

DAY_S = 86_400
EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday; Monday is 0."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LocalGrid:
    """Local keys of consecutive slots; all arrays have one element per slot.

    `day` counts local days from the epoch (1970-01-01 is 0, a Thursday); `slot` counts slots since local midnight
    by the wall clock; `weekday` is 0 on Monday.
    """

    slots_per_day: int
    day: Ints
    slot: Ints

    @property
    def weekday(self) -> Ints:
        """Weekday of every slot, 0 on Monday."""
        return (self.day + EPOCH_WEEKDAY) % 7


def weekday_of(day: int) -> int:
    """Return the weekday (Monday is 0) of a local day counted from the epoch.

    >>> weekday_of(0)
    3
    """
    return (day + EPOCH_WEEKDAY) % 7


def utc_offset_s(at_s: int, zone: ZoneInfo) -> int:
    """Return how far local time is ahead of UTC at an instant, in seconds.

    >>> utc_offset_s(1_720_000_000, ZoneInfo("America/New_York")) // 3600
    -4
    """
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def utc_offsets_s(times_s: Ints, zone: ZoneInfo) -> Ints:
    """Return the offsets at sorted instants; looks the zone up once a day, and closer only where it changes."""
    if times_s.size == 0:
        return np.zeros(0, np.int64)
    offsets = np.empty(times_s.size, np.int64)
    edges = np.arange(int(times_s[0]), int(times_s[-1]) + 2 * DAY_S, DAY_S)
    at_edge = [utc_offset_s(int(edge), zone) for edge in edges]
    places = np.searchsorted(times_s, edges)
    for i in range(edges.size - 1):
        chunk = slice(places[i], places[i + 1])
        if at_edge[i] == at_edge[i + 1]:
            offsets[chunk] = at_edge[i]
        else:
            offsets[chunk] = [utc_offset_s(int(t), zone) for t in times_s[chunk]]
    return offsets


@lru_cache(maxsize=8)
def local_grid(start_s: int, slot_s: int, count: int, zone: ZoneInfo) -> LocalGrid:
    """Return the local keys of `count` slots of `slot_s` seconds from `start_s` (UTC seconds since the epoch).

    The last few are remembered, because thousands of series are looked at on the same slots; not to be written to.
    """
    times_s = start_s + slot_s * np.arange(count, dtype=np.int64)
    local_s = times_s + utc_offsets_s(times_s, zone)
    day, slot = local_s // DAY_S, (local_s % DAY_S) // slot_s
    day.flags.writeable = slot.flags.writeable = False
    return LocalGrid(DAY_S // slot_s, day, slot)


def instants_of_wall_clock(wall_s: Ints, zone: ZoneInfo) -> tuple[Ints, Bools, Bools]:
    """Return UTC seconds of sorted wall-clock seconds, and which of them are repeated or skipped by the clock.

    A repeated time (the hour that happens twice) is taken as its first happening; a skipped one does not exist
    and is read with the offset from before the change.
    """
    # An instant lies within 14 h of its wall clock read as UTC: the offsets a day before and after bracket it.
    before = utc_offsets_s(wall_s - DAY_S, zone)
    after = utc_offsets_s(wall_s + DAY_S, zone)
    early, late = wall_s - before, wall_s - after
    early_holds = _holds(early, before, zone, before != after)
    late_holds = _holds(late, after, zone, before != after)
    repeated = early_holds & late_holds & (before != after)
    skipped = ~early_holds & ~late_holds
    return np.where(early_holds | skipped, early, late), repeated, skipped


def _holds(instants_s: Ints, offsets_s: Ints, zone: ZoneInfo, doubtful: Bools) -> Bools:
    holds = np.ones(instants_s.size, np.bool_)
    for i in np.flatnonzero(doubtful):
        holds[i] = utc_offset_s(int(instants_s[i]), zone) == offsets_s[i]
    return holds
