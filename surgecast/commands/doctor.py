"""`surgecast doctor`: what is wrong, why, and what to do about it."""

import errno
import http.client
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from collectors.capture.tpacket import (
    MEMINFO,
    available_memory,
    capability_help,
    is_up,
    may_capture,
    missing_interface,
)
from collectors.settings import InterfaceSettings, ListenerSettings
from scaler.settings import PoolSettings
from scaler.target import ScaleTarget, TargetError
from scaler.warnings import warnings_of
from storage.open import open_store
from storage.seam import Scope, StoreError, Window
from storage.urls import is_server, shown_url
from surgecast.commands.output import AsJson, print_json
from surgecast.config import ConfigFile, Settings, load_settings
from surgecast.errors import CommandError, Exit

RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
_PROBE_SECONDS = 2.0
_FRESH_NS = 15_000_000_000
_STORE_FIX = "start the collector, or set storage.url to where it writes"
_SERVER_FIX = "start the server, or set storage.url and storage.influx to where and what it is"
_WANTED_RMEM_BYTES = 4 << 20
_WANTED_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `fix` is empty where nothing is to do."""

    check: str
    ok: bool
    why: str
    fix: str = ""


def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check this machine, the configuration and a running Surgecast; exit code 6 where something is wrong.

    Example: surgecast doctor -c /etc/surgecast.yaml
    """
    settings = load_settings(config)
    checks = list(run_checks(settings))
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": checks})
    else:
        for found in checks:
            typer.echo(f"{'ok  ' if found.ok else 'FAIL'}  {found.check}: {found.why}")
            if found.fix and not found.ok:
                typer.echo(f"      fix: {found.fix}")
    failed = [c.check for c in checks if not c.ok]
    if failed:
        raise CommandError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}", Exit.CHECK_FAILED)


def run_checks(settings: Settings) -> Iterator[Check]:
    """Yield every check; each looks for itself and never raises."""
    for found in _checks(settings):
        yield replace(found, fix="") if found.ok else found


def _checks(settings: Settings) -> Iterator[Check]:
    yield _python()
    yield _receive_buffer(RMEM_MAX)
    for listener in settings.collect.listeners:
        yield _listener(listener)
    if settings.collect.interfaces:
        yield from _interfaces(settings.collect.interfaces)
    yield from _store(settings)
    yield from _pools(settings)
    if settings.metrics.enabled:
        yield _reachable("metrics", settings.metrics.host, settings.metrics.port, "--roles collect")
    yield _reachable("pages", settings.web.host, settings.web.port, "--roles web")


def _python() -> Check:
    have = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info >= (3, 11), f"Python {have}", "install Python 3.11 or newer")


def _receive_buffer(path: Path) -> Check:
    try:
        granted = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        return Check("receive buffer", False, f"{path} cannot be read: {error}", "run on Linux with /proc mounted")
    return Check(
        "receive buffer",
        granted >= _WANTED_RMEM_BYTES,
        f"net.core.rmem_max is {granted:,} bytes: bursts beyond it are dropped by the kernel",
        "sysctl -w net.core.rmem_max=33554432, or run the collector with CAP_NET_ADMIN",
    )


def _listener(listener: ListenerSettings) -> Check:
    name = f"HEP {listener.transport} {listener.host}:{listener.port}"
    kind = socket.SOCK_DGRAM if listener.transport == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listener.host, listener.port))
    except PermissionError as error:
        return Check(name, False, f"not allowed to bind: {error.strerror}", "use a port above 1023")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:  # a running collector holds it, which is what we want
            return Check(name, True, "in use, as it should be while a collector runs")
        return Check(
            name, False, f"cannot bind: {error.strerror}", "set collect.listeners to an address of this host"
        )
    return Check(name, True, "free: no collector listens yet")


