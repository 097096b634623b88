"""Telling closed from missing, and outages from quiet: the states that a series' own history reveals.

What is marked at a slot depends on that slot and earlier ones (outages), or on a stated stretch of history
(closed), so that a backtest which marks as it goes cannot see the future.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from forecast.localtime import Bools, Floats, Ints
from forecast.series import Series, State

_MOSTLY = 0.5
"""A time of the week is closed when it was measured so much more seldom than most times that are."""
_NEIGHBOURS = 2
OUTAGE_LOST = 12.0
"""Expected units that a dead run must lack before it counts as an outage: e^-12 by chance for Poisson counts."""
_SPIKE_DAYS = 28
"""A slot is absurd beyond so many times the busiest slots of that many days before, and somewhat more."""
_SPIKE_RATIO = 30.0
_SPIKE_LEAST = 100.0
SPIKE_SLOTS = 4
OUTAGE_RATIO = 0.1
"""Observed over expected below which a run is dead."""


def mark_closed(
    series: Series, *, history: int | None = None, closed_days: Collection[int] = (), watched: bool = False
) -> Series:
    """Return the series with unmeasured or empty slots outside business hours marked closed.

    Business hours are learned from the first `history` slots (all by default): a time of the week is outside when
    it is mostly not measured, or was always zero with its neighbours while the load is not small. `closed_days`
    are local days (counted from the epoch) that were not worked. In a `watched` series what was not measured is a
    fault and says nothing about hours.
    """
    upto = len(series) if history is None else history
    closed_key = _closed_times(series.until(upto), watched)
    return close(series, closed_key, closed_days)


def close(series: Series, closed_times: Bools, closed_days: Collection[int] = ()) -> Series:
    """Return the series with its unmeasured or empty slots marked closed at times [weekday, slot] and on days."""
    grid = series.grid
    closed = closed_times[grid.weekday, grid.slot]
    if closed_days:
        closed |= np.isin(grid.day, np.fromiter(closed_days, np.int64))
    idle = ~(np.nan_to_num(series.y) > 0)
    state = series.state.copy()
    state[closed & idle & (state != State.MASKED)] = State.CLOSED
    return replace(series, state=state, closed_times=closed_times)


def around_closed(closed_times: Bools) -> Bools:
    """Return [weekday, slot] whose traffic would open a closed time: it and its neighbours."""
    flat = closed_times.ravel()
    near = [np.roll(flat, shift) for shift in range(-_NEIGHBOURS, _NEIGHBOURS + 1)]
    return np.asarray(np.any(near, axis=0)).reshape(closed_times.shape)


def _closed_times(history: Series, watched: bool) -> Bools:
    """Return [weekday, slot of day]: True where the history shows nothing is worked."""
    grid = history.grid
    shape = (7, grid.slots_per_day)
    key = grid.weekday * grid.slots_per_day + grid.slot
    size = shape[0] * shape[1]
    measured = np.isfinite(history.y)
    # Of a week without any value nobody can tell which of its hours were worked.
    week = (grid.day - grid.day[:1]) // 7
    told = np.bincount(week, weights=measured)[week] > 0
    slots = np.bincount(key[told], minlength=size).reshape(shape)
    seen = np.bincount(key[measured], minlength=size).reshape(shape)
    total = np.bincount(key[measured], weights=history.y[measured], minlength=size).reshape(shape)
    if len(history) < 14 * grid.slots_per_day:
        # Too few weeks to know one weekday from another.
        slots, seen, total = (np.broadcast_to(a.sum(axis=0), shape) for a in (slots, seen, total))
    share = seen / np.maximum(slots, 1)
    usual = float(np.median(share[seen > 0])) if measured.any() else 1.0
    unmeasured = (slots > 0) & (share < (1 - _MOSTLY) * usual)
    around = sum(np.roll(total.ravel(), shift) for shift in range(-_NEIGHBOURS, _NEIGHBOURS + 1))
    busy = measured.any() and float(np.mean(history.y[measured])) >= 1.0
    empty = (np.asarray(around).reshape(shape) == 0) & (seen >= 2) & busy
    return np.asarray(empty if watched else unmeasured | empty)


def outages(observed: Floats, expected: Floats) -> Bools:
    """Return True at slots where a run of next to nothing has gone on longer than chance allows.

    `observed` and `expected` are amounts per slot, NaN where unknown; `expected` must come from the past alone.
    Each slot is judged by the run up to itself. Unknown slots neither end nor lengthen a run.
    """
    dead = np.zeros(observed.size, np.bool_)
    low = observed <= OUTAGE_RATIO * expected
    for first, last in _runs(low, np.isfinite(observed) & np.isfinite(expected)):
        lacking = np.cumsum(np.nan_to_num(expected[first:last]))
        dead[first:last] = lacking >= OUTAGE_LOST
    return dead & np.isfinite(observed)


class Spikes(NamedTuple):
    """Slots too large to be believed, and what it takes to judge the next one."""

    absurd: Bools
    limit: Floats
    """[days] what is too large."""
    began: Ints
    """[slots] the last slot that was not too large."""


def spikes(observed: Floats, day: Ints) -> Spikes:
    """Return the slots too large to be believed: a fault of counting, not a surge.

    Judged by the busiest slots of the days before; `observed` [slots] is NaN where unknown, `day` [slots] rises.
    What stays that large for more than `SPIKE_SLOTS` is a new level after all, and believed from then on.
    """
    known = np.flatnonzero(np.isfinite(observed))
    days = int(day[-1]) + 1
    if not known.size:
        return Spikes(np.zeros(observed.size, np.bool_), np.full(days, np.inf), np.arange(observed.size))
    start = np.searchsorted(day, np.arange(days + 1))
    busy = np.zeros(days)
    for number in range(int(day[known[-1]]) + 1):
        values = observed[start[number] : start[number + 1]]
        values = values[np.isfinite(values)]
        rank = min(max(2, values.size // 24), values.size)
        if rank:
            busy[number] = np.partition(values, -rank)[-rank]
    worked = np.flatnonzero(busy > 0)
    limit = np.full(days, np.inf)
    if worked.size:
        padded = np.r_[np.full(_SPIKE_DAYS - 1, np.nan), busy[worked]]
        usual = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, _SPIKE_DAYS), axis=1)
        before = np.searchsorted(worked, np.arange(days)) - 1
        limit = np.where(before >= 0, _SPIKE_RATIO * usual[np.maximum(before, 0)] + _SPIKE_LEAST, np.inf)
    large = np.nan_to_num(observed) > limit[day]
    place = np.arange(observed.size)
    began = np.maximum.accumulate(np.where(large, -1, place))
    return Spikes(np.asarray(large & (place - began <= SPIKE_SLOTS)), limit, began)


def _runs(low: Bools, known: Bools) -> list[tuple[int, int]]:
    """Return [first, last) of the stretches in which every known slot is low and something is known."""
    places = np.flatnonzero(known)
    if not places.size:
        return []
    flags = low[places].astype(np.int8)
    edges = np.flatnonzero(np.diff(np.r_[0, flags, 0]))
    return [(int(places[a]), int(places[b - 1]) + 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
