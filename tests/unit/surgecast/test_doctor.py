"""What doctor finds, why, and what to do; it never raises and leaves nothing behind."""

import errno
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cli_runner import surgecast
from ports import free_port

from collectors.settings import ListenerSettings
from storage.open import open_store
from storage.rows import batch
from surgecast.commands import doctor
from surgecast.commands.doctor import Check, run_checks
from surgecast.config import Settings, settings_from


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


def settings_of(folder: Path, **changes: object) -> Settings:
    port = free_port()
    values = {
        "collect": {"listeners": [{"host": "127.0.0.1", "port": 0}]},
        "storage": {"url": f"embedded:{folder / 'data'}"},
        "web": {"port": port},
        "metrics": {"port": port},
    }
    return settings_from(values | changes, origin="test")


def found(settings: Settings) -> dict[str, Check]:
    return {check.check: check for check in run_checks(settings)}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """Serve one answer to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_every_fault_says_what_to_do_and_nothing_else_does(tmp_path: Path) -> None:
    for check in run_checks(settings_of(tmp_path)):
        assert check.why
        assert bool(check.fix) is not check.ok, check


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    checks = found(settings_of(tmp_path))
    assert not checks["store"].ok
    assert "no store at" in checks["store"].why
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("fresh", "age_s"), [(True, 1), (False, 120)])
def test_the_newest_row_tells_whether_data_comes_in(tmp_path: Path, fresh: bool, age_s: int) -> None:
    settings = settings_of(tmp_path)
    store = open_store(settings.storage.url)
    writer = store.writer("test")
    row = {"time": time.time_ns() - age_s * 10**9, "tenant": "t", "pool": "p", "region": "r", "node": "n"}
    writer.write("load_now", batch("load_now", [row]))
    writer.close()
    store.close()
    checks = found(settings)
    assert (True, fresh) == (checks["store"].ok, checks["fresh data"].ok)
    assert checks["free space"].why.endswith(str(tmp_path / "data"))


def test_an_empty_store_has_no_fresh_data(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    open_store(settings.storage.url).close()
    assert "nothing was stored in the last hour" == found(settings)["fresh data"].why


def test_a_listener_that_is_in_use_is_as_it_should_be(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        port = collector.getsockname()[1]
        listener = {"host": "127.0.0.1", "port": port}
        check = found(settings_of(tmp_path, collect={"listeners": [listener]}))[f"HEP udp 127.0.0.1:{port}"]
    assert (True, "in use, as it should be while a collector runs") == (check.ok, check.why)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("255.255.255.256", "cannot bind"),
        ("no-such-host.invalid", "cannot bind"),
        ("::ffff:192.0.2.1", "cannot bind"),
    ],
)
def test_a_listener_that_cannot_be(host: str, reason: str) -> None:
    check = doctor._listener(ListenerSettings(host=host))
    assert (False, True) == (check.ok, check.why.startswith(reason))
    assert "collect.listeners" in check.fix


def test_a_machine_without_ipv6_is_told_of_and_not_stumbled_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert "not supported" in doctor._listener(ListenerSettings(host="::")).why


@pytest.mark.parametrize(
    ("ok", "text"), [(True, "33554432\n"), (False, "212992\n"), (False, "what?"), (False, None)]
)
def test_the_receive_buffer_that_the_kernel_grants(tmp_path: Path, ok: bool, text: str | None) -> None:
    path = tmp_path / "rmem_max"
    if text is not None:
        path.write_text(text)
    assert ok is doctor._receive_buffer(path).ok


def test_what_answers_the_probes(tmp_path: Path) -> None:
    with answering(200, b"ok") as well, answering(503, b"stopped reading: udp://0.0.0.0:9060") as ill:
        checks = found(settings_of(tmp_path, metrics={"port": ill}, web={"port": well}))
    assert (True, f"http://127.0.0.1:{well}/healthz answers ok") == (checks["pages"].ok, checks["pages"].why)
    assert not checks["metrics"].ok
    assert "answers 503: stopped reading: udp://0.0.0.0:9060" in checks["metrics"].why


def test_another_servers_port_is_told_of(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def speak() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        check = found(settings_of(tmp_path, metrics={"enabled": False}, web={"port": port}))["pages"]
        thread.join()
    assert not check.ok
    assert "is not ours" in check.why


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_wildcard_address_is_probed_on_this_machine(host: str) -> None:
    check = doctor._reachable("pages", host, free_port(), "--roles web")
    assert not check.ok
    assert "127.0.0.1" in check.why or "[::1]" in check.why
    assert "surgecast up --roles web" == check.fix


def test_a_port_that_is_picked_at_start_cannot_be_probed() -> None:
    assert doctor._reachable("pages", "127.0.0.1", 0, "--roles web").ok


def test_the_verb_prints_checks_and_fixes_and_ends_with_6(tmp_path: Path) -> None:
    config = tmp_path / "surgecast.yaml"
    config.write_text(f"storage: {{url: 'embedded:{tmp_path / 'data'}'}}\nweb: {{port: {free_port()}}}\n")
    ran = surgecast("doctor", "-c", config)
    assert 6 == ran.code
    assert "FAIL  store: no store at" in ran.out
    assert "      fix: start the collector" in ran.out
    assert "checks failed: store" in ran.err


def interfaces_of(folder: Path, *interfaces: dict[str, object]) -> Settings:
    return settings_of(folder, collect={"listeners": [], "interfaces": list(interfaces)})


def test_without_interfaces_nothing_is_asked_of_them(tmp_path: Path) -> None:
    assert "capture capability" not in found(settings_of(tmp_path))


def test_a_missing_interface_is_told_with_those_there_are(tmp_path: Path) -> None:
    check = found(interfaces_of(tmp_path, {"name": "missing0"}))["interface missing0"]
    assert (False, True) == (check.ok, "there is no interface 'missing0'; there is " in check.why)


def test_a_missing_capability_is_told_with_the_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "may_capture", lambda: False)
    check = found(interfaces_of(tmp_path, {"name": "lo"}))["capture capability"]
    assert not check.ok
    assert {"setcap", "AmbientCapabilities", "securityContext"} <= set(re.findall(r"\w+", check.fix))


@pytest.mark.parametrize(
    ("available", "ok"), [("MemAvailable: 131072 kB\n", True), ("MemAvailable: 131071 kB\n", False), ("", True)]
)
def test_rings_must_fit_in_half_of_the_memory_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: str, ok: bool
) -> None:
    path = tmp_path / "meminfo"
    path.write_text(available, encoding="ascii")
    monkeypatch.setattr(doctor, "MEMINFO", path)
    assert ok is found(interfaces_of(tmp_path, {"name": "lo"}))["ring memory"].ok
