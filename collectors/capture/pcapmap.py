"""Capture files as blocks of frames in memory, for the stream kernel.

A plain file is mapped and its records are found by a kernel, so that nothing is copied; a compressed one is
read in a stream into memory of bounded size. Both give what `collectors.capture.pcapfile.read_packets` gives, of
which this is the fast form, and count the same errors.
"""

import mmap
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.capture.pcapfile import (
    ENHANCED_PACKET,
    INTERFACE,
    MAX_INTERFACES,
    MAX_RECORD_BYTES,
    OBSOLETE_PACKET,
    PCAP_MAGICS,
    PCAPNG_MAGIC,
    SECTION,
    SIMPLE_PACKET,
    Interface,
    read_interface,
    read_packets,
)
from collectors.capture.reading import open_binary, read_some
from collectors.kernels.frames import FRAME
from collectors.kernels.memory import U
from collectors.kernels.pcap_index import DAMAGED, DONE, FULL, TRUNCATED, index_pcap, index_pcapng

BLOCK_FRAMES = 16_384
_BLOCK_BYTES = 4 << 20
_MAX_TICKS = 10**10
_PCAP_HEADER = 24
_WHY = {TRUNCATED: "truncated_file", DAMAGED: "bad_record"}


class FrameBlock(NamedTuple):
    """Frames in order, as `FRAME` rows whose offsets count from the start of `memory`."""

    memory: npt.NDArray[np.uint8]
    frames: npt.NDArray[np.void]


def read_blocks(path: Path, errors: Counter[str]) -> Iterator[FrameBlock]:
    """Yield the frames of a capture file.

    Args:
        path: A pcap or pcapng file, perhaps gzip-compressed.
        errors: Gets `truncated_file` where the last record is incomplete, `bad_record` at damage.

    Raises:
        CaptureError: It cannot be read, or is neither pcap nor pcapng.
    """
    with open_binary(path) as file:
        magic = read_some(file, path, 4)
        file.seek(0)
        mapped = _map(file) if magic == PCAPNG_MAGIC or magic in PCAP_MAGICS else None
        if mapped is None:
            yield from _copied(file, path, errors)
        elif magic == PCAPNG_MAGIC:
            yield from _Pcapng(mapped, errors).blocks()
        else:
            yield from _pcap(mapped, magic, errors)


def _map(file: BinaryIO) -> npt.NDArray[np.uint8] | None:
    """Return the file's bytes; None where it is compressed, or no file that can be mapped."""
    if not hasattr(file, "raw"):
        return None
    try:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    if hasattr(mmap, "MADV_SEQUENTIAL"):
        view.madvise(mmap.MADV_SEQUENTIAL)
    return np.frombuffer(view, np.uint8)


def _copied(file: BinaryIO, path: Path, errors: Counter[str]) -> Iterator[FrameBlock]:
    described: list[tuple[int, int, int, int, int, int]] = []
    data = bytearray()
    for number, packet in enumerate(read_packets(file, path, errors)):
        described.append(
            (len(data), packet.captured_ns, len(packet.data), packet.original_bytes, packet.link_type, number)
        )
        data += packet.data
        if len(data) >= _BLOCK_BYTES or len(described) == BLOCK_FRAMES:
            yield FrameBlock(np.frombuffer(bytes(data), np.uint8), np.array(described, FRAME))
            described, data = [], bytearray()
    if described:
        yield FrameBlock(np.frombuffer(bytes(data) or b"\0", np.uint8), np.array(described, FRAME))


def _signed64(value: int) -> int:
    """Return a time as the kernels hold it; only damage is beyond."""
    return (value + 2**63) % 2**64 - 2**63


def _pcap(mapped: npt.NDArray[np.uint8], magic: bytes, errors: Counter[str]) -> Iterator[FrameBlock]:
    order, tick_ns = PCAP_MAGICS[magic]
    if len(mapped) < _PCAP_HEADER:
        errors["truncated_file"] += 1
        return
    link_type = struct.unpack(order + "I", mapped[20:24].tobytes())[0] & 0xFFFF
    state = np.array([_PCAP_HEADER, FULL], np.uint64)
    number = 0
    while state[1] == FULL:
        rows = np.zeros(BLOCK_FRAMES, FRAME)
        count = int(
            index_pcap(
                U(mapped.ctypes.data),
                U(len(mapped)),
                U(state.ctypes.data),
                U(order == ">"),
                U(tick_ns),
                U(link_type),
                U(rows.ctypes.data),
                U(len(rows)),
                U(number),
            )
        )
        number += count
        if count:
            yield FrameBlock(mapped, rows[:count])
    if state[1] != DONE:
        errors[_WHY[int(state[1])]] += 1


