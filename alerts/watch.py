"""Follows one signal slot by slot: learning, normal, pending, firing, no data; live and in a backtest alike.

An alert is raised at its onset only, after two slots in a row; it ends when half of the shift is gone. Its slots
teach nothing, unless it lasts so long that it is the new normal. Time comes with the slots; no clock is read.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import log

import numpy as np

from alerts.baseline import Baseline, Due, baseline
from alerts.detectors import (
    LEAST_DAYS,
    REJOIN_S,
    Calibration,
    Evidence,
    Pool,
    Window,
    calibrate,
    crowding,
    detectable_change,
    evidence,
    level_before,
    window,
)
from alerts.episode import Alert, Episode, later_than
from alerts.signals import BOTH, Direction, Kind, Signal
from forecast.localtime import DAY_S, Bools, Ints
from forecast.series import State

ADOPTED_AFTER_DAYS = 3
"""An alert that lasts this many days is the new normal: it ends, and the baseline learns it."""
_ADOPTED_SHARE, _ADOPTED_SPAN_DAYS = 0.35, 3
"""Alerts that fill this share of the last days, one after the other, are the new normal too."""
RECALIBRATED_DAYS = 7
_SETTLED_WEEKS = 4.0
"""From this much clean history on the threshold stays. Counted anew without the alerts that were raised it would
sink week by week; counted with them, true incidents would blunt it."""
NO_DATA_SLOTS = 2
_CLEAR = 30.0
"""Surprise from which an alert is judged by a shorter pool than raised it; a faint one would end by chance."""
LEARNING_RATIO = 0.2
"""While learning, only what falls under this part of the expected is an alert."""


class Status(StrEnum):
    """What is known of a signal now."""

    LEARNING = "learning"
    NORMAL = "normal"
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What counts as worth an alert, beside being unlikely."""

    budget_per_week: float = 1.0
    least_volume: float = 30.0
    """Amount expected (for ratios and means: units counted against) below which nothing is said."""
    least_excess: float = 5.0
    """Units beyond or short of the expected."""
    directions: tuple[Direction, ...] = BOTH


