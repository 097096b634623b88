"""The Kubernetes edge against a real kube-apiserver and its controllers."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster import Cluster
from kubernetes import client
from lab.relays import ONE, TWO, Calls
from workloads import deploy, eventually, make_ready, pods_of, scaled, write_load

from scaler.decision import Mode, ReplicaDecision
from scaler.drain import Drainer, ReplicaSetOrder, StatefulSetOrder
from scaler.kube.events import Events
from scaler.kube.lease import DURATION_S, RENEW_DEADLINE_S, Lease
from scaler.kube.workload import Workload
from scaler.relay import RelayRefused
from scaler.rtpengine import Rtpengine
from scaler.settings import TargetSettings
from scaler.target import (
    DrainMark,
    TargetConflict,
    TargetFenced,
    TargetGone,
    TargetState,
    TargetUnavailable,
)
from surgecast.config import Settings
from surgecast.roles import scale as role

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WALL = datetime(2026, 11, 21, tzinfo=UTC)
MARK = DrainMark(WALL.timestamp(), -1)


@pytest.fixture
def workload(admin: client.ApiClient, namespace: str) -> Workload:
    return Workload(admin, deploy(admin, namespace, 3), lambda: True)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_replicas_are_written_and_pods_follow(admin: client.ApiClient, namespace: str, kind: str) -> None:
    workload = Workload(admin, deploy(admin, namespace, 2, kind), lambda: True)
    pods_of(workload, 2)
    eventually(lambda: scaled(workload, 5))
    assert (5, 5) == (workload.read(0.0).replicas, len(pods_of(workload, 5)))


def test_pods_tell_when_they_were_made_and_became_ready(
    admin: client.ApiClient, namespace: str, workload: Workload
) -> None:
    make_ready(admin, namespace, pods_of(workload, 3)[0])
    state = workload.read(0.0)
    ready = [pod for pod in state.pods if pod.ready]
    assert (1, 1, "10.1.2.3") == (state.ready, len(ready), ready[0].address)
    assert ready[0].ready_at_s is not None
    assert 0 <= ready[0].ready_at_s - ready[0].created_at_s < 60


def test_a_write_after_somebody_elses_is_a_conflict(workload: Workload) -> None:
    pods_of(workload, 3)
    stale = workload.read(0.0).version
    eventually(lambda: scaled(workload, 4))
    with pytest.raises(TargetConflict):
        workload.scale(9, stale, 0.0)
    assert 4 == workload.read(0.0).replicas


def test_what_is_not_there_is_gone(admin: client.ApiClient, namespace: str) -> None:
    with pytest.raises(TargetGone, match="check namespace, kind and name"):
        Workload(admin, TargetSettings(namespace=namespace, name="relay"), lambda: True).read(0.0)


def test_a_workload_of_an_hpa_is_left_to_it(admin: client.ApiClient, namespace: str, workload: Workload) -> None:
    client.AutoscalingV2Api(admin).create_namespaced_horizontal_pod_autoscaler(
        namespace,
        client.V2HorizontalPodAutoscaler(
            metadata=client.V1ObjectMeta(name="theirs"),
            spec=client.V2HorizontalPodAutoscalerSpec(
                max_replicas=9,
                scale_target_ref=client.V2CrossVersionObjectReference(
                    api_version="apps/v1", kind="Deployment", name="relay"
                ),
            ),
        ),
    )
    assert "HorizontalPodAutoscaler theirs" == workload.read(0.0).owner


def test_a_workload_of_keda_is_left_to_it(
    admin: client.ApiClient, namespace: str, workload: Workload, keda: client.CustomObjectsApi
) -> None:
    """KEDA takes its HPA away while a ScaledObject is paused: it still owns the workload."""
    owners = []
    for name, ref in (("others", {"name": "other"}), ("sets", {"name": "relay", "kind": "StatefulSet"}),
                      ("theirs", {"name": "relay"})):  # fmt: skip
        body = {
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
            "spec": {"scaleTargetRef": ref, "triggers": []},
        }  # fmt: skip
        keda.create_namespaced_custom_object("keda.sh", "v1alpha1", namespace, "scaledobjects", body)
        owners.append(workload.read(0.0).owner)
    assert ["", "", "ScaledObject theirs"] == owners


def test_pods_tell_how_long_they_may_take_to_end(admin: client.ApiClient, namespace: str) -> None:
    workload = Workload(admin, deploy(admin, namespace, 1), lambda: True)
    pods_of(workload, 1)
    plain = workload.read(0.0)
    waiting = {"name": "relay", "lifecycle": {"preStop": {"exec": {"command": ["wait"]}}}}
    template = {"spec": {"terminationGracePeriodSeconds": 1810, "containers": [waiting]}}
    body = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}, "template": template}}
    client.AppsV1Api(admin).patch_namespaced_deployment("relay", namespace, body)
    patched = eventually(lambda: _with_other_pods(workload, plain))
    assert [(30.0, False), (1810.0, True)] == [(s.grace_s, s.pods[0].pre_stop) for s in (plain, patched)]


def _with_other_pods(workload: Workload, before: TargetState) -> TargetState | None:
    state = workload.read(0.0)
    return state if state.pods and state.pods[0].name != before.pods[0].name else None


def test_without_the_lease_nothing_is_written(admin: client.ApiClient, namespace: str) -> None:
    fenced = Workload(admin, deploy(admin, namespace, 3), lambda: False)
    with pytest.raises(TargetFenced, match="another instance leads"):
        fenced.scale(5, fenced.read(0.0).version, 0.0)
    assert 3 == fenced.read(0.0).replicas


def test_the_pod_that_is_to_go_goes(admin: client.ApiClient, namespace: str, workload: Workload) -> None:
    """The order of the real ReplicaSet controller: of ready pods, the one with the lowest deletion cost."""
    names = pods_of(workload, 3)
    for name in names:
        make_ready(admin, namespace, name)
    victim = sorted(names)[1]
    workload.mark_draining(victim, MARK)
    workload.prefer_to_delete(victim, True)
    assert [victim] == [pod.name for pod in workload.read(0.0).pods if pod.draining]
    eventually(lambda: scaled(workload, 2))
    assert sorted(set(names) - {victim}) == sorted(pods_of(workload, 2))


def test_a_pod_that_was_evicted_is_no_replica(admin: client.ApiClient, namespace: str, workload: Workload) -> None:
    name = pods_of(workload, 3)[0]
    body = {"status": {"phase": "Failed", "reason": "Evicted"}}
    client.CoreV1Api(admin).patch_namespaced_pod_status(name, namespace, body)
    eventually(lambda: len(client.CoreV1Api(admin).list_namespaced_pod(namespace).items) == 4)
    assert name not in pods_of(workload, 3)


def noted(workload: Workload, now_s: float = WALL.timestamp()) -> dict[str, DrainMark]:
    return {pod.name: pod.drain for pod in workload.read(now_s).pods if pod.drain is not None}


@pytest.mark.parametrize("mark", [MARK, DrainMark(MARK.since_s, 300), DrainMark(MARK.since_s, None)])
def test_a_note_on_a_pod_is_read_as_it_was_written_and_can_be_taken_back(
    workload: Workload, mark: DrainMark
) -> None:
    name = pods_of(workload, 3)[0]
    workload.mark_draining(name, mark)
    read = noted(workload)
    workload.mark_draining(name, None)
    assert ({name: mark}, {}) == (read, noted(workload))
    workload.mark_draining("gone-with-the-wind", MARK)


@pytest.mark.parametrize("text", ["true", "", "since=2026-99-21T00:00:00+00:00", "since=yesterday maxsessions=5"])
def test_of_a_note_of_somebody_elses_the_time_begins_now(
    admin: client.ApiClient, namespace: str, workload: Workload, text: str
) -> None:
    name = pods_of(workload, 3)[0]
    body = {"metadata": {"annotations": {"surgecast.io/draining": text}}}
    client.CoreV1Api(admin).patch_namespaced_pod(name, namespace, body)
    assert {name: DrainMark(WALL.timestamp(), None)} == noted(workload)


class Relays:
    """What the pods' relays know, by address: no kubelet runs any."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.limits: dict[str, int] = {}

    def sessions(self, address: str) -> int:
        return self.calls[address]

    def limit(self, address: str) -> int:
        return self.limits.get(address, -1)

    def set_limit(self, address: str, limit: int) -> None:
        self.limits[address] = limit


