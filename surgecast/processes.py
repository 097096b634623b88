"""Runs roles as separate processes and watches over them.

A role that dies is started again with growing delay; a stop signal reaches every role, and one that does not
end in time is killed. The watcher itself holds no state that a crash could lose.
"""

import ctypes
import multiprocessing
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

import structlog

from surgecast.errors import exit_code, print_error
from surgecast.logs import configure_logs

log = structlog.get_logger()

GRACE_SECONDS = 25.0
"""Under the 30 s that Kubernetes gives a pod, with time to report who did not end."""
_PR_SET_PDEATHSIG = 1
_BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_STABLE_SECONDS = 60.0
"""A role that ran this long starts over with the shortest delay."""


@dataclass(frozen=True, slots=True)
class Role:
    """A named process: its function runs as `function(*arguments, stop)` until the stop event is set."""

    name: str
    function: str
    """`module:function`, imported by the process that runs it: the watcher stays small."""
    arguments: tuple[object, ...] = ()
    restart: bool = True


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT of this process."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def run_role(role: Role, stop: threading.Event) -> None:
    """Run a role in this process."""
    module, _, name = role.function.partition(":")
    getattr(import_module(module), name)(*role.arguments, stop)


def _die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the watcher dies: a role never outlives it as an orphan (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _name_process(name: str) -> None:
    """Show the role in `ps` and `top` (Linux keeps 15 bytes); elsewhere there is nothing to write to."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15], encoding="utf-8")


def _entry(role: Role) -> None:
    _die_with_parent()
    _name_process(f"sc-{role.name}")
    configure_logs()
    stop = threading.Event()
    stop_on_signals(stop)
    try:
        run_role(role, stop)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        print_error(f"{role.name}: {error}")
        raise SystemExit(code) from error


class Supervisor:
    """Starts roles, starts them again when they die, and ends them together."""

    def __init__(self, roles: list[Role]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._roles = {role.name: role for role in roles}
        self._processes: dict[str, SpawnProcess] = {}
        self._started: dict[str, float] = {}
        self._failures: dict[str, int] = dict.fromkeys(self._roles, 0)
        self._due: dict[str, float] = {}

    def start(self) -> None:
        """Start every role."""
        for name in self._roles:
            self._start(name)

    def add(self, role: Role) -> None:
        """Start a further role."""
        self._roles[role.name] = role
        self._failures[role.name] = 0
        self._start(role.name)

    def _start(self, name: str) -> None:
        process = self._context.Process(target=_entry, args=(self._roles[name],), name=f"surgecast-{name}")
        process.start()
        self._processes[name] = process
        self._started[name] = time.monotonic()
        self._due.pop(name, None)

    def failed(self) -> str | None:
        """Return the first role that died and is not to be restarted."""
        for name, process in self._processes.items():
            if process.exitcode not in (None, 0) and not self._roles[name].restart:
                return name
        return None

    def watch(self) -> None:
        """Start again what died; call it about once a second."""
        now = time.monotonic()
        for name, process in list(self._processes.items()):
            if process.exitcode is None or not self._roles[name].restart:
                continue
            if name not in self._due:
                if now - self._started[name] > _STABLE_SECONDS:
                    self._failures[name] = 0
                delay = _BACKOFF_SECONDS[min(self._failures[name], len(_BACKOFF_SECONDS) - 1)]
                self._failures[name] += 1
                self._due[name] = now + delay
                log.error("role ended", role=name, exit_code=process.exitcode, restart_in_seconds=delay)
            elif now >= self._due[name]:
                self._start(name)

    def stop(self) -> None:
        """Ask every role to end, the last started first, and kill what has not after the grace time."""
        for process in reversed(self._processes.values()):
            if process.is_alive():
                process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for name, process in self._processes.items():
            process.join(max(deadline - time.monotonic(), 0.1))
            if process.is_alive():
                log.error("role did not end in time and was killed", role=name)
                process.kill()
                process.join()


def supervise(roles: list[Role], stop: threading.Event) -> None:
    """Run roles until `stop`, starting again what dies."""
    supervisor = Supervisor(roles)
    supervisor.start()
    try:
        while not stop.wait(0.5):
            supervisor.watch()
    finally:
        supervisor.stop()
