"""The stream kernel once more, slow and obvious: sets, lists and big integers instead of bit windows.

Written from RFC 3550 and RFC 3611, not from the kernel. Where floats are stored narrow, it rounds in the same
places, so that counters which depend on them can be compared exactly.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from telephony.serial import delta16, delta32

VOICE, COMFORT_NOISE, DTMF = "voice", "comfort_noise", "dtmf"


class Sent(NamedTuple):
    """A packet as it was captured."""

    seq: int
    timestamp: int
    arrival_ns: int
    payload_type: int = 8
    marker: bool = False
    payload_bytes: int = 160
    dscp: int = 46


def narrow(value: float) -> float:
    return float(np.float32(value))


@dataclass
class Epoch:
    """A run of sequence numbers without restart: which extended numbers came."""

    first: int
    highest: int
    came: set[int] = field(default_factory=set)

    def final(self, *, over: bool) -> list[bool]:
        """Return, from the first packet on, whether each came, as far as that is final."""
        last = self.highest if over else self.highest - 64
        return [number in self.came for number in range(self.first, last + 1)]


class Reference:
    """One stream."""

    def __init__(self, kinds: dict[int, tuple[str, float]]) -> None:
        self.kinds = kinds  # payload type to kind and microseconds a tick
        self.epochs: list[Epoch] = []
        self.counts: Counter[str] = Counter()
        self.pending: Sent | None = None
        self.payload_type: int | None = None
        self.dscp: int | None = None
        self.tick_us = 0.0
        self.last: tuple[int, int] | None = None  # arrival and timestamp of the last voice packet
        self.jitter = self.excess = 0.0
        self.depth = 60_000.0
        self.held: float | None = None
        self.jitters: list[float] = []
        self.spacings: list[int] = []

    def take(self, packet: Sent) -> None:
        self.counts["bytes"] += 12 + packet.payload_bytes
        if self._in_sequence(packet):
            self.counts["unique"] += 1
            self._read(packet)

    def _in_sequence(self, packet: Sent) -> bool:
        if not self.epochs:
            number = 65_536 + packet.seq
            self.epochs.append(Epoch(number, number, {number}))
            return True
        epoch = self.epochs[-1]
        number = epoch.highest + delta16(packet.seq, epoch.highest & 0xFFFF)
        if 0 < number - epoch.highest < 3000:
            epoch.highest = number
            epoch.came.add(number)
            return True
        if -64 < number - epoch.highest <= 0:
            if number in epoch.came:
                self.counts["duplicates"] += 1
                return False
            epoch.first = min(epoch.first, number)
            epoch.came.add(number)
            self.counts["reordered"] += 1
            return True
        if -100 < number - epoch.highest <= 0:
            self.counts["too_late"] += 1
            return False
        if self.pending is not None and packet.seq == (self.pending.seq + 1) & 0xFFFF:
            number = 65_536 + packet.seq
            self.epochs.append(Epoch(number - 1, number, {number - 1, number}))
            self.counts["restarts"] += 1
            self.counts["strays"] -= 1
            self.counts["unique"] += 1
            self.last = (self.pending.arrival_ns, self.pending.timestamp)
            self.excess, self.held, self.pending = 0.0, None, None
            return True
        self.pending = packet
        self.counts["strays"] += 1
        return False

    def _read(self, packet: Sent) -> None:
        if self.dscp is not None and packet.dscp != self.dscp:
            self.counts["dscp_changes"] += 1
        self.dscp = packet.dscp
        kind, tick_us = self.kinds.get(packet.payload_type, (VOICE, 0.0))
        if kind != VOICE:
            self.counts[kind] += 1
            return
        if packet.payload_type != self.payload_type:
            if self.payload_type is not None:
                self.counts["type_changes"] += 1
            self.payload_type = packet.payload_type
            if narrow(tick_us) != self.tick_us:
                self.last, self.held = None, None
            self.tick_us = narrow(tick_us)
        self.counts["markers"] += packet.marker
        if self.last is None:
            self.last = (packet.arrival_ns, packet.timestamp)
            self.excess = 0.0
            return
        elapsed_ns = packet.arrival_ns - self.last[0]
        step_us = float(delta32(packet.timestamp, self.last[1])) * self.tick_us
        self.last = (packet.arrival_ns, packet.timestamp)
        if elapsed_ns >= 0:
            self.spacings.append(min(elapsed_ns // 1000, 0xFFFFFFFF))
        self._time(float(elapsed_ns) * 0.001 - step_us, step_us)

    def _time(self, late_us: float, step_us: float) -> None:
        if self.held is not None:
            held, self.held = self.held, None
            if late_us <= -0.5 * step_us:
                self._vary(held)
            else:
                self.counts["retimed"] += 1
        if late_us > 200_000:
            self.held = narrow(late_us)
        elif self.excess + late_us < -200_000:
            self.counts["retimed"] += 1
            self.excess = 0.0
        else:
            self._vary(late_us)

    def _vary(self, late_us: float) -> None:
        jitter = self.jitter + (abs(late_us) - self.jitter) / 16
        self.jitter = narrow(jitter)
        self.jitters.append(jitter)
        excess = self.excess + late_us
        excess = 0.0 if excess < 0 else excess - excess / 1024
        self.excess = narrow(excess)
        self.counts["late_fixed_50"] += excess > 50_000
        self.counts["late_fixed_200"] += excess > 200_000
        if excess > self.depth:
            self.counts["late_adaptive"] += 1
            self.depth = narrow(min(excess, 500_000.0))
        else:
            self.depth = narrow(self.depth + (max(2 * jitter, 20_000.0) - self.depth) / 512)

    # -- results -----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Count what only the whole stream tells."""
        for epoch in self.epochs:
            self._bursts(epoch.final(over=True))

    def _bursts(self, came: list[bool]) -> None:
        """RFC 3611 appendix A.2, word for word, and the runs of consecutive losses."""
        c = self.counts
        lost = pkt = run = 0
        for ok in [*came, True]:
            if ok:
                pkt += 1
                if run:
                    c[f"run_{_bin(run)}"] += 1
                run = 0
                continue
            run += 1
            c["lost"] += 1
            if pkt >= 16:
                c["c14" if lost == 1 else "c13"] += 1
                lost = 1
                c["c11"] += pkt
            else:
                lost += 1
                if pkt == 0:
                    c["c33"] += 1
                else:
                    c["c23"] += 1
                    c["c22"] += pkt - 1
            pkt = 0


def _bin(length: int) -> int:
    return sum(length > limit for limit in (1, 2, 3, 4, 9, 19, 49))
