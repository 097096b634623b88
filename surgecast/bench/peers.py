"""HEP receivers as plain Python programs have them; `bench hep` runs each as `python -m` in its own process.

Standard library only, and nothing of ours is imported: with numpy or numba loaded the allocator
treats asyncio's 256 KiB receive buffers differently, and a datagram costs a third.
"""

import asyncio
import json
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 0.3
"""Silence after the first datagram that ends a measurement."""
RECEIVE_BUFFER_BYTES = 4 << 20
"""The same for all; small enough that a receiver which cannot keep up shows drops, and needs no privilege."""

_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55


@dataclass(slots=True)
class Figures:
    """What one receiver did in one measurement."""

    received: int = 0
    parsed: int = 0
    seconds: float = 0.0
    """First to last datagram."""
    cpu_seconds: float = 0.0
    drops: int = 0
    """Datagrams that the kernel dropped because the receive buffer was full."""


def parse_plainly(data: bytes) -> dict[int, bytes] | None:
    """Return the chunks of a HEP3 datagram, as a straightforward collector does; None where it is none."""
    if data[:4] != b"HEP3":
        return None
    chunks: dict[int, bytes] = {}
    at = 6
    end = len(data)
    while at + 6 <= end:
        _, kind, length = struct.unpack_from("!HHH", data, at)
        if length < 6 or at + length > end:
            return None
        chunks[kind] = data[at + 6 : at + length]
        at += length
    return chunks


def open_socket() -> socket.socket:
    """Return a datagram socket on the loopback with the buffer that all receivers get."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            listener.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER_BYTES // 2)
        except PermissionError:
            continue
        break
    listener.bind((LOOPBACK, 0))
    return listener


def receive_plainly(listener: socket.socket, *, parses: bool) -> Figures:
    """Receive with a blocking `recvfrom` loop."""
    # SO_RCVTIMEO in place of settimeout(): one system call a datagram, not two
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(IDLE_SECONDS * 1e6)))
    receive = listener.recvfrom
    received = parsed = 0
    first = 0.0
    while True:
        try:
            data, _ = receive(65_535)
        except BlockingIOError:
            if received:
                return Figures(received, parsed, time.perf_counter() - IDLE_SECONDS - first)
            continue
        if not received:
            first = time.perf_counter()
        received += 1
        if parses:
            parsed += parse_plainly(data) is not None


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, *, parses: bool) -> None:
        self.received = 0
        self.parsed = 0
        self._parses = parses

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received += 1
        if self._parses:
            self.parsed += parse_plainly(data) is not None


async def receive_asyncio(listener: socket.socket, *, parses: bool) -> Figures:
    """Receive with an asyncio `DatagramProtocol`."""
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    protocol = _Protocol(parses=parses)
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=listener.dup())
    seen = 0
    first = last = 0.0
    while not first or time.perf_counter() - last < IDLE_SECONDS:
        await asyncio.sleep(0.02)
        if protocol.received != seen:
            seen = protocol.received
            last = time.perf_counter()
            first = first or last
    transport.close()
    return Figures(protocol.received, protocol.parsed, last - first)


def main() -> None:
    """Run the receiver named on the command line: print the port, then the figures as JSON."""
    kind, _, suffix = sys.argv[1].partition("_")
    with open_socket() as listener:
        print(listener.getsockname()[1], flush=True)
        before = time.process_time()
        if kind == "asyncio":
            figures = asyncio.run(receive_asyncio(listener, parses=suffix != "count"))
        else:
            figures = receive_plainly(listener, parses=suffix != "count")
        figures.cpu_seconds = time.process_time() - before
        figures.drops = struct.unpack("9I", listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[8]
    print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    main()
