"""The live part of `bench rtp`: packets from a veth pair, beside tcpdump and dumpcap.

The pair is in two network namespaces that exist for the time of the run. Packets are 172 bytes of RTP over UDP,
sent 60 at a time and cut apart by the kernel before the pair: the fastest generator without a module of its own.
The rate is raised until the capture, or the backlog of its CPU, drops.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from collectors.capture.softnet import read_softnet_drops
from collectors.capture.tpacket import may_capture

MAX_STREAMS = 60_000
PORTS = (30_000, 30_127)
_PACKETS_A_SECOND = 50
"""Of a stream."""
_LEAST_STREAMS = 6_000
_WARM_PPS, _WARM_ROUNDS = 50_000, 4
_SNAP_BYTES = 128
_SETTLE_SECONDS = 0.3
_DRAIN_SECONDS = 1.3
"""tcpdump looks at a block that is not full after a second."""
_BUFFER_MIB = 64
_RATES = (200_000, 400_000, 600_000, 800_000, 1_000_000, 1_200_000, 1_400_000, 1_700_000, 2_000_000)
_SHORT = 0.9
"""A generator that sends less than this share of a rate cannot send faster."""
_TIMEOUT_SECONDS = 60.0
_FILTER = f"udp and dst portrange {PORTS[0]}-{PORTS[1]}"
_SEEN = re.compile(r"(\d+) packets? captured")
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")
_DUMPCAP = re.compile(r"Packets received/dropped on interface '.*': (\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Step:
    """What one contestant did at one rate."""

    offered_pps: float
    """What the generator sent."""
    streams: int
    missing: int
    """Sent and never captured, for whatever reason."""
    ring_drops: int
    backlog_drops: int
    user_ns_per_packet: float
    cpu_ns_per_packet: float
    """User and system time of its process; the kernel's share before the ring is nobody's."""

    @property
    def clean(self) -> bool:
        """Nothing was dropped, and nothing is missing."""
        return not self.ring_drops and not self.backlog_drops and self.missing <= 0


class _CannotRun(Exception):
    """Why there are no figures."""


def run(
    compile_generator: Callable[[], Path | None],
    seconds: float = 2.0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Measure and return the figures, or why there are none.

    Args:
        compile_generator: Makes the generator's program; None without a compiler.
        seconds: Length of each step.
        progress: Is told what was measured.
    """
    try:
        with _pair() as (near, far):
            generator = compile_generator()
            if generator is None:
                return {"missing": "not measured: no gcc, and the generator is a program in C"}
            figures: dict[str, object] = {
                "what": "RTP over a veth pair, headers captured; highest rate without a drop"
            }
            contestants = {"surgecast": _surgecast, "tcpdump": _tcpdump, "dumpcap": _dumpcap}
            best: dict[str, float] = {}
            unlimited: set[str] = set()
            for name, start in contestants.items():
                if name != "surgecast" and shutil.which(name) is None:
                    figures[name] = {"missing": f"{name} is not installed"}
                    continue
                found = _climb(start, generator, near, far, seconds)
                figures[name] = found
                best[name] = float(str(found["highest_clean_pps"]))
                if found["generator_limited"]:
                    unlimited.add(name)
                if progress is not None:
                    progress(f"live, {name}: {best[name]:,.0f} packets a second without a drop")
            for name in ("tcpdump", "dumpcap"):
                if best.get(name) and name not in unlimited:  # else the generator would be compared with itself
                    figures[f"vs_{name}"] = best["surgecast"] / best[name]
            return figures
    except (_CannotRun, OSError, subprocess.SubprocessError) as error:
        return {"missing": f"not measured: {error}"}


@contextmanager
def _pair() -> Iterator[tuple[str, str]]:
    """Make two namespaces with an end of a veth pair each, and take them away again."""
    if shutil.which("ip") is None:
        raise _CannotRun("no ip (iproute2)")
    if os.geteuid() != 0 or not may_capture():
        raise _CannotRun("network namespaces and capturing need root")
    near, far = (f"surgecast-{os.getpid()}-{end}" for end in ("near", "far"))
    try:
        for name in (near, far):
            _ip(f"netns add {name}")
        _ip(f"link add sgnear netns {near} type veth peer name sgfar netns {far}")
        # What is sent at a time must be cut apart before it reaches the pair, or one frame would hold 60 packets.
        _ip(f"-n {near} link set sgnear gso_max_segs 1")
        _ip(f"-n {near} address add 10.9.0.1/24 dev sgnear")
        _ip(f"-n {far} address add 10.9.0.2/24 dev sgfar")
        for name, end in ((near, "sgnear"), (far, "sgfar")):
            _ip(f"-n {name} link set {end} up")
        # One address for the far end that never has to be asked for.
        hardware = json.loads(_ip(f"-n {far} -j link show sgfar"))[0]["address"]
        _ip(f"-n {near} neighbour replace 10.9.0.2 lladdr {hardware} dev sgnear nud permanent")
        yield near, far
    finally:
        for name in (near, far):
            with suppress(subprocess.SubprocessError):
                _ip(f"netns del {name}")


def _ip(command: str) -> str:
    ran = subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True, timeout=10)
    return ran.stdout


_Start = Callable[[str], "_Contestant"]


