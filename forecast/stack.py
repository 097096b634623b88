"""The stack: ridge regressions of what the weekly profile leaves, one per bin of leads, in the sqrt scale.

Several memories of the profile, running levels of the residual and the drift of the day's shape are weighed by how
well they predicted this very series; a series that is pure noise around its profile gets weights near nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from forecast.leads import LeadBins, lead_bins
from forecast.localtime import Floats, Ints
from forecast.members import Arrays, Fitted, register
from forecast.panel import MONTH_AHEAD_DAYS, Panel, looked_up
from forecast.profiles import WEEK
from forecast.ridge import DaySums, LearnedSums, Ridges, day_sums

_LEADS_PER_ORIGIN = 4
_ORIGINS_PER_DAY = 288
_FIRST_DAY = 3 * WEEK
"""Origins before that know too little to be learned from."""
_DAYS_AT_ONCE = 4 * WEEK
"""Days, or bins of one day, whose sums are made together: bounds the memory."""
_FOLLOWED_SLOTS = 16
"""After so many slots little is left of an outage in the levels that follow it."""
_MEDIUM = 1
_HALF_DAY = 3


def features(panel: Panel, origins: Ints, targets: Ints) -> tuple[Floats, Floats]:
    """Return the profile in z [rows] and the features [rows, features] of forecasts from origins for targets."""
    made, slot = panel.day[origins], panel.slot[targets]
    day = panel.day[targets]
    row, base = panel.expected(made, targets)
    levels, so_far = panel.levels.take(origins, axis=1), panel.today[origins]
    today = np.where(day == made, base, 0.0)
    due = np.where(day - made <= MONTH_AHEAD_DAYS, panel.month_level[day], 0.0)
    columns = np.vstack([
        np.ones_like(base),
        base,
        looked_up(panel.spread, row, slot),
        base * levels,
        base * so_far,
        base * due,
        base * panel.month_level[made],
        today * so_far,
        today * levels[_MEDIUM],
        today * levels[_HALF_DAY],
        looked_up(panel.shapes, made, slot),
        # What the levels hold of the day's shape at the origin is not what it will be at the target.
        looked_up(panel.shapes, made, panel.slot[origins]),
    ])  # fmt: skip
    # One row after the other in memory: sums of products are taken in that order.
    return base, np.ascontiguousarray(columns.T)


@dataclass(frozen=True, slots=True)
class FittedStack:
    """Coefficients of every bin."""

    panel: Panel
    bins: LeadBins
    coefficients: Floats
    """[bins, features]"""

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        base, columns = features(self.panel, origins, targets)
        weights = self.coefficients[self.bins.of(targets - origins)]
        forecast = base + np.einsum("rf,rf->r", columns, weights)
        return self.panel.follow_step(origins, targets, base, forecast)

    def on(self, panel: Panel) -> Fitted:
        """Return the coefficients over another panel."""
        return replace(self, panel=panel)


class Stack:
    """Training sums of one series, from which each night's coefficients are solved."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.bins = lead_bins(panel.series.slot_s, max(1, panel.day.size - panel.known))
        none = np.empty(0, np.int64)
        self._ridges = Ridges(len(self.bins), features(panel, none, none)[1].shape[1])
        self._dead = np.r_[0, np.cumsum(panel.outage[: panel.known])]
        """[slots and one more] how many slots of outages come before."""
        self._next = 0
        """The first day that is not in."""
        self._ahead: list[DaySums] = []
        """By bin: sums of the days from `_ahead_from` on, made many at once."""
        self._ahead_from = self._ahead_until = 0

    def fit(self, day: int) -> Fitted:
        """Return the coefficients learned from targets before `day`, which rises from call to call."""
        while self._next < day:
            if self._next >= self._ahead_until:
                self._look_ahead(day)
            place = self._next - self._ahead_from
            self._ridges.add(self._next + self.panel.first_day, _of_day(self._ahead, place))
            self._next += 1
        return FittedStack(self.panel, self.bins, self._ridges.coefficients())

    def learned(self) -> Arrays:
        """Return what `resume` goes on from; see `forecast.members.Lasting`."""
        return self._ridges.learned().arrays()

    def resume(self, learned: Arrays) -> None:
        """Go on from what a stack over the same past had learned."""
        sums = LearnedSums.of(learned)
        self._ridges.resume(sums, self.panel.first_day)
        self._next = sums.until - self.panel.first_day

    def _look_ahead(self, day: int) -> None:
        """Sum up the days from the next on that are over, and those before `day`."""
        over = int(self.panel.day[max(self.panel.known - 1, 0)])
        self._ahead_from = self._next
        self._ahead_until = max(day, min(self._next + _DAYS_AT_ONCE, over))
        rows = [self._rows(number) for number in range(len(self.bins))]
        together = max(1, _DAYS_AT_ONCE // (self._ahead_until - self._ahead_from))
        groups = (rows[first : first + together] for first in range(0, len(rows), together))
        self._ahead = [sums for group in groups for sums in self._sums(group)]

    def _rows(self, number: int) -> tuple[Ints, Ints]:
        """Return origins and targets of a bin, by day, for the days looked ahead to."""
        panel = self.panel
        first, last = int(self.bins.edges[number]), int(self.bins.edges[number + 1])
        begin, end = np.searchsorted(panel.day[: panel.known], (self._ahead_from, self._ahead_until)).tolist()
        origins = np.arange(max(_FIRST_DAY * panel.slots_per_day, begin - last), end - first - 1)
        # By the calendar, so that which rows a day has does not hang on where a history begins.
        slots = origins + panel.series.start_s // panel.series.slot_s
        step = max(1, panel.slots_per_day // _ORIGINS_PER_DAY)
        # Levels that follow an outage say nothing of what they tell at other times, and would outweigh them all.
        dead = self._dead[origins + 1] > self._dead[np.maximum(origins + 1 - _FOLLOWED_SLOTS, 0)]
        held = (slots % step == 0) & ~dead
        origins, slots = origins[held], slots[held]
        each = min(last - first, _LEADS_PER_ORIGIN)
        # A fixed rule rather than a seed: each origin takes leads spread over the bin, others in turn.
        turns = ((slots // step * each)[:, None] + np.arange(each)).ravel()
        origins = np.repeat(origins, each)
        targets = origins + first + 1 + turns * 7919 % (last - first)
        held = (targets >= begin) & (targets < end)
        held[held] = np.isfinite(panel.z[targets[held]])
        origins, targets = origins[held], targets[held]
        order = np.argsort(panel.day[targets], kind="stable")
        return origins[order], targets[order]

    def _sums(self, rows: Sequence[tuple[Ints, Ints]]) -> list[DaySums]:
        """Return the sums of some bins over the days looked ahead to."""
        panel, days = self.panel, self._ahead_until - self._ahead_from
        origins, targets = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        base, columns = features(panel, origins, targets)
        aim, day = np.clip(panel.z[targets] - base, -base, base), panel.day[targets] - self._ahead_from
        edges = accumulate((of_bin.size for of_bin, _ in rows), initial=0)
        parts = (slice(first, last) for first, last in pairwise(edges))
        return [day_sums(day[part], columns[part], aim[part], days) for part in parts]


def _of_day(bins: Sequence[DaySums], place: int) -> DaySums:
    """Return one day's sums of all bins [bins, ...]."""
    arrays = ((each.gram[place], each.cross[place], each.square[place], each.count[place]) for each in bins)
    return DaySums(*(np.stack(parts) for parts in zip(*arrays, strict=True)))


register("stack", Stack, needs_days=28, rung=4, follows=True)
