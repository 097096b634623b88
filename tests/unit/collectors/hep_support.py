"""What the HEP tests share: batches of datagrams, and memory that ends where the bytes end."""

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.facts import DatagramBatch
from collectors.wire.hep import HepParser, encode_hep3
from telephony.model import Endpoint

SRC = Endpoint("192.0.2.1", 5060)
DST = Endpoint("198.51.100.7", 5062)
AT_NS = 1_700_000_000_123_456_000
RECEIVED_NS = 1_800_000_000_000_000_000

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


def datagram(payload: bytes = b"INVITE", **fields: Any) -> bytes:
    """Return a HEP3 datagram with usual fields, some replaced."""
    return encode_hep3(payload, **{"src": SRC, "dst": DST, "captured_ns": AT_NS, **fields})


def parse(parser: HepParser, datagrams: Sequence[bytes], senders: Sequence[bytes] | None = None) -> DatagramBatch:
    """Parse datagrams laid one after another."""
    lengths = np.array([len(d) for d in datagrams], np.uint32)
    return parser.parse(
        np.frombuffer(b"".join(datagrams) or b"\0", np.uint8),
        (np.cumsum(lengths, dtype=np.uint32) - lengths).astype(np.uint32),
        lengths,
        RECEIVED_NS,
        None if senders is None else np.frombuffer(b"".join(senders), np.uint8).reshape(-1, 16),
    )


def text(batch: DatagramBatch, row: int, name: str) -> bytes:
    """Return a field of a row that is an offset and a length."""
    at = int(batch.rows[f"{name}_at"][row])
    return batch.buffer[at : at + int(batch.rows[f"{name}_len"][row])].tobytes()


class GuardedMemory:
    """Bytes that end at an unmapped page: reading one byte too many kills the process."""

    def __init__(self, pages: int = 17) -> None:
        self._size = pages * PAGE
        self._map = mmap.mmap(-1, self._size + PAGE)
        self._bytes = np.frombuffer(self._map, np.uint8)
        guard = ctypes.c_void_p(self._bytes.ctypes.data + self._size)
        assert _libc.mprotect(guard, ctypes.c_size_t(PAGE), 0) == 0

    def hold(self, data: bytes) -> npt.NDArray[np.uint8]:
        """Return an array of `data` whose last byte is the last one mapped."""
        place = self._bytes[self._size - len(data) : self._size]
        place[:] = np.frombuffer(data, np.uint8)
        return place
