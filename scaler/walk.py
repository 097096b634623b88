"""Our policy over a past series, run as in production: nothing is known before its slot.

The forecast walks day by day as the service does, and every decision is made by `scaler.policy.decide` from what
was known at that slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.accuracy import LEVELS
from forecast.calendar import holiday_days
from forecast.events import Event
from forecast.leads import lead_bins
from forecast.localtime import Floats, Ints
from forecast.panel import Panel
from forecast.rolling import Rolling
from forecast.series import Series
from scaler import rivals
from scaler.capacity import Load
from scaler.decision import Forecast, ForecastSlot, PoolInputs
from scaler.guards import Memory
from scaler.policy import decide
from scaler.settings import PodCapacity, PoolSettings

_LEARN_DAYS = 56
"""Days before the judged ones on which forecasts are rehearsed: their errors make the quantiles."""
_NO_LIMIT = 1_000_000
_ANY_BLOCKING = 0.99
"""A series tells the mean of a slot, and all policies are judged by it: peaks within are left out for all."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all policies share."""

    lead_s: float
    hold_s: float
    pod_calls: float
    history_days: int | None = None
    """Days before the first judged one; eight weeks, or half of a shorter series."""
    country: str | None = None
    events: tuple[Event, ...] = ()
    quantile: float | None = None
    utilisation: float | None = None
    """Of the forecast; both default to the pool's."""


def walk(series: Series, load: Floats, before: int, ahead: int, setup: Setup) -> Ints:
    """Return pods asked for at the start of each slot: by the policy from `before`, earlier by the load."""
    settings = _pool(series, setup)
    levels = [LEVELS.index(settings.forecast_quantile), LEVELS.index(0.5)]
    per_call = setup.hold_s / series.slot_s
    asked = rivals.pods(np.r_[load[:1], load[:-1]], setup.pod_calls, settings.target_utilisation)
    memory, replicas = Memory(), int(asked[before])
    # Decided once a slot: pods asked for now are next looked at when the slot begins after they are ready.
    lead_s = float(ahead * series.slot_s)
    for slots, coming in _forecasts(series, before, ahead, setup):
        for slot, calls in zip(slots.tolist(), (coming[:, :, levels] * per_call).tolist(), strict=True):
            now_s = float(series.start_s + slot * series.slot_s)
            inputs = PoolInputs(
                replicas=replicas,
                ready=replicas,
                load=Load(sessions=float(load[slot - 1])),
                load_at_s=now_s,
                lead_time_s=lead_s,
                forecast=_forecast(calls, now_s, series.slot_s),
            )
            decision, memory = decide(inputs, settings, memory, now_s)
            replicas = asked[slot] = decision.final
    return asked


def _pool(series: Series, setup: Setup) -> PoolSettings:
    pool = PoolSettings(
        name="backtest",
        pod=PodCapacity(sessions=setup.pod_calls),
        blocking=_ANY_BLOCKING,
        maximum=_NO_LIMIT,
        step_up=_NO_LIMIT,
        step_down=_NO_LIMIT,
    )
    chosen = {"forecast_quantile": setup.quantile, "forecast_utilisation": setup.utilisation}
    given = {name: value for name, value in chosen.items() if value is not None}
    return PoolSettings.model_validate(pool.model_dump() | given)


def _forecast(calls: list[list[float]], now_s: float, slot_s: int) -> Forecast:
    """Return [lead][high, median] calls as the forecast issued now."""
    starts_s = (now_s + lead * slot_s for lead in range(len(calls)))
    slots = tuple(
        ForecastSlot(start_s, start_s + slot_s, Load(sessions=high), Load(sessions=median))
        for start_s, (high, median) in zip(starts_s, calls, strict=True)
    )
    return Forecast("", now_s, slots)


def _forecasts(series: Series, before: int, ahead: int, setup: Setup) -> Iterator[tuple[Ints, Floats]]:
    """Yield each judged day's slots [n] and, seen from the slot before each, quantiles [n, leads, levels]."""
    first_day, last_day = int(series.grid.day[0]), int(series.grid.day[-1])
    country = setup.country
    holiday = holiday_days(country, first_day - 1, last_day + 2) if country else frozenset()
    leads = ahead + 1
    panel = Panel(series, leads, holiday, setup.events)
    rolling = Rolling(panel, lead_bins(series.slot_s, leads, tuple(range(1, leads + 1))))
    judged = int(panel.day[before])
    for day in range(max(0, judged - _LEARN_DAYS), last_day - first_day + 1):
        rolling.start_day(day)
        rolling.rehearse()
        if day < judged:
            continue
        slots = np.flatnonzero(panel.day[: panel.known] == day)
        origins = slots - 1
        coming = np.stack([rolling.quantiles(origins, origins + lead) for lead in range(1, leads + 1)], axis=1)
        yield slots, coming
