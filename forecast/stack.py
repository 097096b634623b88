"""The stack: ridge regressions of what the weekly profile leaves, one per bin of leads, in the sqrt scale.

Several memories of the profile, running levels of the residual and the drift of the day's shape are weighed by how
well they predicted this very series; a series that is pure noise around its profile gets weights near nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from forecast.leads import LeadBins, lead_bins
from forecast.localtime import Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import MONTH_AHEAD_DAYS, Panel
from forecast.profiles import WEEK
from forecast.ridge import DaySums, day_sums, fit_ridge

_LEADS_PER_ORIGIN = 4
_MOST_ROWS = 60_000
_MEDIUM = 1
_HALF_DAY = 3


def features(panel: Panel, origins: Ints, targets: Ints) -> tuple[Floats, Floats]:
    """Return the profile in z [rows] and the features [rows, features] of forecasts from origins for targets."""
    made, slot = panel.day[origins], panel.slot[targets]
    row, base = panel.expected(made, targets)
    levels = panel.levels[:, origins]
    today = np.where(panel.day[targets] == made, base, 0.0)
    due = np.where(panel.day[targets] - made <= MONTH_AHEAD_DAYS, panel.month_level[panel.day[targets]], 0.0)
    # One feature after the other in memory: sums of products run along the rows.
    columns = np.vstack([
        np.ones_like(base),
        base,
        panel.spread[:, row, slot],
        base * levels,
        base * panel.today[origins],
        base * due,
        base * panel.month_level[made],
        today * panel.today[origins],
        today * levels[_MEDIUM],
        today * levels[_HALF_DAY],
        panel.shapes[:, made, slot],
    ])  # fmt: skip
    return base, columns.T


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
        self.sums = [self._sums(bin_number) for bin_number in range(len(self.bins))]

    def _sums(self, number: int) -> DaySums:
        panel = self.panel
        first, last = int(self.bins.edges[number]), int(self.bins.edges[number + 1])
        origins = np.arange(min(3 * WEEK * panel.slots_per_day, panel.known), panel.known)
        origins = origins[:: max(1, origins.size // _MOST_ROWS)]
        origins = np.repeat(origins, min(last - first, _LEADS_PER_ORIGIN))
        # A fixed rule rather than a seed: each origin takes leads spread over the bin, others in turn.
        targets = origins + first + 1 + (np.arange(origins.size) * 7919) % (last - first)
        held = targets < panel.known
        origins, targets = origins[held], targets[held]
        held = np.isfinite(panel.z[targets])
        origins, targets = origins[held], targets[held]
        order = np.argsort(panel.day[targets], kind="stable")
        origins, targets = origins[order], targets[order]
        base, columns = features(panel, origins, targets)
        aim = np.clip(panel.z[targets] - base, -base, base)
        return day_sums(panel.day[targets], columns, aim, panel.days)

    def fit(self, day: int) -> Fitted:
        """Return the coefficients learned from targets before `day`."""
        return FittedStack(self.panel, self.bins, np.stack([fit_ridge(sums, day) for sums in self.sums]))


register("stack", Stack, needs_days=28, rung=4)