def _climb(start: _Start, generator: Path, near: str, far: str, seconds: float) -> dict[str, object]:
    """Raise the rate until something is dropped twice, or the generator can no more."""
    best: Step | None = None
    dropped: Step | None = None
    generator_limited = False
    for rate in _RATES:
        steps = []
        for _ in range(2):  # other programs on the machine cause some drops too
            steps.append(_step(start, generator, near, far, rate, seconds))
            if steps[-1].clean:
                break
        step = steps[-1]
        if step.clean and step.offered_pps < _SHORT * rate:
            again = _step(start, generator, near, far, rate, seconds)
            step = max(step, again, key=lambda s: (s.clean, s.offered_pps))
        if not step.clean:
            dropped = step
            break
        if best is None or step.offered_pps > best.offered_pps:
            best = step
        if step.offered_pps < _SHORT * rate:
            generator_limited = True
            break
    figures: dict[str, object] = {
        "highest_clean_pps": best.offered_pps if best else 0.0,
        "generator_limited": generator_limited,
    }
    if best is not None:
        figures |= {
            "user_ns_per_packet": best.user_ns_per_packet,
            "cpu_ns_per_packet": best.cpu_ns_per_packet,
        }
    if dropped is not None:
        figures["first_drops"] = asdict(dropped)
    return figures


def _step(start: _Start, generator: Path, near: str, far: str, rate: int, seconds: float) -> Step:
    contestant = start(far)
    try:
        streams = max(rate // _PACKETS_A_SECOND, _LEAST_STREAMS)
        # Admitting a stream costs more than its packets do, and a call is admitted once: that comes before.
        warmed, _ = _generate(generator, near, _WARM_PPS, _WARM_ROUNDS * streams / _WARM_PPS, streams, 1)
        contestant.mark()
        backlog = read_softnet_drops()
        sent, elapsed = _generate(generator, near, rate, seconds, streams, 1 + round(warmed / streams))
        backlog = read_softnet_drops() - backlog
    finally:
        captured, drops, user, system = contestant.stop()
    return Step(
        offered_pps=sent / elapsed,
        streams=streams,
        missing=warmed + sent - captured,
        ring_drops=drops,
        backlog_drops=backlog,
        user_ns_per_packet=user * 1e9 / sent,
        cpu_ns_per_packet=(user + system) * 1e9 / sent,
    )


def _generate(
    generator: Path, near: str, rate: int, seconds: float, streams: int, first: int
) -> tuple[int, float]:
    """Send, and return how many packets that were, in how many seconds."""
    numbers = map(str, (rate, seconds, streams, PORTS[0], first))
    ran = subprocess.run(
        ["ip", "netns", "exec", near, *_pinned(0), str(generator), *numbers],
        check=True,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )
    sent, elapsed = ran.stdout.split()
    return int(sent), float(elapsed)


def _pinned(cpu: int) -> list[str]:
    """Return what keeps a command on a CPU: the kernel's work for the pair is then done on the generator's."""
    return ["taskset", "-c", str(cpu)] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else []


class _Contestant:
    """A capturing process in the far namespace, on a CPU of its own where there are two."""

    def __init__(
        self, far: str, command: list[str], ready: re.Pattern[str], result: Callable[[str], tuple[int, int]]
    ):
        self._result = result
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", far, *_pinned(1), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._process.stdout is not None
        self._lines: list[str] = []
        seen = threading.Event()

        def read(lines: Iterator[str]) -> None:
            for line in lines:
                self._lines.append(line)
                if ready.search(line):
                    seen.set()
            seen.set()

        self._reader = threading.Thread(target=read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        if not seen.wait(_TIMEOUT_SECONDS) or self._process.poll() is not None:
            self._process.kill()
            raise _CannotRun(f"{command[0]} did not start: {''.join(self._lines[-3:]).strip()}")
        self.mark()

    def mark(self) -> None:
        """Count CPU time from now on."""
        time.sleep(_SETTLE_SECONDS)
        self._usage_before = _cpu_times(self._process.pid)

    def stop(self) -> tuple[int, int, float, float]:
        """End it; return packets captured, packets dropped, and its user and system seconds while it captured."""
        time.sleep(_DRAIN_SECONDS)
        user, system = _cpu_times(self._process.pid)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        captured, dropped = self._result("".join(self._lines))
        return captured, dropped, user - self._usage_before[0], system - self._usage_before[1]


def _cpu_times(pid: int) -> tuple[float, float]:
    """Return user and system seconds of a process, its threads together."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(text[11]) / tick, int(text[12]) / tick


def _surgecast(far: str) -> _Contestant:
    def result(text: str) -> tuple[int, int]:
        figures = json.loads(text.splitlines()[-1])
        return int(figures["captured"]), int(figures["dropped"])

    return _Contestant(far, [sys.executable, "-m", "surgecast.bench.rtp_capture"], re.compile("^ready"), result)


def _tcpdump(far: str) -> _Contestant:
    def result(text: str) -> tuple[int, int]:
        return _number(_SEEN, text), _number(_DROPPED, text)

    buffer = ["-B", str(_BUFFER_MIB * 1024), "-s", str(_SNAP_BYTES), "-w", "/dev/null"]
    return _Contestant(far, ["tcpdump", "-n", "-i", "sgfar", *buffer, _FILTER], re.compile("listening on"), result)


def _dumpcap(far: str) -> _Contestant:
    def result(text: str) -> tuple[int, int]:
        found = _DUMPCAP.search(text)
        return (int(found[1]), int(found[2])) if found else (0, 1)

    options = ["-B", str(_BUFFER_MIB), "-s", str(_SNAP_BYTES), "-w", "/dev/null", "-q"]
    return _Contestant(far, ["dumpcap", "-i", "sgfar", *options, "-f", _FILTER], re.compile("^File:"), result)


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0
