"""Text and addresses that SIP repeats from message to message, decoded once and found again by their hash."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, DatagramBatch, format_ip
from telephony.model import Endpoint

_LIMIT = 65_536
"""Entries of each table; a full one starts anew, which costs decoding and nothing else."""


class Hop(NamedTuple):
    """From where to where a message went."""

    src: Endpoint
    dst: Endpoint
    text: str
    """`src > dst`"""


class Agent(NamedTuple):
    """Who captured a message."""

    node_id: int
    node_name: str
    tenant_key: str


class Names:
    """The tables; `read` binds them to the batch that misses are decoded from."""

    def __init__(self) -> None:
        self.hops: dict[int, Hop] = {}
        self.agents: dict[int, Agent] = {}
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

    def hop(self, key: int, row: int) -> Hop:
        """Return the hop of a datagram; `key` is the hash of its addresses."""
        hop = self.hops.get(key)
        if hop is None:
            datagram = self._rows[row]
            src = Endpoint(format_ip(datagram["src_ip"].tobytes()), int(datagram["src_port"]))
            dst = Endpoint(format_ip(datagram["dst_ip"].tobytes()), int(datagram["dst_port"]))
            hop = Hop(src, dst, f"{src} > {dst}")
            if len(self.hops) >= _LIMIT:
                self.hops.clear()
            self.hops[key] = hop
        return hop

    def agent(self, key: int, row: int) -> Agent:
        """Return the capture agent of a datagram; `key` is the hash of its node id, node name and auth key."""
        agent = self.agents.get(key)
        if agent is None:
            datagram = self._rows[row]
            agent = Agent(
                int(datagram["node_id"]),
                self.decode(int(datagram["node_name_at"]), int(datagram["node_name_len"])),
                self.decode(int(datagram["auth_key_at"]), int(datagram["auth_key_len"])),
            )
            if len(self.agents) >= _LIMIT:
                self.agents.clear()
            self.agents[key] = agent
        return agent

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
