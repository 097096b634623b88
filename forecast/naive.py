"""The simplest rungs, and the yardstick: last value, weekly profile, same time last week."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar import DayKind
from forecast.localtime import Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import OFFSET, Panel
from forecast.profiles import WEEK

_WEEKS_BACK = 3
"""Weeks looked at for one in which the slot was measured, and no outage, event or holiday."""


@dataclass(frozen=True, slots=True)
class LastValue:
    """What was measured last goes on."""

    panel: Panel

    def fit(self, day: int) -> Fitted:
        """Nothing is fitted."""
        return self

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        return np.nan_to_num(self.panel.last_known[origins], nan=np.sqrt(OFFSET))

    def on(self, panel: Panel) -> Fitted:
        """Return it over another panel."""
        return replace(self, panel=panel)


@dataclass(frozen=True, slots=True)
class WeeklyProfile:
    """The robust profile of that time of the week."""

    panel: Panel

    def fit(self, day: int) -> Fitted:
        """Nothing is fitted."""
        return self

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        return self.panel.expected(self.panel.day[origins], targets)[1]

    def on(self, panel: Panel) -> Fitted:
        """Return it over another panel."""
        return replace(self, panel=panel)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The same time of the week at its last known week; the profile where none is known, and by holidays."""

    panel: Panel

    def fit(self, day: int) -> Fitted:
        """Nothing is fitted."""
        return self

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        panel, week = self.panel, WEEK * self.panel.slots_per_day
        back = targets - week * -(-(targets - origins) // week)
        found = np.full(targets.size, np.nan)
        for weeks in range(_WEEKS_BACK):
            place = np.maximum(back - weeks * week, 0)
            plain = (back >= weeks * week) & (panel.kinds[panel.day[place]] != DayKind.HOLIDAY)
            found = np.where(np.isfinite(found) | ~plain, found, panel.z[place])
        usual = panel.expected(panel.day[origins], targets)[1]
        known = np.isfinite(found) & (panel.kinds[panel.day[targets]] != DayKind.HOLIDAY)
        return np.where(known, found, usual)

    def on(self, panel: Panel) -> Fitted:
        """Return it over another panel."""
        return replace(self, panel=panel)


register("seasonal-naive", SeasonalNaive, needs_days=8, rung=-1)
register("last-value", LastValue, needs_days=0, rung=0)
register("weekly-profile", WeeklyProfile, needs_days=8, rung=2, follows=True)
