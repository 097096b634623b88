"""Which alerts a series would have raised: its first days are history, the rest arrives slot by slot.

The walk is the live one (`alerts.watch`), so what is measured is what would run.
"""

from dataclasses import dataclass, replace

import numpy as np

from alerts.episode import Alert
from alerts.signals import Signal
from alerts.watch import Sensitivity, Status, Watch
from forecast.calendar import holiday_days
from forecast.localtime import DAY_S
from forecast.series import BadSeries, Series
from forecast.states import mark_closed

TRAIN_DAYS = 56
LEAST_TRAIN_DAYS = 9
"""Eight days give a baseline for a weekday, one more tells how far it strays."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a backtest found."""

    series: Series
    alerts: tuple[Alert, ...]
    """Slots count from the series' first."""
    train_days: int
    test_weeks: float
    threshold: float
    """Surprise from which two slots in a row are an alert."""
    detectable_change: float
    """Median over the judged slots of the last day: the smallest lasting relative change that is noticed."""
    status: Status
    """As the series ends: learning, normal, pending, firing or no data."""
    history_days: float
    """Days that were learned from by then."""


def backtest(
    series: Series, *, train_days: int | None = None, budget_per_week: float = 1.0, country: str | None = None
) -> Report:
    """Return the alerts after the first `train_days` local days (8 weeks, or half of a shorter series).

    Raises BadSeries where there is too little to learn from or nothing to judge, UnknownCountry.
    """
    day = series.grid.day - series.grid.day[0]
    last = int(day[-1])
    days = min(TRAIN_DAYS, max(LEAST_TRAIN_DAYS, (last + 1) // 2)) if train_days is None else train_days
    if not LEAST_TRAIN_DAYS <= days <= last:
        raise BadSeries(
            f"{days} training days do not fit a series of {last + 1} days; use at least {LEAST_TRAIN_DAYS}, "
            "and leave some to judge"
        )
    first_day = int(series.grid.day[0])
    holiday = holiday_days(country, first_day - 1, first_day + last + 1) if country else frozenset()
    split = int(np.searchsorted(day, days))
    signal = Signal(mark_closed(series, history=split))
    watch = Watch(Sensitivity(budget_per_week=budget_per_week), holiday)
    watch.skip_to(split, signal)
    if watch.calibration is None:
        learned = series.y[:split]
        raise BadSeries(
            f"too little to learn from: of {split} slots in the first {days} days {np.isfinite(learned).sum()} "
            f"are measured, {(learned > 0).sum()} with load"
        )
    watch.advance(signal)
    return Report(
        series=replace(signal.series, notes=series.notes),
        alerts=tuple(watch.alerts),
        train_days=days,
        test_weeks=(len(series) - split) * series.slot_s / (7 * DAY_S),
        threshold=watch.calibration.threshold,
        detectable_change=watch.detectable_change(signal),
        status=watch.status,
        history_days=watch.history_days(signal),
    )
