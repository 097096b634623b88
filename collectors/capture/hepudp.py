"""HEP over UDP: `recvmmsg` into slot groups that the consumer gives back.

Datagrams are copied once, by the kernel, into a slot; rows point there. A group is received into
again only after its batch was released, so a slow consumer makes us stop receiving and the kernel
count what it drops (`kernel_drops`): loss is always visible, memory never grows. Waking a
millisecond after the first datagram of a burst saves most of the cost of a system call each.
"""

import errno
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from collectors.capture.base import CaptureError, Sink, SourceStats
from collectors.capture.sockets import kernel_drops, open_udp
from collectors.facts import DatagramBatch
from collectors.kernels.recv import MESSAGE_BYTES, NAME_BYTES, OVERSIZED, point_messages, receive
from collectors.wire.hep import HepError, HepParser

_WAIT_SECONDS = 0.1
_IDLE = (errno.EAGAIN, errno.EINTR)


class _SlotGroup:
    """Memory of one `recvmmsg` call."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        self.buffer = np.empty(slots * slot_bytes, np.uint8)
        self.offsets = np.zeros(slots, np.uint32)
        self.lengths = np.zeros(slots, np.uint32)
        self.senders = np.zeros((slots, 16), np.uint8)
        self._names = np.zeros((slots, NAME_BYTES), np.uint8)
        self._vectors = np.zeros((slots, 2), np.uint64)
        self._messages = np.zeros((slots, MESSAGE_BYTES), np.uint8)
        self.arguments = (
            self._messages.ctypes.data,
            slots,
            slot_bytes,
            self._names.ctypes.data,
            self.offsets.ctypes.data,
            self.lengths.ctypes.data,
            self.senders.ctypes.data,
        )
        point_messages(
            self._messages.ctypes.data,
            self._vectors.ctypes.data,
            self.buffer.ctypes.data,
            slot_bytes,
            slots,
            self._names.ctypes.data,
        )


class _Receiver:
    """One socket with its slot groups and parser, driven by one thread."""

    def __init__(
        self, listener: socket.socket, parser: HepParser, *, slots: int, slot_bytes: int, groups: int
    ) -> None:
        self._listener = listener
        self._parser = parser
        self._slots = slots
        self._free: queue.LifoQueue[_SlotGroup] = queue.LifoQueue()  # the group used last is still in cache
        for _ in range(groups):
            self._free.put(_SlotGroup(slots, slot_bytes))
        self._stats = SourceStats()
        self._stats.receive_buffer_bytes = listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def stats(self) -> SourceStats:
        snapshot = SourceStats()
        snapshot.add(self._stats)
        snapshot.accepted = self._parser.accepted
        snapshot.errors.update(dict(self._parser.errors))
        return snapshot

    def run(self, sink: Sink, stop: threading.Event, coalesce_seconds: float) -> None:
        descriptor = self._listener.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not stop.is_set():
            group = self._take(stop)
            if group is None:
                return
            received = receive(descriptor, *group.arguments)
            self._count_drops()
            if received > 0:
                self._deliver(group, received, sink)
            else:
                self._free.put(group)
                if received and -received not in _IDLE:
                    self._stats.errors[errno.errorcode.get(-received, "errno").lower()] += 1
            if received < self._slots and poll.poll(_WAIT_SECONDS * 1000):
                time.sleep(coalesce_seconds)

    def _take(self, stop: threading.Event) -> _SlotGroup | None:
        """Return a free group, waiting for the consumer where there is none; None once `stop` is set."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            self._stats.stalls += 1
        while not stop.is_set():
            self._count_drops()
            try:
                return self._free.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue
        return None

    def _deliver(self, group: _SlotGroup, received: int, sink: Sink) -> None:
        lengths = group.lengths[:received]
        offsets = group.offsets[:received]
        senders = group.senders[:received]
        self._stats.frames += received
        whole = lengths != OVERSIZED
        if not whole.all():
            self._parser.count(HepError.OVERSIZED, received - int(np.count_nonzero(whole)))
            lengths, offsets, senders = lengths[whole], offsets[whole], senders[whole]
        self._stats.bytes += int(lengths.sum(dtype=np.int64))
        batch = self._parser.parse(group.buffer, offsets, lengths, time.time_ns(), senders)
        if batch.buffer is not group.buffer or not len(batch.rows):
            self._free.put(group)
            if len(batch.rows):
                sink(batch)
            return
        sink(DatagramBatch(batch.rows, batch.buffer, lambda: self._free.put(group)))

    def _count_drops(self) -> None:
        drops = kernel_drops(self._listener)
        self._stats.kernel_drops += (drops - self._stats.kernel_drops) & 0xFFFF_FFFF


class HepUdpSource:
    """A HEP server over UDP; bound when made.

    With several sockets on one port the kernel spreads the *senders* over them; each has a thread, so
    `sink` must be safe to call from several.

    Args:
        host: Address to bind; `::` takes IPv4 too.
        port: 0 picks one, see `port`.
        make_parser: Called once a socket: parsers are not shared between threads.
        sockets: Sockets (and threads) on the port.
        slots: Datagrams a group holds: how many one system call receives at most.
        slot_bytes: Longest datagram taken; longer ones are counted as `oversized` and dropped.
        groups: Slot groups a socket: how many batches the consumer may hold before receiving pauses.
        coalesce_seconds: How long to let datagrams gather before they are received together.
        receive_buffer_bytes: Kernel buffer asked for, a socket.

    Raises:
        CaptureError: The address cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        make_parser: Callable[[], HepParser],
        *,
        sockets: int = 1,
        slots: int = 512,
        slot_bytes: int = 9216,
        groups: int = 8,
        coalesce_seconds: float = 0.001,
        receive_buffer_bytes: int = 32 << 20,
    ) -> None:
        self._listeners: list[socket.socket] = []
        try:
            for _ in range(sockets):
                listener = open_udp(host, port, share=sockets > 1, receive_buffer_bytes=receive_buffer_bytes)
                self._listeners.append(listener)
                port = listener.getsockname()[1]
        except CaptureError:
            self.close()
            raise
        self.port = port
        self.name = f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"
        self._coalesce_seconds = coalesce_seconds
        self._receivers = [
            _Receiver(listener, make_parser(), slots=slots, slot_bytes=slot_bytes, groups=groups)
            for listener in self._listeners
        ]

    def stats(self) -> SourceStats:
        """Return the figures of all sockets."""
        total = SourceStats()
        for receiver in self._receivers:
            total.add(receiver.stats())
        return total

    def close(self) -> None:
        """Close the sockets; `run` does so when it returns."""
        for listener in self._listeners:
            listener.close()

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Receive until `stop` is set."""
        threads = [
            threading.Thread(
                target=receiver.run, args=(sink, stop, self._coalesce_seconds), name=f"{self.name}#{number}"
            )
            for number, receiver in enumerate(self._receivers[1:], start=1)
        ]
        for thread in threads:
            thread.start()
        try:
            self._receivers[0].run(sink, stop, self._coalesce_seconds)
        finally:
            for thread in threads:
                thread.join()
            self.close()