@pytest.mark.parametrize("unready", [False, True])
def test_the_pod_that_was_emptied_is_the_one_that_dies(
    admin: client.ApiClient, namespace: str, workload: Workload, unready: bool
) -> None:
    """With another pod not ready, which the controller would take first: then that one is emptied."""
    names, relays = sorted(pods_of(workload, 3)), Relays()
    for number, name in enumerate(names):
        make_ready(admin, namespace, name, address=f"10.1.2.{number}")
        relays.calls[f"10.1.2.{number}"] = number + 1
    drainer = Drainer(workload, relays, ReplicaSetOrder(), 600.0, lambda: True)

    def removable() -> int:
        state = eventually(lambda: _settled(workload))
        return drainer.step(state, state.replicas - 2, WALL.timestamp()).removable

    began = removable()
    if unready:
        make_ready(admin, namespace, names[2], ready=False, address="10.1.2.2")
        began += removable()
    victim = 2 if unready else 0
    assert {names[victim]: MARK} == noted(workload)
    relays.calls[f"10.1.2.{victim}"] = 0
    assert (0, 0, 1) == (began, removable(), removable())
    state = workload.read(0.0)
    eventually(lambda: scaled(workload, 2))
    drainer.lowered(state)
    assert sorted(set(names) - {names[victim]}) == sorted(pods_of(workload, 2))
    assert "" == drainer.step(workload.read(WALL.timestamp()), 0, WALL.timestamp()).error


