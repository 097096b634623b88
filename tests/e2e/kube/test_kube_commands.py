"""`scale plan` and `doctor` against a real API server: what they say, and in which exit code they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_runner import Ran, surgecast
from cluster import Cluster
from kubernetes import client
from ports import free_port
from workloads import deploy, make_ready, pods_of, write_load

from scaler.kube.workload import Workload
from surgecast.config import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Ask = Callable[..., Ran]


@pytest.fixture
def ask(cluster: Cluster, namespace: str, tmp_path: Path) -> Ask:
    """Runs a command on a pool of `namespace` as a user of the cluster."""

    def run(*command: str, user: str = "admin", kubeconfig: Path | None = None, **pool: Any) -> Ran:
        target = {"namespace": namespace, "name": "relay"}
        settings = {
            "storage": {"url": f"embedded:{tmp_path / 'store'}"},
            "collect": {"listeners": []},
            "metrics": {"enabled": False},
            "scale": {
                "pools": [{"name": "relay", "pod": {"sessions": 100}, "target": target} | pool],
                "cluster": {"kubeconfig": str(kubeconfig or cluster.kubeconfig(user)), "namespace": namespace},
            },
        }
        path = tmp_path / "surgecast.yaml"
        path.write_text(yaml.safe_dump(settings))
        write_load(Settings.model_validate(settings), 250)
        return surgecast(*command, "-c", path)

    return run


def test_a_plan_writes_nothing_and_warns_of_what_would_cut_calls(
    admin: client.ApiClient, namespace: str, ask: Ask
) -> None:
    workload = Workload(admin, deploy(admin, namespace, 5), lambda: True)
    for name in pods_of(workload, 5):
        make_ready(admin, namespace, name)
    planned = json.loads(ask("scale", "plan", "--json").out)["pools"][0]
    leases = client.CoordinationV1Api(admin).list_namespaced_lease(namespace).items
    assert (5, 5, 3, []) == (
        planned["decision"]["current"], planned["decision"]["ready"], planned["decision"]["wanted"], leases
    )  # fmt: skip
    assert "no pod is taken away: after 30 s (terminationGracePeriodSeconds)" in planned["warnings"][0]
    assert 5 == workload.read(0.0).replicas


def test_doctor_checks_what_pools_scale(admin: client.ApiClient, namespace: str, ask: Ask) -> None:
    pods_of(Workload(admin, deploy(admin, namespace, 2), lambda: True), 2)

    def check(**pool: Any) -> tuple[bool, str]:
        checks = json.loads(ask("doctor", "--json", **pool).out)["checks"]
        found = next(each for each in checks if each["check"] == "pool relay")
        return found["ok"], found["why"][:30]

    assert [(False, "no pod is taken away: after 30"), (True, "2 pods asked for, 0 ready")] == [
        check(), check(drain={"deadline": "20s", "method": "rtpengine-cli"})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("user", "deployed", "code", "says"),
    [
        ("stranger", True, 4, "deploy/kubernetes/rbac.yaml"),
        ("admin", False, 3, "check namespace, kind and name"),
    ],
)
def test_what_cannot_be_read_is_told(
    admin: client.ApiClient, namespace: str, ask: Ask, user: str, deployed: bool, code: int, says: str
) -> None:
    if deployed:
        deploy(admin, namespace, 1)
    ran = ask("scale", "plan", user=user)
    assert (code, True, "") == (ran.code, says in ran.err, ran.out)


def test_a_cluster_that_is_not_there_is_told(cluster: Cluster, ask: Ask, tmp_path: Path) -> None:
    found = yaml.safe_load(cluster.kubeconfig("admin").read_text())
    found["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(yaml.safe_dump(found))
    told = [ask("scale", "plan", kubeconfig=path) for path in (elsewhere, tmp_path / "none")]
    assert [5, 5] == [ran.code for ran in told]
    assert ["Connection refused", "no cluster: "] == [
        text for text, ran in zip(("Connection refused", "no cluster: "), told, strict=True) if text in ran.err
    ]
