"""Rings of real interfaces: loopback and veth pairs in a network namespace of each test's own.

A namespace is entered by the thread that opens the sockets: sockets stay where they were made, and nothing of the
machine's own network is touched, so that tests may run beside one another.
"""

import ctypes
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from collectors.capture.base import CaptureError, RingTap, SourceStats
from collectors.capture.bpf import FrameFilter
from collectors.capture.ring import RingSource
from collectors.capture.softnet import SoftnetDrops
from collectors.capture.tpacket import RingSettings, is_up, may_capture, open_rings
from collectors.facts import DatagramBatch, Payload
from collectors.tracking.streams import StreamSettings, StreamTable

CLONE_NEWNET = 0x4000_0000
MEDIA = FrameFilter(ports=((40_000, 49_999),))
SIP = b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n"
RTCP = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
WAIT_SECONDS = 60.0

if not may_capture():
    pytest.skip("missing: CAP_NET_RAW (capture)", allow_module_level=True)


def rtp(seq: int, ssrc: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 8, seq & 0xFFFF, seq * 160, ssrc) + bytes(160)


class Capture:
    """A source on an interface, running in threads of its own."""

    def __init__(
        self,
        interface: str,
        rings: int = 1,
        frames: FrameFilter = MEDIA,
        *,
        tap: RingTap | None = None,
        ignore_outgoing: bool = False,
    ) -> None:
        self.tables = [StreamTable(StreamSettings(need_unknown=2, candidates=65_536)) for _ in range(rings)]
        wanted = RingSettings(interface, frames, rings=rings, blocks=8, ignore_outgoing=ignore_outgoing)
        self.source = RingSource(interface, lambda: open_rings(wanted, tap), self.tables, SoftnetDrops())
        self.rows: list[tuple[int, bytes]] = []
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.source.run(self._sink, self.stop)

    def _sink(self, batch: DatagramBatch) -> None:
        for row in batch.rows:
            at = int(row["payload_at"])
            self.rows.append((int(row["payload_type"]), batch.buffer[at : at + int(row["payload_len"])].tobytes()))
        batch.release()

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> float:
        """Stop, and return how long that took."""
        began = time.monotonic()
        self.stop.set()
        self._thread.join()
        return time.monotonic() - began

    def stats(self) -> SourceStats:
        return self.source.stats()

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the threads of the capture bring about."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            assert time.monotonic() < deadline, (self.stats(), [t.frames_by_kind() for t in self.tables])
            threading.Event().wait(0.01)

    def sums(self) -> dict[str, int]:
        """Return streams, packets, losses and duplicates of all tables; the capture has ended."""
        for table in self.tables:
            table.finish()
        totals = np.concatenate([batch for table in self.tables for batch in table.take_ended()])
        names = ("unique", "lost", "duplicates", "reordered")
        return {"streams": len(totals)} | {name: int(totals[name].sum()) for name in names}


class Namespace:
    """A network namespace with a veth pair, `near` and `far`, both ends in it; gone when the test ends."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._own = -1

    def enter(self) -> None:
        if self._libc.unshare(CLONE_NEWNET):
            os.close(self._home)
            pytest.skip("missing: root (network namespaces)")
        self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.ip("link set lo up")
        self.add_pair()

    def leave(self) -> None:
        self._libc.setns(self._home, CLONE_NEWNET)
        os.close(self._home)
        os.close(self._own)

    def ip(self, command: str) -> None:
        subprocess.run(["ip", *command.split()], check=True, capture_output=True)

    def add_pair(self) -> None:
        self.ip("link add near type veth peer name far")
        for end in ("near", "far"):
            Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
            self.ip(f"link set {end} up")


@pytest.fixture
def namespace(require_program: Callable[[str], str]) -> Iterator[Namespace]:
    require_program("ip")
    made = Namespace()
    made.enter()
    yield made
    made.leave()


def frame(seq: int, ssrc: int, payload: bytes | None = None, vlan: int | None = None) -> bytes:
    data = rtp(seq, ssrc) if payload is None else payload
    udp = struct.pack("!HHHH", 40_000 + ssrc * 2, 41_000, 8 + len(data), 0) + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 184, 20 + len(udp), 1, 0, 64, 17, 0, b"\x0a\0\0\x01", b"\x0a\0\0\x02")
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return b"\x02" * 12 + tag + b"\x08\x00" + ip + udp


class Sender:
    """Sends frames out of the near end."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind(("near", 0))

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def send(self, streams: int, packets: int, first: int = 0) -> None:
        for seq in range(first, first + packets):
            for ssrc in range(streams):
                self._socket.send(frame(seq, ssrc))

    def send_frame(self, data: bytes) -> None:
        self._socket.send(data)


