"""A bounded queue on disk: takes what a server cannot take now, and gives it back in order.

    <directory>/<number>.spool     segments, the smallest number is the oldest

A segment is a mark and then records, each with its length, rows, time and a CRC-32 over these and the payload.
What `append` has returned from survives a crash of the process; a crash of the machine too, where the policy is
`always`. A record that a crash or a full disk cut short is recognised and cut off; one whose checksum is wrong is
skipped and counted. A segment is removed once its last record was dropped, so a crash repeats at most one segment:
what the records hold must be safe to send twice.

The spool knows nothing of what it holds and starts no thread. `append` and the reading side (`peek`, `drop`) may
be used by two threads.
"""

import logging
import os
import re
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.seam import StoreError
from storage.setting_types import Duration

logger = logging.getLogger(__name__)

FsyncPolicy = Literal["always", "interval", "never"]
_MARK = b"SGSPOOL1"
_HEAD = Struct("<IIQI")
"""Bytes of the payload, rows in it, when it was taken (ns), CRC-32 of these three and the payload."""
_COVERED = Struct("<IIQ")
_NAME = re.compile(r"^(\d{12})\.spool$")
_MOST_PAYLOAD = 1 << 30


class SpoolFull(StoreError):
    """The spool is at its bound, or its disk is full: nothing was taken."""


class SpoolSettings(BaseModel):
    """The queue on disk for what the server cannot take now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: str = Field(
        default="surgecast-spool",
        min_length=1,
        description="Where it lies; each store and writer has a directory of its own in it.",
        examples=["/var/lib/surgecast/spool"],
    )
    bytes: int = Field(
        default=4 * 1024**3,
        ge=1024**2,
        description="What one writer's spool may take on disk: compressed, a day of 600 rows a second.",
        examples=[4294967296],
    )
    segment_bytes: int = Field(
        default=8 * 1024**2,
        ge=4096,
        description="A file of this size is followed by the next; a crash repeats at most one file.",
        examples=[8388608],
    )
    fsync: FsyncPolicy = Field(
        default="interval",
        description="When what was taken is forced to the disk: `always`, at an `interval`, or `never` (the "
        "system decides). It matters when the machine crashes, not when the process does.",
        examples=["always"],
    )
    fsync_interval: Duration = Field(
        default=1.0, gt=0, description="How often, where `fsync` is `interval`.", examples=["1s"]
    )


@dataclass(slots=True)
class SpoolStats:
    """What the spool of a writer counts since it was opened."""

    refused: int = 0
    """Records refused because the spool or its disk was full."""
    torn: int = 0
    """Records found cut short when the spool was opened: they had never been acknowledged."""
    damaged: int = 0
    """Records skipped because their checksum was wrong, and remains of segments that could not be read on."""
    fsyncs: int = 0


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One record, still in the spool."""

    payload: bytes
    rows: int
    taken_ns: int
    end: int
    """Where its segment goes on."""


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    size: int = 0
    """Bytes of whole records and the mark."""
    records: int = 0
    rows: int = 0
    oldest_ns: int | None = None
    closed: bool = True
    skips: dict[int, int] = field(default_factory=dict)
    """Damaged records: where each begins, and where to go on."""


