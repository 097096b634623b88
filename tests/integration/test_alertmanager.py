"""Incidents at a real Prometheus Alertmanager: each is one alert, however often it is sent, until it is over."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from ports import free_port

from alerts.incidents import Incident, Scope, Severity, State
from alerts.notify import Alertmanager, NotSent, message_of

PROGRAM = shutil.which("prometheus-alertmanager")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an Alertmanager; yield where it listens."""
    if PROGRAM is None:
        pytest.skip("prometheus-alertmanager is not installed (scripts/debian-programs.sh)")
    folder = tmp_path_factory.mktemp("alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    address = f"127.0.0.1:{free_port()}"
    command = [
        PROGRAM, f"--config.file={config}", f"--storage.path={folder / 'data'}", f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _await_ready(f"http://{address}", process, folder / "log")
            yield f"http://{address}"
        finally:
            process.terminate()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"alertmanager did not start: {log.read_text(errors='replace')[-500:]}")


@pytest.fixture
def sink(url: str) -> Iterator[Alertmanager]:
    """Return what is tested, and release its connection."""
    opened = Alertmanager(url)
    yield opened
    opened.close()


def incident(id_: str) -> Incident:
    now_ns = time.time_ns()
    return Incident(
        "answer_ratio", Scope("trunk", 'carrier "a", Zürich'), "below", now_ns - 600 * 10**9, 0.4, 0.6, 0.55, 0.65,
        12.0, 0.1, 500, -100, severity=Severity.WARNING, id=id_,
    )  # fmt: skip


def alerts_of(url: str, id_: str) -> list[dict[str, object]]:
    found = httpx.get(f"{url}/api/v2/alerts", params={"filter": f'incident="{id_}"'}, timeout=30)
    answer: list[dict[str, object]] = found.json()
    return answer


def test_incident_arrives_once_however_often_it_is_sent(url: str, sink: Alertmanager) -> None:
    for _ in range(2):
        sink.send(message_of(incident("i-twice"), "ASR", {"runbook": "https://docs.example.com/answer_ratio.md"}))
    (alert,) = alerts_of(url, "i-twice")
    assert alert["labels"] == {
        "alertname": "answer_ratio", "incident": "i-twice", "scope": 'carrier "a", Zürich', "scope_kind": "trunk",
        "severity": "warning", "tenant": "unassigned",
    }  # fmt: skip


def test_end_of_the_incident_resolves_it(url: str, sink: Alertmanager) -> None:
    one = incident("i-over")
    sink.send(message_of(one, "ASR", {}))
    assert len(alerts_of(url, "i-over")) == 1
    sink.send(message_of(replace(one, state=State.RESOLVED, ended_ns=time.time_ns() - 10**9), "ASR", {}))
    assert alerts_of(url, "i-over") == []


def test_incident_that_gets_worse_is_still_one_alert(url: str, sink: Alertmanager) -> None:
    one = incident("i-worse")
    sink.send(message_of(one, "ASR", {}))
    sink.send(message_of(replace(one, severity=Severity.CRITICAL), "ASR", {}))
    (alert,) = alerts_of(url, "i-worse")
    assert isinstance(alert["labels"], dict)
    assert alert["labels"]["severity"] == "critical"


def test_refusal_of_the_server_is_told(sink: Alertmanager) -> None:
    one = incident("i-refused")
    with pytest.raises(NotSent, match="HTTP 400"):
        sink.send(message_of(replace(one, started_ns=time.time_ns(), ended_ns=0), "ASR", {}))
