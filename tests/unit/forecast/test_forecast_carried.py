"""Calls in progress carried on: better than the last value, fed from the store, honest where they cannot be."""

import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from calls_support import MEAN_S, call_rows, drawn, load_rows, minute_rows, now_rows, write_past
from load_support import DAY_S, ENGINEER, MONDAY_S, store_at

from forecast.carried import MODEL, Rehearsed, rehearse
from forecast.concurrency import binned_survival
from forecast.horizons import Horizon
from forecast.issue import Known, perform
from forecast.live_calls import HoldingTimes, LiveCalls, PastCalls, list_calls, past_calls
from forecast.once import Once
from forecast.series import Series, State
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS
from forecast.targets import Kind, SeriesId, Signal
from storage.seam import Window
from telephony.histogram import HOLDING_S

SLOT_S = 300
DAYS = 22
NOW_S = MONDAY_S + 15 * DAY_S + 9 * 3600
POOL = Kind.POOL, "media-eu"


def series_of(y: np.ndarray) -> tuple[Series, Known]:
    return Series(MONDAY_S, SLOT_S, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8)), Known()


@pytest.fixture(scope="module")
def rehearsed() -> tuple[Rehearsed, np.ndarray]:
    """Return a week on a simulated pool of 150 calls, and the maxima of its slots."""
    calls = drawn(DAYS)
    until_s = MONDAY_S + DAYS * DAY_S
    fine = calls.live(np.arange(MONDAY_S, until_s + 1, 15, dtype=np.float64))
    top = np.lib.stride_tricks.sliding_window_view(fine, 21)[::20].max(axis=1).astype(np.float64)
    came = np.histogram(calls.answered_s, np.arange(MONDAY_S, until_s + 1, SLOT_S))[0].astype(np.float64)
    over = calls.ended_s < until_s
    past = PastCalls(calls.answered_s[over], calls.ended_s[over], float(MONDAY_S), 1.0)
    lasted = np.histogram((calls.ended_s - calls.answered_s)[over], HOLDING_S.edges)[0]
    survival = binned_survival(lasted.astype(np.float64), np.array(HOLDING_S.edges))
    still = LiveCalls(until_s - calls.answered_s[~over])
    series, arrivals = series_of(top), series_of(came)
    return rehearse(Signal.CONCURRENT_MAX, series, arrivals, past, still, survival, 1.0), top


@pytest.mark.parametrize(("minutes", "goal"), [(5, 0.25), (15, 0.30), (30, 0.30), (60, 0.30)])
def test_maxima_are_forecast_better_than_by_the_last_value(rehearsed, minutes, goal) -> None:
    found, top = rehearsed
    lead = minutes * 60 // SLOT_S
    held = found.origins + lead < top.size
    came, last = top[found.origins[held] + lead], top[found.origins[held]]
    error = np.abs(found.quantiles[held, lead - 1, 0] - came).sum()
    assert error <= (1 - goal) * np.abs(last - came).sum()


def test_few_maxima_lie_over_the_highest_quantile(rehearsed) -> None:
    found, top = rehearsed
    held = (found.origins > found.origins[0] + 3 * 288) & (found.origins + 12 < top.size)
    ahead = found.origins[held][:, None] + 1 + np.arange(12)
    assert np.mean(top[ahead] <= found.quantiles[held, :, 4]) == pytest.approx(0.99, abs=0.011)


class Pool:
    """A store with two weeks of a small pool, and a service on it."""

    def __init__(self, path: Path, *, call_days: int) -> None:
        self.calls = drawn(17, calls=15.0)
        self.store = store_at(path)
        self.collect = self.store.writer("collect")
        write_past(self.collect, self.calls, NOW_S, call_days=call_days)
        self.reader = self.store.reader(ENGINEER)
        self.service = Service(
            self.reader, self.store.writer("forecast"), SETTINGS, lambda tasks: map(perform, tasks)
        )

    def state(self, at_s: int) -> None:
        self.collect.write("call_now", now_rows(self.calls, at_s))
        self.collect.flush()

    def near(self) -> list[dict]:
        """Return the newest near forecasts."""
        rows = self.reader.forecasts(Window(0, 4 * 10**18), where={"horizon": ("short",)})
        return rows.select(["model", "q50", "inputs", "signal", "target_kind"]).to_pylist()

    def issued(self, at_s: int) -> dict[str, object]:
        """Return what was issued at a time for the pool's maxima, by column."""
        rows = self.reader.select(
            "forecast", Window(0, 4 * 10**18), limit=10**5,
            where={"horizon": ("short",), "target_kind": ("pool",), "signal": ("concurrent_max",)},
        ).sort_by("slot")  # fmt: skip
        rows = rows.filter(pc.equal(rows["issued_at"].cast(pa.int64()), at_s * SECOND_NS))
        return {
            "q50": rows["q50"].to_numpy(), "model": rows["model"].to_pylist(),
            "inputs": set(rows["inputs"].to_pylist()),
        }  # fmt: skip

    def said(self) -> set[str]:
        return {json.loads(row["inputs"]).get("live") for row in self.near() if row["signal"] == "concurrent_max"}


