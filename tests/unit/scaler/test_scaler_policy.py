"""The decision: never under what the load needs, never down on doubt, every limit named."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.capacity import Load, pods_for
from scaler.decision import (
    Controls,
    Floor,
    Forecast,
    ForecastSlot,
    Hold,
    Limit,
    PoolInputs,
    ReplicaDecision,
    Source,
)
from scaler.guards import Memory
from scaler.policy import decide, limit_to_drained
from scaler.settings import PodCapacity, PoolSettings

NOW_S = 1_800_000_000.0
POOL = PoolSettings(
    name="relay",
    pod=PodCapacity(sessions=100),
    minimum=2,
    maximum=50,
    target_utilisation=0.8,
    forecast_utilisation=1.0,
    stabilisation=300.0,
)


def calls(sessions: float, **changes: object) -> PoolInputs:
    return replace(
        PoolInputs(replicas=10, ready=10, load=Load(sessions=sessions), load_at_s=NOW_S), **changes
    )  # fmt: skip


def forecast(high: float, *, issued_at_s: float = NOW_S, start_s: float = NOW_S) -> Forecast:
    slot = ForecastSlot(start_s, start_s + 300, Load(sessions=high), Load(sessions=high * 0.8))
    return Forecast("f1", issued_at_s, (slot,))


def settled(inputs: PoolInputs, pool: PoolSettings = POOL) -> ReplicaDecision:
    """Return the decision after the same inputs were seen for longer than the stabilisation."""
    memory = Memory()
    for minute in range(8):
        now_s = NOW_S + 60 * minute
        coming = inputs.forecast and replace(
            inputs.forecast,
            issued_at_s=inputs.forecast.issued_at_s + 60 * minute,
            slots=tuple(replace(s, end_s=s.end_s + 60 * minute) for s in inputs.forecast.slots),
        )
        at_s = inputs.load_at_s + 60 * minute
        decision, memory = decide(replace(inputs, load_at_s=at_s, forecast=coming), pool, memory, now_s)
    return decision


def first(inputs: PoolInputs, pool: PoolSettings = POOL) -> ReplicaDecision:
    return decide(inputs, pool, Memory(), NOW_S)[0]


def test_load_now_scales_up_at_once() -> None:
    assert (13, Source.REACTIVE, "sessions") == _bound(first(calls(1000)))


def _bound(decision: ReplicaDecision) -> tuple[int, Source, str]:
    assert decision.binding is not None
    return decision.final, decision.binding.source, decision.binding.term


def test_a_forecast_within_the_lead_time_scales_up() -> None:
    coming = calls(400, forecast=forecast(1500, start_s=NOW_S + 170), lead_time_s=180.0)
    assert (15, Source.FORECAST, "sessions") == _bound(first(coming))


def test_a_forecast_beyond_the_lead_time_waits() -> None:
    slots = forecast(400).slots + forecast(5000, start_s=NOW_S + 300).slots
    later = calls(400, forecast=Forecast("f", NOW_S, slots), lead_time_s=180.0)
    assert 10 == first(later).final


def test_the_slot_that_begins_when_pods_are_ready_counts() -> None:
    slots = forecast(400).slots + forecast(1500, start_s=NOW_S + 180).slots
    assert 15 == first(calls(400, forecast=Forecast("f", NOW_S, slots), lead_time_s=180.0)).final


def test_a_campaign_is_provided_for_before_it_begins() -> None:
    floor = Floor("televote", NOW_S + 100, NOW_S + 900, Load(sessions=2000))
    assert (20, Source.CAMPAIGN, "sessions") == _bound(first(calls(400, floors=(floor,))))


def test_a_reservation_adds_what_its_tenant_does_not_use() -> None:
    pool = POOL.model_copy(update={"reserved_sessions": {"hospital": 700}})
    decision = first(calls(800, load_by_tenant=(("hospital", 100.0),)), pool)
    assert (14, Source.RESERVATION, "sessions") == _bound(decision)


def test_less_load_goes_down_only_after_the_stabilisation() -> None:
    assert (10, (Hold.STABILISING,)) == (first(calls(300)).final, first(calls(300)).holds)
    assert 4 == settled(calls(300)).final


def test_a_peak_within_the_stabilisation_is_kept() -> None:
    memory = Memory()
    for minute, sessions in enumerate((300, 300, 300, 300, 720, 300, 300)):
        now_s = NOW_S + 60 * minute
        decision, memory = decide(calls(sessions, load_at_s=now_s), POOL, memory, now_s)
    assert 9 == decision.final


@pytest.mark.parametrize(
    ("inputs", "hold"),
    [
        (calls(300, load=None), Hold.LOAD_MISSING),
        (calls(math.nan), Hold.LOAD_MISSING),
        (calls(-5), Hold.LOAD_INVALID),
        (calls(math.inf), Hold.LOAD_INVALID),
        (calls(300, load_at_s=NOW_S - 31), Hold.LOAD_STALE),
        (calls(300, ready=4), Hold.FEW_READY),
        (calls(300, forecast=forecast(math.inf)), Hold.FORECAST_INVALID),
        (calls(300, forecast=forecast(math.nan)), Hold.FORECAST_INVALID),
        (calls(300, forecast=forecast(-1)), Hold.FORECAST_INVALID),
        (calls(300, forecast=replace(forecast(300), slots=())), Hold.FORECAST_INVALID),
    ],
)
def test_doubt_keeps_every_pod(inputs: PoolInputs, hold: Hold) -> None:
    decision = settled(inputs)
    assert (10, True) == (decision.final, hold in decision.holds)


@pytest.mark.parametrize(("sessions", "hold"), [(0, Hold.LOAD_ZERO), (100, Hold.LOAD_JUMPED)])
def test_a_sudden_fall_must_last(sessions: float, hold: Hold) -> None:
    memory = decide(calls(800), POOL, Memory(), NOW_S)[1]
    finals = []
    for minute in range(1, 13):
        now_s = NOW_S + 60 * minute
        decision, memory = decide(calls(sessions, load_at_s=now_s), POOL, memory, now_s)
        finals.append((decision.final, hold in decision.holds))
    assert [(10, True)] * 5 == finals[:5]
    assert (2, False) == finals[-1]


def test_a_sudden_rise_is_believed_when_seen_twice() -> None:
    memory = decide(calls(200), POOL, Memory(), NOW_S)[1]
    once, memory = decide(calls(2000, load_at_s=NOW_S + 15), POOL, memory, NOW_S + 15)
    twice, _ = decide(calls(2000, load_at_s=NOW_S + 30), POOL, memory, NOW_S + 30)
    assert (10, 25) == (once.final, twice.final)


def test_a_forecast_that_stopped_coming_holds_and_then_the_load_counts_alone() -> None:
    memory, pool = Memory(), POOL.model_copy(update={"forecast_age": 600.0})
    finals = {}
    for minute in range(60):
        now_s = NOW_S + 60 * minute
        old = calls(300, load_at_s=now_s, forecast=forecast(900))
        decision, memory = decide(old, pool, memory, now_s)
        finals[minute] = decision.final
    assert [10, 10, 4] == [finals[4], finals[29], finals[40]]


def test_a_pool_that_never_had_a_forecast_goes_by_its_load() -> None:
    assert 4 == settled(calls(300, forecast=None)).final


@pytest.mark.parametrize(
    ("changes", "controls", "sessions", "final", "limits"),
    [
        ({"maximum": 20}, Controls(), 4000, 20, [Limit.MAXIMUM]),
        ({"step_up": 3}, Controls(), 4000, 13, [Limit.STEP_UP]),
        ({"step_down": 1}, Controls(), 300, 9, [Limit.STEP_DOWN]),
        ({"cost_per_pod_hour": 0.5, "budget_per_hour": 6.0}, Controls(), 4000, 12, [Limit.BUDGET]),
        ({}, Controls(kill_switch=True), 4000, 10, [Limit.KILL_SWITCH]),
        ({}, Controls(frozen_until_s=NOW_S + 9999), 4000, 10, [Limit.FREEZE]),
        ({}, Controls(frozen_until_s=NOW_S - 1), 4000, 50, []),
        ({}, Controls(override=7, override_until_s=NOW_S + 9999), 1000, 7, [Limit.OVERRIDE]),
        ({}, Controls(override=7, override_until_s=NOW_S - 1), 1000, 13, []),
        ({}, Controls(override=80), 1000, 50, [Limit.OVERRIDE, Limit.MAXIMUM]),
        ({"step_up": 9, "maximum": 15}, Controls(), 4000, 15, [Limit.STEP_UP, Limit.MAXIMUM]),
    ],
)
def test_each_limit_that_binds_is_named(
    changes: dict[str, object], controls: Controls, sessions: float, final: int, limits: list[Limit]
) -> None:
    pool = PoolSettings.model_validate(POOL.model_dump() | changes)
    decision = settled(calls(sessions, controls=controls), pool)
    assert (final, limits) == (decision.final, [applied.limit for applied in decision.limits])


@pytest.mark.parametrize(
    ("changes", "inputs", "why"),
    [
        ({}, calls(1000, controls=Controls(override=5, author="ana")), "set by ana"),
        ({"maximum": 12}, calls(1000), "at most 12"),
        ({"step_up": 2}, calls(1000), "at most 2 added at once"),
        ({"cost_per_pod_hour": 0.5, "budget_per_hour": 5.5}, calls(1000), "5.5 an hour at 0.5 a pod"),
        ({}, calls(1000, controls=Controls(kill_switch=True)), "switched off by an operator"),
        (
            {},
            calls(1000, owner="HorizontalPodAutoscaler h"),
            "scaled by HorizontalPodAutoscaler h; remove that, or",
        ),
    ],
)
def test_a_limit_that_leaves_fewer_pods_than_the_load_needs_says_so(
    changes: dict[str, object], inputs: PoolInputs, why: str
) -> None:
    told = first(inputs, PoolSettings.model_validate(POOL.model_dump() | changes)).limits[-1].why
    assert (True, True) == (told.startswith(why), told.endswith(", below the 13 that the load needs"))


def test_the_reason_is_one_sentence_a_person_can_read() -> None:
    assert "10 → 13; reactive asks for 13 (1000 sessions now, pods 80% full)" == first(calls(1000)).reason


@pytest.mark.parametrize(
    ("inputs", "drain"),
    [
        (calls(300), 6),
        (calls(300, draining=6), 6),
        (calls(300, draining=2, load_at_s=NOW_S - 31), 2),
        (calls(300, draining=2, ready=4), 2),
        (calls(300, load_at_s=NOW_S - 31), 0),
        (calls(760, draining=2), 0),
        (calls(900, draining=2), 0),
        (calls(300, draining=2, ready=4, controls=Controls(kill_switch=True)), 0),
        (calls(300, draining=2, controls=Controls(frozen_until_s=NOW_S + 9999)), 0),
        (calls(300, draining=2, controls=Controls(override=7)), 3),
    ],
)
def test_pods_to_empty_are_those_that_go_and_in_doubt_those_begun(inputs: PoolInputs, drain: int) -> None:
    assert drain == settled(inputs).drain


def test_in_doubt_what_a_need_asks_for_is_given_back() -> None:
    memory = decide(calls(300), POOL, Memory(), NOW_S)[1]
    stale = calls(300, draining=6, load_at_s=NOW_S - 31, forecast=forecast(800))
    decision, _ = decide(stale, POOL, memory, NOW_S)
    assert (10, 2) == (decision.final, decision.drain)


def test_pods_that_are_not_empty_yet_limit_the_decision_and_say_so() -> None:
    decision = limit_to_drained(settled(calls(300)), 2, "6 of 6 being emptied, 9 calls up")
    assert (8, [(Limit.DRAIN, 4, 8)], True) == (
        decision.final,
        [(a.limit, a.before, a.after) for a in decision.limits],
        decision.reason.startswith("10 → 8; ")
        and decision.reason.endswith("drain: 6 of 6 being emptied, 9 calls up"),
    )


AMOUNT = st.one_of(st.floats(0, 10_000), st.sampled_from([math.nan, math.inf, -1.0, 0.0]))
STEPS = st.lists(
    st.tuples(AMOUNT, st.one_of(st.none(), AMOUNT), st.integers(0, 900), st.integers(0, 30), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(STEPS)
def test_whatever_comes_pods_stay_within_bounds_and_never_under_the_believed_load(
    steps: list[tuple[float, float | None, int, int, bool]],
) -> None:
    """A forecast of nothing, of ten times the load, not a number or frozen cannot do harm."""
    pool = PoolSettings.model_validate(POOL.model_dump() | {"maximum": 30})
    memory, replicas, now_s = Memory(), 10, NOW_S
    for sessions, high, seconds, ready, fresh in steps:
        now_s += 15 + seconds
        inputs = PoolInputs(
            replicas=replicas,
            ready=min(ready, replicas),
            load=Load(sessions=sessions),
            load_at_s=now_s if fresh else NOW_S,
            forecast=None
            if high is None
            else forecast(high, issued_at_s=now_s if fresh else NOW_S, start_s=now_s),
        )
        decision, memory = decide(inputs, pool, memory, now_s)
        believed = 0 if memory.load is None else pods_for(memory.load, pool.pod, pool.target_utilisation).pods
        assert min(max(pool.minimum, believed), pool.maximum) <= decision.final <= pool.maximum
        if decision.holds:
            assert decision.final >= min(replicas, pool.maximum)
        replicas = decision.final


@given(STEPS)
def test_a_decision_can_be_made_again_from_its_inputs(
    steps: list[tuple[float, float | None, int, int, bool]],
) -> None:
    runs = []
    for _ in range(2):
        memory, made = Memory(), []
        for number, (sessions, _, _, ready, _) in enumerate(steps):
            now_s = NOW_S + 15 * number
            decision, memory = decide(calls(sessions, load_at_s=now_s, ready=ready), POOL, memory, now_s)
            made.append(decision)
        runs.append(made)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("sessions", [300, 4000])
def test_a_pool_of_another_autoscaler_is_left_to_it(sessions: float) -> None:
    decision = settled(calls(sessions, owner="HorizontalPodAutoscaler theirs", draining=2))
    assert (10, 0, [Limit.OWNER]) == (decision.final, decision.drain, [a.limit for a in decision.limits])
    assert "owner: scaled by HorizontalPodAutoscaler theirs" in decision.reason


@pytest.mark.parametrize(
    ("drain", "grace_s", "final"),
    [
        ({"deadline": "30m"}, 30.0, 10),
        ({"deadline": "30m"}, 1809.0, 10),
        ({"deadline": "30m"}, 1810.0, 4),
        ({"deadline": "20s"}, 30.0, 4),
        ({"deadline": "30m"}, None, 4),
        ({"deadline": "30m", "method": "rtpengine-cli"}, 30.0, 4),
    ],
)
def test_pods_that_nothing_empties_go_only_if_calls_get_the_time_to_end(
    drain: dict[str, object], grace_s: float | None, final: int
) -> None:
    pool = PoolSettings.model_validate(POOL.model_dump() | {"drain": drain})
    decision = settled(calls(300, grace_s=grace_s), pool)
    assert (final, final == 10) == (decision.final, Hold.GRACE_SHORT in decision.holds)


def test_pods_that_nothing_empties_are_still_added() -> None:
    assert 13 == first(calls(1000, grace_s=30.0)).final


@pytest.mark.parametrize("hold", list(Hold))
def test_every_hold_has_words(hold: Hold) -> None:
    assert hold.words