@dataclass(slots=True)
class Watch:
    """The state of one signal. `advance` with ever longer versions of the signal returns what changed."""

    sensitivity: Sensitivity = field(default_factory=Sensitivity)
    holiday: frozenset[int] = frozenset()
    alerts: list[Alert] = field(default_factory=list)
    """All so far; the last may be open."""
    status: Status = Status.LEARNING
    calibration: Calibration | None = None
    _known: Baseline | None = None
    """Only while it judges: of each signal it would fill the memory, and is soon made of what is due."""
    _due: Due | None = None
    _excluded: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    _next: int = 0
    _calibrated_day: int = -(10**9)
    _open: Episode | None = None
    _pending: tuple[int, int] | None = None
    """Slot and side of the first of two."""
    _missing: int = 0
    _since: int = 0
    """First slot after the last alert: pools do not reach behind it."""

    def skip_to(self, slot: int, signal: Signal, excluded: Bools | None = None) -> None:
        """Take the slots before `slot` as history; `excluded` are those of known incidents."""
        self._next = slot
        self._excluded = np.zeros(slot, np.bool_) if excluded is None else excluded[:slot].copy()
        self._recalibrate(signal, slot)

    def resume(self, signal: Signal, alert: Alert) -> bool:
        """Take up an alert that lasted when another process ended; what follows its start is judged by its end.

        The history ends with the start. False where it holds too little, or the slot says nothing of the sort.
        """
        slot = alert.start
        self.skip_to(slot + 1, signal)
        if self.calibration is None:
            return False
        past = self._baseline(signal, slot + 1)
        threshold = self.calibration.threshold

        def unlike(pool: Pool) -> float:
            """How far the volume of a pool is from the alert's: its length was not kept."""
            seen = window(past, pool, threshold, slot)
            volume = max(seen.expected, seen.observed) if signal.kind is Kind.COUNT else seen.base
            return abs(log((volume + 1) / (alert.n + 1)))

        pool = min(self.calibration.pools, key=unlike)
        first = max(slot - pool.slots + 1, 0)
        level = level_before(past, pool, slot)
        opened = Episode(replace(alert, onset=first, pool=pool.slots), pool, level, first, pool.slots)
        opened.peak = opened.shift(past, first, slot)
        if opened.peak * (1 if alert.direction is Direction.UP else -1) <= 0:
            return False
        self._open = opened
        self.alerts.append(opened.alert)
        self.status = Status.FIRING
        return True

    def advance(self, signal: Signal) -> list[Alert]:
        """Judge the slots that are new; return the alerts that began or ended, in order."""
        grown = np.zeros(len(signal), np.bool_)
        grown[: self._excluded.size] = self._excluded
        self._excluded = grown
        changes: list[Alert] = []
        days = self._days(signal)
        while self._next < len(signal):
            day = int(days[self._next])
            if day - self._calibrated_day >= self._calibrated_for:
                self._recalibrate(signal, self._next)
            due = int(np.searchsorted(days[: len(signal)], self._calibrated_day + self._calibrated_for))
            self._walk(signal, min(max(due, self._next + 1), len(signal)), changes)
        self._known = None
        return changes

    def forget(self, slots: int) -> None:
        """Go on with a signal that lacks its first slots, whole days: what it advances with next begins later."""
        if self._due is not None:
            self._calibrated_day -= int(self._due.day[min(slots, self._due.day.size - 1)])
            self._due = None
        self._excluded = self._excluded[slots:].copy()
        self._next, self._since = self._next - slots, max(self._since - slots, 0)
        if self._pending is not None:
            self._pending = self._pending[0] - slots, self._pending[1]
        self.alerts = later_than(self.alerts, slots)
        if self._open is not None:
            self._open.alert, self._open.first = self.alerts[-1], max(self._open.first - slots, 0)

    def history_days(self, signal: Signal) -> float:
        """Days of history that have been seen; of the signal it advanced with, as all that follow."""
        known = self._baseline(signal, len(signal))
        return float(np.unique(known.day[known.usable]).size)

    def detectable_change(self, signal: Signal) -> float:
        """Return the smallest lasting change that would be noticed now; infinity while learning."""
        if self.calibration is None:
            return float("inf")
        return detectable_change(self._baseline(signal, len(signal)), self.calibration, len(signal) - 1)

    def seen_since(self, slot: int, signal: Signal) -> Window | None:
        """Return what was observed and expected from `slot` on, over the longest pool at most; None where unknown.

        While learning nothing is known of how it strays: then the band is the expected alone.
        """
        if slot >= len(signal):
            return None
        known = self._baseline(signal, len(signal))
        last, first = len(signal) - 1, max(slot, 0)
        if self.calibration is None:
            mass = known.weight[first:] > 0
            observed, expected, base = (
                float((values[first:] * mass).sum()) for values in (known.observed, known.expected, known.base)
            )
            return Window(observed, expected, base, expected, expected)
        pools = self.calibration.pools
        pool = next((pool for pool in pools if pool.slots > last - first), pools[-1])
        return window(known, pool, self.calibration.threshold, last, first=first)

    def excess_since(self, slot: int, signal: Signal) -> float:
        """Return the units beyond (short of, negative) the expected from `slot` on; 0 while learning."""
        if self.calibration is None:
            return 0.0
        first, known = max(slot, 0), self._baseline(signal, len(signal))
        mass = known.weight[first:]
        level = level_before(known, self.calibration.pools[0], first)
        beyond = (known.observed[first:] - known.expected[first:] - level * mass) * (mass > 0)
        return float(beyond.sum())

    @property
    def _calibrated_for(self) -> int:
        """Days until it is calibrated again: each day tells much where there are few."""
        return RECALIBRATED_DAYS if self.calibration and self.calibration.weeks >= 1 else 1

    def _recalibrate(self, signal: Signal, upto: int) -> None:
        days = signal.series.grid.day
        self._calibrated_day = int(days[min(upto, len(signal) - 1)] - days[0])
        if not upto:
            return
        self._teach_recurring(7 * DAY_S // signal.series.slot_s)
        known = self._baseline(signal, upto)
        settled = self.calibration if self.calibration and self.calibration.weeks >= _SETTLED_WEEKS else None
        try:
            self.calibration = calibrate(
                known, signal.series.slot_s,
                budget_per_week=self.sensitivity.budget_per_week,
                threshold=settled.threshold if settled else None,
            )  # fmt: skip
        except ValueError:
            self.calibration = None

    def _teach_recurring(self, week: int) -> None:
        """Let slots teach that were unusual at the same time a week apart: the profile has changed."""
        if self._excluded.size > week:
            again = self._excluded[week:] & self._excluded[:-week]
            self._excluded[week:] &= ~again
            self._excluded[:-week] &= ~again

    def _walk(self, signal: Signal, until: int, changes: list[Alert]) -> None:
        """Judge [next, until): what is masked on the way changes what follows, so the evidence is made anew."""
        fresh: Evidence | None = None
        self._known = self._baseline(signal, until)
        while self._next < until:
            if self.calibration is None:
                self.status = Status.LEARNING
                self._next = until
                return
            if fresh is None:
                fresh = evidence(self._known, self.calibration.pools, self._next)
            slot = self._next
            self._next += 1
            if not self._known.weight[slot] > 0:
                self._without_data(signal, slot)
            elif self._open is not None:
                self._missing = 0
                if self._close(slot, signal.series.slot_s, changes):
                    self._known = self._baseline(signal, until)
                    fresh = None
            else:
                self._missing = 0
                self._judge(signal, slot, fresh, changes)

    def _days(self, signal: Signal) -> Ints:
        """Return the local days of the slots, and maybe of some after them, since the first."""
        if self._due is not None and self._due.day.size >= len(signal):
            return self._due.day
        return np.asarray(signal.series.grid.day - signal.series.grid.day[0])

    def _baseline(self, signal: Signal, until: int) -> Baseline:
        """Return the baseline of the first slots; what their last day lets expect is kept for the next ones."""
        known = baseline(signal.until(until), self.holiday, self._excluded[:until], self._due)
        self._due = known.due
        return known

    def _without_data(self, signal: Signal, slot: int) -> None:
        if signal.series.state[slot] == State.MISSING:
            self._missing += 1
            if self._missing >= NO_DATA_SLOTS and self._open is None:
                self.status = Status.NO_DATA
        self._pending = None

    def _judge(self, signal: Signal, slot: int, seen: Evidence, changes: list[Alert]) -> None:
        assert self.calibration is not None
        assert self._known is not None
        side, surprise, place = seen.at(slot)
        direction = BOTH[side]
        pending, self._pending = self._pending, None
        self.status = Status.LEARNING if self._young(signal, slot) else Status.NORMAL
        threshold = self._threshold(slot, signal.series.slot_s)
        if direction not in self.sensitivity.directions or surprise < threshold:
            return
        pool = self.calibration.pools[place]
        alert = self._alert(slot, pool, direction, surprise, threshold, signal)
        if alert is None:
            return
        self._pending = (slot, side)
        if pending is None or pending[1] != side:
            self.status = Status.PENDING
            return
        self._raise(alert, pool, self._closing(alert, threshold, signal.kind), signal.series.slot_s, changes)

    def _young(self, signal: Signal, slot: int) -> bool:
        assert self._known is not None
        return (slot - self._known.began) * signal.series.slot_s < LEAST_DAYS * DAY_S

    def _threshold(self, slot: int, slot_s: int) -> float:
        """Return the surprise that it takes at a slot, after the alerts before it."""
        assert self.calibration is not None
        return self.calibration.threshold * crowding([a.start for a in self.alerts], slot, slot_s)

    def _alert(
        self, slot: int, pool: Pool, side: Direction, surprise: float, threshold: float, signal: Signal
    ) -> Alert | None:
        """Return the alert that a slot would raise, None where there is too little of it."""
        assert self._known is not None
        assert self.calibration is not None
        first = max(slot - pool.slots + 1, self._since, 0)
        seen = window(self._known, pool, threshold, slot, first=first)
        volume = max(seen.expected, seen.observed) if signal.kind is Kind.COUNT else seen.base
        excess = seen.observed - seen.expected
        if volume < self.sensitivity.least_volume or abs(excess) < self.sensitivity.least_excess:
            return None
        if self._young(signal, slot) and not seen.observed < LEARNING_RATIO * seen.expected:
            return None
        measured = int((self._known.weight[first : slot + 1] > 0).sum())
        per = measured if signal.kind is Kind.COUNT else seen.base
        return Alert(
            start=slot, onset=first, end=None, direction=side, score=surprise, n=volume, pool=pool.slots,
            observed=seen.observed / per, expected=seen.expected / per, low=seen.low / per, high=seen.high / per,
            detectable_change=detectable_change(self._known, self.calibration, slot), excess=excess,
        )  # fmt: skip

    def _closing(self, alert: Alert, threshold: float, kind: Kind) -> int:
        """Return the slots of the shortest pool that would have raised the alert, too, where that is clear."""
        assert self._known is not None
        assert self.calibration is not None
        for pool in self.calibration.pools if alert.score >= _CLEAR else ():
            seen = window(self._known, pool, threshold, alert.start, first=self._since)
            volume = max(seen.expected, seen.observed) if kind is Kind.COUNT else seen.base
            beyond = seen.observed > seen.high if alert.direction is Direction.UP else seen.observed < seen.low
            if beyond and volume >= self.sensitivity.least_volume and pool.slots < alert.pool:
                return pool.slots
        return alert.pool

    def _raise(self, alert: Alert, pool: Pool, closing: int, slot_s: int, changes: list[Alert]) -> None:
        assert self._known is not None
        last = self.alerts[-1] if self.alerts else None
        level = level_before(self._known, pool, alert.start)
        again = (
            last is not None
            and last.end is not None
            and last.direction is alert.direction
            and (alert.start - last.end) * slot_s <= REJOIN_S
        )
        first = max(alert.onset, self._since)
        if again and last is not None:
            self.alerts[-1] = alert = replace(last, end=None)
        else:
            self.alerts.append(alert)
            changes.append(alert)
        self._open = Episode(alert, pool, level, first, closing)
        self._open.peak = self._open.shift(self._known, first, alert.start if not again else self._next - 1)
        self.status = Status.FIRING
        self._pending = None

    def _close(self, slot: int, slot_s: int, changes: list[Alert]) -> bool:
        """End the open alert where half of its shift is gone; True where it ended."""
        opened = self._open
        assert opened is not None
        assert self._known is not None
        adopted = (slot - opened.alert.start) * slot_s >= ADOPTED_AFTER_DAYS * DAY_S
        if opened.go_on(self._known, slot) and not adopted:
            self.alerts[-1] = opened.alert
            return False
        if not adopted:
            self._excluded[opened.first : slot + 1] = True
            recent = slice(max(0, slot + 1 - _ADOPTED_SPAN_DAYS * DAY_S // slot_s), slot + 1)
            measured = self._known.weight[recent] > 0
            if self._excluded[recent][measured].mean() >= _ADOPTED_SHARE:
                self._excluded[recent] = False
        end = slot + 1 if adopted else opened.end(self._known, slot)
        self.alerts[-1] = replace(opened.alert, end=end, adopted=adopted)
        changes.append(self.alerts[-1])
        self._open = None
        self._since = slot + 1
        self.status = Status.NORMAL
        return True
