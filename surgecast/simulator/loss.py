"""What is lost of a stream, true packet by packet, and what its receiver reports of it (RFC 3550 A.3)."""

from dataclasses import dataclass
from math import log, log1p
from random import Random

from collectors.facts import ReceptionReport
from surgecast.simulator.incidents import Impairment
from surgecast.simulator.truth import StreamTruth

_ENDLESS = 1e12
"""Mean length of a run, in packets, that no call outlives."""


class LossProcess:
    """A Gilbert process: memoryless runs of received and lost packets; the first packet is received."""

    __slots__ = ("_losing", "_rng", "run")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._losing = False
        self.run = 0
        """Lost packets since the last one that was received."""

    def advance(self, packets: int, loss_ratio: float, burst_packets: float) -> int:
        """Return how many of the next packets are lost, at this long-run ratio and mean length of a burst."""
        if loss_ratio <= 0:
            self._losing = False
            if packets:
                self.run = 0
            return 0
        gap_packets = burst_packets * (1 - loss_ratio) / loss_ratio
        lost, left = 0, packets
        while left:
            run = self._run_of(burst_packets if self._losing else gap_packets, left)
            left -= run
            if self._losing:
                lost += run
                self.run += run
            else:
                self.run = 0
            if left:
                self._losing = not self._losing
        # A run that the interval cuts goes on in the next one: geometric lengths have no memory, but whether
        # it ends here has to be drawn.
        if packets and self._rng.random() < 1 / max(burst_packets if self._losing else gap_packets, 1.0):
            self._losing = not self._losing
        return lost

    def _run_of(self, mean: float, left: int) -> int:
        """Return the length of a run, geometric with this mean (1 where the mean is below), cut at `left`."""
        if mean <= 1:
            return 1
        if mean > _ENDLESS:
            return left
        return min(1 + int(log(1 - self._rng.random()) / log1p(-1 / mean)), left)


@dataclass(slots=True)
class Stream:
    """One direction: what was sent, what arrived, what the last report said."""

    loss: LossProcess
    truth: StreamTruth
    first_seq: int
    sent: int = 0
    lost: int = 0

    def advance(self, sent: int, path: Impairment) -> None:
        """Let the stream send until `sent` packets have reached the receiver or been lost."""
        new = max(sent - self.sent, 0)
        self.sent += new
        self.lost += self.loss.advance(new, path.loss_ratio, path.burst_packets)

    def jitter_ms(self, path: Impairment, rng: Random) -> float:
        """Return the interarrival jitter that the receiver has at this moment."""
        return path.jitter_ms * rng.gammavariate(16, 1 / 16)

    @property
    def received(self) -> int:
        """Packets that reached the receiver."""
        return self.sent - self.lost

    def report(self, reporter_ssrc: int, jitter_ticks: int, lsr: int, dlsr: int) -> ReceptionReport | None:
        """Return the reception report (RFC 3550 A.3) and count it into the truth; None: nothing received yet."""
        if self.received == 0:
            return None
        expected = self.sent - self.loss.run
        lost = expected - self.received
        truth = self.truth
        new_expected, new_lost = expected - truth.expected, lost - truth.lost
        fraction = min((new_lost << 8) // new_expected, 255) if new_expected > 0 and new_lost > 0 else 0
        truth.expected, truth.received, truth.lost = expected, self.received, lost
        if truth.reports == 0:
            truth.first_expected, truth.first_lost = expected, lost
        truth.reports += 1
        highest = self.first_seq + self.sent - 1 - self.loss.run
        return ReceptionReport(reporter_ssrc, truth.ssrc, fraction, lost, highest, False, jitter_ticks, lsr, dlsr)
