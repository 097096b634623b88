"""Sends the simulated network's datagrams through real sockets, in step with a clock: the only edge here."""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from surgecast.simulator.beginning import Beginning
from surgecast.simulator.engine import Datagram, Engine
from surgecast.simulator.incidents import live_incidents
from surgecast.simulator.media_rtp import PACKET_NS, RtpPacket
from surgecast.simulator.settings import SimulatorSettings
from surgecast.simulator.truth import Truth
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS, Endpoint

TICK_S = 0.01
"""How often what has become due is sent."""
RTP_TICK_S = 0.002
"""The same where RTP is sent: what it adds to jitter stays under a millisecond."""
RTP_LATE_NS = PACKET_NS
"""RTP that could not be sent within this is withheld: a busy machine is no bad network."""
_BEHIND_NS = 1_000_000_000
_TOLD_EVERY_NS = 60_000_000_000
KEPT_CALLS = 5_000
"""Finished calls (and minutes of outcomes) whose truth a long run remembers."""
_SECOND_NS = 1_000_000_000
_IDLE_NS = 60 * _SECOND_NS
"""After this a stream is over (a held one pauses for less) and its sockets are closed."""

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


class RtpSender:
    """Sockets between which RTP really flows: one that sends and one that receives for each stream.

    What arrives is read and thrown away, as a telephone would that nobody listens to: without a receiver every
    packet would come back as an ICMP error.
    """

    def __init__(self) -> None:
        self.stats = SendStats()
        self._pairs: OrderedDict[tuple[Endpoint, Endpoint], _Pair] = OrderedDict()
        """Longest unused first."""

    def send(self, packets: Iterable[RtpPacket]) -> None:
        """Send packets in this order; what cannot be sent is counted and forgotten."""
        used: dict[int, socket.socket] = {}
        last_ns = 0
        for due_ns, src, dst, data in packets:
            pair = self._pairs.get((src, dst)) or self._open(src, dst)
            pair.used_ns = last_ns = due_ns
            self._pairs.move_to_end((src, dst))
            try:
                self.stats.octets += pair.sender.send(data)
                self.stats.datagrams += 1
            except OSError:
                self.stats.refused += 1
            else:
                used[id(pair)] = pair.receiver
        for receiver in used.values():
            _drain(receiver)
        self._close_idle(last_ns - _IDLE_NS)

    def close(self) -> None:
        """Close the sockets; idempotent."""
        while self._pairs:
            self._pairs.popitem()[1].close()

    def _close_idle(self, before_ns: int) -> None:
        while self._pairs and next(iter(self._pairs.values())).used_ns < before_ns:
            self._pairs.popitem(last=False)[1].close()

    def _open(self, src: Endpoint, dst: Endpoint) -> "_Pair":
        pair = self._pairs[src, dst] = _Pair()
        with suppress(OSError):  # somebody receives there already: no ICMP comes back either
            pair.receiver.bind(dst)
        try:
            pair.sender.bind(src)
            pair.sender.connect(dst)
        except OSError as error:
            log.warning("RTP not sent", src=str(src), dst=str(dst), why=error.strerror)
            pair.close()  # sends on it are refused, and counted
        return pair


class _Pair:
    """The two ends of a stream."""

    __slots__ = ("receiver", "sender", "used_ns")

    def __init__(self) -> None:
        self.sender, self.receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.receiver.setblocking(False)
        self.used_ns = 0

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


