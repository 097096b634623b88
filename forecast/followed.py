"""A series between two fits: what its next forecasts need, kept instead of its history.

A slot is taken in with `Today`, in a fraction of a millisecond, where a panel built anew takes tens of them. What
no longer holds (a slot that was corrected later, traffic in closed hours) is noticed by `changed`; then, and at
midnight, it is built anew.
"""

from dataclasses import dataclass, field

import numpy as np

from forecast.horizons import Horizon
from forecast.localtime import Bools, Floats
from forecast.masks import Mask
from forecast.members import named
from forecast.panel import Panel
from forecast.regressors import RegressorEffect
from forecast.rolling import Night
from forecast.series import Series, State
from forecast.states import around_closed, close
from forecast.today import Today, can_follow

REREAD = 4
"""Slots that are looked at again for a later correction."""


@dataclass(slots=True)
class Followed:
    """One series up to its last slot."""

    today: Today
    recent: Floats
    """What was measured in the last slots, NaN where nothing was."""
    closed_times: Bools
    near_closed: Bools
    """Where traffic would mean that hours have changed."""
    states: list[int]
    """Slots of the whole history by state."""
    outage: int
    """Slots of the whole history that are not believed."""
    slots: int
    measured_s: int
    """End of the last slot that was measured, UTC seconds."""
    digest: str
    """Of everything taken in so far."""
    masked: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Slots of today that a mask touched when they were taken in; one that comes later needs a new start."""
    not_believed: tuple[Mask, ...] = ()
    """The newest spans of earlier days."""
    regressors: tuple[RegressorEffect, ...] = ()
    """What they are believed to do until midnight."""
    regressor_digests: tuple[str, ...] = ()
    """Of their figures; others need a new start."""

    @property
    def end_s(self) -> int:
        """End of its last slot, UTC seconds."""
        return self.today.series.start_s + self.today.known * self.today.series.slot_s

    def next(self, y: Floats) -> Series | None:
        """Return the slots after the last, their closed hours marked; None if a new start is needed.

        `y` are the last slots as measured now: the new ones, after as many old ones as `recent` holds.
        """
        old, new = y[: self.recent.size], y[self.recent.size :]
        if not 0 <= new.size <= self.today.room or not np.array_equal(old, self.recent, equal_nan=True):
            return None
        series = self.today.series
        state = np.where(np.isfinite(new), State.OPEN, State.MISSING).astype(np.uint8)
        found = close(Series(self.end_s, series.slot_s, series.zone, new, state), self.closed_times)
        busy = np.nan_to_num(new) > 0
        grid = found.grid
        return None if (self.near_closed[grid.weekday, grid.slot] & busy).any() else found

    def take(self, series: Series) -> None:
        """Take in the slots that `next` returned, masked or not."""
        for amount in series.learned.tolist():
            self.today.append(amount)
        last = self.today.known
        self.outage += int(self.today.outage[last - len(series) : last].sum())
        for state in State:
            self.states[state] += int((series.state == state).sum())
        self.slots += len(series)
        measured = np.flatnonzero(np.isfinite(series.y))
        if measured.size:
            self.measured_s = series.start_s + (int(measured[-1]) + 1) * series.slot_s
        self.recent = np.r_[self.recent, series.y][-self.recent.size :]


def follow(panel: Panel, series: Series, night: Night, digest: str) -> Followed | None:
    """Return what follows a series from a panel over it; None where each forecast needs the whole history."""
    if not can_follow(panel) or not named(night.chosen.name).follows or series.closed_times is None:
        return None
    measured = np.flatnonzero(np.isfinite(series.y))
    return Followed(
        Today(panel, Horizon.MEDIUM.reach_s // series.slot_s),
        series.y[-REREAD:].copy(),
        series.closed_times,
        around_closed(series.closed_times),
        np.bincount(series.state, minlength=len(State)).tolist(),
        int(panel.outage.sum()),
        len(series),
        series.start_s + (int(measured[-1]) + 1) * series.slot_s,
        digest,
    )