SETTINGS = ForecastServiceSettings.model_validate({
    "slot": "15m", "workers": 0, "delay": "60s",
    "signals": {"pool": ["concurrent_max", "arrivals"], "tenant": ["concurrent_max", "arrivals"]},
})  # fmt: skip


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    pool = Pool(tmp_path_factory.mktemp("pool"), call_days=5)
    pool.state(NOW_S)
    pool.service.step(NOW_S + 61)
    yield pool
    pool.store.close()


def test_near_forecasts_of_pool_and_tenant_come_from_the_live_calls(pool) -> None:
    models = {(row["target_kind"], row["signal"], row["model"]) for row in pool.near()}
    assert {(kind, "concurrent_max", MODEL) for kind in ("pool", "tenant")} == {
        row for row in models if row[1] == "concurrent_max"
    }


def test_the_forecast_says_how_many_calls_it_stands_on(pool) -> None:
    assert {f"{pool.calls.live(np.array([NOW_S]))[0]} calls"} == pool.said()


def test_far_forecasts_are_the_ladders(pool) -> None:
    rows = pool.reader.forecasts(Window(0, 4 * 10**18), where={"horizon": ("long", "medium")})
    assert MODEL not in rows["model"].to_pylist()


def test_live_calls_of_a_pool_are_listed_with_their_ages(pool) -> None:
    up = (pool.calls.answered_s <= NOW_S) & (pool.calls.ended_s > NOW_S)
    expected = np.sort(NOW_S - pool.calls.answered_s[up])
    np.testing.assert_allclose(np.sort(list_calls(pool.reader, NOW_S).calls[POOL].ages_s), expected, atol=1e-3)


def test_holding_times_are_learned_from_the_minutes(pool) -> None:
    holding = HoldingTimes(lambda carrier: ZoneInfo("UTC"))
    holding.read(pool.reader, NOW_S)
    survival = holding.survival(POOL, NOW_S)
    assert survival is not None
    assert MEAN_S == pytest.approx(survival.mean_s, rel=0.08)
    assert 1.0 == pytest.approx(holding.answered(POOL), rel=0.02)


def test_parts_of_the_day_are_those_of_the_local_clock(tmp_path) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    store = store_at(tmp_path)
    writer = store.writer("collect")
    hours = MONDAY_S + 3600 * np.arange(48)
    # Short calls from 6 to 12 o'clock there, long ones at other times.
    local = (hours + 19_800) // 3600 % 24
    buckets = np.searchsorted(HOLDING_S.edges, np.where((local >= 6) & (local < 12), 20.0, 900.0), "right") - 1
    histograms = (2000 * np.eye(HOLDING_S.count, dtype=np.int64)[buckets]).tolist()
    writer.write("load_minute", minute_rows(hours, histograms))
    writer.flush()
    holding = HoldingTimes(lambda carrier: zone)
    holding.read(store.reader(ENGINEER), MONDAY_S + 2 * DAY_S)
    means = [holding.survival(POOL, MONDAY_S + 3 * DAY_S + hour * 3600 - 19_800).mean_s for hour in (1, 7, 11, 13)]
    assert [False, True, True, False] == [mean < 300 for mean in means]
    store.close()


def test_with_too_many_calls_fewer_days_are_read(pool, monkeypatch) -> None:
    whole = past_calls(pool.reader, POOL, NOW_S)
    monkeypatch.setattr("forecast.live_calls.MOST_PAST_CALLS", int(0.9 * whole.ended_s.size))
    assert NOW_S - 4 * DAY_S - 60 < past_calls(pool.reader, POOL, NOW_S).since_s < NOW_S - 4 * DAY_S + 3600
    monkeypatch.setattr("forecast.live_calls.MOST_PAST_CALLS", 5)
    assert past_calls(pool.reader, POOL, NOW_S) is None