def test_media_and_signalling_come_from_the_wire(namespace: Namespace) -> None:
    with Sender() as sender, Capture("far") as capture:
        sender.send(3, 50)
        sender.send_frame(frame(0, 1, RTCP))
        capture.until(lambda: capture.stats().frames == 151)
    assert {"streams": 3, "unique": 150, "lost": 0, "duplicates": 0, "reordered": 0} == capture.sums()
    assert [(Payload.RTCP, RTCP)] == capture.rows


@pytest.mark.parametrize("rings", [1, 2])
def test_rings_share_the_flows_and_their_sums_are_those_of_one(namespace: Namespace, rings: int) -> None:
    with Sender() as sender, Capture("far", rings) as capture:
        sender.send(200, 20)
        capture.until(lambda: capture.stats().frames == 4000)
    assert {"streams": 200, "unique": 4000, "lost": 0, "duplicates": 0, "reordered": 0} == capture.sums()


def test_long_messages_come_whole_and_media_does_not(namespace: Namespace) -> None:
    sip = SIP + bytes(1000)
    packet = bytearray(frame(0, 0, sip))
    packet[34:36] = (5060).to_bytes(2, "big")
    with Sender() as sender, Capture("far") as capture:
        sender.send_frame(bytes(packet))
        capture.until(lambda: bool(capture.rows))
    assert [(Payload.SIP, sip)] == capture.rows


def test_a_tag_that_the_kernel_takes_out_selects(namespace: Namespace) -> None:
    wanted = FrameFilter(ports=MEDIA.ports, vlans=(100,))
    with Sender() as sender, Capture("far", frames=wanted) as capture:
        for seq in range(10):
            for ssrc, vlan in ((1, 100), (2, 101), (3, None)):
                sender.send_frame(frame(seq, ssrc, vlan=vlan))
        capture.until(lambda: capture.stats().frames == 10)
    assert (1, 10) == (capture.sums()["streams"], capture.stats().frames)


@pytest.mark.parametrize(("ignore", "frames"), [(False, 60), (True, 20)])
def test_what_this_host_sends_can_be_left_out(namespace: Namespace, ignore: bool, frames: int) -> None:
    with Sender() as sender, Capture("near", ignore_outgoing=ignore) as capture:
        back = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        back.bind(("far", 0))
        sender.send(2, 20)
        with back:
            for seq in range(20):
                back.send(frame(seq, 9))
        capture.until(lambda: capture.stats().frames == frames)
    assert frames == capture.sums()["unique"]


@pytest.mark.parametrize("rings", [1, 2])
def test_over_loopback_each_packet_counts_once(namespace: Namespace, rings: int) -> None:
    with (
        Capture("lo", rings) as capture,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
    ):
        media.bind(("127.0.0.1", 40_000))
        for seq in range(100):
            media.sendto(rtp(seq, 5), ("127.0.0.1", 40_002))
        capture.until(lambda: capture.stats().frames == 100)
    assert {"streams": 1, "unique": 100, "lost": 0, "duplicates": 0, "reordered": 0} == capture.sums()


def test_a_tap_sees_every_block_before_it_is_read(namespace: Namespace) -> None:
    seen: list[int] = []

    def tap(address: int, size: int, first_ns: int) -> None:
        assert abs(time.time_ns() - first_ns) < 60 * 10**9
        seen.append(ctypes.c_uint32.from_address(address + 12).value)

    with Sender() as sender, Capture("far", tap=tap) as capture:
        sender.send(5, 100)
        capture.until(lambda: capture.stats().frames == 500)
    assert 500 == sum(seen)


