"""What a signal would be at this time without an incident: expected amounts, and the level of the days and hours.

Counts take the forecast's robust weekly profile in the sqrt scale, with its neighbour slots and its holidays;
ratios and means take theirs from the same hours of past weeks, less the best and the worst week. Slots of an
incident (masked) teach nothing. All is made from the past of each slot alone, so one pass over a history gives the
errors that a live run would have made. Nothing here decides what is unusual.

What is due on a day is made of the days before it, which is most of the work and the same for all slots of the
day: who judges slot by slot hands it on from one slot to the next (`Due`).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from alerts.levels import Levels
from alerts.signals import Kind, Signal
from forecast.localtime import Bools, Floats, Ints, local_grid
from forecast.panel import Panel, from_root
from forecast.profiles import WEEK, past_weeks
from forecast.series import State

_NEAR_S = 3600
"""Ratios are profiled over this much to both sides of a slot."""
_RATIO_WEEKS = 6
_PRIOR_UNITS = 50.0
"""Units of the overall ratio that stand in where a time of the week has few of its own."""
_LEAST_WEEKS_TO_TRIM = 4
_LONGEST_DAY_S = 25 * 3600
_PAUSE_S = 28 * 86_400
"""Who had no traffic for so long begins anew: a test call months ago makes nobody old."""


@dataclass(frozen=True, slots=True)
class Due:
    """What the days before let expect of each slot to the end of the last day: an amount, or a ratio or mean."""

    rate: Floats
    day: Ints
    """Local days since the first."""
    hour: Ints
    """Local hour."""
    slots_per_day: int
    holiday: frozenset[int]
    past: int
    """Slots of the days before."""
    taught: int
    """Fingerprint of what those taught: kept for each signal, they themselves would be half of the memory."""

    def holds(self, learned: Floats, base: Floats, holiday: frozenset[int]) -> bool:
        """Tell whether it is the same for these slots: of no later day, and the days before are as they were."""
        return (
            self.past <= learned.size <= self.rate.size
            and self.holiday == holiday
            and self.taught == _fingerprint(learned[: self.past], base[: self.past])
        )


@dataclass(frozen=True)
class Baseline:
    """Expected amounts per slot; arrays have one element per slot of the signal."""

    observed: Floats
    """Amounts; 0 where not measured."""
    base: Floats
    """What they are counted against; 1 for counts."""
    expected: Floats
    """Amount expected from past weeks alone; 0 where nothing is known."""
    weight: Floats
    """What a level of 1 would add to the expected amount: itself, or for ratios the base (a level is additive)."""
    usable: Bools
    """Measured, expected, and not of an incident."""
    levels: Levels
    """Running means of the excess, from usable slots up to and with each slot."""
    hour: Ints
    """Local hour of each slot."""
    day: Ints
    """Local days since the first."""
    slots_per_day: int
    began: int
    """First slot with traffic, after the last four weeks without: history is no older."""
    kind: Kind
    due: Due
    """What the expected was made of, and the same for the slots that follow."""


def baseline(
    signal: Signal, holiday: frozenset[int] = frozenset(), excluded: Bools | None = None, due: Due | None = None
) -> Baseline:
    """Return the baseline of a signal; `excluded` slots (of incidents) are seen but teach nothing.

    `holiday` holds local days counted from the epoch. `due` is that of the same signal some slots ago: where it
    holds still it saves work, and changes no figure.
    """
    series = signal.series
    if excluded is not None and excluded.any():
        state = series.state.copy()
        state[excluded & (state == State.OPEN)] = State.MASKED
        series = replace(series, state=state)
    count = len(series)
    finite, learned = np.isfinite(series.y), series.state == State.OPEN
    measured = finite & (learned | (series.state == State.MASKED))
    base = np.ones(count) if signal.base is None else np.nan_to_num(signal.base)
    taught = np.where(learned & finite, series.y, -1.0)
    if due is None or not due.holds(taught, base, holiday):
        due = _due(replace(signal, series=series), holiday, taught, base)
    rate = due.rate[:count]
    if signal.kind is Kind.COUNT:
        weight = expected = rate
    else:
        expected = base * rate
        weight = base if signal.kind is Kind.RATIO else expected
    usable = learned & measured & (expected > 0) & (weight > 0)
    observed = np.where(measured, series.y, 0.0)
    expected = np.where(measured, np.nan_to_num(expected), 0.0)
    weight = np.where(measured, np.nan_to_num(weight), 0.0)
    day = due.day[:count]
    began = _began(finite & ((np.nan_to_num(series.y) if signal.base is None else base) > 0), series.slot_s)
    return Baseline(
        observed=observed,
        base=base,
        expected=expected,
        weight=weight,
        usable=usable,
        levels=Levels.of(observed, expected, weight, usable, day - day[began], due.slots_per_day),
        hour=due.hour[:count],
        day=day,
        slots_per_day=due.slots_per_day,
        began=began,
        kind=signal.kind,
        due=due,
    )


def _began(traffic: Bools, slot_s: int) -> int:
    """Return the first slot with traffic that no pause parts from the last one; 0 where there is none."""
    places = np.flatnonzero(traffic)
    pauses = np.flatnonzero(np.diff(places) * slot_s >= _PAUSE_S)
    return int(places[pauses[-1] + 1 if pauses.size else 0]) if places.size else 0


def _due(signal: Signal, holiday: frozenset[int], taught: Floats, base: Floats) -> Due:
    """Return what the days of a signal let expect of each slot up to the end of its last day."""
    series = signal.series
    times = _to_end_of_day(series.start_s, series.slot_s, len(series), series.zone)
    if signal.kind is Kind.COUNT:
        panel = Panel(series, times.day.size - len(series), holiday)
        rate = from_root(panel.expected(panel.day, np.arange(times.day.size))[1])
    else:
        rate = _rates(signal, (series.state == State.OPEN) & (base > 0), times)
    past = int(np.searchsorted(times.day, times.day[-1]))
    return Due(
        rate, times.day, times.hour, times.slots_per_day, holiday, past, _fingerprint(taught[:past], base[:past])
    )


@dataclass(frozen=True, slots=True)
class _Times:
    """Local keys of the slots of a signal, and of those after them to the end of the last day."""

    slots_per_day: int
    day: Ints
    """Since the first."""
    slot: Ints
    hour: Ints


@lru_cache(maxsize=8)
def _to_end_of_day(start_s: int, slot_s: int, count: int, zone: ZoneInfo) -> _Times:
    """Return the keys of a signal; the same arrays for all signals of a zone, not to be written to."""
    ahead = local_grid(start_s, slot_s, count + _LONGEST_DAY_S // slot_s, zone)
    end = int(np.searchsorted(ahead.day, ahead.day[count - 1], side="right"))
    day, slot = ahead.day[:end] - ahead.day[0], ahead.slot[:end]
    hour = slot * 24 // ahead.slots_per_day
    day.flags.writeable = hour.flags.writeable = False
    return _Times(ahead.slots_per_day, day, slot, hour)


def _fingerprint(learned: Floats, base: Floats) -> int:
    return hash((learned.tobytes(), base.tobytes()))


def _rates(signal: Signal, usable: Bools, ahead: _Times) -> Floats:
    """Return the ratio or mean expected at each slot of `ahead`, from the same hours of the weeks before.

    `ahead` begins with the signal and goes on to the end of its last day.
    """
    grid, days = signal.series.grid, int(signal.series.grid.day[-1] - signal.series.grid.day[0]) + 1
    shape = (days, grid.slots_per_day)
    day = grid.day - grid.day[0]
    over, under = np.zeros(shape), np.zeros(shape)
    base = np.zeros(len(signal)) if signal.base is None else np.nan_to_num(signal.base)
    np.add.at(over, (day[usable], grid.slot[usable]), signal.series.y[usable])
    np.add.at(under, (day[usable], grid.slot[usable]), base[usable])
    reach = max(1, _NEAR_S // signal.series.slot_s)
    near_over, near_under = _pooled(over, reach), _pooled(under, reach)
    tops, bottoms = (
        np.nan_to_num(past_weeks(near_over, _RATIO_WEEKS)),
        np.nan_to_num(past_weeks(near_under, _RATIO_WEEKS)),
    )
    keep = _trimmed(tops, bottoms)
    top, bottom = (tops * keep).sum(axis=0), (bottoms * keep).sum(axis=0)
    # Before the first week is over, and where a time of the week is thin: the ratio of the days before.
    whole_over, whole_under = np.r_[0.0, np.cumsum(over.sum(axis=1))], np.r_[0.0, np.cumsum(under.sum(axis=1))]
    first = np.maximum(np.arange(days) - 2 * WEEK, 0)
    recent_over = whole_over[np.arange(days)] - whole_over[first]
    recent_under = whole_under[np.arange(days)] - whole_under[first]
    overall = np.where(recent_under > 0, recent_over / np.maximum(recent_under, 1e-9), 0.0)[:, None]
    table = (top + _PRIOR_UNITS * overall) / (bottom + _PRIOR_UNITS)
    return np.asarray(np.where(recent_under[:, None] > 0, table, 0.0)[ahead.day, ahead.slot])


def _trimmed(tops: Floats, bottoms: Floats) -> Floats:
    """Return 1 for the weeks to take, 0 for the best and the worst of each time where there are enough."""
    known = bottoms > 0
    ratio = np.where(known, tops / np.maximum(bottoms, 1e-9), np.nan)
    many = known.sum(axis=0) >= _LEAST_WEEKS_TO_TRIM
    keep = known.astype(np.float64)
    high = np.where(known, ratio, -np.inf).argmax(axis=0)
    low = np.where(known, ratio, np.inf).argmin(axis=0)
    rows, columns = np.indices(high.shape)
    for place in (high, low):
        keep[place, rows, columns] = np.where(many, 0.0, keep[place, rows, columns])
    return keep


def _pooled(table: Floats, reach: int) -> Floats:
    """Return sums over `reach` slots to both sides within each day."""
    running = np.concatenate([np.zeros((table.shape[0], 1)), np.cumsum(table, axis=1)], axis=1)
    slots = np.arange(table.shape[1])
    last = np.minimum(slots + reach + 1, table.shape[1])
    return np.asarray(running[:, last] - running[:, np.maximum(slots - reach, 0)])
