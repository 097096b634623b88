"""One cluster for all tests of a run, a namespace for each test."""

import secrets
from collections.abc import Callable, Iterator

import pytest
from cluster import Cluster, programs
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.utils import create_from_dict
from workloads import eventually

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
def keda(admin: client.ApiClient) -> Iterator[client.CustomObjectsApi]:
    """The resource by which KEDA is told what to scale, without a KEDA that would do so."""
    definitions = client.ApiextensionsV1Api(admin)
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    create_from_dict(
        admin,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "scaledobjects.keda.sh"},
            "spec": {
                "group": "keda.sh",
                "scope": "Namespaced",
                "names": {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"},
                "versions": [
                    {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": loose}}
                ],
            },
        },
    )
    custom = client.CustomObjectsApi(admin)
    eventually(lambda: _served(custom))
    yield custom
    definitions.delete_custom_resource_definition("scaledobjects.keda.sh")
    eventually(lambda: not _served(custom))


def _served(custom: client.CustomObjectsApi) -> bool:
    try:
        custom.list_namespaced_custom_object("keda.sh", "v1alpha1", "default", "scaledobjects")
    except ApiException:
        return False
    return True
