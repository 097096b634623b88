"""The day of the last days, and for some hours how far the load has been off it of late.

For series that have not seen each day of the week. What such days show is often wrong by the whole difference of a
working day and a Saturday; what came in the last half hour tells. It is followed as far as residuals vary beyond
counting noise, and where it is beyond all noise, whatever they did before.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecast.decay import Powers, decayed_ratios
from forecast.localtime import Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import OFFSET, POISSON_VARIANCE, Panel, clipped, signal_ratio

_LEVEL_S = 1800
"""Half-life of what came, in the level."""
_SHORTEST = 0.5
"""The same in slots, where slots are long."""
_FOLLOWED_S = 10_800
"""Lead at which half of the level is followed."""
_BEYOND_NOISE = 3.0
"""Deviations of counting noise."""


class _Days:
    """What the days before each day showed, and how far off it the load is at each slot."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    @cached_property
    def rows(self) -> Floats:
        """[day, slot] z."""
        return self.panel.day_type_rows()

    @cached_property
    def expected(self) -> Floats:
        """[known slots] z, 0 where nothing is known of it or of what came."""
        known = slice(self.panel.known)
        usual = self.rows[self.panel.day[known], self.panel.slot[known]]
        return np.where(np.isfinite(usual) & np.isfinite(self.panel.z[known]), usual, 0.0)

    @cached_property
    def residual(self) -> Floats:
        """[known slots] in z, 0 where nothing is expected."""
        came = np.nan_to_num(self.panel.z[: self.panel.known])
        return np.where(self.expected > 0, clipped(came - self.expected, self.expected), 0.0)

    @cached_property
    def level(self) -> Floats:
        """[known slots] the running residual relative to what was expected."""
        if not self.panel.known:
            return np.zeros(0)
        over, under, day = self.expected * self.residual, self.expected**2, self.panel.day[: self.panel.known]
        levels, _ = decayed_ratios(over, under, day, [Powers(self._life)], self.panel.known - 1)
        return np.asarray(levels[0])

    @cached_property
    def sure(self) -> Floats:
        """[known slots] the part of the level that is signal for being beyond counting noise, 0 to 1."""
        keep = 0.5 ** (1 / self._life)
        noise = POISSON_VARIANCE * (1 - keep) / (1 + keep)
        square = np.maximum(np.square(self.level * self.expected), 1e-9)
        return np.asarray(np.maximum(1 - _BEYOND_NOISE**2 * noise / square, 0.0))

    @property
    def _life(self) -> float:
        return max(_LEVEL_S / self.panel.series.slot_s, _SHORTEST)


@dataclass(frozen=True, slots=True)
class FittedDayType:
    """The last days with the series' own gain."""

    days: _Days
    gain: float

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        panel = self.days.panel
        usual = self.days.rows[panel.day[origins], panel.slot[targets]]
        lead_s = (targets - origins) * panel.series.slot_s
        gain = np.maximum(self.gain, self.days.sure[origins])
        followed = gain * self.days.level[origins] * 0.5 ** (lead_s / _FOLLOWED_S)
        last = np.nan_to_num(panel.last_known[origins], nan=np.sqrt(OFFSET))
        return np.where(np.isfinite(usual), usual * (1 + followed), last)

    def on(self, panel: Panel) -> Fitted:
        """Return the gain over another panel."""
        return FittedDayType(_Days(panel), self.gain)


class DayType:
    """Fitted by one number: how much of the residual of the days so far is signal."""

    def __init__(self, panel: Panel) -> None:
        self._days = _Days(panel)

    def fit(self, day: int) -> Fitted:
        """Return the model with the gain seen before `day`."""
        until = int(np.searchsorted(self._days.panel.day[: self._days.panel.known], day))
        seen = self._days.expected[:until] > 0
        return FittedDayType(self._days, signal_ratio(self._days.residual[:until][seen]))


register("day-type", DayType, needs_days=1, rung=1)
