"""The panel of the local day that runs, which takes in slot after slot in microseconds.

What a panel knows of earlier days does not change before midnight: of it, only the rows that forecasts of today
look up are kept, beside the states of what runs on from slot to slot. Every figure is bit for bit that of a panel
built anew. It forecasts from today's slots up to some hours ahead, and no further.
"""

from dataclasses import replace
from math import sqrt

import numpy as np

from forecast.calendar import DayKind
from forecast.localtime import Floats, Ints
from forecast.panel import CLIP, HALF_DAY, LIVE_LEVELS, OFFSET, STEP_SIGMA, TWO_DAYS, Panel
from forecast.profiles import WEEK
from forecast.series import Series
from forecast.states import OUTAGE_LOST, OUTAGE_RATIO, SPIKE_SLOTS

LEAST_DAYS = 2 * WEEK
"""Before that, a new slot changes what is known of earlier ones."""


class Today(Panel):
    """Slots are numbered from the first of the day that the panel's next slot is in, days from one it looks up."""

    def __init__(self, panel: Panel, reach: int) -> None:
        """Keep what forecasts up to `reach` slots ahead need; see `can_follow` for which panels."""
        day = int(panel.day[panel.known])
        first = int(np.searchsorted(panel.day, day))
        last = min(int(np.searchsorted(panel.day, day + 1)) + reach, panel.day.size)
        days = slice(day, int(panel.day[last - 1]) + 1)
        if (panel.kinds[days] == DayKind.HOLIDAY).any():
            days = slice(day - WEEK, days.stop)
        slots, ago = slice(first, last), days.start
        series = panel.series
        nothing = np.empty(0)
        self.series = Series(
            series.start_s + first * series.slot_s, series.slot_s, series.zone, nothing, nothing.astype(np.uint8)
        )
        self.known, self.first_day = panel.known - first, panel.first_day + ago
        self.day, self.slot = panel.day[slots] - ago, panel.slot[slots].copy()
        self.slots_per_day, self.days = panel.slots_per_day, days.stop - ago
        self.kinds, self.closed = panel.kinds[days].copy(), panel.closed[slots].copy()
        self._has_holidays = bool((self.kinds == DayKind.HOLIDAY).any())
        self._like_rows = np.maximum(panel._like_rows[days] - ago, 0)
        self.holiday_like, self.base = panel.holiday_like[days].copy(), panel.base[days].copy()
        self.spread, self.shapes = panel.spread[:, days].copy(), panel.shapes[:, days].copy()
        self.day_shift, self.month_level = panel.day_shift[days].copy(), panel.month_level[days].copy()
        self.year_shift = panel.year_shift[days].copy()
        self.levels, self.today, self.step, self.step_weight = (
            _with_room(values[..., slots], last - first)
            for values in (panel.levels, panel.today, panel.step, panel.step_weight)
        )
        self.outage = panel.outage[slots].copy()
        self._follow(panel, first, slots)

    def _follow(self, panel: Panel, first: int, slots: slice) -> None:
        """Take over how things stand at the panel's last slot."""
        last = panel.known - 1
        own, places = panel.day[slots], np.arange(slots.start, slots.stop)
        self._log, self._variance = panel.effects(np.full(own.size, own[0]), places)
        # What is measured is divided by these, in the order in which a panel does.
        self._down: list[float] = np.exp(-panel.events.log_factor(own, places)).tolist()
        self._factor: list[float] = np.exp(panel.regressors.log_factor(own, places)).tolist()
        self._inside: list[bool] = panel.events.inside[slots].tolist()
        expected = panel.base[panel.rows(own, own), panel.slot[slots]] * (1 + panel.year_shift[own])
        self._expected: list[float] = expected.tolist()
        self._suspected: list[float] = panel.suspected[slots].tolist()
        self._too_large, self._scatter = float(panel.spikes.limit[own[0]]), float(panel.scatter[own[0]])
        self._fine_slot = int(panel.spikes.began[last]) - first
        self.running = tuple(replace(state) for state in panel.running)
        total, mass = panel.totals
        self._total, self._mass, self._counted = float(total[last]), float(mass[last]), int(panel.counted[last])
        self._before = (float(total[first - 1]), float(mass[first - 1])) if first else (0.0, 0.0)
        # Of the run of next to nothing that may go on: what it lacks so far.
        low = panel.usual <= OUTAGE_RATIO * panel.suspected
        judged = np.isfinite(panel.usual) & np.isfinite(panel.suspected)
        ends = np.flatnonzero(judged & ~low)
        run = np.flatnonzero(judged & low)
        run = run[run > (ends[-1] if ends.size else -1)]
        self._lacking: float | None = None
        if run.size:
            self._lacking = float(np.cumsum(np.nan_to_num(panel.suspected[run[0] : panel.known]))[-1])

    @property
    def room(self) -> int:
        """How many slots of today are still to come."""
        return int(np.searchsorted(self.day, self.day[0] + 1)) - self.known

    def append(self, amount: float) -> None:
        """Take in the next slot of today: its amount, NaN where nothing is to be learned from it."""
        at = self.known
        self.known += 1
        large = amount == amount and amount > self._too_large
        if not large:
            self._fine_slot = at
        absurd = large and at - self._fine_slot <= SPIKE_SLOTS
        plain = float("nan") if absurd else amount * self._down[at] / self._factor[at]
        usual = float("nan") if self._inside[at] else plain
        dead = self._is_dead(usual, self._suspected[at])
        self.outage[at] = dead or absurd
        expected = self._expected[at]
        learned = self._parts(float("nan") if dead else usual, expected)
        live = self._parts(plain, expected)
        for number, running in enumerate(self.running):
            self.levels[number, at] = running.add(at, *(live if number < LIVE_LEVELS else learned))
        self._total += learned[0]
        mass = self._mass + learned[1]
        self._counted += mass - self._mass > 0
        self._mass = mass
        square = 2 * mass / max(self._counted, 1) + 1e-9
        self.today[at] = (self._total - self._before[0]) / (mass - self._before[1] + square)
        half = float(self.levels[HALF_DAY, at])
        up, down = max(half, float(self.today[at]), 0.0), min(float(self.levels[TWO_DAYS, at]), 0.0)
        step = up if half > 0 else down
        self.step[at] = step
        self.step_weight[at] = min(max(abs(step) / self._scatter - STEP_SIGMA, 0.0), 1.0)

    def effects(self, made: Ints, targets: Ints) -> tuple[Floats, Floats]:
        """Return by what log of a factor events and regressors move target slots, and its variance."""
        return self._log[targets], self._variance[targets]

    def _is_dead(self, amount: float, suspected: float) -> bool:
        judged = amount == amount and suspected == suspected
        if judged and not amount <= OUTAGE_RATIO * suspected:
            self._lacking = None
        elif judged or self._lacking is not None:
            self._lacking = (self._lacking or 0.0) + (suspected if suspected == suspected else 0.0)
        return judged and self._lacking is not None and self._lacking >= OUTAGE_LOST

    @staticmethod
    def _parts(amount: float, expected: float) -> tuple[float, float]:
        """Return what a slot adds to sums over levels and to their weights."""
        if amount != amount or expected != expected:
            return 0.0, 0.0
        # As `to_root` and `clipped`, which take ten times as long for a single number.
        far = expected + CLIP
        residual = min(max(sqrt(max(amount, 0.0) + OFFSET) - expected, -far), far)
        return residual * expected, expected * expected


def _with_room(values: Floats, slots: int) -> Floats:
    """Return values of the first slots with room for as many as are asked for."""
    found = np.zeros((*values.shape[:-1], slots))
    found[..., : values.shape[-1]] = values
    return found


def can_follow(panel: Panel) -> bool:
    """Tell whether `Today` gives what a panel built anew would: with history, and all that moves it settled."""
    if panel.known >= panel.day.size:
        return False
    day = int(panel.day[panel.known])
    if panel.events.unsettled(day):
        return False
    return day >= LEAST_DAYS and bool(np.isfinite(panel.base[day]).all())
