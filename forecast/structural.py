"""A library's model of the days' level: SARIMAX of statsmodels on what each day lay above or below its profile.

The profile carries the shape of the week, so that the library works on one number a day: a season of hundreds of
slots is where such models fail. Fitted once a week, filtered on every night. A challenger: it forecasts only at
the leads where it wins, which is beyond the day it is made on.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.localtime import Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import Panel
from forecast.profiles import WEEK

_DAYS_BACK = 26 * WEEK


@dataclass(frozen=True, slots=True)
class FittedStructural:
    """Levels relative to the profile for the days from the one fitted for (local, from the epoch)."""

    panel: Panel
    day: int
    levels: Floats
    """[days ahead]; the first is the day fitted for."""

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        _, base = self.panel.expected(self.panel.day[origins], targets)
        ahead = np.clip(self.panel.day[targets] + self.panel.first_day - self.day, 0, self.levels.size - 1)
        return self.panel.follow_step(origins, targets, base, base * (1 + self.levels[ahead]))

    def on(self, panel: Panel) -> Fitted:
        """Return the levels over another panel."""
        return replace(self, panel=panel)


class Structural:
    """ARMA(1, 1) errors around a slow level, one observation a day."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._week = -1
        self._parameters: Any = None

    def fit(self, day: int) -> Fitted:
        """Return the levels of the coming days, as the days before `day` tell them."""
        ahead = self._panel.days - day + 1
        begins = day + self._panel.first_day
        level = self._panel.day_level[max(0, day - _DAYS_BACK) : day]
        known = level[np.isfinite(level)]
        if known.size < 4 * WEEK or float(np.ptp(known)) < 1e-9:
            return FittedStructural(self._panel, begins, np.zeros(max(ahead, 1)))
        return FittedStructural(self._panel, begins, self._forecast(level, day, max(ahead, 1)))

    def _forecast(self, level: Floats, day: int, ahead: int) -> Floats:
        from statsmodels.tsa.statespace.sarimax import SARIMAX  # a second of imports that most commands never need
        from threadpoolctl import threadpool_limits

        scale = float(np.nanstd(level))
        with threadpool_limits(1), warnings.catch_warnings():
            # That the likelihood is flat is usual where days are independent; the forecast is then none.
            warnings.simplefilter("ignore")
            model = SARIMAX(level / scale, order=(1, 0, 1), trend="c")
            if day // WEEK != self._week:
                self._week = day // WEEK
                self._parameters = model.fit(disp=False, maxiter=50, method="lbfgs").params
            found = np.asarray(model.filter(self._parameters).forecast(ahead), np.float64) * scale
        return np.clip(np.nan_to_num(found), -1.0, 1.0)


register("structural", Structural, needs_days=56, rung=6, challenger=True)
