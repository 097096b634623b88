"""The wire as a source: rings of an interface, a thread each, RTP measured where the kernel put it.

SIP and RTCP go the way that those of capture files go. What was lost before we could see it is counted, and told
to the reader whose streams it may have hurt. An interface that is taken away is waited for.
"""

import threading
import time
from collections.abc import Callable, Sequence

from collectors.capture.base import CaptureError, PacketRing, RingReader, RingState, Sink, SourceStats
from collectors.capture.framedata import FrameDatagrams
from collectors.capture.softnet import SoftnetDrops
from collectors.capture.tpacket import is_up
from collectors.wire.classify import Content

_WAIT_SECONDS = 0.1
_REOPEN_SECONDS = 1.0


class _RingReading:
    """One ring's reader and what was counted of it; driven by one thread at a time."""

    def __init__(self, reader: RingReader, softnet: SoftnetDrops) -> None:
        self.stats = SourceStats()
        self._reader = reader
        self._softnet = softnet
        self._found = FrameDatagrams(self.stats, None)
        self._backlog = 0

    def run(self, ring: PacketRing, sink: Sink, ended: Callable[[], bool]) -> RingState:
        """Read until `ended`, or the interface is gone."""
        while not ended():
            now_ns = time.time_ns()
            self._count_drops(ring, now_ns)
            with self._reader.lock:
                memory, taken = ring.take(self._reader, now_ns)
            if taken.frames:
                self.stats.frames += taken.frames
                self.stats.payloads[Content.RTP] += taken.rtp
                self.stats.payloads[Content.OTHER] += taken.frames - taken.rtp - len(taken.handed)
                self._found.take(memory, taken.handed, sink)
                self._found.flush(sink)
            elif not taken.wants_datagrams and ring.wait(_WAIT_SECONDS) is RingState.GONE:
                return RingState.GONE
        return RingState.IDLE

    def _count_drops(self, ring: PacketRing, now_ns: int) -> None:
        drops = ring.drops()
        self.stats.ring_drops += drops.frames
        self.stats.ring_freezes += drops.freezes
        backlog = self._softnet.total(now_ns)
        lost = drops.frames + backlog - self._backlog
        self._backlog = self.stats.softnet_drops = backlog
        if lost:
            with self._reader.lock:
                self._reader.note_drops(lost, now_ns)


class RingSource:
    """An interface; its rings are open when it is made.

    Args:
        interface: Its name.
        open_: Opens its rings, anew when the interface was gone; as many as there are readers.
        readers: Of RTP, one for each ring.
        softnet: What the machine's backlogs drop; shared by all sources.

    Raises:
        CaptureError: The rings cannot be opened.
    """

    def __init__(
        self,
        interface: str,
        open_: Callable[[], Sequence[PacketRing]],
        readers: Sequence[RingReader],
        softnet: SoftnetDrops,
    ) -> None:
        self.name = f"interface {interface}"
        self._interface = interface
        self._open = open_
        self._readings = [_RingReading(reader, softnet) for reader in readers]
        self._gone = 0
        self._rings = open_()

    def stats(self) -> SourceStats:
        """Return the figures of all rings."""
        total = SourceStats(interfaces=1, interfaces_down=0 if is_up(self._interface) else 1)
        for reading in self._readings:
            total.add(reading.stats)
        if self._gone:
            total.errors["interface_gone"] += self._gone
        return total

    def close(self) -> None:
        """Close the rings; `run` does so when it returns."""
        for ring in self._rings:
            ring.close()

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Capture until `stop` is set."""
        while True:
            try:
                self._run_rings(sink, stop)
            finally:
                self.close()
            if stop.is_set():
                return
            self._gone += 1
            self._rings = ()
            while not self._rings:
                if stop.wait(_REOPEN_SECONDS):
                    return
                try:
                    self._rings = self._open()
                except CaptureError:
                    continue

    def _run_rings(self, sink: Sink, stop: threading.Event) -> None:
        gone = threading.Event()

        def ended() -> bool:
            return stop.is_set() or gone.is_set()

        def read(reading: _RingReading, ring: PacketRing) -> None:
            try:
                reading.run(ring, sink, ended)
            finally:
                gone.set()

        work = list(zip(self._readings, self._rings, strict=True))
        threads = [
            threading.Thread(target=read, args=pair, name=f"{self.name}#{number}")
            for number, pair in enumerate(work[1:], start=1)
        ]
        for thread in threads:
            thread.start()
        try:
            read(*work[0])
        finally:
            for thread in threads:
                thread.join()
