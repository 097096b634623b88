"""What the manifests grant, on a real API server: enough, nothing to spare, and refusals that say what to do."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cluster import Certificates, Cluster
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import incluster_config
from kubernetes.dynamic import DynamicClient
from kubernetes.utils import create_from_dict
from workloads import deploy, eventually, pods_of

from scaler.decision import Mode, ReplicaDecision
from scaler.kube.connect import connect
from scaler.kube.events import Events
from scaler.kube.lease import Lease
from scaler.kube.workload import Workload
from scaler.settings import TargetSettings
from scaler.target import DrainMark, TargetError, TargetForbidden, TargetUnavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WALL = datetime(2026, 11, 21, tzinfo=UTC)
MANIFESTS = Path(__file__).parents[3] / "deploy" / "kubernetes"
ROLE = "surgecast-scaler"
DECISION = ReplicaDecision("relay", 0.0, Mode.ACT, 3, 3, 5, (), (), (), 60.0, "", "3 → 5; for a test")


def manifests() -> list[dict[str, Any]]:
    return [
        found
        for file in sorted(MANIFESTS.glob("*.yaml"))
        for found in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: str(manifest["kind"]))
def test_every_manifest_is_accepted_by_the_server(
    admin: client.ApiClient, namespace: str, manifest: dict[str, Any]
) -> None:
    kind = DynamicClient(admin).resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
    made = kind.server_side_apply(
        body=manifest, name=manifest["metadata"]["name"], namespace=namespace, field_manager="test", dry_run="All"
    )
    assert namespace == made.metadata.namespace
    with pytest.raises(ApiException, match="404"):
        kind.get(name=manifest["metadata"]["name"], namespace=namespace)


def token_of(admin: client.ApiClient, namespace: str, audience: str) -> str:
    """Return a token as the kubelet projects it into a pod of the scaler's account."""
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[audience]))
    made = client.CoreV1Api(admin).create_namespaced_service_account_token(ROLE, namespace, request)
    return str(made.status.token)


@pytest.fixture
def granted(admin: client.ApiClient, namespace: str) -> str:
    """A namespace in which the manifests were applied."""
    for manifest in manifests():
        create_from_dict(admin, manifest, namespace=namespace)
    return namespace


