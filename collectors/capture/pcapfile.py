"""Reads the records of pcap and pcapng files, in a stream: memory stays that of one record.

Microseconds and nanoseconds, both byte orders, several sections and interfaces; what a packet holds
is not looked at. Damage in the middle ends the reading and is counted, since nothing after it can be
trusted to be a record.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from collectors.capture.base import CaptureError
from collectors.capture.reading import read_some

PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Magic to byte order and nanoseconds a tick."""
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

MAX_RECORD_BYTES = 1 << 20
"""A longer packet is damage: the longest snap length in use is 256 KiB."""

SECTION, INTERFACE, OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_OPTION_END, _OPTION_RESOLUTION, _OPTION_OFFSET = 0, 9, 14
MAX_INTERFACES = 4096


class Packet(NamedTuple):
    """One captured packet."""

    captured_ns: int
    link_type: int
    data: bytes
    original_bytes: int
    """Length on the wire; more than `len(data)` where the capture cut it."""


@dataclass(slots=True)
class Interface:
    """An interface of a pcapng section."""

    link_type: int
    snap_bytes: int
    ticks_per_second: int
    offset_ns: int

    def to_ns(self, ticks: int) -> int:
        """Return the UTC time of a count of ticks."""
        return ticks * 1_000_000_000 // self.ticks_per_second + self.offset_ns


class _Damaged(Exception):
    """The rest of the file cannot be read."""


def read_packets(file: BinaryIO, path: Path, errors: Counter[str]) -> Iterator[Packet]:
    """Yield the packets of a capture opened at its start.

    Args:
        file: The capture.
        path: Names it in errors.
        errors: Gets `truncated_file` where the last record is incomplete, `bad_record` at damage.

    Raises:
        CaptureError: It is neither pcap nor pcapng, or the medium fails.
    """
    magic = read_some(file, path, 4)
    if magic != PCAPNG_MAGIC and magic not in PCAP_MAGICS:
        raise CaptureError(f"{path}: neither pcap nor pcapng (it starts with {magic.hex() or 'nothing'})")
    try:
        yield from _pcapng(file, path) if magic == PCAPNG_MAGIC else _pcap(file, path, magic)
    except EOFError:
        errors["truncated_file"] += 1
    except _Damaged:
        errors["bad_record"] += 1


def _exactly(file: BinaryIO, path: Path, size: int) -> bytes:
    data = read_some(file, path, size)
    if len(data) < size:
        raise EOFError
    return data


def _pcap(file: BinaryIO, path: Path, magic: bytes) -> Iterator[Packet]:
    order, tick_ns = PCAP_MAGICS[magic]
    *_, network = struct.unpack(order + "HHiIII", _exactly(file, path, 20))
    link_type = network & 0xFFFF  # the upper bits may tell of a frame check sequence
    record = struct.Struct(order + "IIII")
    while header := read_some(file, path, record.size):
        if len(header) < record.size:
            raise EOFError
        seconds, ticks, captured, original = record.unpack(header)
        if captured > MAX_RECORD_BYTES:
            raise _Damaged
        captured_ns = seconds * 1_000_000_000 + ticks * tick_ns
        yield Packet(captured_ns, link_type, _exactly(file, path, captured), original)


def _pcapng(file: BinaryIO, path: Path) -> Iterator[Packet]:
    order = "<"
    interfaces: list[Interface] = []
    last_ns = 0
    kind_bytes = PCAPNG_MAGIC
    while kind_bytes:
        if len(kind_bytes) < 4:
            raise EOFError
        length_bytes = _exactly(file, path, 4)
        if kind_bytes == PCAPNG_MAGIC:
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(_exactly(file, path, 4), "")
            if not order:
                raise _Damaged
            interfaces = []
        kind = struct.unpack(order + "I", kind_bytes)[0]
        length = struct.unpack(order + "I", length_bytes)[0]
        read = 12 if kind == SECTION else 8
        if length % 4 or not read + 4 <= length <= MAX_RECORD_BYTES + 64:
            raise _Damaged
        body = _exactly(file, path, length - read)[:-4]
        try:
            if kind == INTERFACE and len(interfaces) < MAX_INTERFACES:
                interfaces.append(read_interface(order, body))
            elif kind in (ENHANCED_PACKET, OBSOLETE_PACKET):
                number, high, low, captured, original = struct.unpack_from(order + "IIIII", body)
                if kind == OBSOLETE_PACKET:
                    number = struct.unpack_from(order + "H", body)[0]  # the other half counts drops
                interface = interfaces[number]
                last_ns = interface.to_ns(high << 32 | low)
                yield Packet(last_ns, interface.link_type, _cut(body, 20, captured), original)
            elif kind == SIMPLE_PACKET:
                # it carries no time: the last one known is the nearest
                (original,) = struct.unpack_from(order + "I", body)
                interface = interfaces[0]
                captured = min(original, interface.snap_bytes or original)
                yield Packet(last_ns, interface.link_type, _cut(body, 4, captured), original)
        except (struct.error, IndexError):
            raise _Damaged from None
        kind_bytes = read_some(file, path, 4)


def _cut(body: bytes, at: int, size: int) -> bytes:
    if at + size > len(body):
        raise _Damaged
    return body[at : at + size]


def read_interface(order: str, body: bytes) -> Interface:
    """Read an interface description block.

    Raises:
        struct.error: It is too short.
    """
    link_type, _, snap_bytes = struct.unpack_from(order + "HHI", body)
    interface = Interface(link_type, snap_bytes, 1_000_000, 0)
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == _OPTION_END:
            break
        if code == _OPTION_RESOLUTION and size == 1:
            # the top bit says whether the rest is an exponent of 2 or of 10
            exponent = value[0] & 0x7F
            interface.ticks_per_second = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == _OPTION_OFFSET and len(value) == 8:
            interface.offset_ns = struct.unpack(order + "q", value)[0] * 1_000_000_000
        at += 4 + (size + 3) // 4 * 4
    return interface