class _Damaged(Exception):
    """The rest of the file cannot be read; carries the reason."""


class _Pcapng:
    """A pcapng file in memory: runs of enhanced packets by kernel, other blocks one by one."""

    def __init__(self, mapped: npt.NDArray[np.uint8], errors: Counter[str]) -> None:
        self._mapped = mapped
        self._errors = errors
        self._order = "<"
        self._interfaces: list[Interface] = []
        self._described = np.zeros((0, 4), np.uint64)
        self._state = np.array([0, FULL], np.uint64)
        self._number = 0
        self._last_ns = 0

    def blocks(self) -> Iterator[FrameBlock]:
        try:
            while self._state[1] != DONE:
                rows = self._run()
                if len(rows):
                    self._last_ns = int(rows["captured_ns"][-1])
                    yield FrameBlock(self._mapped, rows)
                if self._state[1] in _WHY:
                    self._errors[_WHY[int(self._state[1])]] += 1
                    return
                if self._state[1] not in (DONE, FULL):
                    row = self._other_block()
                    if row is not None:
                        yield FrameBlock(self._mapped, row)
        except _Damaged as damage:
            self._errors[str(damage)] += 1

    def _run(self) -> npt.NDArray[np.void]:
        rows = np.zeros(BLOCK_FRAMES, FRAME)
        count = index_pcapng(
            U(self._mapped.ctypes.data),
            U(len(self._mapped)),
            U(self._state.ctypes.data),
            U(self._order == ">"),
            U(self._described.ctypes.data),
            U(len(self._described)),
            U(rows.ctypes.data),
            U(len(rows)),
            U(self._number),
        )
        self._number += int(count)
        return rows[: int(count)]

    def _other_block(self) -> npt.NDArray[np.void] | None:
        at = int(self._state[0])
        kind_bytes = self._bytes(at, 4)
        if kind_bytes == PCAPNG_MAGIC:
            self._bytes(at + 4, 4)
            self._order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(self._bytes(at + 8, 4), "")
            if not self._order:
                raise _Damaged("bad_record")
            self._interfaces = []
            self._describe()
        kind, length = struct.unpack(self._order + "II", self._bytes(at, 8))
        least = 16 if kind == SECTION else 12
        if length % 4 or not least <= length <= MAX_RECORD_BYTES + 64:
            raise _Damaged("bad_record")
        body = self._bytes(at + 8, length - 8)[:-4]
        self._state[0] = at + length
        try:
            if kind == INTERFACE and len(self._interfaces) < MAX_INTERFACES:
                self._interfaces.append(read_interface(self._order, body))
                self._describe()
            elif kind in (ENHANCED_PACKET, OBSOLETE_PACKET, SIMPLE_PACKET):
                return self._packet(kind, body, at + 8)
        except (struct.error, IndexError):
            raise _Damaged("bad_record") from None
        return None

    def _packet(self, kind: int, body: bytes, body_at: int) -> npt.NDArray[np.void]:
        if kind == SIMPLE_PACKET:
            # it carries no time: the last one known is the nearest
            (original,) = struct.unpack_from(self._order + "I", body)
            interface, start = self._interfaces[0], 4
            captured = min(original, interface.snap_bytes or original)
        else:
            number, high, low, captured, original = struct.unpack_from(self._order + "IIIII", body)
            if kind == OBSOLETE_PACKET:
                number = struct.unpack_from(self._order + "H", body)[0]  # the other half counts drops
            interface, start = self._interfaces[number], 20
            self._last_ns = _signed64(interface.to_ns(high << 32 | low))
        if start + captured > len(body):
            raise _Damaged("bad_record")
        row = np.zeros(1, FRAME)
        row[0] = (body_at + start, self._last_ns, captured, original, interface.link_type, self._number)
        self._number += 1
        return row

    def _bytes(self, at: int, size: int) -> bytes:
        data = self._mapped[at : at + size].tobytes()
        if len(data) < size:
            raise _Damaged("truncated_file")
        return data

    def _describe(self) -> None:
        self._described = np.zeros((len(self._interfaces), 4), np.uint64)
        for row, interface in zip(self._described, self._interfaces, strict=True):
            rate = interface.ticks_per_second
            offset = interface.offset_ns & 0xFFFF_FFFF_FFFF_FFFF
            if 10**9 % rate == 0:
                row[:] = interface.link_type, 10**9 // rate, offset, 1
            elif rate <= _MAX_TICKS:
                row[:] = interface.link_type, rate, offset, 0
            else:
                row[:] = interface.link_type, 1, offset, 2