@pytest.fixture
def in_pod(
    cluster: Cluster, admin: client.ApiClient, granted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What a pod of the scaler's account has in it; the path is that of its token."""
    token = tmp_path / "token"
    token.write_text(token_of(admin, granted, f"{cluster.url}/"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(cluster.folder / "ca.crt"))
    monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_PORT", cluster.url.rpartition(":")[2])
    return token


class Work:
    """All that the scaler ever asks of a cluster."""

    def __init__(self, admin: client.ApiClient, scaler: client.ApiClient, namespace: str) -> None:
        self._admin, self._scaler, self._namespace = admin, scaler, namespace
        self._target = deploy(admin, namespace, 2)
        deploy(admin, namespace, 1, "StatefulSet")
        self._pod = pods_of(Workload(admin, self._target, lambda: True), 3)[0]  # both have the same label

    def failing(self) -> set[str]:
        """Return which parts of it are refused."""
        parts: dict[str, Callable[[], object]] = {
            "deployment": lambda: self._scale("Deployment"),
            "statefulset": lambda: self._scale("StatefulSet"),
            "mark": self._mark,
            "lease": self._elect,
            "event": self._tell,
        }
        found = set()
        for name, part in parts.items():
            try:
                part()
            except TargetForbidden:
                found.add(name)
        return found

    def _scale(self, kind: str) -> None:
        target = TargetSettings.model_validate({"namespace": self._namespace, "kind": kind, "name": "relay"})
        workload = Workload(self._scaler, target, lambda: True)

        def unchanged() -> bool:
            state = workload.read(0.0)
            try:
                workload.scale(state.replicas, state.version, 0.0)
            except TargetForbidden:
                raise
            except TargetError:
                return False  # a status came between
            return True

        eventually(unchanged)

    def _mark(self) -> None:
        workload = Workload(self._scaler, self._target, lambda: True)
        workload.mark_draining(self._pod, DrainMark(WALL.timestamp(), -1))
        workload.prefer_to_delete(self._pod, True)

    def _elect(self) -> None:
        for lease in client.CoordinationV1Api(self._admin).list_namespaced_lease(self._namespace).items:
            client.CoordinationV1Api(self._admin).delete_namespaced_lease(lease.metadata.name, self._namespace)
        lease = Lease(self._scaler, self._namespace, ROLE, "one")
        if not (lease.step(0.0, WALL) and lease.step(20.0, WALL)):
            raise TargetForbidden("lease")
        lease.release(WALL)

    def _tell(self) -> None:
        events = Events(self._scaler, "one")
        events.tell(self._target, DECISION, "", datetime.now(UTC))
        if events.failed:
            raise TargetForbidden("event")


def test_the_manifest_suffices_and_nothing_of_it_can_be_left_out(
    admin: client.ApiClient, granted: str, in_pod: Path
) -> None:
    rules = next(m for m in manifests() if m["kind"] == "Role")["rules"]
    work = Work(admin, connect(), granted)
    eventually(lambda: not work.failing())
    spare = [
        (resource, verb)
        for number, rule in enumerate(rules)
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if not _missed(admin, granted, rules, number, resource, verb, work)
    ]
    assert [] == spare


def _missed(
    admin: client.ApiClient, namespace: str, rules: list[Any], number: int, resource: str, verb: str, work: Work
) -> bool:
    """Tell whether something fails once this one right is taken away."""
    rule = rules[number]
    less = [
        rule | {"resources": [other for other in rule["resources"] if other != resource]},
        rule | {"resources": [resource], "verbs": [other for other in rule["verbs"] if other != verb]},
    ]
    kept = [part for part in less if part["resources"] and part["verbs"]]
    role = client.RbacAuthorizationV1Api(admin)
    role.patch_namespaced_role(ROLE, namespace, {"rules": rules[:number] + kept + rules[number + 1 :]})
    try:
        eventually(work.failing)  # the server's authorizer follows in its own time
    except AssertionError:
        return False
    finally:
        role.patch_namespaced_role(ROLE, namespace, {"rules": rules})
        eventually(lambda: not work.failing())
    return True


def test_what_is_not_granted_is_refused(admin: client.ApiClient, granted: str, in_pod: Path) -> None:
    scaler = connect()
    deploy(admin, granted, 1)
    for forbidden in (
        lambda: client.AppsV1Api(scaler).delete_namespaced_deployment("relay", granted),
        lambda: client.CoreV1Api(scaler).list_namespaced_secret(granted),
        lambda: client.CoreV1Api(scaler).delete_collection_namespaced_pod(granted),
        lambda: client.CoreV1Api(scaler).list_pod_for_all_namespaces(),
        lambda: client.CoordinationV1Api(scaler).read_namespaced_lease("another", granted),
    ):
        with pytest.raises(ApiException, match="403"):
            forbidden()


def test_who_has_no_right_is_told_which_file_grants_it(
    cluster: Cluster, admin: client.ApiClient, namespace: str
) -> None:
    target = deploy(admin, namespace, 1)
    with pytest.raises(TargetForbidden, match=r"deploy/kubernetes/rbac.yaml"):
        Workload(connect(cluster.kubeconfig("stranger")), target, lambda: True).read(0.0)


def test_a_token_that_is_no_longer_accepted_is_told_and_the_renewed_one_is_read(
    cluster: Cluster, admin: client.ApiClient, granted: str, in_pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet replaces the file long before a token expires; the client looks again when a minute has gone."""
    target, good = deploy(admin, granted, 2), in_pod.read_text()
    in_pod.write_text(good[:-8] + "AAAAAAAA")
    workload = Workload(connect(), target, lambda: True)
    with pytest.raises(TargetForbidden, match=r"401 .*token or certificate is not"):
        workload.read(0.0)

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls(2100, 1, 1, tzinfo=tz)

    monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=Later, timedelta=timedelta))
    in_pod.write_text("")
    with pytest.raises(TargetUnavailable, match="no credentials"):
        workload.read(0.0)
    in_pod.write_text(good)
    assert 2 == eventually(lambda: workload.read(0.0).replicas)


def test_a_server_whose_certificate_is_not_trusted_is_not_talked_to(cluster: Cluster, tmp_path: Path) -> None:
    Certificates(tmp_path)
    found = yaml.safe_load(cluster.kubeconfig("admin").read_text())
    found["clusters"][0]["cluster"]["certificate-authority"] = str(tmp_path / "ca.crt")
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(found))
    with pytest.raises(TargetUnavailable, match=r"no answer .*certificate verify failed"):
        Workload(connect(path), TargetSettings(name="relay"), lambda: True).read(0.0)


def test_a_pod_without_a_token_is_told(in_pod: Path) -> None:
    in_pod.unlink()
    with pytest.raises(TargetUnavailable, match=r"no cluster: .*token"):
        connect()
