"""Network namespaces: own loopback and own ports, so that a lab clashes with nothing and reaches nobody."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

_CLONE_NEWNET = 0x40000000
PATIENCE_SECONDS = 60.0
"""What takes a moment takes longer on a busy machine."""


class NamespaceRefused(Exception):
    """This process may not make network namespaces (no root, or a container without the right)."""


def run(*argv: str) -> None:
    """Run a short command and raise with what it said if it failed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the callable is true; raise TimeoutError that names what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


class Namespace:
    """One namespace with its loopback up; leaving it ends every process inside and removes it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Namespace":
        try:
            run("ip", "netns", "add", self.name)
            run("ip", "-n", self.name, "link", "set", "lo", "up")
        except (RuntimeError, FileNotFoundError) as error:
            raise NamespaceRefused(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._pids():
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + 3
            while self._pids() and time.monotonic() < deadline:
                time.sleep(0.05)
        run("ip", "netns", "del", self.name)

    def _pids(self) -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, timeout=60, check=False
        )
        return [pid for pid in map(int, listed.stdout.split()) if pid != os.getpid()]

    def add_address(self, ip: str) -> None:
        """Give the loopback one more address."""
        run("ip", "-n", self.name, "addr", "add", f"{ip}/32", "dev", "lo")

    def argv(self, *argv: str) -> list[str]:
        """Return the command line that runs this one inside."""
        return ["ip", "netns", "exec", self.name, *argv]

    def popen(self, argv: Sequence[str], log: Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program inside, in a process group of its own, both outputs to a log file."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.argv(*argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=cwd,
            )

    def udp_socket(self, ip: str, port: int) -> socket.socket:
        """Return a UDP socket bound inside. A socket stays where it was made, whoever uses it."""
        made: list[socket.socket | OSError] = []

        def make() -> None:
            # setns moves this thread alone, and it ends right after (os.setns is there from Python 3.12 on)
            with Path(f"/run/netns/{self.name}").open() as handle:
                if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            inside.bind((ip, port))
            made.append(inside)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise OSError(f"could not bind {ip}:{port} in {self.name}")
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]


def connect(one: Namespace, one_ip: str, other: Namespace, other_ip: str) -> None:
    """Join two namespaces by a cable (veth pair), both addresses in one /30; `other` gets no other way out."""
    near, far = other.name[-15:], "eth0"
    run("ip", "link", "add", near, "netns", one.name, "type", "veth", "peer", "name", far, "netns", other.name)
    for space, device, ip in ((one, near, one_ip), (other, far, other_ip)):
        run("ip", "-n", space.name, "addr", "add", f"{ip}/30", "dev", device)
        run("ip", "-n", space.name, "link", "set", device, "up")
    run("ip", "-n", other.name, "route", "add", "default", "via", one_ip)


def udp_is_bound(pid: int, port: int) -> bool:
    """Tell whether anything in the namespace of this process is bound to a UDP port."""
    try:
        table = Path(f"/proc/{pid}/net/udp").read_text()
    except OSError:
        return False
    return any(line.split()[1].endswith(f":{port:04X}") for line in table.splitlines()[1:])
