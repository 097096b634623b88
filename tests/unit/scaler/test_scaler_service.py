"""The scaler's round against a store: what it reads, what it writes down, and what a target's trouble does."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scaler.decision import Hold, Mode
from scaler.drain import Drainer, ReplicaSetOrder
from scaler.leadtime import LeadTime
from scaler.service import UNFINISHED, Scaler
from scaler.settings import ScalerSettings
from scaler.target import (
    DrainMark,
    Pod,
    SimulatedTarget,
    TargetConflict,
    TargetError,
    TargetFenced,
    TargetForbidden,
    TargetGone,
    TargetState,
    TargetUnavailable,
)
from storage.actions import EVERY_TARGET, Action, actions, record, withdraw
from storage.open import open_store
from storage.rows import batch, forecast_time_ns
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Scope, Window, Writer

S_NS = 1_000_000_000
NOW_NS = 1_800_000_000 * S_NS
POOL = {"name": "relay", "pod": {"sessions": 100}, "target_utilisation": 1.0, "maximum": 40}


class Cluster:
    """A target that does what the test says."""

    def __init__(self, replicas: int = 3, *troubles: TargetError) -> None:
        self.replicas, self.version, self.troubles = replicas, 0, list(troubles)

    def read(self, now_s: float) -> TargetState:
        pods = tuple(Pod(f"relay-{n}", now_s - 100, now_s - 60, ready=True) for n in range(self.replicas))
        return TargetState(self.replicas, str(self.version), pods)

    def scale(self, replicas: int, version: str, now_s: float) -> None:
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, TargetConflict):
                self.replicas, self.version = self.replicas + 1, self.version + 1
            raise trouble
        assert str(self.version) == version
        self.replicas, self.version = replicas, self.version + 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Reader, Writer]]:
    opened = open_store(str(tmp_path / "store"))
    writer = opened.writer("test")
    yield opened.reader(Scope.everything("test")), writer
    writer.close()
    opened.close()


def load(writer: Writer, at_ns: int, **concurrent: int) -> None:
    rows = [
        {"time": at_ns, "tenant": tenant, "pool": "relay", "region": "eu", "node": "a", "concurrent": calls}
        for tenant, calls in concurrent.items()
    ]
    writer.write("load_now", batch("load_now", rows))
    writer.flush()


def forecast(writer: Writer, slot_ns: int, q95: float, issued_ns: int = NOW_NS - 60 * S_NS) -> None:
    row = {
        "time": forecast_time_ns(slot_ns, issued_ns), "tenant": "unassigned", "target_kind": "pool",
        "target": "relay", "signal": "concurrent_max", "horizon": "short", "slot": slot_ns, "slot_seconds": 300,
        "issued_at": issued_ns, "model": "stack", "q50": q95 * 0.8, "q95": q95, "q99": q95 * 1.2,
    }  # fmt: skip
    writer.write("forecast", batch("forecast", [row]))
    writer.flush()


def scaler(
    store: tuple[Reader, Writer], cluster: Cluster | SimulatedTarget, mode: str = "act", **changes: object
) -> Scaler:
    settings = ScalerSettings.model_validate({"mode": mode, "pools": [POOL | changes]})
    return Scaler(settings, *store, lambda _: cluster, NOW_NS)


def decisions(reader: Reader) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = reader.select("replica_decision", Window(0, 2 * NOW_NS)).to_pylist()
    return rows


def test_load_of_all_tenants_scales_the_target(store: tuple[Reader, Writer]) -> None:
    cluster = Cluster()
    load(store[1], NOW_NS - 2 * S_NS, a=500, b=250)
    scaler(store, cluster).round(NOW_NS)
    assert (8, [(3, 8, True)]) == (
        cluster.replicas, [(r["current"], r["final"], r["applied"]) for r in decisions(store[0])]
    )  # fmt: skip


def test_a_forecast_in_the_store_scales_ahead(store: tuple[Reader, Writer]) -> None:
    cluster = Cluster()
    load(store[1], NOW_NS - 2 * S_NS, a=100)
    forecast(store[1], NOW_NS + 60 * S_NS, 1900)
    made = scaler(store, cluster).round(NOW_NS)["relay"]
    assert (20, "forecast") == (cluster.replicas, made.binding and made.binding.source)


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_without_act_nothing_is_written_to_the_target(store: tuple[Reader, Writer], mode: str) -> None:
    cluster = Cluster()
    load(store[1], NOW_NS, a=900)
    made = scaler(store, cluster, mode).round(NOW_NS)["relay"]
    assert (3, 9, Mode(mode)) == (cluster.replicas, made.final, made.mode)


def test_who_may_not_act_only_decides(store: tuple[Reader, Writer]) -> None:
    cluster = Cluster()
    load(store[1], NOW_NS, a=900)
    assert (9, 3) == (scaler(store, cluster).round(NOW_NS, may_act=False)["relay"].final, cluster.replicas)


def test_a_conflict_is_decided_again_from_what_is_there_now(store: tuple[Reader, Writer]) -> None:
    cluster = Cluster(3, TargetConflict("changed"))
    load(store[1], NOW_NS, a=900)
    made = scaler(store, cluster).round(NOW_NS)["relay"]
    assert (4, 9, 9) == (made.current, made.final, cluster.replicas)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (TargetForbidden("no right"), "forbidden"),
        (TargetGone("gone"), "gone"),
        (TargetUnavailable("slow"), "unavailable"),
        (TargetFenced("another leads"), "fenced"),
    ],
)
def test_trouble_with_the_target_is_counted_and_written_down(
    store: tuple[Reader, Writer], trouble: TargetError, kind: str
) -> None:
    load(store[1], NOW_NS, a=900)
    ours = scaler(store, Cluster(3, trouble))
    ours.round(NOW_NS)
    assert ({kind: 1}, f"{kind}: {trouble}", False) == (
        ours.stats.errors, decisions(store[0])[0]["error"], decisions(store[0])[0]["applied"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trouble", "asked_again_s"),
    [
        (TargetUnavailable("busy", retry_after_s=40.0), 40),
        (TargetUnavailable("slow"), 10),
        (TargetUnavailable("come tomorrow", retry_after_s=86_400.0), 300),
        (TargetForbidden("no right"), 60),
        (TargetGone("gone"), 10),
    ],
)
def test_a_cluster_that_asks_to_wait_is_left_alone(
    store: tuple[Reader, Writer], trouble: TargetError, asked_again_s: int
) -> None:
    cluster = Cluster(3, trouble)
    ours, again_s = scaler(store, cluster), 0
    for second in range(0, 400, 10):
        load(store[1], NOW_NS + second * S_NS, a=900)
        made = ours.round(NOW_NS + second * S_NS)["relay"]
        again_s = again_s or (second if cluster.replicas == 9 else 0)
    assert (asked_again_s, 9, 1) == (again_s, made.final, sum(ours.stats.errors.values()))


def test_events_tell_a_trouble_once_and_not_each_round(store: tuple[Reader, Writer]) -> None:
    told: list[str] = []
    settings = ScalerSettings.model_validate({"mode": "act", "pools": [POOL]})
    cluster = Cluster(3, *[TargetGone("gone")] * 9)
    ours = Scaler(settings, *store, lambda _: cluster, NOW_NS, lambda pool, decision, error: told.append(error))
    for second in range(0, 90, 15):
        load(store[1], NOW_NS + second * S_NS, a=900)
        ours.round(NOW_NS + second * S_NS)
    assert ["gone: gone"] == told


def test_who_follows_leaves_the_journal_to_the_leader(store: tuple[Reader, Writer]) -> None:
    load(store[1], NOW_NS, a=900)
    scaler(store, Cluster()).round(NOW_NS, may_act=False)
    assert [] == decisions(store[0])


def test_what_is_about_to_be_done_is_in_the_journal_before(store: tuple[Reader, Writer]) -> None:
    """A process that is killed between the two leaves a decision that says so; one that lives overwrites it."""

    class Killed(BaseException):
        pass

    class Deadly(Cluster):
        def scale(self, replicas: int, version: str, now_s: float) -> None:
            super().scale(replicas, version, now_s)
            raise Killed

    load(store[1], NOW_NS, a=900)
    cluster = Deadly()
    with pytest.raises(Killed):
        scaler(store, cluster).round(NOW_NS)
    left = [(row["current"], row["final"], row["applied"], row["error"]) for row in decisions(store[0])]
    assert ([(3, 9, False, UNFINISHED)], 9) == (left, cluster.replicas)


def test_a_conflict_is_tried_again_after_a_pause_and_a_few_times_only(store: tuple[Reader, Writer]) -> None:
    pauses: list[int] = []
    settings = ScalerSettings.model_validate({"mode": "act", "pools": [POOL]})
    cluster = Cluster(3, *[TargetConflict("changed")] * 9)
    ours = Scaler(settings, *store, lambda _: cluster, NOW_NS, pause=lambda: pauses.append(1))
    load(store[1], NOW_NS, a=2000)
    ours.round(NOW_NS)
    row = decisions(store[0])[0]
    assert (4, 4, "conflict: changed", 1) == (
        len(pauses), ours.stats.conflicts, row["error"], len(decisions(store[0]))
    )  # fmt: skip


def test_pods_of_another_autoscaler_are_not_emptied(store: tuple[Reader, Writer]) -> None:
    class Owned(Relays):
        def read(self, now_s: float) -> TargetState:
            return replace(super().read(now_s), owner="ScaledObject theirs")

    relays = Owned(90, 60, 0)
    rounds(store, emptying(store, relays), 190, 190, 190)
    assert ({}, [-1, -1, -1], 3) == (relays.marks, list(relays.limits.values()), relays.replicas)
    assert "owner" == decisions(store[0])[-1]["binding_limit"]


def test_load_that_is_old_holds(store: tuple[Reader, Writer]) -> None:
    load(store[1], NOW_NS - 29 * S_NS, a=100)
    made = scaler(store, Cluster(9), load_age="20s").round(NOW_NS)["relay"]
    assert (9, (Hold.LOAD_STALE,)) == (made.final, made.holds)


def test_a_decision_holds_all_that_it_was_made_from(store: tuple[Reader, Writer]) -> None:
    load(store[1], NOW_NS, a=900)
    scaler(store, Cluster()).round(NOW_NS)
    row = decisions(store[0])[0]
    seen, reactive = json.loads(str(row["inputs"])), json.loads(str(row["limits"]))["needs"][1]
    assert (900.0, "reactive", 9) == (seen["load"]["sessions"], reactive["source"], row["need_reactive"])


def test_like_decisions_are_written_down_once_in_a_while(store: tuple[Reader, Writer]) -> None:
    ours = scaler(store, Cluster(9))
    for second in range(0, 400, 50):
        load(store[1], NOW_NS + second * S_NS, a=890)
        ours.round(NOW_NS + second * S_NS)
    assert (8, 2) == (ours.stats.decisions, len(decisions(store[0])))


def test_what_operators_say_holds_until_it_ends_or_is_released(store: tuple[Reader, Writer]) -> None:
    reader, writer = store
    cluster = Cluster()
    ours = scaler(store, cluster)
    frozen = record(
        writer, Action(ActionKind.FREEZE, "pool", "relay", "ana", "work", NOW_NS, NOW_NS + 60 * S_NS), NOW_NS
    )
    finals = []
    for second in (1, 30):
        load(writer, NOW_NS + second * S_NS, a=900)
        finals.append(ours.round(NOW_NS + second * S_NS)["relay"].final)
        withdraw(reader, writer, frozen.id, "ben", NOW_NS + (second + 1) * S_NS)
    assert ([3, 9], [("ben", True)]) == (
        finals, [(a.author, a.withdrawn) for a in actions(reader, [ActionKind.FREEZE], NOW_NS + 60 * S_NS)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("action", "final", "limit"),
    [
        (Action(ActionKind.FREEZE, "pool", EVERY_TARGET, "ana", "", 0), 3, "kill_switch"),
        (Action(ActionKind.OVERRIDE, "pool", "relay", "ana", "", 0, value=5.0), 5, "override"),
        (Action(ActionKind.OVERRIDE, "pool", "other", "ana", "", 0, value=5.0), 9, ""),
        (Action(ActionKind.MODE, "pool", "relay", "ana", "", 0, details="observe"), 3, ""),
    ],
)
def test_controls_reach_the_decision(store: tuple[Reader, Writer], action: Action, final: int, limit: str) -> None:
    cluster = Cluster()
    record(store[1], action, NOW_NS - S_NS)
    load(store[1], NOW_NS, a=900)
    scaler(store, cluster).round(NOW_NS)
    assert (final, limit) == (cluster.replicas, decisions(store[0])[-1]["binding_limit"])


def test_withdrawing_what_is_not_there_is_not_found(store: tuple[Reader, Writer]) -> None:
    with pytest.raises(OutOfScope):
        withdraw(*store, "a-nothing", "ana", NOW_NS)


def test_simulated_pods_follow_in_every_mode(store: tuple[Reader, Writer]) -> None:
    target = SimulatedTarget("relay", 60.0, 1, 0.0)
    load(store[1], NOW_NS, a=900)
    scaler(store, target, "observe").round(NOW_NS)
    assert (9, 1) == (target.read(NOW_NS / 1e9).replicas, target.read(NOW_NS / 1e9).ready)


def test_the_lead_time_is_kept_over_a_restart(store: tuple[Reader, Writer]) -> None:
    load(store[1], NOW_NS, a=900)
    first = scaler(store, Cluster(9))
    first.round(NOW_NS)
    assert 40.0 == first.round(NOW_NS + S_NS)["relay"].lead_time_s
    again = scaler(store, Cluster(0))
    assert first.stats.last["relay"].lead_time_s == again.round(NOW_NS + 2 * S_NS)["relay"].lead_time_s


def test_the_lead_time_is_the_p95_of_pods_seen_once_each() -> None:
    lead = LeadTime(180.0)
    lead.observe([Pod("a", 0.0, 30.0, ready=True)] * 3)
    few = lead.seconds
    lead.observe([Pod(f"p{n}", 0.0, float(n), ready=True) for n in range(1, 20)])
    lead.observe([Pod("waiting", 0.0, None, ready=False)])
    assert (180.0, 20, 19.0) == (few, lead.samples, lead.seconds)


class Relays:
    """A target whose pods can be emptied: what is noted on them, and what their relays know."""

    def __init__(self, *calls: int) -> None:
        self.calls = {f"relay-{n}": up for n, up in enumerate(calls)}
        self.replicas = len(calls)
        self.limits = dict.fromkeys(self.calls, -1)
        self.marks: dict[str, DrainMark] = {}
        self.preferred: set[str] = set()

    def read(self, now_s: float) -> TargetState:
        pods = (
            Pod(name, 0.0, 60.0, True, name, self.marks.get(name), name in self.preferred) for name in self.calls
        )
        return TargetState(self.replicas, str(self.replicas), tuple(pods))

    def scale(self, replicas: int, version: str, now_s: float) -> None:
        """Write replicas; the controller takes the preferred at once."""
        assert version == str(self.replicas)
        for name in sorted(self.calls, key=lambda name: name not in self.preferred)[: self.replicas - replicas]:
            del self.calls[name]
            self.marks.pop(name, None)
        self.replicas = replicas

    def mark_draining(self, pod: str, mark: DrainMark | None) -> None:
        self.marks = {name: known for name, known in self.marks.items() if name != pod}
        if mark is not None:
            self.marks[pod] = mark

    def prefer_to_delete(self, pod: str, prefer: bool) -> None:
        self.preferred = self.preferred | {pod} if prefer else self.preferred - {pod}

    def sessions(self, address: str) -> int:
        return self.calls[address]

    def limit(self, address: str) -> int:
        return self.limits[address]

    def set_limit(self, address: str, limit: int) -> None:
        self.limits[address] = limit


def emptying(store: tuple[Reader, Writer], relays: Relays, mode: str = "act") -> Scaler:
    pool = POOL | {"stabilisation": 0}
    settings = ScalerSettings.model_validate({"mode": mode, "pools": [pool]})
    return Scaler(
        settings,
        *store,
        lambda _: relays,
        NOW_NS,
        drainer_of=lambda _: Drainer(relays, relays, ReplicaSetOrder(), 600.0, lambda: True),
    )


def rounds(store: tuple[Reader, Writer], ours: Scaler, *loads: int, start: int = 0) -> list[int]:
    """Do a round for each load, and return what was decided."""
    finals = []
    for number, calls in enumerate(loads, start):
        load(store[1], NOW_NS + number * 15 * S_NS, a=calls)
        finals.append(ours.round(NOW_NS + number * 15 * S_NS)["relay"].final)
    return finals


def test_replicas_are_lowered_by_what_is_empty_and_no_more(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 0, 60, 40)
    finals = rounds(store, emptying(store, relays), 190, 190, 190)
    assert ([4, 3, 3], ["relay-0", "relay-2", "relay-3"], ["relay-3"]) == (
        finals,
        list(relays.calls),
        list(relays.marks),
    )


def test_what_keeps_pods_is_written_down(store: tuple[Reader, Writer]) -> None:
    rounds(store, emptying(store, Relays(90, 60, 40)), 190, 190)
    row = decisions(store[0])[-1]
    assert (1, "drain", "limited", False) == (row["draining"], row["binding_limit"], row["reason"], row["applied"])
    assert "1 of 1 being emptied, 40 calls up" in str(row["message"])


def test_load_that_returns_opens_pods_before_others_are_asked_for(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 60, 40)
    ours = emptying(store, relays)
    rounds(store, ours, 190)
    closed = list(relays.limits.values())
    finals = rounds(store, ours, 290, 390, start=1)
    assert ([-1, -1, 0], [3, 4], [-1, -1, -1], {}) == (closed, finals, list(relays.limits.values()), relays.marks)


def test_another_instance_goes_on(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 60, 0)
    rounds(store, emptying(store, relays), 190)
    assert ([2], {"relay-0": 90, "relay-1": 60}) == (
        rounds(store, emptying(store, relays), 190, start=1),
        relays.calls,
    )


def test_a_pool_that_is_no_longer_acted_for_gets_its_pods_back(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 60, 40)
    rounds(store, emptying(store, relays), 190)
    rounds(store, emptying(store, relays, "observe"), 190, start=1)
    assert ({}, [-1, -1, -1]) == (relays.marks, list(relays.limits.values()))


def test_who_does_not_lead_leaves_pods_alone(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 60, 40)
    rounds(store, emptying(store, relays), 190)
    emptying(store, relays, "observe").round(NOW_NS + 15 * S_NS, may_act=False)
    assert [-1, -1, 0] == list(relays.limits.values())


def test_a_wrong_victim_is_counted_and_written_down(store: tuple[Reader, Writer]) -> None:
    relays = Relays(90, 60, 0)
    ours = emptying(store, relays)
    rounds(store, ours, 190, 190)
    relays.calls = {"relay-0": 90, "relay-2": 0}
    rounds(store, ours, 190, start=2)
    assert ({"wrong_victim": 1}, "wrong_victim: relay-1 went in place of relay-2") == (
        ours.stats.errors, decisions(store[0])[-1]["error"]
    )  # fmt: skip


def _zero(at_s: float, calls: float) -> float:
    return 0.0


def _tenfold(at_s: float, calls: float) -> float:
    return 10 * calls


def _nothing(at_s: float, calls: float) -> float:
    return math.nan


def _frozen(at_s: float, calls: float) -> float:
    return 700.0


def _wild(at_s: float, calls: float) -> float:
    return calls * (0.0 if at_s % 480 < 240 else 100.0)


@pytest.mark.parametrize("wrong", [_zero, _tenfold, _nothing, _frozen, _wild])
def test_no_forecast_takes_a_pool_under_its_load_or_over_its_caps(
    store: tuple[Reader, Writer], wrong: Callable[[float, float], float]
) -> None:
    """An hour in the loop: load rises and falls, a forecast that is wrong comes every four minutes."""
    pods = SimulatedTarget("relay", 60.0, 3, NOW_NS / 1e9)
    caps = {"maximum": 30, "cost_per_pod_hour": 0.5, "budget_per_hour": 12.0}
    ours, cap, most = scaler(store, pods, **caps), 24, 0
    for second in range(0, 3600, 120):
        now_ns, calls = NOW_NS + second * S_NS, round(1100 - 800 * math.cos(second / 3600 * 2 * math.pi))
        load(store[1], now_ns, a=calls)
        if second % 240 == 0:
            for slot in range(3):
                forecast(store[1], now_ns + slot * 300 * S_NS, wrong(second, calls), issued_ns=now_ns)
        made = ours.round(now_ns)["relay"]
        needed = math.ceil(calls / 100)
        assert min(needed, cap) <= made.final <= cap
        assert made.reactive == needed
        most = max(most, made.final)
    assert (24 if wrong in (_tenfold, _wild) else 19) == most
