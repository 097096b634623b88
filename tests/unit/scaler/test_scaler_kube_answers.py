"""What an API server may answer, and what becomes of it: a server on loopback that answers as the test says."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from scaler.kube import workload as edge
from scaler.kube.connect import connect
from scaler.kube.workload import Workload
from scaler.settings import TargetSettings
from scaler.target import (
    TargetConflict,
    TargetError,
    TargetForbidden,
    TargetGone,
    TargetState,
    TargetUnavailable,
)

TARGET = TargetSettings(namespace="voice", name="relay")
SCALE = {
    "apiVersion": "autoscaling/v1", "kind": "Scale",
    "metadata": {"name": "relay", "namespace": "voice", "resourceVersion": "7"},
    "spec": {"replicas": 3}, "status": {"replicas": 3, "selector": "app=relay"},
}  # fmt: skip


def listed(kind: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": f"{kind}List", "metadata": {"resourceVersion": "7"}, "items": []}


class Api(ThreadingHTTPServer):
    """An API server with an empty workload, but for what the test makes of a request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.troubles: list[tuple[int, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.server.troubles:
            self._answer(*self.server.troubles.pop(0))
        elif path.endswith("/scale"):
            self._answer(200, {}, json.dumps(SCALE).encode())
        elif path.endswith("/scaledobjects"):
            self._answer(404, {}, b"404 page not found\n")
        else:
            self._answer(200, {}, json.dumps(listed("Pod" if path.endswith("/pods") else "Any")).encode())

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def kubeconfig(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )  # fmt: skip
    return path


@pytest.fixture
def workload(api: Api, tmp_path: Path) -> Workload:
    return Workload(connect(kubeconfig(tmp_path, api.url)), TARGET, lambda: True)


def status(code: int, reason: str, message: str) -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "code": code,
            "message": message,
        }
    ).encode()


ANSWERS = [
    (400, {}, b"", TargetError, "400"),
    (401, {}, b"", TargetForbidden, "token or certificate"),
    (403, {}, b"", TargetForbidden, "deploy/kubernetes/rbac.yaml"),
    (404, {}, b"", TargetGone, "check namespace, kind and name"),
    (409, {}, b"", TargetConflict, "409"),
    (422, {}, status(422, "Invalid", "spec.replicas: Invalid value"), TargetError, "spec.replicas: Invalid value"),
    (422, {}, b"not JSON", TargetError, "not JSON"),
    (429, {"Retry-After": "7"}, b"", TargetUnavailable, "429"),
    (500, {}, b"", TargetUnavailable, "500"),
    (502, {}, b"<html>", TargetUnavailable, "502"),
    (503, {"Retry-After": "1"}, b"", TargetUnavailable, "503"),
    (504, {}, b"", TargetUnavailable, "504"),
]


@pytest.mark.parametrize(("code", "headers", "body", "error", "says"), ANSWERS)
def test_each_answer_has_its_error(
    api: Api,
    workload: Workload,
    code: int,
    headers: dict[str, str],
    body: bytes,
    error: type[TargetError],
    says: str,
) -> None:
    for ask in (lambda: workload.read(0.0), lambda: workload.scale(4, "7", 0.0)):
        api.troubles = [(code, headers, body)]
        with pytest.raises(TargetError) as raised:
            ask()
        assert (error, True) == (type(raised.value), says in str(raised.value))


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("Sat, 21 Nov 2026 10:00:00 GMT", 0.0), ("-5", 0.0), ("", 0.0)]
)
def test_retry_after_is_read(api: Api, workload: Workload, header: str, seconds: float) -> None:
    api.troubles = [(429, {"Retry-After": header}, b"")]
    with pytest.raises(TargetUnavailable) as raised:
        workload.read(0.0)
    assert seconds == raised.value.retry_after_s


def test_a_busy_server_is_asked_once_by_us_and_never_again_below_us(api: Api, workload: Workload) -> None:
    api.troubles = [(503, {"Retry-After": "0"}, b"")] * 5
    with pytest.raises(TargetUnavailable):
        workload.scale(4, "7", 0.0)
    assert 4 == len(api.troubles)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"kind":"Scale","spec":{"replicas":"many"}}'])
def test_an_answer_that_is_none_of_kubernetes_is_an_error_of_ours(
    api: Api, workload: Workload, body: bytes
) -> None:
    """A proxy or captive portal that answers 200 to everything must not end the scaler."""
    api.troubles = [(200, {}, body)]
    with pytest.raises(TargetError):
        workload.read(0.0)


def test_without_keda_and_hpa_nobody_owns_it(workload: Workload) -> None:
    assert TargetState(3, "7", ()) == workload.read(0.0)


def test_a_refused_connection_is_told(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(TargetUnavailable, match=r"no answer .*refused"):
            Workload(connect(kubeconfig(tmp_path, url)), TARGET, lambda: True).read(0.0)


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="no answer"):
        Workload(connect(kubeconfig(tmp_path, "http://api.invalid:1")), TARGET, lambda: True).read(0.0)


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "TIMEOUT_S", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TargetUnavailable, match=r"no answer .*timed? ?out"):
            Workload(connect(kubeconfig(tmp_path, url)), TARGET, lambda: True).read(0.0)


@pytest.mark.parametrize(
    "text",
    ["", "- a list", "{unclosed", "apiVersion: v1\nkind: Config\ncurrent-context: none\ncontexts: []\n", "\0"],
)
def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(TargetUnavailable, match=r"no cluster: .*scale\.cluster\.kubeconfig"):
        connect(path)


def test_a_kubeconfig_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="no cluster: "):
        connect(tmp_path / "none")