def test_of_a_statefulset_the_highest_ordinal_is_emptied_though_it_is_the_fullest(
    admin: client.ApiClient, namespace: str
) -> None:
    """The order of the real StatefulSet controller, which looks at neither cost nor readiness."""
    workload, relays = Workload(admin, deploy(admin, namespace, 3, "StatefulSet"), lambda: True), Relays()
    for number, name in enumerate(sorted(pods_of(workload, 3))):
        make_ready(admin, namespace, name, address=f"10.1.2.{number}")
        relays.calls[f"10.1.2.{number}"] = number
    drainer = Drainer(workload, relays, StatefulSetOrder(), 600.0, lambda: True)

    def removable() -> int:
        state = eventually(lambda: _settled(workload))
        return drainer.step(state, state.replicas - 2, WALL.timestamp()).removable

    with_calls = [removable(), removable()]
    closed = dict(relays.limits)
    relays.calls["10.1.2.2"] = 0
    assert ([0, 0], {"10.1.2.2": 0}, [0, 1]) == (with_calls, closed, [removable(), removable()])
    eventually(lambda: scaled(workload, 2))
    assert ["relay-0", "relay-1"] == sorted(pods_of(workload, 2))


def _settled(workload: Workload) -> TargetState | None:
    state = workload.read(WALL.timestamp())
    return state if len(state.pods) == state.replicas else None


def test_the_scale_role_empties_a_real_relay_and_takes_its_pod(
    cluster: Cluster, admin: client.ApiClient, namespace: str, tmp_path: Path, relays: Rtpengine, calls: Calls
) -> None:
    """Three runs of the role, so that each goes on from what the one before noted on the pods."""
    workload = Workload(admin, deploy(admin, namespace, 2), lambda: True)
    pods = dict(zip((ONE, TWO), pods_of(workload, 2), strict=True))
    for address, name in pods.items():
        make_ready(admin, namespace, name, address=address)
    calls.up(ONE, "a", "b")
    calls.up(TWO, "c")
    pool = {
        "name": "relay", "pod": {"sessions": 100}, "stabilisation": 0,
        "target": {"namespace": namespace, "name": "relay"},
        "drain": {"method": "rtpengine-cli", "port": relays.cli_port},
    }  # fmt: skip
    settings = Settings.model_validate(
        {
            "storage": {"url": f"embedded:{tmp_path / 'store'}"},
            "scale": {
                "mode": "act", "period": 1, "pools": [pool],
                "cluster": {"kubeconfig": cluster.kubeconfig("admin"), "namespace": namespace},
            },
        }
    )  # fmt: skip

    def run(rounds: int) -> list[str]:
        write_load(settings, 3)
        role.run(settings, threading.Event(), rounds)
        return sorted(pod.name for pod in workload.read(0.0).pods if not pod.draining)

    open_ones = [run(1)]
    with pytest.raises(RelayRefused, match="session limit"):
        calls.offer(TWO, "d")
    calls.up(ONE, "d")
    open_ones.append(run(2))
    assert ([[pods[ONE]], [pods[ONE]]], 2) == (open_ones, len(pods_of(workload, 2)))
    with_calls = calls.media(TWO, "c")
    calls.delete(TWO, "c")
    run(2)
    assert ([pods[ONE]], 3) == (pods_of(workload, 1), relays.sessions(ONE))
    # Not one call was cut: all that nobody hung up are known to a relay that is there, with both their sides.
    assert [2, 2, 2, 2] == [with_calls, *(calls.media(ONE, call) for call in ("a", "b", "d"))]


