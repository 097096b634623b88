"""The policy on a past series: the future unseen, rivals as they are known, figures that add up."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.events import Event
from forecast.series import BadSeries, Series, State
from scaler import rivals
from scaler.backtest import POLICIES, backtest
from scaler.elasticity import elasticity
from scaler.simulated import SimulatedPool
from scaler.walk import Setup

MONDAY_S = 1_704_067_200
SETUP = Setup(lead_s=1800, hold_s=240, pod_calls=100, history_days=28)
DAYS = 42


def weekly(seed: int = 1, days: int = DAYS) -> Series:
    """Return calls per half hour around a daily shape, with quiet weekends and days of unlike level."""
    slots = np.arange(days * 48)
    hour, weekday = slots % 48 / 2, slots // 48 % 7
    mean = 6000 * np.exp(-(((hour - 13) / 4) ** 2)) * np.where(weekday < 5, 1.0, 0.4) + 200
    random = np.random.default_rng(seed)
    y = random.poisson(mean * np.repeat(random.lognormal(0, 0.15, days), 48)).astype(np.float64)
    return Series(MONDAY_S, 1800, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))


def test_ours_is_under_less_than_rivals_at_equal_cost() -> None:
    report = backtest(weekly(), SETUP)
    ours, rival, hpa = (report.policies[name] for name in ("surgecast", "naive_hybrid_equal_cost", "reactive"))
    assert ours.under_time_ratio < min(rival.under_time_ratio, hpa.under_time_ratio)


def spiky(days: int = DAYS) -> tuple[Series, tuple[Event, ...]]:
    """Return calls without any season but for announced surges of some hours, the same by kind, and those."""
    random = np.random.default_rng(3)
    mean = np.full(days * 48, 3000.0)
    events = []
    for day in random.choice(np.arange(3, days), 16, replace=False):
        first = int(day * 48 + random.integers(0, 40))
        last = first + int(random.integers(2, 8))
        mean[first:last] *= 3
        start_s, end_s = MONDAY_S + first * 1800, MONDAY_S + last * 1800
        events.append(Event(f"mailing {day}", start_s, end_s, kind="mailing"))
    y = random.poisson(mean).astype(np.float64)
    series = Series(MONDAY_S, 1800, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return series, tuple(events)


def test_surges_without_a_season_are_provided_for_where_they_are_announced() -> None:
    """Their uplift is learned; the naive hybrid and the autoscaler, who know the past alone, come late."""
    series, events = spiky()
    told = backtest(series, replace(SETUP, events=events)).policies
    untold = backtest(series, SETUP, {"surgecast"}).policies["surgecast"]
    assert told["surgecast"].under_time_ratio < min(
        untold.under_time_ratio, told["reactive"].under_time_ratio, told["naive_hybrid"].under_time_ratio
    )
    assert told["surgecast"].cost_vs_oracle <= 1.35


def test_the_oracle_is_exact_and_cheapest() -> None:
    report = backtest(weekly(), SETUP)
    oracle = report.policies["oracle"]
    assert (0.0, 1.0, 0.0) == (oracle.under_time_ratio, oracle.cost_vs_oracle, oracle.theta_o)
    assert set(POLICIES) == set(report.policies)


def test_what_comes_later_changes_no_earlier_decision() -> None:
    series, poisoned = weekly(), weekly()
    known = 36 * 48
    poisoned.y[known:] = 0.0
    before = 28 * 48
    runs = [backtest(s, SETUP, {"surgecast"}).run.supplies["surgecast"].asked for s in (series, poisoned)]
    upto = known - before + 1  # the decision at the first changed slot was made before it
    assert runs[0][:upto].tolist() == runs[1][:upto].tolist()
    assert runs[0].tolist() != runs[1].tolist()


def test_a_lead_within_a_slot_is_provided_for_as_a_whole_slot() -> None:
    """Pods asked for at the start of a slot are first judged in the next: the policy has to know."""
    runs = [
        backtest(weekly(), replace(SETUP, lead_s=lead_s), {"surgecast"}).run.supplies["surgecast"].asked
        for lead_s in (600, 1800)
    ]
    assert runs[0].tolist() == runs[1].tolist()


def test_slots_that_were_not_measured_are_not_judged() -> None:
    series = weekly()
    series.y[30 * 48 : 30 * 48 + 7] = np.nan
    series.state[30 * 48 : 30 * 48 + 7] = State.MISSING
    assert 14 * 48 - 7 == backtest(series, SETUP, {"oracle"}).policies["oracle"].slots


def test_history_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(BadSeries, match="42 days of history leave nothing"):
        backtest(weekly(), Setup(lead_s=600, hold_s=240, pod_calls=100, history_days=DAYS))


def test_elasticity_by_hand() -> None:
    demand, ready = np.array([2, 4, 4, 2]), np.array([2, 3, 4, 4])
    found = elasticity(demand, ready, ready, np.array([150.0, 400.0, 390.0, 120.0]), 100, 300)
    assert (0.25, 100 / 1060, 5.0, 13 / 12) == (
        found.under_time_ratio, found.under_calls_ratio, found.violation_minutes, found.cost_vs_oracle,
    )  # fmt: skip
    assert (6.25, 25.0, 0.25, 0.25, 2) == (found.theta_u, found.theta_o, found.tau_u, found.tau_o, found.scalings)
    assert 2 / 3 == found.instability  # up behind, still down


def test_new_pods_are_ready_after_the_lead_time_and_go_first() -> None:
    pool = SimulatedPool(60.0, [0.0, 0.0])
    pool.scale(5, 100.0)
    assert [2, 2, 5] == [pool.ready(at) for at in (100.0, 159.0, 160.0)]
    pool.scale(3, 120.0)
    assert (3, 2, 3) == (pool.replicas, pool.ready(159.0), pool.ready(160.0))


def test_the_hpa_keeps_within_its_tolerance_and_its_stabilisation() -> None:
    load = np.array([400.0, 400, 420, 600, 600, 100, 100, 100, 100])
    assert [5, 5, 5, 5, 8, 8, 8, 8, 2] == rivals.reactive(load, 100, 150.0).tolist()


def test_a_rival_without_its_metric_does_nothing() -> None:
    load = np.array([400.0, 400, np.nan, np.nan, 400, 400])
    assert [5] * 6 == rivals.reactive(load, 100, 300.0).tolist()


def test_the_seasonal_quantile_looks_back_whole_weeks_only() -> None:
    load = np.arange(40.0)
    assert [0.0, 0.0, 23.0, 29.0] == rivals.seasonal_quantile(load, 10, 2)[[0, 7, 31, 37]].tolist()
