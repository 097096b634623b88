"""A load as regular slots, each with a state, so that closed, missing and zero are never taken for each other.

Everything above works on these arrays: no dropped rows that shift the season, no invented zeros. This module does
no I/O, knows no model, and looks at nothing but the past when it marks a slot.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from forecast.localtime import DAY_S, Bools, Floats, Ints, LocalGrid, local_grid, utc_offset_s

MAX_SLOTS = 4_000_000
"""About seven years of one-minute slots; beyond it a series is refused rather than the memory filled."""

_MOST_COUNTED = 64
_DAYS_TO_TELL = 3


class BadSeries(ValueError):
    """The points cannot make a series; the message says why and what to do."""


class State(IntEnum):
    """What a slot's value means."""

    OPEN = 0
    """Measured, zero included."""
    CLOSED = 1
    """Nothing is expected and nothing was measured: outside business hours."""
    MISSING = 2
    """Something is expected, nothing was measured."""
    MASKED = 3
    """Measured, but during an incident: shown, never learned from."""


@dataclass(frozen=True)
class Series:
    """Consecutive slots of one load in one tenant's zone.

    `y` holds counts (or another amount) per slot, NaN where nothing was measured; `state` a `State` per slot.
    `start_s` is the UTC second in which the first slot begins.
    """

    start_s: int
    slot_s: int
    zone: ZoneInfo
    y: Floats
    state: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was odd about the points: how many were dropped, and why."""
    closed_times: Bools | None = field(default=None, compare=False)
    """[weekday, slot]: outside business hours, as history shows; None where nobody looked."""

    def __post_init__(self) -> None:
        if self.slot_s <= 0 or DAY_S % self.slot_s:
            raise BadSeries(f"slot of {self.slot_s} s does not divide a day; use for example 15m")
        if self.y.shape != self.state.shape or self.y.ndim != 1:
            raise BadSeries("values and states differ in length")

    def __len__(self) -> int:
        return int(self.y.size)

    @cached_property
    def grid(self) -> LocalGrid:
        """Local day and slot of every slot."""
        return local_grid(self.start_s, self.slot_s, len(self), self.zone)

    @property
    def slots_per_day(self) -> int:
        """Slots of a 24-hour day."""
        return DAY_S // self.slot_s

    @cached_property
    def learned(self) -> Floats:
        """The values that may be learned from: NaN wherever a slot is not open."""
        return np.where(self.state == State.OPEN, self.y, np.nan)

    def masked(self, first: int, last: int) -> "Series":
        """Return the series with the measured slots of [first, last) masked by hand."""
        state = self.state.copy()
        span = state[first:last]
        span[span == State.OPEN] = State.MASKED
        return replace(self, state=state)

    def until(self, count: int) -> "Series":
        """Return the first `count` slots."""
        return replace(self, y=self.y[:count], state=self.state[:count])


def from_points(
    times_s: Ints, values: Floats, *, slot_s: int, native_s: int, zone: ZoneInfo, unsure_s: Ints | None = None
) -> Series:
    """Return slots summed from sorted points that each cover `native_s` seconds from their stamp (UTC).

    A slot lacking some of the points it usually has is missing: half a count is not a count. `native_s` 0 means
    events, of which a slot may hold any number but none is still missing. `unsure_s` are stamps where the clock
    makes the value doubtful; their slots are missing. Slots are aligned to the local midnight.
    """
    if times_s.size == 0:
        raise BadSeries("no points with a time and a number")
    if native_s > DAY_S:
        raise BadSeries(f"points are {native_s / DAY_S:g} days apart; slots are a day long at most")
    if native_s > slot_s:
        raise BadSeries(f"points are {native_s} s apart, coarser than slots of {slot_s} s; use --slot {native_s}s")
    first_s = int(times_s[0])
    start_s = first_s - (first_s + utc_offset_s(first_s, zone)) % slot_s
    count = (int(times_s[-1]) - start_s) // slot_s + 1
    if count > MAX_SLOTS:
        raise BadSeries(f"{count} slots from first to last point; at most {MAX_SLOTS}: check stray dates")
    where = (times_s - start_s) // slot_s
    known = np.isfinite(values)
    sums = np.bincount(where[known], weights=values[known], minlength=count)
    seen = np.bincount(where[known], minlength=count)
    grid = local_grid(start_s, slot_s, count, zone)
    wanted = np.minimum(_points_due(first_s - start_s, slot_s, native_s, count), _points_usual(seen, grid))
    y = np.where(seen >= np.maximum(wanted, 1), sums, np.nan)
    if unsure_s is not None:
        places = (unsure_s - start_s) // slot_s
        y[places[(places >= 0) & (places < count)]] = np.nan
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return Series(start_s, slot_s, zone, y, state)


def _points_due(phase_s: int, slot_s: int, native_s: int, count: int) -> Ints:
    """Return how many native points fall in each slot; 2 or 3 by turns when 6-minute points fill quarter hours."""
    if native_s == 0:
        return np.ones(count, np.int64)
    edges = np.arange(count + 1, dtype=np.int64) * slot_s - phase_s % native_s
    return np.diff(-(-edges // native_s))


def _points_usual(seen: Ints, grid: LocalGrid) -> Ints:
    """Return how many points each slot's time of day usually has: fewer where the day ends within a slot."""
    most = int(seen.max(initial=0)) + 1
    if not 1 < most <= _MOST_COUNTED:
        return seen
    histogram = np.bincount(grid.slot * most + seen, minlength=grid.slots_per_day * most)
    by_slot = histogram.reshape(grid.slots_per_day, most)[:, 1:]
    known = by_slot.sum(axis=1) >= _DAYS_TO_TELL
    usual: Ints = np.where(known, by_slot.argmax(axis=1) + 1, most)
    return usual[grid.slot]
