"""HEP over UDP on real sockets of the loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hep_support import datagram, text

from collectors.capture.base import BatchQueue, CaptureError
from collectors.capture.hepudp import HepUdpSource
from collectors.facts import DatagramBatch
from collectors.wire.hep import HepParser

PATIENCE_SECONDS = 60.0


@contextmanager
def serving(source: HepUdpSource, sink: Callable[[DatagramBatch], None]) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=source.run, args=(sink, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


class Collected:
    """Collects payloads, and waits for a number of them."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._changed = threading.Condition()

    def __call__(self, batch: DatagramBatch) -> None:
        with self._changed:
            self.payloads.extend(text(batch, row, "payload") for row in range(len(batch.rows)))
            self._changed.notify_all()
        batch.release()

    def wait(self, count: int) -> list[bytes]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.payloads) >= count, PATIENCE_SECONDS)
        return self.payloads


def sender(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_receives_what_is_sent(host: str, family: int) -> None:
    collected = Collected()
    source = HepUdpSource(host, 0, HepParser)
    with serving(source, collected), sender(family) as peer:
        for number in range(300):
            peer.sendto(datagram(f"{number}".encode()), (host, source.port))
        found = sorted(collected.wait(300))
    assert sorted(f"{n}".encode() for n in range(300)) == found


def test_an_any_address_of_inet6_takes_ipv4_and_exempts_its_senders() -> None:
    collected = Collected()
    source = HepUdpSource(
        "::", 0, lambda: HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["127.0.0.0/8"])
    )
    with serving(source, collected), sender() as peer:
        peer.sendto(datagram(b"exempt"), ("127.0.0.1", source.port))
        assert [b"exempt"] == collected.wait(1)


def test_a_sender_outside_the_exempt_networks_is_refused() -> None:
    collected = Collected()
    source = HepUdpSource(
        "127.0.0.1", 0, lambda: HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["10.0.0.0/8"])
    )
    with serving(source, collected), sender() as peer:
        peer.sendto(datagram(b"refused"), ("127.0.0.1", source.port))
        peer.sendto(datagram(b"passed", auth_key=b"k"), ("127.0.0.1", source.port))
        found = list(collected.wait(1))
    assert ([b"passed"], {"auth_missing": 1}) == (found, dict(source.stats().errors))


def test_several_sockets_share_the_port() -> None:
    collected = Collected()
    source = HepUdpSource("127.0.0.1", 0, HepParser, sockets=3)
    with serving(source, collected):
        for number in range(60):
            with sender() as peer:  # its own port each: the kernel spreads them
                peer.sendto(datagram(f"{number}".encode()), ("127.0.0.1", source.port))
        found = len(collected.wait(60))
    assert (60, 60) == (found, source.stats().frames)


def test_a_datagram_longer_than_a_slot_is_counted_and_the_next_is_whole() -> None:
    collected = Collected()
    source = HepUdpSource("127.0.0.1", 0, HepParser, slot_bytes=2048)
    with serving(source, collected), sender() as peer:
        peer.sendto(datagram(bytes(3000)), ("127.0.0.1", source.port))
        peer.sendto(b"", ("127.0.0.1", source.port))
        peer.sendto(b"garbage", ("127.0.0.1", source.port))
        peer.sendto(datagram(b"whole"), ("127.0.0.1", source.port))
        found = list(collected.wait(1))
    expected = {"oversized": 1, "truncated": 1, "bad_magic": 1}
    assert ([b"whole"], expected) == (found, dict(source.stats().errors))