def _drain(receiver: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            receiver.recv(1)


class Punctuality:
    """Says, at most once a minute, that the simulator cannot keep its own pace: the machine has no time for it."""

    def __init__(self, start_ns: int) -> None:
        self._told_ns = start_ns
        self._withheld = 0
        self._behind_ns = 0

    def note(self, now_ns: int, behind_ns: int, withheld: int) -> None:
        """Take how late the newest datagrams were, and how many RTP packets were withheld so far."""
        self._behind_ns = max(self._behind_ns, behind_ns)
        if now_ns - self._told_ns < _TOLD_EVERY_NS:
            return
        if withheld > self._withheld or self._behind_ns > _BEHIND_NS:
            log.warning(
                "the simulator is behind its clock: this machine is busy",
                behind_ms=self._behind_ns // 1_000_000,
                rtp_withheld=withheld - self._withheld,
            )
        self._told_ns, self._withheld, self._behind_ns = now_ns, withheld, 0


def pace(
    engine: Engine,
    send: Callable[[Datagram], None],
    *,
    send_rtp: Callable[[Iterable[RtpPacket]], None] | None = None,
    start_ns: int,
    speed: float,
    clock_ns: Callable[[], int],
    wait: Callable[[float], bool],
) -> None:
    """Send what becomes due until `wait` (which sleeps for some seconds) says stop.

    `speed` is simulated seconds per second of `clock_ns`; 0 goes second by second as fast as it can. RTP goes
    with speed 1 only: what is late by more than `RTP_LATE_NS` is withheld.
    """
    now_ns = start_ns
    tick_s = TICK_S if send_rtp is None else RTP_TICK_S
    punctuality = Punctuality(start_ns)
    while not wait(tick_s if speed else 0):
        last_ns = now_ns
        now_ns = start_ns + round((clock_ns() - start_ns) * speed) if speed else now_ns + _SECOND_NS
        for datagram in engine.datagrams(now_ns):
            send(datagram)
        if send_rtp is not None:
            late_ns = clock_ns()
            send_rtp(engine.packets(now_ns, late_ns - RTP_LATE_NS))
            if last_ns > start_ns:  # a warm start has much to tell at once
                punctuality.note(now_ns, late_ns - last_ns, engine.rtp_withheld)


def run_when_told(settings: SimulatorSettings, beginning: Beginning, stop: threading.Event) -> None:
    """Run as `run_simulator` does, from the moment and with the story and history that another process tells."""
    if (told := beginning.wait(stop)) is not None:
        story_ns, history_end_ns = told
        run_simulator(settings.model_copy(update={"story_ns": story_ns, "history_end_ns": history_end_ns}), stop)


def run_simulator(
    settings: SimulatorSettings, stop: threading.Event, clock_ns: Callable[[], int] = time.time_ns
) -> Truth:
    """Send simulated traffic to the collector until `stop` is set; return what was true of it.

    The truth of the last `KEPT_CALLS` finished calls is kept, so a run of any length stays small.
    """
    start_ns = clock_ns()
    engine = Engine(
        start_ns=start_ns,
        calls=settings.calls,
        seed=settings.seed,
        plan=live_incidents(settings.story_ns or start_ns),
        truth=Truth(keep=KEPT_CALLS),
        rtp_calls=settings.rtp_calls,
        history_end_ns=settings.history_end_ns,
    )
    missing_ns = warm_from_ns(start_ns, settings.history_end_ns) - settings.history_end_ns
    if settings.history_end_ns and missing_ns > 0:
        log.warning("minutes are missing between history and live traffic", minutes=missing_ns // MINUTE_NS)
    sender, rtp = Sender(settings.host, settings.port), RtpSender()
    log.info(
        "simulating",
        calls=settings.calls,
        rtp_calls=settings.rtp_calls,
        seed=settings.seed,
        host=settings.host,
        port=settings.port,
    )
    try:
        pace(
            engine,
            sender.send,
            send_rtp=rtp.send if settings.rtp_calls else None,
            start_ns=start_ns,
            speed=settings.speed,
            clock_ns=clock_ns,
            wait=stop.wait,
        )
    finally:
        for name, each in (("simulated", sender), ("simulated RTP", rtp)):
            each.close()
            log.info(name, datagrams=each.stats.datagrams, octets=each.stats.octets, refused=each.stats.refused)
        if engine.rtp_withheld:
            log.warning("simulated RTP that this machine was too busy to send", packets=engine.rtp_withheld)
    return engine.truth
