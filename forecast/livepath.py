"""Quantiles of calls in progress up to an hour ahead: of the mean of a slot, or of its maximum, whichever is fed.

Two views of the same slot are mixed by how well each did at that lead: the live calls carried on by their ages
(`forecast.concurrency`), which knows what is up right now, and the series' own model, which knows the time of the
week. Around the mixture lie conformal quantiles learned from its own errors, so that capacity planned at q99 of
the maximum is exceeded in one slot of a hundred, whatever the holding times are like.
"""

from collections import defaultdict

import numpy as np

from forecast.intervals import Bands, Outcomes
from forecast.localtime import Floats
from forecast.panel import from_root, to_root

_KEEP_PER_DAY = 0.95
"""What yesterday's errors weigh in the mixture against today's."""
_PRIOR = 20.0
"""Slots for which the live calls are believed before anything was learned."""


class LivePath:
    """The next `slots` slots, forecast at the end of every slot; slots are numbered by the caller, rising."""

    def __init__(self, slots: int, slots_per_day: int) -> None:
        self._slots = slots
        self._bins = np.arange(slots)
        self._hours = np.zeros(slots, np.int64)
        """One and the same: an hour ahead the live calls tell how wild the day is."""
        self._bands = Bands((self._bins + 1) / slots_per_day)
        self._top: Floats = np.full(slots, _PRIOR * 0.25)
        self._bottom: Floats = np.full(slots, _PRIOR * 0.25)
        self._issued: dict[int, list[tuple[int, float, float, Floats]]] = defaultdict(list)
        self._came: list[tuple[int, float, float, float, Floats]] = []
        self.learned_days = 0
        """Days whose errors were learned from."""

    @property
    def weight(self) -> Floats:
        """How much of each lead's forecast comes from the live calls, 0 to 1."""
        return np.clip(self._top / self._bottom, 0.0, 1.0)

    def quantiles(self, live: Floats, own: Floats) -> Floats:
        """Return [slots, levels] for the live calls' path and the series' own forecast (medians) of the slots."""
        mixed = self._mixed(to_root(live), to_root(own))
        return from_root(self._bands.quantiles(self._bins, mixed, self._hours))

    def _mixed(self, live: Floats, own: Floats) -> Floats:
        return own + self.weight * (live - own)

    def issue(self, origin: int, live: Floats, own: Floats) -> Floats:
        """Return the quantiles and remember them, to learn when the slots have come."""
        got = self.quantiles(live, own)
        for lead, quantiles in enumerate(got):
            self._issued[origin + 1 + lead].append((lead, float(live[lead]), float(own[lead]), quantiles))
        return got

    def came(self, slot: int, amount: float) -> None:
        """Take in what a slot showed; forecasts of earlier slots that never came are forgotten."""
        for lead, live, own, quantiles in self._issued.pop(slot, ()):
            self._came.append((lead, live, own, amount, quantiles))
        for missed in [s for s in self._issued if s < slot]:
            del self._issued[missed]

    def end_day(self) -> None:
        """Learn from what came since the last time: weights first, then the width."""
        if not self._came:
            return
        self.learned_days += 1
        lead = np.array([row[0] for row in self._came])
        live, own, amount = (np.array([float(row[i]) for row in self._came]) for i in (1, 2, 3))
        issued = np.stack([row[4] for row in self._came])
        self._came = []
        z, z_live, z_own = to_root(amount), to_root(live), to_root(own)
        apart = z_live - z_own
        forecast = z_own + self.weight[lead] * apart
        under = amount[:, None] <= issued
        self._bands.learn(Outcomes(lead, forecast, z - forecast, under, self._hours[lead]))
        # Least squares of z on the line from one view to the other.
        self._top = _KEEP_PER_DAY * self._top + np.bincount(lead, (z - z_own) * apart, self._slots)
        self._bottom = _KEEP_PER_DAY * self._bottom + np.bincount(lead, apart**2, self._slots)
