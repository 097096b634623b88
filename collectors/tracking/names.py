"""Text and addresses that SIP repeats from message to message, decoded once and found again by their hash."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, DatagramBatch, format_ip
from telephony.model import Endpoint

_LIMIT = 16_384
"""Entries of each table; a full one starts anew, which costs decoding and nothing else."""


class Place(NamedTuple):
    """On which hop a message was seen, and by whom."""

    src: Endpoint
    dst: Endpoint
    hop: str
    """`src > dst`"""
    node_id: int
    node_name: str
    tenant_key: str
    """HEP auth key."""


class Names:
    """The tables; `read` binds them to the batch that misses are decoded from."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self.texts: dict[int, str] = {0: ""}
        self.view = memoryview(b"")
        """Bytes of the batch at hand."""
        self._rows: npt.NDArray[np.void] = np.zeros(0, DATAGRAM)

    def read(self, batch: DatagramBatch) -> None:
        """Decode from this batch from now on."""
        self._rows = batch.rows
        self.view = batch.buffer.data

    def release(self) -> None:
        """Let go of the batch: its buffer may be used again."""
        self._rows = np.zeros(0, DATAGRAM)
        self.view = memoryview(b"")

    def place(self, key: int, row: int) -> Place:
        """Return where and by whom a datagram was seen; `key` is the hash of that."""
        place = self.places.get(key)
        if place is None:
            datagram = self._rows[row]
            src = Endpoint(format_ip(datagram["src_ip"].tobytes()), int(datagram["src_port"]))
            dst = Endpoint(format_ip(datagram["dst_ip"].tobytes()), int(datagram["dst_port"]))
            place = Place(
                src,
                dst,
                f"{src} > {dst}",
                int(datagram["node_id"]),
                self.decode(int(datagram["node_name_at"]), int(datagram["node_name_len"])),
                self.decode(int(datagram["auth_key_at"]), int(datagram["auth_key_len"])),
            )
            if len(self.places) >= _LIMIT:
                self.places.clear()
            self.places[key] = place
        return place

    def text(self, key: int, at: int, length: int) -> str:
        """Return the text at a position of the batch; `key` is the hash of its bytes."""
        text = self.texts.get(key)
        if text is None:
            text = self.decode(at, length)
            if len(self.texts) >= _LIMIT:
                self.texts.clear()
                self.texts[0] = ""
            self.texts[key] = text
        return text

    def decode(self, at: int, length: int) -> str:
        """Return the text at a position of the batch, at most 1,024 bytes of it."""
        return str(self.view[at : at + min(length, 1024)], "utf-8", "replace")
