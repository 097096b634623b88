"""Frames of a log: each Arrow message with its length and checksum, so that damage costs one batch and not the
rest.

    frame = MAGIC, length of the message (u32), CRC-32 of length and message (u32), message

Little-endian. A frame that is cut, or whose checksum is wrong, is only known to be damaged once a whole frame
follows it; until then it may be one that is still being written.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\xf5SCL"
_HEADER = struct.Struct("<4sII")
HEADER_BYTES = _HEADER.size


class Frame(NamedTuple):
    """A whole frame."""

    message: memoryview
    end: int
    """Offset behind it."""
    skipped: int
    """Bytes before it that belong to no whole frame: damage."""


def framed(message: memoryview) -> list[memoryview | bytes]:
    """Return the parts of a frame, to be written at once."""
    length = len(message)
    return [_HEADER.pack(MAGIC, length, _checksum(length, message)), message]


def whole_frames(data: memoryview) -> Iterator[Frame]:
    """Yield the whole frames, from the first byte to the last one that is in a whole frame."""
    at = 0
    while True:
        found = _whole_at(data, at)
        start = at
        while found is None:
            start = _find(data, start + 1)
            if start < 0:
                return
            found = _whole_at(data, start)
        yield Frame(found, start + HEADER_BYTES + len(found), start - at)
        at = start + HEADER_BYTES + len(found)


def _whole_at(data: memoryview, at: int) -> memoryview | None:
    if at + HEADER_BYTES > len(data):
        return None
    magic, length, checksum = _HEADER.unpack_from(data, at)
    message = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
    if magic != MAGIC or len(message) != length or _checksum(length, message) != checksum:
        return None
    return message


def _checksum(length: int, message: memoryview) -> int:
    return crc32(message, crc32(length.to_bytes(4, "little")))


def _find(data: memoryview, start: int) -> int:
    at = bytes(data[start:]).find(MAGIC)
    return at if at < 0 else start + at