def test_what_is_forecast_by_hand_is_what_the_service_issues(pool) -> None:
    key = SeriesId(*POOL, Signal.CONCURRENT_MAX)
    (said,) = Once(pool.reader, SETTINGS, NOW_S + 61).outcomes([key], Horizon.SHORT, lambda t: map(perform, t))
    issued = pool.issued(NOW_S + 61)
    assert (MODEL, issued["inputs"]) == (said.issues[0].model, {said.inputs})
    np.testing.assert_allclose(said.issues[0].quantiles[:, 0], issued["q50"])


def test_a_restart_goes_on_from_the_live_calls(tmp_path) -> None:
    pool = Pool(tmp_path, call_days=5)
    pool.state(NOW_S)
    pool.service.step(NOW_S + 61)
    later_s = NOW_S + 900
    pool.collect.write("load_minute", load_rows(pool.calls, NOW_S, later_s))
    pool.state(later_s)
    restarted = Service(pool.reader, pool.store.writer("forecast-2"), SETTINGS, lambda tasks: map(perform, tasks))
    restarted.step(later_s + 61)
    assert {MODEL} == set(pool.issued(later_s + 61)["model"])
    assert {"carried": 2} == dict(restarted.stats.carried)
    pool.store.close()


def test_who_was_live_at_an_earlier_time_is_known_from_ended_calls(pool) -> None:
    past = past_calls(pool.reader, POOL, NOW_S)
    still = list_calls(pool.reader, NOW_S).calls[POOL]
    at_s = NOW_S - 600
    assert past is not None
    assert pool.calls.live(np.array([at_s]))[0] == past.live(at_s, still, NOW_S).ages_s.size


def test_both_legs_of_a_call_count_once(pool) -> None:
    second = NOW_S + 900
    pool.collect.write("load_minute", load_rows(pool.calls, NOW_S, second))
    rows = now_rows(pool.calls, second)
    pool.collect.write("call_now", rows)
    ids = pa.array([f"{call}-b" for call in rows["call_id"].to_pylist()])
    times = pa.array([at.value + 499 for at in rows["time"].to_pylist()]).cast(rows.schema.field("time").type)
    other = rows.set_column(0, rows.schema.field("time"), times)
    other = other.set_column(rows.schema.get_field_index("call_id"), rows.schema.field("call_id"), ids)
    pool.collect.write("call_now", other)
    pool.collect.flush()
    live = list_calls(pool.reader, second).calls[POOL]
    assert live.ages_s.size * live.worth == pytest.approx(pool.calls.live(np.array([second - 30.0]))[0], rel=0.15)


def test_without_calls_the_ladder_stays_and_says_why(tmp_path) -> None:
    pool = Pool(tmp_path, call_days=0)
    pool.service.step(NOW_S + 61)
    said = [pool.said()]
    pool.state(NOW_S + 900)
    pool.service.step(NOW_S + 961)
    # What was said first still stands for the slots that are over.
    assert [{"no call is listed"}, {"no call is listed", "still learning"}] == [*said, pool.said()]
    assert MODEL not in {row["model"] for row in pool.near()}
    pool.store.close()


def test_too_many_calls_are_not_listed(pool, monkeypatch) -> None:
    monkeypatch.setattr("forecast.live_calls.MOST_LISTED", 5)
    assert "too many calls to list" == list_calls(pool.reader, NOW_S).why_not


def test_masked_slots_are_not_learned_from(pool) -> None:
    followed = next(iter(pool.service._carried._followed.values()))
    before = len(followed.path._came)
    series, known = series_of(np.full(400, 9.0))
    at = followed.slot - 399
    series = replace(series, slot_s=900, start_s=at * 900, state=np.full(400, State.MASKED, np.uint8))
    key = next(iter(pool.service._carried._followed))
    pool.service._carried.came(key, series, known)
    assert before == len(followed.path._came)


def test_calls_of_elsewhere_are_not_the_pools(pool) -> None:
    assert past_calls(pool.reader, (Kind.POOL, "media-us"), NOW_S) is None


def test_call_rows_hold_every_ended_call(pool) -> None:
    rows = call_rows(pool.calls, NOW_S - 60, NOW_S)
    assert rows.num_rows == ((pool.calls.ended_s >= NOW_S - 60) & (pool.calls.ended_s < NOW_S)).sum()