def test_a_compressed_payload_outlives_its_slots() -> None:
    batches: list[DatagramBatch] = []
    arrived = threading.Semaphore(0)
    source = HepUdpSource("127.0.0.1", 0, HepParser, groups=2, slots=1)

    def sink(batch: DatagramBatch) -> None:
        batches.append(batch)
        arrived.release()

    with serving(source, sink), sender() as peer:
        for number in range(6):  # more than there are groups, none of them released
            peer.sendto(datagram(f"{number}".encode() * 100, compress="zlib"), ("127.0.0.1", source.port))
            assert arrived.acquire(timeout=PATIENCE_SECONDS)
    found = [text(batch, 0, "payload") for batch in batches]
    assert [f"{number}".encode() * 100 for number in range(6)] == found


def test_a_consumer_that_releases_nothing_stalls_the_source_and_the_kernel_counts_the_loss() -> None:
    held: list[DatagramBatch] = []
    stalled = threading.Event()
    source = HepUdpSource("127.0.0.1", 0, HepParser, groups=2, slots=4, receive_buffer_bytes=8192)

    def sink(batch: DatagramBatch) -> None:
        held.append(batch)
        if len(held) == 2:
            stalled.set()

    with serving(source, sink), sender() as peer:
        while not stalled.is_set():
            peer.sendto(datagram(b"first"), ("127.0.0.1", source.port))
        before = [text(batch, 0, "payload") for batch in held]
        for _ in range(200):
            peer.sendto(datagram(b"later"), ("127.0.0.1", source.port))
        assert wait_for(lambda: source.stats().kernel_drops > 0)
        after = [text(batch, 0, "payload") for batch in held]
    assert (2, before) == (len(held), after)


def test_receiving_goes_on_when_a_group_is_released() -> None:
    held: list[DatagramBatch] = []
    arrived = threading.Semaphore(0)
    source = HepUdpSource("127.0.0.1", 0, HepParser, groups=2, slots=1)

    def sink(batch: DatagramBatch) -> None:
        held.append(batch)
        arrived.release()

    with serving(source, sink), sender() as peer:
        for number in range(3):
            peer.sendto(datagram(f"{number}".encode()), ("127.0.0.1", source.port))
        assert arrived.acquire(timeout=PATIENCE_SECONDS)
        assert arrived.acquire(timeout=PATIENCE_SECONDS)
        held[0].release()
        assert arrived.acquire(timeout=PATIENCE_SECONDS)
    assert b"2" == text(held[2], 0, "payload")


def test_the_queue_between_source_and_consumer_loses_nothing() -> None:
    stop = threading.Event()
    queue = BatchQueue(2, stop)
    source = HepUdpSource("127.0.0.1", 0, HepParser, groups=4, slots=8)
    received = 0
    with serving(source, queue.put), sender() as peer:
        for _ in range(50):
            for _ in range(10):
                peer.sendto(datagram(b"x"), ("127.0.0.1", source.port))
            for batch in queue.take(PATIENCE_SECONDS):
                received += len(batch.rows)
                batch.release()
        while received + source.stats().kernel_drops < 500:
            batches = queue.take(PATIENCE_SECONDS)
            assert batches
            for batch in batches:
                received += len(batch.rows)
                batch.release()
    assert 500 == received + source.stats().kernel_drops


def test_a_taken_port_is_a_capture_error() -> None:
    with sender() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(CaptureError, match=r"cannot listen on 127\.0\.0\.1 port \d+: Address already in use"):
            HepUdpSource("127.0.0.1", taken.getsockname()[1], HepParser)


def test_a_name_that_does_not_resolve_is_a_capture_error() -> None:
    with pytest.raises(CaptureError, match=r"cannot listen on host\.invalid"):
        HepUdpSource("host.invalid", 0, HepParser)


def test_the_granted_buffer_is_told() -> None:
    source = HepUdpSource("127.0.0.1", 0, HepParser, receive_buffer_bytes=100_000)
    source.close()
    assert 100_000 == source.stats().receive_buffer_bytes


def wait_for(condition: Callable[[], bool]) -> bool:
    done = threading.Event()
    waited = 0.0
    while not condition() and waited < PATIENCE_SECONDS:
        done.wait(0.02)
        waited += 0.02
    return condition()
