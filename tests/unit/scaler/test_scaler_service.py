"""The scaler's round against a store: what it reads, what it writes down, and what a target's trouble does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaler.decision import Hold, Mode
from scaler.leadtime import LeadTime
from scaler.service import Scaler
from scaler.settings import ScalerSettings
from scaler.target import (
    Pod,
    SimulatedTarget,
    TargetConflict,
    TargetError,
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
