"""What a signal would be at this time without an incident: expected amounts, and the level of the days and hours.

Counts take the forecast's robust weekly profile in the sqrt scale, with its neighbour slots and its holidays;
ratios and means take theirs from the same hours of past weeks, less the best and the worst week. Slots of an
incident (masked) teach nothing. All is made from the past of each slot alone, so one pass over a history gives the
errors that a live run would have made. Nothing here decides what is unusual.
"""

from dataclasses import dataclass

import numpy as np

from alerts.signals import Kind, Signal
from forecast.localtime import DAY_S, Bools, Floats, Ints
from forecast.panel import Panel, from_root
from forecast.profiles import WEEK, past_weeks
from forecast.series import State

_HOURS = (0.5, 2.0)
_DAYS = (0.5, 2.0, 6.0)
"""Half-lives of the running levels: hours and days of measured slots."""
_SCALED_BY_DAYS = 28
_NEAR_S = 3600
"""Ratios are profiled over this much to both sides of a slot."""
_RATIO_WEEKS = 6
_PRIOR_UNITS = 50.0
"""Units of the overall ratio that stand in where a time of the week has few of its own."""
_LEAST_WEEKS_TO_TRIM = 4
_BLOCK = 64
"""Slots that a fading sum is made of at once."""


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
    levels: Floats
    """[level, slot]: running means of the excess, from usable slots up to and with each slot."""
    hour: Ints
    """Local hour of each slot."""
    day: Ints
    """Local days since the first."""
    slots_per_day: int
    kind: Kind


def baseline(signal: Signal, holiday: frozenset[int] = frozenset(), excluded: Bools | None = None) -> Baseline:
    """Return the baseline of a signal; `excluded` slots (of incidents) are seen but teach nothing.

    `holiday` holds local days counted from the epoch.
    """
    series = signal.series
    if excluded is not None and excluded.any():
        state = series.state.copy()
        state[excluded & (state == State.OPEN)] = State.MASKED
        series = type(series)(series.start_s, series.slot_s, series.zone, series.y, state, series.notes)
    measured = np.isfinite(series.y) & ((series.state == State.OPEN) | (series.state == State.MASKED))
    learned = series.state == State.OPEN
    base = np.ones(len(series)) if signal.base is None else np.nan_to_num(signal.base)
    if signal.kind is Kind.COUNT:
        panel = Panel(series, 0, holiday)
        slots = np.arange(panel.known)
        expected = from_root(panel.expected(panel.day, slots)[1])
        weight = expected
    else:
        rate = _rates(signal, learned & (base > 0))
        expected = base * rate
        weight = base if signal.kind is Kind.RATIO else expected
    grid = series.grid
    day = grid.day - grid.day[0]
    usable = learned & measured & (expected > 0) & (weight > 0)
    observed = np.where(measured, series.y, 0.0)
    expected = np.where(measured, np.nan_to_num(expected), 0.0)
    weight = np.where(measured, np.nan_to_num(weight), 0.0)
    return Baseline(
        observed=observed,
        base=base,
        expected=expected,
        weight=weight,
        usable=usable,
        levels=_levels(observed, expected, weight, usable, day, DAY_S // series.slot_s),
        hour=grid.slot * 24 // grid.slots_per_day,
        day=day,
        slots_per_day=grid.slots_per_day,
        kind=signal.kind,
    )


def _levels(observed: Floats, expected: Floats, weight: Floats, usable: Bools, day: Ints, per_day: int) -> Floats:
    """Return running excess over running weight at several half-lives, and that of the day so far.

    Time stands still while nothing is usable. Single slots are cut, so that a burst does not lift the level.
    """
    most = expected + 4 * np.sqrt(expected) + 4
    excess = np.where(usable, np.clip(observed - expected, -expected, most), 0.0)
    mass = np.where(usable, weight, 0.0)
    # From the first weeks, so that what comes later changes no level of before.
    early = usable & (day < _SCALED_BY_DAYS)
    usual = 2 * float(mass[early].mean()) if early.any() else 1.0
    open_per_day = max(1.0, early.sum() / max(1, np.unique(day[early]).size))
    lives = [*(hours * per_day / 24 for hours in _HOURS), *(days * open_per_day for days in _DAYS)]
    places = np.flatnonzero(usable)
    at = np.searchsorted(places, np.arange(usable.size), side="right")
    levels = np.zeros((len(lives) + 1, usable.size))
    for number, life in enumerate(lives):
        keep = 0.5 ** (1 / max(life, 1.0))
        level = _decayed(excess[places], keep) / (_decayed(mass[places], keep) + usual)
        levels[number] = np.r_[0.0, level][at]
    total, under = np.cumsum(excess), np.cumsum(mass)
    start = np.searchsorted(day, day)
    before = np.r_[0.0, total][start], np.r_[0.0, under][start]
    levels[-1] = (total - before[0]) / (under - before[1] + usual)
    return levels


def _decayed(values: Floats, keep: float) -> Floats:
    """Return the running sum in which each value fades by `keep` a step.

    >>> _decayed(np.array([4.0, 0.0, 1.0]), 0.5)
    array([4., 2., 2.])
    """
    blocks = np.zeros(-(-values.size // _BLOCK) * _BLOCK)
    blocks[: values.size] = values
    steps = np.arange(_BLOCK)
    fading = np.tril(keep ** np.maximum(steps[:, None] - steps, 0)).T  # [value, sum]
    sums = blocks.reshape(-1, _BLOCK) @ fading
    carried, left = np.empty(len(sums)), 0.0
    for number, last in enumerate(sums[:, -1].tolist()):
        carried[number] = left
        left = left * keep**_BLOCK + last
    return np.asarray((sums + carried[:, None] * keep ** (steps + 1)).ravel()[: values.size])


def _rates(signal: Signal, usable: Bools) -> Floats:
    """Return the ratio or mean expected at each slot from the same hours of the weeks before."""
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
    return np.asarray(np.where(recent_under[:, None] > 0, table, 0.0)[day, grid.slot])


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
