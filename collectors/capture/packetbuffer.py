"""The rolling packet buffer: the last packets, on disk, bounded by bytes, for a look at a call afterwards.

Off unless a directory is configured. The payload of RTP is what people said: it is cut away before anything is
written, unless the configuration asks for it. What comes in is copied once and never waits: when the disk is
slower than the traffic, packets are left out and counted. Segment files are ordinary pcapng, named by the time of
their first packet; the oldest goes first. Reading them is `collectors.capture.packetslice`.
"""

import ctypes
import fcntl
import os
import struct
import threading
from collections import deque
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.capture.base import CaptureError, PacketBufferStats, Sink, Source, SourceStats
from collectors.capture.pcapfile import INTERFACE, SECTION
from collectors.facts import DATAGRAM, DatagramBatch
from collectors.kernels.memory import U
from collectors.kernels.packets import (
    BLOCK_OVERHEAD,
    LINK_TYPES,
    SYNTHETIC_HEADERS,
    encode_datagrams,
    encode_frames,
    packet_room,
)
from collectors.kernels.rtp import BLOCK_COUNT
from collectors.settings import PacketBufferSettings

SUFFIX = ".pcapng"
RECEIVED_NAME = "received"
_SEGMENTS = 16
_QUEUE_BYTES = 32 << 20
_WAIT_SECONDS = 0.5
_NAME_DIGITS = 20
_SNAP_BYTES = 262_144
_RAW = 101
_OPTION_END, _OPTION_NAME, _OPTION_RESOLUTION = 0, 2, 9


class _Chunk(NamedTuple):
    data: npt.NDArray[np.uint8]
    packets: int
    first_ns: int


class SegmentFile(NamedTuple):
    """A file of the buffer."""

    first_ns: int
    path: Path


def segments(directory: Path) -> list[SegmentFile]:
    """Return the files of a buffer, oldest first; none where there is no such directory."""
    found = (path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())
    return sorted(SegmentFile(int(path.stem), path) for path in found)


def file_header() -> bytes:
    """Return what every file begins with: a section header, and the interfaces that the kernels number."""
    named = [(link, "") for link in LINK_TYPES] + [(_RAW, RECEIVED_NAME)]
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(SECTION, section) + b"".join(_interface(link, name) for link, name in named)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _interface(link_type: int, name: str) -> bytes:
    text = name.encode()
    options = struct.pack("<HHB3x", _OPTION_RESOLUTION, 1, 9)
    if text:
        options += struct.pack("<HH", _OPTION_NAME, len(text)) + text + bytes(-len(text) % 4)
    body = struct.pack("<HHI", link_type, 0, _SNAP_BYTES) + options + struct.pack("<HH", _OPTION_END, 0)
    return _block(INTERFACE, body)