def _interfaces(interfaces: Sequence[InterfaceSettings]) -> Iterator[Check]:
    allowed = may_capture()
    yield Check(
        "capture capability",
        allowed,
        "this process has CAP_NET_RAW" if allowed else "this process lacks CAP_NET_RAW",
        capability_help(", ".join(interface.name for interface in interfaces)),
    )
    for interface in interfaces:
        name = f"interface {interface.name}"
        if missing := missing_interface(interface.name):
            yield Check(name, False, missing, "set the name in collect.interfaces to one of them")
        else:
            up = is_up(interface.name)
            yield Check(name, up, "up" if up else "down: nothing can come", f"ip link set {interface.name} up")
    wanted = sum(interface.ring_bytes for interface in interfaces)
    free = available_memory(MEMINFO)
    yield Check(
        "ring memory",
        free is None or wanted * 2 <= free,  # what `open_rings` insists on
        f"rings take {wanted >> 20} MiB; available: {'unknown' if free is None else f'{free >> 20} MiB'}",
        "lower blocks, block_bytes or rings in collect.interfaces",
    )


def _store(settings: Settings) -> Iterator[Check]:
    url = settings.storage.url
    try:
        store = open_store(url, settings.storage, existing=True)
    except StoreError as error:
        yield Check("store", False, str(error), _SERVER_FIX if is_server(url) else _STORE_FIX)
        return
    try:
        now_ns = time.time_ns()
        newest = store.reader(Scope.everything("doctor")).select(
            "load_now",
            Window(now_ns - 3600 * 1_000_000_000, now_ns),
            columns=("time",),
            limit=1,
            newest_first=True,
        )
        yield Check("store", True, f"{shown_url(url)} can be read")
        if newest.num_rows == 0:
            yield Check("fresh data", False, "nothing was stored in the last hour", "surgecast up --roles collect")
        else:
            age_ns = now_ns - newest.column("time").cast("int64")[0].as_py()
            yield Check(
                "fresh data",
                age_ns < _FRESH_NS,
                f"the newest row is {age_ns / 1e9:.0f} s old",
                "is the collector running? surgecast up --roles collect",
            )
    except StoreError as error:
        yield Check("store", False, str(error), "see the message")
    finally:
        store.close()
    path = settings.storage.spool.directory if is_server(url) else url.partition(":")[2].removeprefix("//") or url
    yield _free_space(Path(path))


def _pools(settings: Settings) -> Iterator[Check]:
    """Look at what pools scale, with the rights that the scaler has where this runs."""
    scaled = [pool for pool in settings.scale.pools if pool.target is not None and pool.target.kind != "Simulated"]
    if not scaled:
        return
    # Here and not above: a role brings what it runs on, which the other checks do without.
    from surgecast.roles.scale import Targets

    try:
        targets = Targets(settings.scale, elect=False)
    except TargetError as error:
        yield Check("cluster", False, str(error), "set scale.cluster")
        return
    for pool in scaled:
        yield _pool(pool, targets.of(pool))


def _pool(pool: PoolSettings, target: ScaleTarget) -> Check:
    name = f"pool {pool.name}"
    try:
        state = target.read(time.time())
    except TargetError as error:
        return Check(name, False, str(error), "surgecast scale plan says the same once it works")
    found = "; ".join(warnings_of(pool, state))
    fine = f"{state.replicas} pods asked for, {state.ready} ready"
    return Check(name, not found, found or fine, "see docs/drain.md")


def _free_space(path: Path) -> Check:
    existing = next((p for p in (path, *path.resolve().parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(existing).free
    return Check(
        "free space",
        free >= _WANTED_FREE_BYTES,
        f"{free / 2**30:.1f} GiB free at {existing}",
        "free space, or shorten storage.retention",
    )


def _reachable(name: str, host: str, port: int, roles: str) -> Check:
    if port == 0:
        return Check(name, True, "on a port that was free when it started: look at its log")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:
            body = answer.read(200).decode("utf-8", "replace").strip()
            return Check(name, True, f"{url} answers {body or answer.status}")
    except urllib.error.HTTPError as error:
        body = error.read(200).decode("utf-8", "replace").strip()
        return Check(name, False, f"{url} answers {error.code}: {body}", "see its log")
    except OSError as error:
        return Check(name, False, f"{url} does not answer: {error}", f"surgecast up {roles}")
    except http.client.HTTPException as error:
        return Check(name, False, f"{url} is not ours: {error!r}", f"free the port {port}, or set another")