def test_an_interface_that_goes_down_and_comes_up_is_read_on(namespace: Namespace) -> None:
    with Sender() as sender, Capture("far") as capture:
        sender.send(1, 20)
        capture.until(lambda: capture.stats().frames == 20)
        namespace.ip("link set far down")
        assert not is_up("far")
        assert 1 == capture.stats().interfaces_down
        namespace.ip("link set far up")
        capture.until(lambda: capture.stats().interfaces_down == 0)
        numbers = iter(range(20, 10_000))

        def sent_on() -> bool:
            sender.send(1, 1, first=next(numbers))  # the carrier is back some time after the interface
            return capture.stats().frames >= 40

        capture.until(sent_on)
    assert capture.sums()["unique"] >= 40


def test_an_interface_that_is_taken_away_can_be_waited_for(namespace: Namespace) -> None:
    with Capture("far", 2) as capture:
        namespace.ip("link del far")
        capture.until(lambda: capture.stats().errors["interface_gone"] == 1)
        assert 1 == capture.stats().interfaces_down
        assert capture.end() < WAIT_SECONDS


@pytest.mark.parametrize("rings", [1, 2])
def test_an_interface_that_comes_back_is_captured_again(namespace: Namespace, rings: int) -> None:
    with Capture("far", rings) as capture:
        with Sender() as sender:
            sender.send(2, 20)
            capture.until(lambda: capture.stats().frames == 40)
        namespace.ip("link del far")
        capture.until(lambda: capture.stats().errors["interface_gone"] == 1)
        namespace.add_pair()
        assert 0 == capture.stats().interfaces_down
        with Sender() as sender:
            numbers = iter(range(20, 10_000))

            def sent_on() -> bool:
                sender.send(2, 1, first=next(numbers))
                return capture.stats().frames >= 80

            capture.until(sent_on)
    assert (2, 1) == (capture.sums()["streams"], capture.stats().errors["interface_gone"])


def test_a_ring_stops_under_load(namespace: Namespace) -> None:
    over = threading.Event()

    def flood(sender: Sender) -> None:
        seq = 0
        while not over.is_set():
            sender.send(50, 1, seq)
            seq += 1

    with Sender() as sender:
        thread = threading.Thread(target=flood, args=(sender,))
        with Capture("far", 2) as capture:
            thread.start()
            capture.until(lambda: capture.stats().frames > 5000)
            assert capture.end() < WAIT_SECONDS
        over.set()
        thread.join()


def dropped(stats: SourceStats) -> int:
    """Return what the ring had no room for, or on a busy machine the backlog of a CPU before it."""
    return stats.ring_drops + stats.softnet_drops


def test_frames_that_found_the_ring_full_are_counted(namespace: Namespace) -> None:
    capture = Capture("far")  # nobody reads it yet
    with Sender() as sender:
        for seq in range(9000):
            sender.send_frame(frame(seq, 1, b"\x80\xc8" + bytes(1400)))
    with capture:
        capture.until(lambda: capture.stats().ring_drops > 0)
        capture.until(lambda: len(capture.rows) + dropped(capture.stats()) >= 9000)
    assert capture.stats().ring_freezes > 0


def test_a_missing_interface_is_an_error() -> None:
    with pytest.raises(CaptureError, match=r"there is no interface 'missing0'; there is .*lo"):
        open_rings(RingSettings("missing0", MEDIA))


def test_rings_that_memory_cannot_hold_are_refused_before_the_kernel_tries() -> None:
    with pytest.raises(CaptureError, match="are more than half of the"):
        open_rings(RingSettings("lo", MEDIA, block_bytes=1 << 30, blocks=1 << 20))


def test_a_ring_that_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(CaptureError, match=r"lo: no ring of 1 MiB \(Invalid argument\): lower blocks"):
        open_rings(RingSettings("lo", MEDIA, block_bytes=(1 << 17) + 1, blocks=8))
