"""One cluster for all tests of a run, a namespace for each test."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, programs
from kubernetes import client

from scaler.kube.connect import connect


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]) -> Iterator[Cluster]:
    found = programs()
    if found is None:
        pytest.skip("missing: kube-apiserver (needs Go; tests/kube/build.sh makes it in about eight minutes)")
    etcd = require_program("etcd")
    running = Cluster(tmp_path_factory.mktemp("cluster"), found, etcd)
    yield running
    running.close()


@pytest.fixture
def admin(cluster: Cluster) -> client.ApiClient:
    return connect(cluster.kubeconfig("admin"))


@pytest.fixture
def namespace(admin: client.ApiClient) -> Iterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    core = client.CoreV1Api(admin)
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    core.delete_namespace(name)


@pytest.fixture
def rbac() -> Path:
    return Path(__file__).parents[3] / "deploy" / "kubernetes" / "rbac.yaml"
