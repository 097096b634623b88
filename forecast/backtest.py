"""How a series would have been forecast: every slot of the test days as origin, every lead up to the longest.

The walk is the service's own (`forecast.rolling`), so what is measured is what would run. Nothing after an origin
is seen by its forecast; a test that changes the future and compares bit by bit holds it to that.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.accuracy import Accuracy, Score, poisson_mean_deviation
from forecast.calendar import holiday_days
from forecast.events import Event
from forecast.intervals import WINDOW_DAYS
from forecast.leads import lead_bins
from forecast.localtime import DAY_S, Floats, Ints
from forecast.panel import Panel
from forecast.profiles import WEEK
from forecast.regressor_points import Regressor
from forecast.regressors import RegressorEffect
from forecast.rolling import Rolling
from forecast.series import BadSeries, Series, State
from forecast.states import mark_closed
from forecast.units import unit_of

HORIZONS_S = (900, 3600, 14_400, 86_400, 604_800)
_ROWS = 200_000
"""Forecasts made at once: bounds the memory at any slot length."""
MOST_FORECASTS = 60_000_000
"""Beyond it origins are taken at every second, third, ... slot, and the report says so."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a backtest found."""

    horizons: dict[int, Accuracy]
    """By horizon in seconds."""
    models: dict[int, str]
    """By horizon in seconds: the member that made most of the forecasts."""
    fit_seconds: float
    """Mean processor time of one nightly refit."""
    slot_s: int
    test_days: int
    origin_step: int
    states: dict[str, int]
    """Slots by state over the whole series."""
    notes: tuple[str, ...]
    regressors: tuple[RegressorEffect, ...] = ()
    """As believed on the last day."""


