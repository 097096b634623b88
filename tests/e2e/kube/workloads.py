"""Workloads on the cluster of the tests: made, moved to ready as a kubelet would, and given a load."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kubernetes import client

from scaler.kube.workload import Workload
from scaler.settings import TargetSettings
from scaler.target import TargetConflict
from storage.open import open_store
from storage.rows import batch
from surgecast.config import Settings


def eventually(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return the first truthy answer: controllers work in their own time."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.1)
    return found


def deploy(admin: client.ApiClient, namespace: str, replicas: int, kind: str = "Deployment") -> TargetSettings:
    labels = {"app": "relay"}
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels),
        spec=client.V1PodSpec(containers=[client.V1Container(name="relay", image="example.invalid/relay")]),
    )
    selector = client.V1LabelSelector(match_labels=labels)
    meta = client.V1ObjectMeta(name="relay", namespace=namespace)
    apps = client.AppsV1Api(admin)
    if kind == "Deployment":
        spec = client.V1DeploymentSpec(replicas=replicas, selector=selector, template=template)
        apps.create_namespaced_deployment(namespace, client.V1Deployment(metadata=meta, spec=spec))
    else:
        stateful = client.V1StatefulSetSpec(
            replicas=replicas, selector=selector, template=template, service_name="relay",
            pod_management_policy="Parallel",
        )  # fmt: skip
        apps.create_namespaced_stateful_set(namespace, client.V1StatefulSet(metadata=meta, spec=stateful))
    return TargetSettings(namespace=namespace, kind=kind, name="relay")


def make_ready(
    admin: client.ApiClient, namespace: str, name: str, ready: bool = True, address: str = "10.1.2.3"
) -> None:
    status = "True" if ready else "False"
    now = datetime.now(UTC).isoformat()
    body = {
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": now}],
        }
    }
    client.CoreV1Api(admin).patch_namespaced_pod_status(name, namespace, body)


def pods_of(workload: Workload, count: int) -> list[str]:
    """Return the names of a workload's pods once there are so many."""

    def names() -> list[str]:
        found = [pod.name for pod in workload.read(0.0).pods]
        return found if len(found) == count else []

    found: list[str] = eventually(names)
    return found


def scaled(workload: Workload, replicas: int) -> bool:
    """Scale by the newest version; the controllers' own status writes may come between."""
    try:
        workload.scale(replicas, workload.read(0.0).version, 0.0)
    except TargetConflict:
        return False
    return True


def write_load(settings: Settings, calls: int) -> None:
    store = open_store(settings.storage.url, settings.storage)
    writer = store.writer("test")
    row = {"time": time.time_ns(), "tenant": "a", "pool": "relay", "region": "", "node": "n", "concurrent": calls}
    writer.write("load_now", batch("load_now", [row]))
    writer.flush()
    writer.close()
    store.close()
