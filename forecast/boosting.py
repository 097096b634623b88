"""Gradient boosting of what the weekly profile leaves: one model over all series, beside the stack.

Everything it sees and aims at is relative to a series' own profile, so that a pool of ten thousand calls teaches a
tenant of fifty. It is trained once a week, on the past alone, in one thread (two threads on a busy machine were
measured to be slower by far), and takes missing features as they are. It gains a few percent at several hundred
times the stack's cost: it is a challenger, which forecasts only at the leads where it wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.leads import lead_bins
from forecast.localtime import EPOCH_WEEKDAY, Floats, Ints
from forecast.members import Fitted, register
from forecast.panel import Panel
from forecast.profiles import WEEK
from forecast.stack import Stack

_MOST_ROWS = 60_000
_ROWS_PER_SLOT = 4
"""Leads that each past slot is seen from."""
_WEEKS_BACK = 20
_LEAST_ROWS = 2_000
_LEAST_SPREAD = 1e-6
_SHARE = 0.5
"""Of the forecast that comes from the boosting; the rest is the stack's: their errors differ."""


def relative_features(panel: Panel, origins: Ints, targets: Ints) -> tuple[Floats, Floats]:
    """Return the profile in z [rows] and features [rows, features] that mean the same for every series."""
    made, slot, day = panel.day[origins], panel.slot[targets], panel.day[targets]
    row, base = panel.expected(made, targets)
    scale = np.maximum(base, 1.0)
    lead_h = (targets - origins) * panel.series.slot_s / 3600
    columns = [
        np.log(lead_h),
        slot * 24 / panel.slots_per_day,
        (day + panel.first_day + EPOCH_WEEKDAY) % WEEK,
        panel.kinds[day],
        np.log(scale),
        day == made,
        panel.month_level[day],
        panel.today[origins],
        *panel.levels[:, origins],
        *(panel.spread[:, row, slot] / scale),
        *(panel.shapes[:, made, slot] / scale),
    ]
    return base, np.stack(np.broadcast_arrays(*columns), axis=-1).astype(np.float32)


class BoostingPool:
    """The series that one model is learned from, and the model of the current week."""

    def __init__(self, panels: Sequence[Panel]) -> None:
        self._panels = tuple(panels)
        self._week = -1
        self._model: Any = None

    def model(self, day: int) -> Any:
        """Return the regressor of the weeks that ended before a local day (from the epoch); None: too little."""
        week = day // WEEK
        if week != self._week:
            self._week, self._model = week, self._train(week * WEEK)
        return self._model

    def _train(self, day: int) -> Any:
        # Half a second of imports that most commands never need.
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        parts = [self._rows(panel, day - panel.first_day, number) for number, panel in enumerate(self._panels)]
        features, aim, weight = (np.concatenate([part[i] for part in parts]) for i in range(3))
        if aim.size < _LEAST_ROWS or float(np.ptp(aim)) < _LEAST_SPREAD:
            return None
        regressor = HistGradientBoostingRegressor(
            max_iter=60, learning_rate=0.1, max_leaf_nodes=16, min_samples_leaf=60,
            l2_regularization=1.0, early_stopping=False, random_state=0,
        )  # fmt: skip
        with threadpool_limits(1):
            return regressor.fit(features, aim, sample_weight=weight)

    def _rows(self, panel: Panel, until_day: int, number: int) -> tuple[Floats, Floats, Floats]:
        """Return features, aims and weights of targets before a day of the panel."""
        last = int(np.searchsorted(panel.day[: panel.known], until_day))
        first = int(np.searchsorted(panel.day, max(3 * WEEK, until_day - _WEEKS_BACK * WEEK)))
        longest = max(1, panel.day.size - panel.known)
        # A generator keyed by series and week: the same history gives the same model.
        random = np.random.default_rng((number, max(until_day, 0)))
        edges = lead_bins(panel.series.slot_s, longest).edges
        enough = last - first >= panel.slots_per_day
        count = min(_MOST_ROWS // len(self._panels), _ROWS_PER_SLOT * (last - first)) if enough else 0
        place = random.integers(0, edges.size - 1, count)
        leads = random.integers(edges[place] + 1, edges[place + 1] + 1)
        targets = random.integers(first, max(last, first + 1), count)
        origins = targets - leads
        held = (origins >= 0) & np.isfinite(panel.z[targets])
        base, features = relative_features(panel, origins[held], targets[held])
        scale = np.maximum(base, 1.0)
        aim = np.clip((panel.z[targets[held]] - base) / scale, -1.0, 1.0)
        weight = scale / float(scale.mean()) if scale.size else scale
        return features, aim, weight


@dataclass(frozen=True, slots=True)
class FittedBoosting:
    """The stack and the week's regressor."""

    panel: Panel
    stack: Fitted
    regressor: Any

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z; see `Fitted`."""
        own = self.stack.predict(origins, targets)
        if self.regressor is None or not own.size:
            return own
        from threadpoolctl import threadpool_limits

        base, features = relative_features(self.panel, origins, targets)
        with threadpool_limits(1):
            boosted = base + np.maximum(base, 1.0) * self.regressor.predict(features)
        return (1 - _SHARE) * own + _SHARE * self.panel.follow_step(origins, targets, base, boosted)

    def on(self, panel: Panel) -> Fitted:
        """Return it over another panel."""
        return replace(self, panel=panel, stack=self.stack.on(panel))


class Boosting:
    """The stack mixed with a regressor over all series that share the panel's pool, or over this one alone."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._stack = Stack(panel)
        self._pool = panel.shared if isinstance(panel.shared, BoostingPool) else BoostingPool([panel])

    def fit(self, day: int) -> Fitted:
        """Return the stack of the night with the regressor of the week."""
        regressor = self._pool.model(day + self._panel.first_day)
        return FittedBoosting(self._panel, self._stack.fit(day), regressor)


register("boosting", Boosting, needs_days=56, rung=5, challenger=True)
