"""Weekly profile plus running levels, with weights that hold for call-like loads in general.

For series too young to learn their own. The weights are the means of ridge regressions on several call and demand
series; they are shrunk by how much the residual varies beyond counting noise, because following noise does harm.
"""

from dataclasses import dataclass, replace

import numpy as np

from forecast.localtime import Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import Panel, signal_ratio

_LEADS_S = (900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400, 259_200, 604_800)
_USED = [1, 3, 4]
_WEIGHTS = np.array([
    [0.84, -0.12, 0.22], [0.81, -0.11, 0.24], [0.63, -0.02, 0.29], [0.41, 0.10, 0.37], [0.11, 0.31, 0.42],
    [-0.02, 0.43, 0.39], [-0.01, 0.33, 0.41], [-0.08, 0.53, 0.22], [-0.07, 0.25, 0.32], [-0.01, 0.10, 0.28],
])  # fmt: skip
"""[lead, level of 2 slots, half a day, 2 days]"""


def columns(panel: Panel, origins: Ints, targets: Ints) -> tuple[Floats, Floats]:
    """Return the profile in z [rows] and the levels in z [rows, 3] that every series shares."""
    made = panel.day[origins]
    _, base = panel.expected(made, targets)
    return base, base[:, None] * panel.levels[_USED][:, origins].T


@dataclass(frozen=True, slots=True)
class FittedUniversal:
    """The weights with the series' own gain."""

    panel: Panel
    gain: float

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        base, shared = columns(self.panel, origins, targets)
        lead_s = (targets - origins) * self.panel.series.slot_s
        weights = _WEIGHTS[np.minimum(np.searchsorted(_LEADS_S, lead_s), len(_LEADS_S) - 1)]
        forecast = base + self.gain * np.einsum("rf,rf->r", shared, weights)
        return self.panel.follow_step(origins, targets, base, forecast)

    def on(self, panel: Panel) -> Fitted:
        """Return the gain over another panel."""
        return replace(self, panel=panel)


@dataclass(frozen=True, slots=True)
class Universal:
    """The shared weights, fitted to a series by one number: how much of its residual is signal."""

    panel: Panel

    def fit(self, day: int) -> Fitted:
        """Return the model with the gain seen before `day`."""
        until = int(np.searchsorted(self.panel.day, day))
        return FittedUniversal(self.panel, signal_ratio(self.panel.residual[:until]))


register("universal", Universal, needs_days=8, rung=3, follows=True)