class Spool:
    """See the module. One process at a time has a directory open: the owner holds a lock of its own."""

    def __init__(self, directory: Path, settings: SpoolSettings) -> None:
        """Open a directory, made where it is missing, and look through what is in it; raises OSError."""
        self.stats = SpoolStats()
        self._settings = settings
        self._directory = directory
        self._lock = Lock()
        self._fd: int | None = None
        self._synced_ns = 0
        self._dirty = False
        self._at = 0
        directory.mkdir(parents=True, exist_ok=True)
        found = sorted(int(match[1]) for name in os.listdir(directory) if (match := _NAME.match(name)))  # noqa: PTH208
        self._segments: deque[_Segment] = deque()
        for number in found:
            segment = self._examine(_Segment(number, self._path(number)))
            if segment.records:
                self._segments.append(segment)
            else:
                segment.path.unlink()
        self._next = found[-1] + 1 if found else 1
        self._start_reading()

    @property
    def records(self) -> int:
        """Records waiting."""
        with self._lock:
            return sum(segment.records for segment in self._segments)

    @property
    def rows(self) -> int:
        """Rows in the records waiting."""
        with self._lock:
            return sum(segment.rows for segment in self._segments)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(segment.size for segment in self._segments)

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest record waiting was taken; None where there is none."""
        record = self.peek()
        return record.taken_ns if record is not None else None

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._lock:
            return not any(segment.records for segment in self._segments)

    def append(self, payload: bytes, rows: int, now_ns: int) -> None:
        """Take a record; raises SpoolFull, after which the spool is as before."""
        if len(payload) > _MOST_PAYLOAD:
            raise SpoolFull(f"a record of {len(payload)} bytes is too large for the spool")
        covered = _COVERED.pack(len(payload), rows, now_ns)
        record = covered + zlib.crc32(payload, zlib.crc32(covered)).to_bytes(4, "little") + payload
        with self._lock:
            used = sum(segment.size for segment in self._segments)
            if used + len(record) + len(_MARK) > self._settings.bytes:
                self.stats.refused += 1
                raise SpoolFull(f"spool {self._directory}: {used} of {self._settings.bytes} bytes are taken")
            try:
                segment = self._open_segment(len(record))
                self._write(segment, record)
                segment.records += 1
                segment.rows += rows
                if segment.oldest_ns is None:
                    segment.oldest_ns = now_ns
                self._sync(now_ns)
            except OSError as error:
                self.stats.refused += 1
                raise SpoolFull(f"spool {self._directory}: {error.strerror or error}") from error

    def peek(self) -> SpoolRecord | None:
        """Return the oldest record, which stays until it is dropped; None where there is none."""
        with self._lock:
            while self._segments:
                segment = self._segments[0]
                self._at = segment.skips.get(self._at, self._at)
                if not segment.records or self._at >= segment.size:
                    if not segment.closed:
                        return None
                    self._remove_first()
                    continue
                record = _read(segment.path, self._at)
                if record is not None:
                    return record
                # It was whole when it was written or found: the disk, or somebody, has spoilt it since.
                self.stats.damaged += segment.records
                logger.warning("spool %s: %d records cannot be read and are lost", segment.path, segment.records)
                self._close_file(segment)
                self._remove_first()
            return None

    def drop(self, record: SpoolRecord) -> None:
        """Be done with the record that `peek` returned last."""
        with self._lock:
            segment = self._segments[0]
            segment.records -= 1
            segment.rows -= record.rows
            self._at = record.end
            if not segment.records:
                self._close_file(segment)
                self._remove_first()

    def sync(self, now_ns: int) -> None:
        """Force to the disk what the policy says is due; call it now and then. Raises OSError."""
        with self._lock:
            self._sync(now_ns)

    def close(self) -> None:
        """Force what is left to the disk, unless the policy is `never`, and let go; idempotent. Raises OSError."""
        with self._lock:
            if self._fd is not None:
                try:
                    if self._dirty and self._settings.fsync != "never":
                        os.fdatasync(self._fd)
                finally:
                    self._close_file(self._segments[-1])
            if not self._segments:
                with suppress(OSError):  # it stays where somebody else put something in
                    self._directory.rmdir()

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.spool"

    def _open_segment(self, size: int) -> _Segment:
        last = self._segments[-1] if self._segments else None
        if last is not None and not last.closed:
            if last.size + size <= self._settings.segment_bytes or not last.records:
                return last
            if self._dirty and self._settings.fsync != "never":
                assert self._fd is not None
                os.fdatasync(self._fd)
            self._close_file(last)
        path = self._path(self._next)
        segment = _Segment(self._next, path, closed=False)
        self._next += 1
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._segments.append(segment)
        if len(self._segments) == 1:
            self._start_reading()
        try:
            self._write(segment, _MARK)
        except OSError:
            self._close_file(segment)
            self._segments.pop()
            path.unlink(missing_ok=True)
            raise
        return segment

    def _write(self, segment: _Segment, data: bytes) -> None:
        assert self._fd is not None
        try:
            written = os.write(self._fd, data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")  # noqa: TRY301 (cut off below)
        except OSError:
            # What was cut short goes: the next record shall follow the last whole one.
            os.ftruncate(self._fd, segment.size)
            raise
        segment.size += len(data)
        self._dirty = True

    def _sync(self, now_ns: int) -> None:
        if not self._dirty or self._fd is None or self._settings.fsync == "never":
            return
        if self._settings.fsync == "interval" and now_ns - self._synced_ns < self._settings.fsync_interval * 1e9:
            return
        os.fdatasync(self._fd)
        self._synced_ns, self._dirty = now_ns, False
        self.stats.fsyncs += 1

    def _close_file(self, segment: _Segment) -> None:
        if not segment.closed and self._fd is not None:
            os.close(self._fd)
            self._fd, self._dirty = None, False
        segment.closed = True

    def _remove_first(self) -> None:
        self._segments.popleft().path.unlink(missing_ok=True)
        self._start_reading()

    def _start_reading(self) -> None:
        self._at = len(_MARK)

    def _examine(self, segment: _Segment) -> _Segment:
        """Count the whole records of a segment of a former process, and cut off what it left unfinished."""
        with segment.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(_MARK)) != _MARK:
                self.stats.torn += 1 if size < len(_MARK) else 0
                self.stats.damaged += 1 if size >= len(_MARK) else 0
                return segment
            segment.size = len(_MARK)
            while head := file.read(_HEAD.size):
                if len(head) < _HEAD.size:
                    break
                length, rows, taken_ns, checksum = _HEAD.unpack(head)
                end = segment.size + _HEAD.size + length
                if end > size:
                    break
                payload = file.read(length)
                if zlib.crc32(payload, zlib.crc32(head[: _COVERED.size])) == checksum:
                    segment.records += 1
                    segment.rows += rows
                    if segment.oldest_ns is None:
                        segment.oldest_ns = taken_ns
                else:
                    self.stats.damaged += 1
                    segment.skips[segment.size] = end
                segment.size = end
        for start in sorted(segment.skips, reverse=True):  # several in a row are gone over at once
            segment.skips[start] = segment.skips.get(segment.skips[start], segment.skips[start])
        if segment.size < size:
            self.stats.torn += 1
            os.truncate(segment.path, segment.size)
        return segment


def _read(path: Path, at: int) -> SpoolRecord | None:
    try:
        with path.open("rb") as file:
            file.seek(at)
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return None
            length, rows, taken_ns, checksum = _HEAD.unpack(head)
            payload = file.read(length) if length <= _MOST_PAYLOAD else b""
    except OSError:
        return None
    if len(payload) != length or zlib.crc32(payload, zlib.crc32(head[: _COVERED.size])) != checksum:
        return None
    return SpoolRecord(payload, rows, taken_ns, at + _HEAD.size + length)
