"""`surgecast bench hep`: HEP datagrams received and parsed without a drop, beside plain Python receivers.

Each receiver runs alone in a process of its own on the loopback, with the same kernel buffer and the
same traffic; the offered rate is raised until it drops. CPU is the receiver's own user and system
time, so the kernel's copy of each datagram is in it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from surgecast.bench.peers import Figures

RECEIVERS = {
    "surgecast": "recvmmsg into slots, numba HEP parse",
    "recvfrom": "recvfrom loop, HEP parse with struct",
    "recvfrom_count": "recvfrom loop, no parse",
    "asyncio": "asyncio DatagramProtocol, HEP parse with struct",
    "asyncio_count": "asyncio DatagramProtocol, no parse",
}
_CALIBRATION_PER_SECOND = 15_000.0
_START = 0.5
"""The search starts at this share of what the calibration's CPU time promises, and goes up by `_STEP`."""
_STEP = 1.25
_MAX_STEPS = 12
_ATTEMPTS = 3
"""A step counts as dropping when it does each time: other programs on the machine cause some drops too."""
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReceiverFigures:
    """The best a receiver did without a drop."""

    what: str
    datagrams_per_second: float
    """Received, from the first to the last datagram; 0 where it always dropped some."""
    cpu_us_per_datagram: float
    generator_limited: bool
    """It dropped nothing even at the fastest the generator can send."""


def run(seconds: float = 0.5, progress: Callable[[str], None] | None = None) -> dict[str, object]:
    """Measure every receiver and return the figures, with `vs_*` as ratios of CPU time a datagram.

    Args:
        seconds: Length of each step of the search; a receiver takes six or so.
        progress: Called with a line for each receiver done.
    """
    found: dict[str, ReceiverFigures] = {}
    for kind, what in RECEIVERS.items():
        figures = found[kind] = _search(kind, what, seconds)
        if progress is not None:
            rate, cpu_us = figures.datagrams_per_second, figures.cpu_us_per_datagram
            progress(f"{kind}: {rate:,.0f} datagrams/s without a drop, {cpu_us:.2f} us of CPU each")
    ours = found["surgecast"].cpu_us_per_datagram
    return {
        "datagrams_per_second": found["surgecast"].datagrams_per_second,
        "cpu_us_per_datagram": ours,
        **{f"vs_{kind}": found[kind].cpu_us_per_datagram / ours for kind in RECEIVERS if kind != "surgecast"},
        "receivers": {kind: asdict(figures) for kind, figures in found.items()},
        "compared": "CPU time a datagram, each at its highest rate without a drop: surgecast parses always, "
        "recvfrom and asyncio parse in Python, recvfrom_count and asyncio_count do not parse",
        "cpus": os.cpu_count(),
    }


def _search(kind: str, what: str, seconds: float) -> ReceiverFigures:
    """Raise the offered rate until the receiver drops; the fastest step without a drop counts."""
    best, _ = _measure(kind, _CALIBRATION_PER_SECOND, seconds / 2)
    per_second = _START * best.received / best.cpu_seconds
    limited = False
    for _ in range(_MAX_STEPS):
        for _ in range(_ATTEMPTS):
            figures, sent_per_second = _measure(kind, per_second, seconds)
            if not figures.drops:
                break
        else:
            break
        if best.drops or _rate(figures) > _rate(best):
            best = figures
        if sent_per_second < 0.9 * per_second:
            limited = True
            break
        per_second *= _STEP
    rate = 0.0 if best.drops else _rate(best)
    return ReceiverFigures(what, rate, best.cpu_seconds / best.received * 1e6, limited)


def _rate(figures: Figures) -> float:
    return figures.received / figures.seconds if figures.seconds > 0 else 0.0


def _measure(kind: str, per_second: float, seconds: float) -> tuple[Figures, float]:
    """Run one receiver and the generator, each in its process; return the figures and the rate sent."""
    module = ["surgecast.bench.receiver"] if kind == "surgecast" else ["surgecast.bench.peers", kind]
    receiver = _start(module, 0)
    try:
        assert receiver.stdout is not None
        port = receiver.stdout.readline().strip()
        sender = _start(["surgecast.bench.traffic", port, str(per_second), str(seconds)], 1)
        sent, elapsed = json.loads(_finish(sender))
        return Figures(**json.loads(_finish(receiver))), sent / elapsed
    finally:
        if receiver.poll() is None:
            receiver.kill()
            receiver.communicate()


def _start(module: list[str], number: int) -> subprocess.Popen[str]:
    """Start a module, on a CPU of its own where there are two."""
    process = subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        os.sched_setaffinity(process.pid, {allowed[number % len(allowed)]})
    return process


def _finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return output
