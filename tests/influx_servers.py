"""Real servers for tests: each on a free loopback port, with a directory of its own."""

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_port

_START_SECONDS = 60.0
_UNCHECKED = ssl._create_unverified_context()
TOKEN = "tests-own-token"
ORG = "tests"
PATIENCE = {"connect_timeout": "60s", "write_timeout": "60s", "query_timeout": "60s"}
"""Settings of a store: a busy machine takes longer to answer, and what is not taken in time is not there yet."""

_CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{root}/meta"
  logging-enabled = false
[data]
  dir = "{root}/data"
  wal-dir = "{root}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  auth-enabled = {auth}
  https-enabled = {https}
  https-certificate = "{certificate}"
  https-private-key = "{key}"
[monitor]
  store-enabled = false
"""


def require_influxd2() -> str:
    """Return where an InfluxDB 2 is (`$SURGECAST_INFLUXD2`, or `influxd2` on the path), or skip the test."""
    program = os.environ.get("SURGECAST_INFLUXD2") or shutil.which("influxd2")
    if program is None:
        pytest.skip("missing: InfluxDB 2 (scripts/build-influxdb2.sh makes one; name it in SURGECAST_INFLUXD2)")
    return program


@dataclass(frozen=True)
class Certificate:
    """Files of a server's certificate and its key."""

    certificate: Path
    key: Path


@dataclass
class InfluxServer:
    """One server process that can be killed and started again on the same port and directory."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    tls: bool = False

    @property
    def http(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.http}/ping", timeout=5, context=_UNCHECKED):
                    return
            except (urllib.error.URLError, OSError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.command[0]}: {self.log.read_text()[-2000:]}") from error
                time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.http + path, timeout=30) as response:
            answer: bytes = response.read()
            return answer

    def post(self, path: str, body: object, token: str = "") -> bytes:
        request = urllib.request.Request(
            self.http + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {}),
        )
        with urllib.request.urlopen(request, timeout=30, context=_UNCHECKED) as response:
            answer: bytes = response.read()
            return answer


def influxd1(program: str, root: Path, *, auth: bool = False, tls: Certificate | None = None) -> InfluxServer:
    """Return an InfluxDB 1.x, not started."""
    port = free_port()
    configuration = root / "influxd.conf"
    values = {"auth": str(auth).lower(), "https": str(tls is not None).lower()}
    files = {"certificate": tls.certificate if tls else "", "key": tls.key if tls else ""}
    configuration.write_text(_CONFIGURATION.format(root=root, rpc=free_port(), port=port, **values, **files))
    command = [program, "run", "-config", str(configuration)]
    return InfluxServer(command, port, root / "log", tls=tls is not None)


def influxd2(program: str, root: Path, *, tls: Certificate | None = None) -> InfluxServer:
    """Return an InfluxDB 2.x, not started; `set_up` gives it its organisation and token."""
    port = free_port()
    command = [
        program, "--bolt-path", str(root / "bolt"), "--engine-path", str(root / "engine"), "--sqlite-path",
        ":memory:", "--http-bind-address", f"127.0.0.1:{port}", "--reporting-disabled", "--log-level", "error",
    ]  # fmt: skip
    if tls is not None:
        command += ["--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)]
    return InfluxServer(command, port, root / "log", tls=tls is not None)


def set_up(server: InfluxServer) -> None:
    """Give an InfluxDB 2.x that was just started its organisation and token."""
    person = {"username": "tests", "password": "tests-tests", "org": ORG, "bucket": "first", "token": TOKEN}
    server.post("/api/v2/setup", person)


def victoria(program: str, root: Path) -> InfluxServer:
    """Return a VictoriaMetrics, not started."""
    port = free_port()
    command = [
        program, "-storageDataPath", str(root / "data"), "-httpListenAddr", f"127.0.0.1:{port}",
        "-retentionPeriod", "100y",
    ]  # fmt: skip
    return InfluxServer(command, port, root / "log")
