"""Sends the simulated network's datagrams through real sockets, in step with a clock: the only edge here."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from surgecast.simulator.engine import Datagram, Engine
from surgecast.simulator.settings import SimulatorSettings
from surgecast.simulator.truth import Truth

TICK_S = 0.01
"""How often what has become due is sent."""
KEPT_CALLS = 5_000
"""Finished calls (and minutes of outcomes) whose truth a long run remembers."""
_SECOND_NS = 1_000_000_000

log = structlog.get_logger()


@dataclass(slots=True)
class SendStats:
    """What went out."""

    datagrams: int = 0
    octets: int = 0
    refused: int = 0
    """Nobody listened, or the kernel had no room."""


class Sender:
    """One connected UDP socket for each capture agent, so that a collector's sockets share the agents."""

    def __init__(self, host: str, port: int) -> None:
        self.stats = SendStats()
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._kind, self._address = found[:3], found[4]
        self._sockets: dict[int, socket.socket] = {}

    def send(self, datagram: Datagram) -> None:
        """Send one datagram; what the network refuses is counted and forgotten, as an agent would."""
        sender = self._sockets.get(datagram.node_id)
        if sender is None:
            sender = self._sockets[datagram.node_id] = socket.socket(*self._kind)
            sender.connect(self._address)
        try:
            self.stats.octets += sender.send(datagram.data)
            self.stats.datagrams += 1
        except OSError:
            self.stats.refused += 1

    def close(self) -> None:
        """Close the sockets; idempotent."""
        for sender in self._sockets.values():
            sender.close()
        self._sockets.clear()


def pace(
    engine: Engine,
    send: Callable[[Datagram], None],
    *,
    start_ns: int,
    speed: float,
    clock_ns: Callable[[], int],
    wait: Callable[[float], bool],
) -> None:
    """Send what becomes due until `wait` (which sleeps for some seconds) says stop.

    `speed` is simulated seconds per second of `clock_ns`; 0 goes second by second as fast as it can.
    """
    now_ns = start_ns
    while not wait(TICK_S if speed else 0):
        now_ns = start_ns + round((clock_ns() - start_ns) * speed) if speed else now_ns + _SECOND_NS
        for datagram in engine.datagrams(now_ns):
            send(datagram)


def run_simulator(
    settings: SimulatorSettings, stop: threading.Event, clock_ns: Callable[[], int] = time.time_ns
) -> Truth:
    """Send simulated traffic to the collector until `stop` is set; return what was true of it.

    The truth of the last `KEPT_CALLS` finished calls is kept, so a run of any length stays small.
    """
    start_ns = clock_ns()
    engine = Engine(start_ns=start_ns, calls=settings.calls, seed=settings.seed, truth=Truth(keep=KEPT_CALLS))
    sender = Sender(settings.host, settings.port)
    log.info("simulating", calls=settings.calls, seed=settings.seed, host=settings.host, port=settings.port)
    try:
        pace(engine, sender.send, start_ns=start_ns, speed=settings.speed, clock_ns=clock_ns, wait=stop.wait)
    finally:
        sender.close()
        stats = sender.stats
        log.info("simulated", datagrams=stats.datagrams, octets=stats.octets, refused=stats.refused)
    return engine.truth
