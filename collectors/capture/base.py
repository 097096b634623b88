"""What every source of datagrams looks like to the pipeline, and the bounded queue between them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from collectors.facts import DatagramBatch, FramesTaken

Sink = Callable[[DatagramBatch], None]
"""Takes a batch over; it may block (back-pressure), and calls `batch.release()` when done with the buffer."""


class CaptureError(Exception):
    """A source cannot be opened or read: the message names it and what to do."""


@dataclass(slots=True)
class SourceStats:
    """What a source did since it was made; a snapshot, plain numbers."""

    frames: int = 0
    """Datagrams, stream frames or captured packets read."""
    bytes: int = 0
    accepted: int = 0
    """Rows handed to the sink."""
    errors: Counter[str] = field(default_factory=Counter)
    """What was refused, by reason."""
    payloads: Counter[str] = field(default_factory=Counter)
    """Captured packets by what they carry (`hep`, `sip`, `rtcp`, `rtp`, `other`); packet captures only."""
    kernel_drops: int = 0
    """Datagrams that the kernel dropped because its receive buffer was full."""
    ring_drops: int = 0
    """Frames that the kernel dropped because a ring was full."""
    ring_freezes: int = 0
    """Times that a ring was full."""
    softnet_drops: int = 0
    """Packets that the kernel dropped in the backlog of a CPU, of whatever interface, while we captured."""
    interfaces: int = 0
    """Interfaces that are captured from."""
    interfaces_down: int = 0
    """Of those, how many are down or gone."""
    stalls: int = 0
    """Times that receiving paused because the consumer held every slot group."""
    receive_buffer_bytes: int = 0
    """What the kernel granted, which may be less than what was asked for."""
    connections_open: int = 0
    connections_accepted: int = 0
    connections_refused: int = 0
    """Beyond the bound on connections."""

    def add(self, other: "SourceStats") -> None:
        """Add the figures of `other`, another part of the same source."""
        self.frames += other.frames
        self.bytes += other.bytes
        self.accepted += other.accepted
        self.errors += other.errors
        self.payloads += other.payloads
        self.kernel_drops += other.kernel_drops
        self.ring_drops += other.ring_drops
        self.ring_freezes += other.ring_freezes
        self.softnet_drops = max(self.softnet_drops, other.softnet_drops)  # each source saw those of the machine
        self.interfaces += other.interfaces
        self.interfaces_down += other.interfaces_down
        self.stalls += other.stalls
        self.receive_buffer_bytes += other.receive_buffer_bytes
        self.connections_open += other.connections_open
        self.connections_accepted += other.connections_accepted
        self.connections_refused += other.connections_refused


@dataclass(slots=True)
class PacketBufferStats:
    """What a packet buffer did since it was opened, and what it holds."""

    packets: int = 0
    """Written."""
    dropped: int = 0
    """Left out because the disk was slower than the traffic."""
    write_failures: int = 0
    """Writes that the disk refused; their packets count as dropped."""
    bytes: int = 0
    """On disk now, those of earlier runs among them."""
    oldest_ns: int = 0
    """Capture time of the first packet on disk, 0 where there is none."""


class FrameReader(Protocol):
    """Reads what is RTP among captured frames, and leaves the rest."""

    def take(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], *, waiting: bool) -> FramesTaken:
        """Take frames in order, as many as go together.

        Args:
            memory: Holds the frames.
            frames: Contiguous array of `collectors.kernels.frames.FRAME`, not empty.
            waiting: Datagrams found in frames before these have not been handed on yet.
        """


class RingReader(FrameReader, Protocol):
    """Reads what is RTP in a ring, and leaves the rest; whoever holds `lock` may call it."""

    lock: threading.Lock

    def take_ring(self, state: npt.NDArray[np.void], now_ns: int) -> FramesTaken:
        """Take what is ready; what is left to others is in the ring's `copies`.

        Args:
            state: The one `collectors.kernels.ring.RING` of the ring.
            now_ns: Time of the first interval where no frame tells.
        """

    def skip_outgoing(self) -> None:
        """Leave out what this host sends."""

    def note_drops(self, count: int, now_ns: int) -> None:
        """Take note that frames, perhaps of these streams, were dropped by then."""


class RingDrops(NamedTuple):
    """What a ring lost since it was last asked."""

    frames: int
    freezes: int
    """Times that it was full."""


class RingState(Enum):
    """What waiting at a ring ended with."""

    READY = "ready"
    IDLE = "idle"
    GONE = "gone"
    """The interface was taken away: nothing will come from this ring again."""


RingTap = Callable[[int, int, int], None]
"""Copies what it wants of a TPACKET_V3 block before that is read: address, bytes, time of the first frame."""


class PacketRing(Protocol):
    """Memory shared with the kernel into which frames of one queue come.

    `collectors.capture.tpacket` is AF_PACKET. A ring of AF_XDP would hand its reader lists of frames
    (`FrameReader.take`) over the memory of its UMEM.
    """

    def take(self, reader: RingReader, now_ns: int) -> tuple[npt.NDArray[np.uint8], FramesTaken]:
        """Let `reader` take what is ready; return the memory of what it left to others, and what it took."""

    def wait(self, timeout_seconds: float) -> RingState:
        """Wait until something is ready, at most so long."""

    def drops(self) -> RingDrops:
        """Return what was lost since the last call."""

    def close(self) -> None:
        """Give the memory back; idempotent."""


class Source(Protocol):
    """Somewhere datagrams come from."""

    @property
    def name(self) -> str:
        """What it reads, for people (`udp://0.0.0.0:9060`, a file name)."""

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Feed `sink` until the source ends or `stop` is set; blocks, so give it a thread of its own.

        Raises:
            CaptureError: The source cannot be opened or read.
        """

    def stats(self) -> SourceStats:
        """Return the figures so far; may be called from any thread."""


class BatchQueue:
    """Batches of several sources for one consumer, bounded.

    `put` blocks while the queue is full: files and TCP peers then wait, and a UDP ring stops
    receiving, so that the kernel counts what is lost.
    """

    def __init__(self, max_batches: int, stop: threading.Event) -> None:
        self.dropped = 0
        """Batches given up because `stop` was set while the queue was full."""
        self._max_batches = max_batches
        self._stop = stop
        self._batches: list[DatagramBatch] = []
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._batches)

    def put(self, batch: DatagramBatch) -> None:
        """Append a batch, waiting for room."""
        with self._changed:
            while len(self._batches) >= self._max_batches:
                if self._stop.is_set():
                    self.dropped += 1
                    batch.release()
                    return
                self._changed.wait(0.1)
            self._batches.append(batch)
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> list[DatagramBatch]:
        """Return all that is queued, waiting at most `timeout_seconds` for the first; release each when done."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not self._batches:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            taken = self._batches
            self._batches = []
            self._changed.notify_all()
        return taken
