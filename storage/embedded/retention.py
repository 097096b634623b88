"""What goes, and when: by age, by the bytes of a measurement, and, where the disk is nearly full, before its time.

Whole segments go, the oldest first. What is asked of `storage.settings` is kept, or it is said and counted that it
could not be.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.embedded.digests import digest_path, old_digest_path
from storage.embedded.layout import END_NS, Layout, Segment
from storage.embedded.stats import StoreStats
from storage.schema import (
    CALL_NOW,
    FINDING,
    FORECAST,
    LOAD_NOW,
    MEASUREMENTS,
    SIP_MESSAGE,
    STREAM_INTERVAL,
)
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
_LEAST_PRECIOUS = (LOAD_NOW, CALL_NOW, SIP_MESSAGE, STREAM_INTERVAL, FINDING, FORECAST)
"""What goes first where the disk is nearly full: what minutes, calls and decisions say too, if less exactly."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The segment of a measurement that goes next."""

    segment: Segment
    at_ns: int
    """When; in the past where it is overdue."""
    why: str
    """`age` or `bytes`."""


def free_bytes(root: Path) -> int:
    """Return the free space of the disk that a directory is on; raises OSError."""
    return shutil.disk_usage(root).free


class Retention:
    """Deletes what one store does not keep any longer."""

    def __init__(
        self,
        layout: Layout,
        settings: StorageSettings,
        stats: StoreStats,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._stats = stats
        self._free = free

    def expire(self, now_ns: int) -> None:
        """Delete what is past its retention, then what must go for the disk's sake; raises OSError."""
        for name in self._layout.measurements():
            if name not in MEASUREMENTS:
                continue
            retention = self._settings.retention_of(name)
            oldest_ns = now_ns - round(retention.age * 1e9)
            room = retention.bytes
            for segment in self._newest_first(name):
                room -= size_of(segment)
                if segment.max_ns < oldest_ns or room < 0:
                    delete(segment)
                    self._stats.segments_expired += 1
        self._free_disk()

    def next_of(self, name: str, now_ns: int) -> Expiry | None:
        """Return what goes next of a measurement, by age or bytes; None where there is nothing to go."""
        retention = self._settings.retention_of(name)
        segments = self._newest_first(name)
        if not segments:
            return None
        room = retention.bytes
        for segment in segments:
            room -= size_of(segment)
            if room < 0:
                return Expiry(segments[-1], now_ns, "bytes")
        return Expiry(segments[-1], segments[-1].max_ns + round(retention.age * 1e9), "age")

    def next_for_the_disk(self) -> Segment | None:
        """Return the segment that goes next if the disk is nearly full."""
        present = self._layout.measurements()
        first = [m.name for m in _LEAST_PRECIOUS]
        for name in (*first, *(name for name in MEASUREMENTS if name not in first)):
            segments = self._newest_first(name) if name in present else []
            if segments:
                return segments[-1]
        return None

    def _free_disk(self) -> None:
        while (free := self._free(self._layout.root)) < self._settings.min_free_bytes:
            segment = self.next_for_the_disk()
            if segment is None:
                logger.warning("%s: %d bytes free, and nothing is left to delete", self._layout.root, free)
                return
            logger.warning(
                "%s: %d bytes free of the %d to keep free: deleting %s of %s before its time",
                self._layout.root, free, self._settings.min_free_bytes, segment.path.name, segment.day,
            )  # fmt: skip
            delete(segment)
            self._stats.segments_shed += 1

    def _newest_first(self, name: str) -> list[Segment]:
        segments = self._layout.list_segments(name, 0, END_NS, superseded=True)
        return sorted(segments, key=lambda s: s.max_ns, reverse=True)


def size_of(segment: Segment) -> int:
    """Return the bytes of a segment and its digest; 0 where it has gone."""
    return sum(map(_size, (segment.path, digest_path(segment.path)) if segment.digested else (segment.path,)))


def delete(segment: Segment) -> None:
    """Delete a segment, and its day where it was the last one; raises OSError."""
    # A query that misses the digest must find the segment gone too, and so ask again.
    segment.path.unlink(missing_ok=True)
    digest_path(segment.path).unlink(missing_ok=True)
    old_digest_path(segment.path).unlink(missing_ok=True)
    try:
        segment.path.parent.rmdir()
    except OSError:
        return  # not empty: the usual case


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
