"""Text and addresses that SIP repeats from message to message, decoded once and found again by their hash."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, DatagramBatch, format_ip
from telephony.model import Endpoint

_LIMIT = 8_192
"""Entries of each generation of a table: of a flood, what came longest ago is forgotten first."""
TURN_NS = 60_000_000_000
"""What was not asked for during one to two of these is forgotten: the hops of calls that are over would fill the
tables for hours. Decoding again is all it costs."""


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
    """The tables, each in two generations; `read` binds them to the batch that misses are decoded from."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self.texts: dict[int, str] = {}
        self.view = memoryview(b"")
        """Bytes of the batch at hand."""
        self._older_places: dict[int, Place] = {}
        self._older_texts: dict[int, str] = {}
        self._turn_ns = 0
        self._rows: npt.NDArray[np.void] = np.zeros(0, DATAGRAM)

    def __len__(self) -> int:
        return len(self.places) + len(self.texts) + len(self._older_places) + len(self._older_texts)

    def read(self, batch: DatagramBatch) -> None:
        """Decode from this batch from now on."""
        self._rows = batch.rows
        self.view = batch.buffer.data

    def release(self, now_ns: int) -> None:
        """Let go of the batch, whose buffer may be used again, and of what was not asked for lately."""
        self._rows = np.zeros(0, DATAGRAM)
        self.view = memoryview(b"")
        if now_ns >= self._turn_ns:
            self._turn_ns = now_ns + TURN_NS
            self._turn_places()
            self._turn_texts()

    def place(self, key: int, row: int) -> Place:
        """Return where and by whom a datagram was seen; `key` is the hash of that."""
        place = self.places.get(key)
        if place is None:
            place = self._older_places.get(key) or self._decoded_place(row)
            if len(self.places) >= _LIMIT:
                self._turn_places()
            self.places[key] = place
        return place

    def text(self, key: int, at: int, length: int) -> str:
        """Return the text at a position of the batch; `key` is the hash of its bytes, 0 that of none."""
        if not key:
            return ""
        text = self.texts.get(key)
        if text is None:
            text = self._older_texts.get(key) or self.decode(at, length)
            if len(self.texts) >= _LIMIT:
                self._turn_texts()
            self.texts[key] = text
        return text

    def _decoded_place(self, row: int) -> Place:
        datagram = self._rows[row]
        src = Endpoint(format_ip(datagram["src_ip"].tobytes()), int(datagram["src_port"]))
        dst = Endpoint(format_ip(datagram["dst_ip"].tobytes()), int(datagram["dst_port"]))
        return Place(
            src,
            dst,
            f"{src} > {dst}",
            int(datagram["node_id"]),
            self.decode(int(datagram["node_name_at"]), int(datagram["node_name_len"])),
            self.decode(int(datagram["auth_key_at"]), int(datagram["auth_key_len"])),
        )

    def _turn_places(self) -> None:
        self.places, self._older_places = {}, self.places

    def _turn_texts(self) -> None:
        self.texts, self._older_texts = {}, self.texts

    def decode(self, at: int, length: int) -> str:
        """Return the text at a position of the batch, at most 1,024 bytes of it."""
        return str(self.view[at : at + min(length, 1024)], "utf-8", "replace")
