"""HEP over TCP and TLS: frames cut out of each connection by the length in the HEP header.

All connections share one event loop in the source's thread. A peer can hold nothing: connections
are bounded (those still in the TLS handshake included), a started frame must be complete within
`frame_timeout_seconds` however slowly its bytes drip, a connection without frames is closed after
`idle_timeout_seconds`, and bytes that are no HEP3 frame close it at once. When the consumer is slow
the loop waits, and TCP makes the peers wait.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path

import numpy as np

from collectors.capture.base import CaptureError, Sink, SourceStats
from collectors.capture.sockets import open_tcp
from collectors.wire.hep import HepParser

_HEADER_BYTES = 6
_MAGICS = (b"HEP3", b"EEP3", b"EEP1")
_BACKLOG = 128
_TICK_SECONDS = 0.1
_ACCEPT_PAUSE_SECONDS = 0.5


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Return a TLS 1.2+ server context; with `client_ca`, clients must show a certificate it signed.

    Raises:
        CaptureError: A file is missing, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise CaptureError(f"TLS of the HEP listener ({certificate}, {key}, {client_ca}): {error}") from error
    return context


class _Connection(asyncio.Protocol):
    """One peer: cuts frames, remembers when it last did."""

    def __init__(self, source: "HepStreamSource") -> None:
        self._source = source
        self._transport: asyncio.Transport | None = None
        self._sender: bytes = bytes(16)
        self._pending = b""
        self._waiting_since = 0.0
        """Since when the next frame is awaited: the connection's start or the last complete frame."""
        self._frame_since = 0.0
        """Since when an incomplete frame is held; 0 where none is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waiting_since = asyncio.get_running_loop().time()
        peer = transport.get_extra_info("peername")
        if peer:
            address = ipaddress.ip_address(peer[0].partition("%")[0])
            packed = address.packed
            self._sender = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
        self._source.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pending and self._transport is not None:
            self._source.count("truncated_stream")
        self._transport = None
        self._source.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return  # closed for garbage; what TLS still hands over is not looked at
        now = asyncio.get_running_loop().time()
        stream = self._pending + data if self._pending else data
        offsets: list[int] = []
        lengths: list[int] = []
        at = 0
        garbage = ""
        while len(stream) - at >= _HEADER_BYTES:
            length = int.from_bytes(stream[at + 4 : at + 6], "big")
            if stream[at : at + 4] not in _MAGICS:
                garbage = "bad_magic"
                break
            if length < _HEADER_BYTES:
                garbage = "bad_length"
                break
            if at + length > len(stream):
                break
            offsets.append(at)
            lengths.append(length)
            at += length
        self._pending = b"" if garbage else stream[at:]
        if offsets:
            self._waiting_since = now
            self._frame_since = 0.0
            self._source.deliver(stream, offsets, lengths, self._sender)
        if self._pending and not self._frame_since:
            self._frame_since = now
        if garbage:
            self.abort(garbage)

    def overdue(self, now: float, frame_timeout_seconds: float, idle_timeout_seconds: float) -> str:
        """Return why the connection must end, or nothing."""
        if self._frame_since and now - self._frame_since > frame_timeout_seconds:
            return "frame_timeout"
        return "idle_timeout" if now - self._waiting_since > idle_timeout_seconds else ""

    def abort(self, reason: str) -> None:
        """Close at once, counting why it is the peer's fault."""
        if self._transport is not None:
            self._source.count(reason)
        self.close()

    def close(self) -> None:
        """Close at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


class HepStreamSource:
    """A HEP server over TCP, or TLS where a context is given; bound when made.

    Args:
        host: Address to bind; `::` takes IPv4 too.
        port: 0 picks one, see `port`.
        parser: Used by this source alone.
        tls: See `server_context`.
        max_connections: Connections beyond it are closed at once and counted as refused.
        frame_timeout_seconds: How long a frame may take from its first byte to its last.
        idle_timeout_seconds: How long a connection may bring no frame.
        handshake_timeout_seconds: How long a TLS handshake may take.

    Raises:
        CaptureError: The address cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        parser: HepParser,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 1024,
        frame_timeout_seconds: float = 10.0,
        idle_timeout_seconds: float = 600.0,
        handshake_timeout_seconds: float = 5.0,
    ) -> None:
        self._listener = open_tcp(host, port, backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        scheme = "tls" if tls else "tcp"
        self.name = f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"
        self._parser = parser
        self._tls = tls
        self._max_connections = max_connections
        self._frame_timeout_seconds = frame_timeout_seconds
        self._idle_timeout_seconds = idle_timeout_seconds
        self._handshake_timeout_seconds = handshake_timeout_seconds
        self._stats = SourceStats()
        self._connections: set[_Connection] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._sink: Sink | None = None

    def stats(self) -> SourceStats:
        """Return the figures so far."""
        snapshot = SourceStats()
        snapshot.add(self._stats)
        snapshot.connections_open = len(self._connections)
        snapshot.accepted = self._parser.accepted
        snapshot.errors.update(dict(self._parser.errors))
        return snapshot

    def close(self) -> None:
        """Close the listening socket; `run` does so when it returns."""
        self._listener.close()

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Serve until `stop` is set; open connections are then closed."""
        self._sink = sink
        try:
            asyncio.run(self._serve(stop))
        finally:
            self.close()

    # --- what a connection reports ---------------------------------------------------------------------

    def opened(self, connection: _Connection) -> None:
        """Take a connection whose handshake is done."""
        self._connections.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def count(self, reason: str) -> None:
        """Count why a connection ended badly."""
        self._stats.errors[reason] += 1

    def deliver(self, stream: bytes, offsets: list[int], lengths: list[int], sender: bytes) -> None:
        """Parse complete frames and hand them on."""
        assert self._sink is not None
        self._stats.frames += len(offsets)
        self._stats.bytes += sum(lengths)
        senders = np.broadcast_to(np.frombuffer(sender, np.uint8), (len(offsets), 16))
        batch = self._parser.parse(
            np.frombuffer(stream, np.uint8),
            np.array(offsets, np.uint32),
            np.array(lengths, np.uint32),
            time.time_ns(),
            senders,
        )
        if len(batch.rows):
            self._sink(batch)

    # --- the loop --------------------------------------------------------------------------------------

    async def _serve(self, stop: threading.Event) -> None:
        accepting = asyncio.create_task(self._accept())
        loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                await asyncio.sleep(_TICK_SECONDS)
                if accepting.done():
                    accepting.result()  # it never ends by itself: let the reason be seen
                now = loop.time()
                for connection in tuple(self._connections):
                    reason = connection.overdue(now, self._frame_timeout_seconds, self._idle_timeout_seconds)
                    if reason:
                        connection.abort(reason)
        finally:
            accepting.cancel()
            for task in tuple(self._starting):
                task.cancel()
            await asyncio.gather(accepting, *self._starting, return_exceptions=True)
            for connection in tuple(self._connections):
                connection.close()
            await asyncio.sleep(0)  # lets the aborted transports call connection_lost

    async def _accept(self) -> None:
        """Accept one after the other: the bound counts connections from the first byte of a handshake."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, _ = await loop.sock_accept(self._listener)
            except OSError:
                # out of descriptors or memory: the peers wait in the backlog
                self.count("accept_failed")
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            if len(self._connections) + len(self._starting) >= self._max_connections:
                self._stats.connections_refused += 1
                peer.close()
                continue
            self._stats.connections_accepted += 1
            task = asyncio.create_task(self._start(peer))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start(self, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        timeout = self._handshake_timeout_seconds if self._tls else None
        try:
            await loop.connect_accepted_socket(
                lambda: _Connection(self), peer, ssl=self._tls, ssl_handshake_timeout=timeout
            )
        except (OSError, ssl.SSLError, TimeoutError):
            self.count("handshake_failed")
            with contextlib.suppress(OSError):
                peer.close()