def backtest(
    series: Series,
    *,
    horizons_s: Sequence[int] = HORIZONS_S,
    test_days: int | None = None,
    country: str | None = None,
    events: Sequence[Event] = (),
    challengers: Sequence[str] = (),
    regressors: Sequence[Regressor] = (),
) -> Report:
    """Return the accuracy at each horizon over the last `test_days` local days (four weeks, or a third of it).

    A horizon covers the leads after the previous one up to itself, in whole slots; one that is no longer than the
    previous reports the lead that reaches it. Closed and missing slots are not counted. Raises BadSeries when
    there is nothing to test, UnknownCountry, UnknownMember.
    """
    asked_s = sorted(set(horizons_s))
    if not asked_s or asked_s[0] <= 0:
        raise BadSeries("horizons must be positive; write for example 15m,1h,4h,24h,7d")
    leads = [-(-horizon // series.slot_s) for horizon in asked_s]
    first_local, last_local = int(series.grid.day[0]), int(series.grid.day[-1])
    holiday = holiday_days(country, first_local - 1, last_local + leads[-1] * series.slot_s // DAY_S + 2) \
        if country else frozenset()  # fmt: skip
    last_day = last_local - first_local
    days = min(4 * WEEK, max(1, (last_day + 1) // 3)) if test_days is None else test_days
    if not 0 < days <= last_day:
        raise BadSeries(f"{days} test days do not fit a series of {last_day + 1} days; use fewer, and at least 1")
    if not np.isfinite(series.learned).any():
        raise BadSeries("no slot of the series has a value; see its notes, or use longer slots")
    before_test = int(np.searchsorted(series.grid.day, last_local - days + 1))
    if not np.isfinite(series.learned[before_test:]).any():
        raise BadSeries(f"nothing was measured in the last {days} days, which are to be tested; see its notes")
    marked = mark_closed(series, history=before_test)
    unit = unit_of(series.learned[:before_test], WEEK * series.slots_per_day)
    panel = Panel(replace(marked, y=marked.y / unit), leads[-1], holiday, events, regressors)
    return _walk(panel, unit, asked_s, leads, last_day, days, challengers)


def _walk(
    panel: Panel,
    unit: float,
    asked_s: list[int],
    leads: list[int],
    last_day: int,
    days: int,
    challengers: Sequence[str],
) -> Report:
    rolling = Rolling(panel, lead_bins(panel.series.slot_s, leads[-1], tuple(leads)), challengers=challengers)
    first_test = last_day - days + 1
    scores = [Score() for _ in leads]
    used: list[Counter[str]] = [Counter() for _ in leads]
    floor = _floor(panel, unit)
    step = 1 + days * panel.slots_per_day * leads[-1] // MOST_FORECASTS
    for day in range(max(0, first_test - WINDOW_DAYS), last_day + 1):
        rolling.start_day(day)
        rolling.rehearse()
        if day < first_test:
            continue
        origins = np.flatnonzero(panel.day[: panel.known] == day)[::step]
        for number, (first, last) in enumerate(_spans(leads)):
            count = _score(rolling, scores[number], floor, origins, first, last)
            used[number][rolling.model_at(last)] += count
    seasonal = _seasonal_error(panel, first_test)
    found = (score.accuracy(seasonal) for score in scores)
    states = np.where(panel.outage[: panel.known], np.uint8(State.MASKED), panel.series.state)
    return Report(
        horizons={asked: _in_units(each, unit) for asked, each in zip(asked_s, found, strict=True)},
        models={asked: n.most_common(1)[0][0] if n else "" for asked, n in zip(asked_s, used, strict=True)},
        fit_seconds=float(np.mean(rolling.fit_seconds[-days:])),
        slot_s=panel.series.slot_s,
        test_days=days,
        origin_step=step,
        states={state.name.lower(): int((states == state).sum()) for state in State},
        notes=panel.series.notes,
        regressors=panel.regressors.effects(last_day),
    )


def _in_units(accuracy: Accuracy, unit: float) -> Accuracy:
    """Return figures of what was divided by a unit; all but one are ratios."""
    return replace(accuracy, pinball=tuple(loss * unit for loss in accuracy.pinball))


def _spans(leads: list[int]) -> list[tuple[int, int]]:
    """Return [first, last] leads of each horizon.

    >>> _spans([1, 1, 4])
    [(1, 1), (1, 1), (2, 4)]
    """
    return [(min(before + 1, lead), lead) for before, lead in zip([0, *leads[:-1]], leads, strict=True)]


def _score(rolling: Rolling, score: Score, floor: Floats, origins: Ints, first: int, last: int) -> int:
    """Score the forecasts from origins for the leads from first to last; return how many there were."""
    panel = rolling.panel
    spread = np.arange(first, last + 1)
    before = score.n
    per_chunk = max(1, _ROWS // spread.size)
    for start in range(0, origins.size, per_chunk):
        chunk = origins[start : start + per_chunk]
        seen_from = np.repeat(chunk, spread.size)
        targets = seen_from + np.tile(spread, chunk.size)
        held = np.flatnonzero(targets < panel.known)
        held = held[np.isfinite(panel.observed[targets[held]])]
        seen_from, targets = seen_from[held], targets[held]
        if not targets.size:
            continue
        week = WEEK * panel.slots_per_day
        back = targets - week * -(-(targets - seen_from) // week)
        naive = np.where(back >= 0, panel.observed[np.maximum(back, 0)], np.nan)
        score.add(panel.observed[targets], rolling.quantiles(seen_from, targets), floor[targets], naive)
    return score.n - before


def _floor(panel: Panel, unit: float) -> Floats:
    """Return E|Y - mean| per slot for Poisson arrivals, the mean taken from the slot and its neighbours.

    Of the series' own numbers, `unit` times those of the panel; in those of the panel.
    """
    known = np.isfinite(panel.observed)
    amount = np.nan_to_num(panel.observed)
    total, count = amount.copy(), known.astype(np.float64)
    for to, back in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
        total[to] += amount[back]
        count[to] += known[back]
    return poisson_mean_deviation(unit * total / np.maximum(count, 1)) / unit


def _seasonal_error(panel: Panel, first_test: int) -> float:
    """Return the mean absolute change from one week to the next before the test days; NaN without two weeks."""
    until = int(np.searchsorted(panel.day, first_test))
    week = WEEK * panel.slots_per_day
    change = np.abs(panel.observed[week:until] - panel.observed[: max(until - week, 0)])
    change = change[np.isfinite(change)]
    return float(change.mean()) if change.size else float("nan")