class PacketBuffer:
    """Takes packets of any number of threads and writes them in one of its own.

    Raises:
        CaptureError: The directory cannot be used, or another process writes to it.
    """

    def __init__(self, directory: Path, settings: PacketBufferSettings) -> None:
        self._directory = directory
        self._limit = settings.bytes
        self._segment_bytes = settings.bytes // _SEGMENTS
        self._cut = not settings.payload
        self._stats = PacketBufferStats()
        self._changed = threading.Condition()
        self._queue: deque[_Chunk] = deque()
        self._queued_bytes = 0
        self._closing = False
        self._file: BinaryIO | None = None
        self._file_bytes = 0
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CaptureError(f"collect.packet_buffer: {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise CaptureError(f"collect.packet_buffer: {directory} is written by another process") from None
        self._kept = deque((s, s.path.stat().st_size) for s in segments(directory))
        self._stats.bytes = sum(size for _, size in self._kept)
        self._shrink()
        self._thread = threading.Thread(target=self._write_all, name="packet buffer", daemon=True)
        self._thread.start()

    def stats(self) -> PacketBufferStats:
        """Return the figures so far."""
        oldest = self._kept[0][0].first_ns if self._kept else 0
        now = self._stats
        return PacketBufferStats(now.packets, now.dropped, now.write_failures, now.bytes, oldest)

    def take_frames(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void]) -> None:
        """Copy captured frames (`FRAME` rows over `memory`); never waits for the disk."""
        if not len(frames):
            return
        frames = np.ascontiguousarray(frames)
        room = int(frames["captured"].sum(dtype=np.int64)) + BLOCK_OVERHEAD * len(frames)
        self._encode(memory.ctypes.data, frames.ctypes.data, len(frames), room, int(frames["captured_ns"][0]))

    def take_ring_block(self, address: int, block_bytes: int, first_ns: int) -> None:
        """Copy the frames of a TPACKET_V3 block before it goes back to the kernel; never waits for the disk."""
        frames = ctypes.c_uint32.from_address(address + int(BLOCK_COUNT)).value
        self._encode(address, 0, frames, block_bytes, first_ns)

    def take_datagrams(self, batch: DatagramBatch) -> None:
        """Copy the SIP and RTCP of datagrams that capture agents sent; never waits for the disk."""
        rows = np.ascontiguousarray(batch.rows)
        if not len(rows):
            return
        overhead = (BLOCK_OVERHEAD + SYNTHETIC_HEADERS) * len(rows)
        room = int(rows["payload_len"].sum(dtype=np.int64)) + overhead
        if not self._has_room(room):
            self._stats.dropped += len(rows)
            return
        out, kept = np.empty(room, np.uint8), np.zeros(1, np.uint64)
        assert rows.dtype == DATAGRAM
        used = encode_datagrams(
            U(batch.buffer.ctypes.data), U(rows.ctypes.data), U(len(rows)), U(out.ctypes.data), U(kept.ctypes.data)
        )
        self._put(_Chunk(out[: int(used)], int(kept[0]), int(rows["captured_ns"][0])))

    def close(self) -> None:
        """Write what is queued, and let the directory go; idempotent."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        os.close(self._lock)

    def _encode(self, base: int, listed: int, count: int, room: int, first_ns: int) -> None:
        if not self._has_room(room):
            self._stats.dropped += count
            return
        out, kept, packet = np.empty(room, np.uint8), np.zeros(1, np.uint64), packet_room()
        used = encode_frames(
            U(base),
            U(listed),
            U(count),
            U(out.ctypes.data),
            U(packet.ctypes.data),
            U(self._cut),
            U(kept.ctypes.data),
        )
        # What was cut away must not stay in memory while the rest waits.
        self._put(_Chunk(out[: int(used)].copy(), int(kept[0]), first_ns))

    def _has_room(self, wanted: int) -> bool:
        return self._queued_bytes + wanted <= _QUEUE_BYTES

    def _put(self, chunk: _Chunk) -> None:
        if not chunk.packets:
            return
        with self._changed:
            self._queue.append(chunk)
            self._queued_bytes += chunk.data.size
            self._changed.notify()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait(_WAIT_SECONDS)
                if not self._queue:
                    break
                chunk = self._queue.popleft()
            try:
                self._write(chunk)
                self._stats.packets += chunk.packets
            except OSError:
                self._stats.write_failures += 1
                self._stats.dropped += chunk.packets
                self._give_up_file()
            with self._changed:
                self._queued_bytes -= chunk.data.size
        self._end_file()

    def _write(self, chunk: _Chunk) -> None:
        if self._file is None or self._file_bytes + chunk.data.size > self._segment_bytes:
            self._next_file(chunk.first_ns)
        assert self._file is not None
        self._file.write(chunk.data.data)
        self._grew(chunk.data.size)
        self._shrink()

    def _next_file(self, first_ns: int) -> None:
        self._end_file()
        newest_ns = self._kept[-1][0].first_ns if self._kept else 0
        first_ns = max(first_ns, newest_ns + 1, 1)  # names are in the order of writing whatever clocks say
        path = self._directory / f"{first_ns:0{_NAME_DIGITS}d}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._file_bytes = 0
        self._kept.append((SegmentFile(first_ns, path), 0))
        header = file_header()
        self._file.write(header)
        self._grew(len(header))

    def _grew(self, size: int) -> None:
        self._file_bytes += size
        self._stats.bytes += size
        self._kept[-1] = (self._kept[-1][0], self._file_bytes)

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up_file(self) -> None:
        """Begin anew with the next packets; a disk that is full must not fill with empty files."""
        self._end_file()
        if self._kept and not self._kept[-1][1]:
            self._kept.pop()[0].path.unlink(missing_ok=True)

    def _shrink(self) -> None:
        """Drop the oldest files until the next one fits; the one being written stays."""
        while self._kept and self._stats.bytes > self._limit - self._segment_bytes:
            if len(self._kept) == 1 and self._file is not None:
                return
            oldest, size = self._kept.popleft()
            oldest.path.unlink(missing_ok=True)
            self._stats.bytes -= size


class BufferedSource:
    """A source of datagrams from capture agents whose datagrams are kept too."""

    def __init__(self, source: Source, buffer: PacketBuffer) -> None:
        self.name = source.name
        self._source = source
        self._buffer = buffer

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Feed `sink` (`collectors.capture.base.Source`)."""

        def take(batch: DatagramBatch) -> None:
            self._buffer.take_datagrams(batch)
            sink(batch)

        self._source.run(take, stop)

    def stats(self) -> SourceStats:
        """Return the source's figures."""
        return self._source.stats()