def test_a_pod_that_died_in_place_of_the_emptied_one_is_told(
    admin: client.ApiClient, namespace: str, workload: Workload
) -> None:
    names, relays = sorted(pods_of(workload, 3)), Relays()
    for number, name in enumerate(names):
        make_ready(admin, namespace, name, address=f"10.1.2.{number}")
        relays.calls[f"10.1.2.{number}"] = number
    drainer = Drainer(workload, relays, ReplicaSetOrder(), 600.0, lambda: True)
    now_s = WALL.timestamp()
    allowed = [drainer.step(workload.read(now_s), 1, now_s).removable for _ in range(2)]
    drainer.lowered(workload.read(now_s))
    # Right between our look and the controller's, another fails its probe.
    make_ready(admin, namespace, names[2], ready=False, address="10.1.2.2")
    eventually(lambda: scaled(workload, 2))
    pods_of(workload, 2)
    told = drainer.step(workload.read(now_s), 0, now_s).error
    assert ([0, 1], f"wrong_victim: {names[2]} went in place of {names[0]}", {}, -1) == (
        allowed, told, noted(workload), relays.limits["10.1.2.0"]
    )  # fmt: skip


def _decision() -> ReplicaDecision:
    return ReplicaDecision("relay", 0.0, Mode.ACT, 3, 3, 5, (), (), (), 60.0, "", "3 → 5; for a test")


def test_a_decision_becomes_an_event(admin: client.ApiClient, namespace: str, workload: Workload) -> None:
    events = Events(admin, "one")
    target = TargetSettings(namespace=namespace, name="relay")
    events.tell(target, _decision(), "", datetime.now(UTC))
    events.tell(target, _decision(), "forbidden: no right", datetime.now(UTC))
    found = client.CoreV1Api(admin).list_namespaced_event(namespace).items
    ours = {(e.reason, e.type, e.message) for e in found if e.reporting_component == "surgecast.io/scaler"}
    assert {
        ("ScaledUp", "Normal", "3 → 5; for a test"),
        ("ScalingFailed", "Warning", "forbidden: no right"),
    } == ours


def test_one_of_two_leads_and_the_other_follows_its_release(admin: client.ApiClient, namespace: str) -> None:
    one, two = (Lease(admin, namespace, "l", name) for name in ("one", "two"))
    led = [(one.step(0.0, WALL), two.step(0.0, WALL)), (one.step(5.0, WALL), two.step(5.0, WALL))]
    one.release(WALL)
    led.append((one.holds(6.0), two.step(6.0, WALL)))
    assert [(True, False), (True, False), (False, True)] == led
    assert 1 == two.term


def test_a_dead_leader_is_followed_only_after_its_fence(admin: client.ApiClient, namespace: str) -> None:
    one, two = (Lease(admin, namespace, "l", name) for name in ("one", "two"))
    one.step(0.0, WALL)
    both = []
    for second in range(1, 40):
        two.step(float(second), WALL)
        both.append((one.holds(float(second)), two.holds(float(second))))
    assert (True, True) not in both
    assert (RENEW_DEADLINE_S - 1, True) == (sum(held for held, _ in both), both[DURATION_S + 1][1])


def test_a_lost_lease_ends_at_once(admin: client.ApiClient, namespace: str) -> None:
    one, two = (Lease(admin, namespace, "l", name) for name in ("one", "two"))
    one.step(0.0, WALL)
    two.step(1.0, WALL)
    two.step(2.0 + DURATION_S, WALL)
    assert (False, False, True) == (
        one.step(3.0 + DURATION_S, WALL), one.holds(3.0 + DURATION_S), two.holds(3.0 + DURATION_S)
    )  # fmt: skip


def test_an_api_server_that_dies_ends_writing_and_is_found_again(
    cluster: Cluster, admin: client.ApiClient, namespace: str, workload: Workload
) -> None:
    lease = Lease(admin, namespace, "l", "one")
    lease.step(0.0, WALL)
    cluster.stop_api()
    try:
        with pytest.raises(TargetUnavailable, match="no answer"):
            workload.read(0.0)
        assert (True, False) == (lease.step(5.0, WALL), lease.step(RENEW_DEADLINE_S + 1, WALL))
    finally:
        cluster.start_api()
    assert (3, True) == (workload.read(0.0).replicas, lease.step(12.0, WALL))
