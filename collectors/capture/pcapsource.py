"""A packet capture as a source: SIP, RTCP and HEP found in its packets, RTP handed to its reader."""

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collectors.capture.base import FrameReader, Sink, SourceStats
from collectors.capture.framedata import FrameDatagrams
from collectors.capture.pcapmap import read_blocks
from collectors.wire.classify import Content
from collectors.wire.hep import HepParser

MAX_STEP_NS = 3600 * 1_000_000_000
"""A capture time this far ahead of the one after it is not believed."""


class PcapSource:
    """Feeds what the packets of a pcap or pcapng file carry, in their order; `node_id` is 0.

    RTP is measured by `reader`, which sees every frame first; without one it is counted only.
    """

    def __init__(self, path: Path, parser: HepParser, reader: FrameReader | None = None) -> None:
        self.name = str(path)
        self._path = path
        self._parser = parser
        self._reader = reader
        self._stats = SourceStats()
        self._found = FrameDatagrams(self._stats, parser)

    def stats(self) -> SourceStats:
        """Return the figures so far."""
        snapshot = SourceStats()
        snapshot.add(self._stats)
        snapshot.accepted += self._parser.accepted
        snapshot.errors.update(dict(self._parser.errors))
        return snapshot

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Feed the whole capture, or until `stop`."""
        last_ns = 0
        for memory, frames in read_blocks(self._path, self._stats.errors):
            wrong, last_ns = correct_times(frames, last_ns)
            if wrong:
                self._stats.errors["time_ahead"] += wrong
            done = 0
            while done < len(frames):
                if stop.is_set():
                    return
                done += self._take_frames(memory, frames[done:], sink)
        self._found.flush(sink)

    def _take_frames(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], sink: Sink) -> int:
        handed, count, wants_datagrams = frames, len(frames), False
        if self._reader is not None:
            count, rtp, handed, wants_datagrams = self._reader.take(memory, frames, waiting=self._found.waiting)
            self._stats.payloads[Content.RTP] += rtp
            self._stats.payloads[Content.OTHER] += count - rtp - len(handed)
        self._stats.frames += count
        self._stats.bytes += int(frames["captured"][:count].sum())
        self._found.take(memory, handed, sink)
        if wants_datagrams:
            self._found.flush(sink)
        return count


def correct_times(frames: npt.NDArray[np.void], last_ns: int) -> tuple[int, int]:
    """Give frames whose time is absurdly ahead of the next one's the time of the one before.

    One damaged time would otherwise end every stream and call: time never goes back.

    Args:
        frames: A block of `FRAME`, changed in place; the last one cannot be judged without what follows it, and
            is believed unless it leaps from its neighbours in the block.
        last_ns: The last believed time of the block before, 0 where there was none.

    Returns:
        How many were wrong, and the last believed time.
    """
    times = frames["captured_ns"]
    if len(times) > 1:
        # Sorted but for the jitter of capture cards in all sane files: nothing to do, and no copy.
        steps = np.diff(times)
        if steps.min() < -MAX_STEP_NS or steps[-1] > MAX_STEP_NS:
            ahead = np.append(steps < -MAX_STEP_NS, steps[-1] > MAX_STEP_NS)
            believed = np.where(ahead, -1, np.arange(len(times)))
            latest = np.maximum.accumulate(believed)
            first = int(np.argmin(ahead))
            earlier = last_ns or int(times[first])
            frames["captured_ns"] = np.where(latest >= 0, times[np.maximum(latest, 0)], earlier)
            return int(ahead.sum()), int(frames["captured_ns"][-1])
    return 0, int(times[-1]) if len(times) else last_ns
