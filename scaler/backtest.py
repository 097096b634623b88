"""How each policy would have scaled a pool over a real series: the same demand, lead time and pods for all.

Additions take effect after the lead time, removals at once. Only slots in which something was measured are judged;
while closed, the policies see no load.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from forecast.localtime import Bools, Floats, Ints
from forecast.series import BadSeries, Series, State
from forecast.states import mark_closed
from scaler import rivals
from scaler.elasticity import Elasticity, elasticity
from scaler.simulated import SimulatedPool
from scaler.walk import Setup, walk

POLICIES = ("static", "reactive", "naive_hybrid", "naive_hybrid_equal_cost", "surgecast", "oracle")
HISTORY_DAYS = 56
MOST_PODS = 100_000
MOST_LEAD_S = 4 * 3600.0
"""The horizon up to which forecasts are made each hour or oftener."""
_SEARCH_STEPS = 12


@dataclass(frozen=True, slots=True)
class Supply:
    """Pods of one policy: arrays [slots]."""

    ready: Ints
    asked: Ints


@dataclass(frozen=True, slots=True)
class Run:
    """Pods over the judged days, for plots: arrays [slots]."""

    times_s: Ints
    load: Floats
    needed: Ints
    judged: Bools
    supplies: dict[str, Supply]
    """By policy."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a backtest found."""

    policies: dict[str, Elasticity]
    run: Run
    slot_s: int
    days: int
    mean_pods: float


def backtest(series: Series, setup: Setup, policies: Collection[str] = POLICIES) -> Report:
    """Return the elasticity of each policy over the days after the history. Raises BadSeries, UnknownCountry."""
    first_day, last_day = int(series.grid.day[0]), int(series.grid.day[-1])
    days = last_day - first_day + 1
    history = min(HISTORY_DAYS, days // 2) if setup.history_days is None else setup.history_days
    if not 0 < history < days:
        raise BadSeries(f"{history} days of history leave nothing to judge of a series of {days} days")
    before = int(np.searchsorted(series.grid.day, first_day + history))
    marked = mark_closed(series, history=before)
    judged = marked.state[before:] == State.OPEN
    if not judged.any():
        raise BadSeries("nothing was measured after the history; give a longer series or less history")
    load = np.where(marked.state == State.CLOSED, 0.0, marked.y) * (setup.hold_s / series.slot_s)
    peak = float(np.nanmax(load, initial=0.0)) / setup.pod_calls
    if peak > MOST_PODS:
        raise BadSeries(f"its peak takes {peak:.3g} pods of {setup.pod_calls:g} calls; at most {MOST_PODS:,}")
    supplies = _supplies(marked, load, before, judged, setup, policies)
    needed = rivals.oracle(load, setup.pod_calls)[before:]
    figures = {
        name: elasticity(
            needed[judged],
            supplies[name].ready[judged],
            supplies[name].asked[judged],
            load[before:][judged],
            setup.pod_calls,
            series.slot_s,
        )
        for name in POLICIES
        if name in supplies and name in policies
    }
    times_s = series.start_s + np.arange(before, len(series)) * series.slot_s
    run = Run(times_s, load[before:], needed, judged, supplies)
    return Report(figures, run, series.slot_s, days - history, float(needed[judged].mean()))


def _supplies(
    series: Series, load: Floats, before: int, judged: Bools, setup: Setup, policies: Collection[str]
) -> dict[str, Supply]:
    ahead = max(1, -(-round(setup.lead_s) // series.slot_s))
    week = 7 * series.slots_per_day
    ours = {"surgecast", "naive_hybrid_equal_cost"} & set(policies)
    asked: dict[str, Ints] = {}
    if "static" in policies:
        asked["static"] = rivals.static(load, setup.pod_calls, before)
    if "reactive" in policies:
        asked["reactive"] = rivals.reactive(load, setup.pod_calls, series.slot_s)
    if "naive_hybrid" in policies:
        asked["naive_hybrid"] = rivals.hybrid(load, setup.pod_calls, week, ahead)
    if ours:
        asked["surgecast"] = walk(series, load, before, ahead, setup)
    supplies = {name: _supplied(pods[before:], ahead) for name, pods in asked.items()}
    if "naive_hybrid_equal_cost" in policies:
        target = int(supplies["surgecast"].ready[judged].sum())
        supplies["naive_hybrid_equal_cost"] = _equal_cost(load, before, ahead, week, setup, target, judged)
    if "oracle" in policies:
        exact = rivals.oracle(load, setup.pod_calls)[before:]
        supplies["oracle"] = Supply(exact, exact)
    return supplies


def _supplied(asked: Ints, ahead: int) -> Supply:
    """Return the pods that are ready in each slot, for pods asked for at the start of each."""
    pool = SimulatedPool(float(ahead), [0.0] * int(asked[0]))
    ready = np.empty_like(asked)
    for slot, pods in enumerate(asked.tolist()):
        pool.scale(pods, float(slot))
        ready[slot] = pool.ready(float(slot))
    return Supply(ready, asked)


def _equal_cost(
    load: Floats, before: int, ahead: int, week: int, setup: Setup, target: int, judged: Bools
) -> Supply:
    """Return the naive hybrid at the utilisation at which it costs nearest to ours: the fair comparison."""
    low, high = 0.3, 1.5
    best, off = Supply(np.empty(0, np.int64), np.empty(0, np.int64)), np.inf
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        found = _supplied(rivals.hybrid(load, setup.pod_calls, week, ahead, middle)[before:], ahead)
        cost = int(found.ready[judged].sum())
        if abs(cost - target) < off:
            best, off = found, abs(cost - target)
        low, high = (middle, high) if cost > target else (low, middle)
    return best
