"""Two scalers as processes against a real API server: one acts, and when it is killed the other goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster
from kubernetes import client
from workloads import deploy, eventually, write_load

from scaler.service import UNFINISHED
from storage.open import open_store
from storage.seam import Scope, Window
from surgecast.config import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Scalers:
    """Processes of `surgecast scale run` on one configuration and store."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        pool = {
            "name": "relay", "pod": {"sessions": 100}, "target_utilisation": 1.0,
            "target": {"namespace": namespace, "name": "relay"},
        }  # fmt: skip
        configured = {
            "storage": {"url": f"embedded:{folder / 'store'}"},
            "metrics": {"enabled": False},
            "scale": {
                "mode": "act", "period": "1s", "pools": [pool],
                "cluster": {"kubeconfig": str(cluster.kubeconfig("admin")), "namespace": namespace},
            },
        }  # fmt: skip
        self._config, self._folder = folder / "surgecast.yaml", folder
        self._config.write_text(yaml.safe_dump(configured))
        self.settings = Settings.model_validate(configured)
        self._running = ExitStack()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        log = self._running.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "surgecast", "scale", "run", "-c", str(self._config)], stdout=log, stderr=log
        )
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        return process

    def close(self) -> None:
        self._running.close()

    def journal(self) -> list[dict[str, Any]]:
        """Return the decisions that changed replicas, oldest first."""
        store = open_store(self.settings.storage.url, self.settings.storage, existing=True)
        try:
            reader, now_ns = store.reader(Scope.everything("test")), time.time_ns()
            rows = reader.select("replica_decision", Window(now_ns - 3600 * 10**9, now_ns)).to_pylist()
        finally:
            store.close()
        return [row for row in sorted(rows, key=lambda row: row["time"]) if row["final"] != row["current"]]


@pytest.fixture
def scalers(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Scalers]:
    made = Scalers(cluster, namespace, tmp_path)
    yield made
    made.close()


def test_one_acts_and_when_it_is_killed_the_other_goes_on_and_nothing_is_lost(
    scalers: Scalers, admin: client.ApiClient, namespace: str
) -> None:
    deploy(admin, namespace, 1)
    apps, leases = client.AppsV1Api(admin), client.CoordinationV1Api(admin)

    def holder() -> str:
        found = [lease.spec.holder_identity for lease in leases.list_namespaced_lease(namespace).items]
        return found[0] if found and found[0] else ""

    def scaled_to(pods: int) -> Callable[[], bool]:
        def check() -> bool:
            write_load(scalers.settings, 100 * pods)
            return int(apps.read_namespaced_deployment_scale("relay", namespace).spec.replicas) == pods

        return check

    write_load(scalers.settings, 100)
    running = {process.pid: process for process in (scalers.start("one"), scalers.start("two"))}
    first = eventually(holder)
    for pods in range(2, 6):
        eventually(scaled_to(pods))
    os.kill(int(first.split("-")[-2]), signal.SIGKILL)
    second = eventually(lambda: holder() not in ("", first) and holder())
    for pods in range(6, 9):
        eventually(scaled_to(pods))
    journal = scalers.journal()
    done = [row for row in journal if row["applied"] or row["error"] == UNFINISHED]
    # Each went on from what the other left: no change of replicas is missing, and none was made twice.
    assert [(pods, pods + 1) for pods in range(1, 8)] == [(row["current"], row["final"]) for row in done]
    found = client.CoreV1Api(admin).list_namespaced_event(namespace).items
    ours = [event for event in found if event.reporting_component == "surgecast.io/scaler"]
    actors = [event.reporting_instance for event in sorted(ours, key=lambda event: event.event_time)]
    assert ([first, second], {int(first.split("-")[-2]), int(second.split("-")[-2])}) == (
        list(dict.fromkeys(actors)), set(running),
    )  # fmt: skip
