"""The filter program, run by a small interpreter over frames as the kernel would show them."""

import operator
import struct
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtp_frames import ethernet, ipv4, ipv6, rtp, udp
from rtp_reference import Sent

from collectors.capture.bpf import (
    MAX_INSTRUCTIONS,
    WHOLE,
    FilterTooLong,
    FrameFilter,
    Instruction,
    Network,
    build_filter,
    pack,
    reject_all,
)

SNAP = 128
_AD = 0xFFFFF000


ALU = {0x00: operator.add, 0x50: operator.and_, 0x60: operator.lshift, 0x70: operator.rshift}


def run(program: Sequence[Instruction], frame: bytes, tag: int | None = None) -> int:
    """Return what a program says of a frame whose tag, if any, the kernel has taken out (`net/core/filter.c`)."""
    a = x = at = 0
    memory = [0] * 16
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        mode, size = code & 0xE0, {0: 4, 8: 2, 16: 1}.get(code & 0x18, 0)
        if code & 7 == 0 and mode in (0x20, 0x40):
            if mode == 0x20 and k >= _AD:
                a = {44: (tag or 0), 48: int(tag is not None)}[k - _AD]
                continue
            where = k + (x if mode == 0x40 else 0)
            if where + size > len(frame):
                return 0
            a = int.from_bytes(frame[where : where + size], "big")
        elif code == 0x60:
            a = memory[k]
        elif code == 0x01:
            x = k
        elif code == 0x02:
            memory[k] = a
        elif code & 7 == 4:
            operand = x if code & 8 else k
            a = ALU[code & 0xF0](a, operand) & 0xFFFFFFFF
        elif code == 0x05:
            at += k
        elif code & 7 == 5:
            holds = {0x10: a == k, 0x20: a > k, 0x30: a >= k, 0x40: bool(a & k)}[code & 0xF0]
            at += if_true if holds else if_false
        elif code == 0x06:
            return k
        elif code == 0x07:
            x = a
        elif code == 0x87:
            a = x
        else:
            raise AssertionError(code)


def kept(wanted: FrameFilter, frame: bytes, tag: int | None = None) -> int:
    return run(build_filter(wanted), frame, tag)


def tcp(payload: bytes, src_port: int, dst_port: int) -> bytes:
    return struct.pack("!HHIIBBHHH", src_port, dst_port, 1, 1, 5 << 4, 24, 100, 0, 0) + payload


VOICE = rtp(Sent(1, 160, 0), 7)
RTCP = b"\x80\xc8" + bytes(26)
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
DTLS = b"\x16\xfe\xfd" + bytes(20)
ZRTP = b"\x10\x00\x00\x00ZRTP" + bytes(20)
DNS = b"\x12\x34\x01\x00\x00\x01" + bytes(20)
SIP = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"
MEDIA = FrameFilter(ports=((10_000, 20_000),))


@pytest.mark.parametrize(
    ("payload", "ports", "expected"),
    [
        (VOICE, (12_000, 9), SNAP),
        (VOICE, (9, 20_000), SNAP),
        (VOICE, (9, 10_000), SNAP),
        (VOICE, (9_999, 20_001), 0),
        (RTCP, (12_001, 12_003), WHOLE),
        (RTCP, (9, 9), 0),
        (STUN, (12_000, 9), SNAP),
        (DTLS, (12_000, 9), SNAP),
        (ZRTP, (12_000, 9), SNAP),
        (DNS, (12_000, 53), 0),
        (SIP, (5060, 9), WHOLE),
        (SIP, (9, 5060), WHOLE),
        (SIP, (9, 5061), 0),
        (b"\x80", (12_000, 9), 0),
    ],
)
@pytest.mark.parametrize("wrap", [ipv4, ipv6])
def test_media_costs_its_headers_and_signalling_comes_whole(
    payload: bytes, ports: tuple[int, int], expected: int, wrap: object
) -> None:
    assert callable(wrap)
    kind = 0x0800 if wrap is ipv4 else 0x86DD
    assert expected == kept(MEDIA, ethernet(wrap(udp(payload, *ports)), kind))


def test_without_ports_all_media_comes() -> None:
    assert SNAP == kept(FrameFilter(), ethernet(ipv4(udp(VOICE, 1, 65_535))))


def test_without_sip_ports_no_sip_comes() -> None:
    assert 0 == kept(FrameFilter(sip_ports=()), ethernet(ipv4(udp(SIP, 5060, 5060))))


@pytest.mark.parametrize(("ports", "expected"), [((5060, 40_000), WHOLE), ((40_000, 443), 0)])
def test_of_tcp_only_sip_comes(ports: tuple[int, int], expected: int) -> None:
    assert expected == kept(MEDIA, ethernet(ipv4(tcp(SIP, *ports), proto=6)))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(13),
        ethernet(bytes(40), 0x0806),
        ethernet(ipv4(bytes(20), proto=1)),
        ethernet(ipv4(udp(VOICE))[:21]),
        ethernet(ipv6(bytes(20), following=58), 0x86DD),
    ],
)
def test_what_is_neither_udp_nor_tcp_is_refused(frame: bytes) -> None:
    assert 0 == kept(FrameFilter(), frame)


def test_options_of_ipv4_are_skipped() -> None:
    packet = bytearray(ipv4(bytes(4) + udp(VOICE, 12_000, 9)))
    packet[0] = 0x46
    assert SNAP == kept(MEDIA, ethernet(bytes(packet)))


def test_an_extension_header_of_ipv6_is_skipped() -> None:
    extension = bytes([17, 1]) + bytes(14)
    assert SNAP == kept(MEDIA, ethernet(ipv6(extension + udp(VOICE, 12_000, 9), following=0), 0x86DD))


@pytest.mark.parametrize(
    ("flags", "proto", "expected"), [(0x2000, 17, WHOLE), (0x0010, 17, WHOLE), (0x2000, 6, 0)]
)
def test_pieces_of_datagrams_come_whole(flags: int, proto: int, expected: int) -> None:
    packet = bytearray(ipv4(bytes(24), proto=proto))
    packet[6:8] = flags.to_bytes(2, "big")
    assert expected == kept(MEDIA, ethernet(bytes(packet)))


@pytest.mark.parametrize(
    ("hosts", "src", "dst", "expected"),
    [
        (["10.0.0.2/32"], "10.0.0.1", "10.0.0.2", SNAP),
        (["10.0.0.1/32"], "10.0.0.1", "10.0.0.2", SNAP),
        (["10.0.0.3/32"], "10.0.0.1", "10.0.0.2", 0),
        (["192.0.2.0/24", "10.0.0.0/8"], "10.9.9.9", "172.16.0.1", SNAP),
        (["2001:db8::/32"], "10.0.0.1", "10.0.0.2", 0),
        (["0.0.0.0/0"], "10.0.0.1", "10.0.0.2", SNAP),
    ],
)
def test_hosts_of_ipv4(hosts: list[str], src: str, dst: str, expected: int) -> None:
    networks = tuple(ip_network(host) for host in hosts)
    assert expected == kept(FrameFilter(hosts=networks), ethernet(ipv4(udp(VOICE), src, dst)))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["2001:db8::2/128"], SNAP),
        (["2001:db8::1/128"], SNAP),
        (["2001:db8::/33"], SNAP),
        (["2001:db8::3/128"], 0),
        (["2001:db8:8000::/33"], 0),
        (["10.0.0.0/8"], 0),
    ],
)
def test_hosts_of_ipv6(hosts: list[str], expected: int) -> None:
    networks = tuple(ip_network(host) for host in hosts)
    assert expected == kept(FrameFilter(hosts=networks), ethernet(ipv6(udp(VOICE)), 0x86DD))


PACKET = ipv4(udp(VOICE))


@pytest.mark.parametrize(
    ("vlans", "frame", "tag", "expected"),
    [
        ((100,), ethernet(PACKET), 100, SNAP),
        ((100,), ethernet(PACKET), 0x6064, SNAP),  # priority 3
        ((100,), ethernet(PACKET), 101, 0),
        ((100,), ethernet(PACKET), None, 0),
        ((100,), ethernet(PACKET, tags=[0x8100]), None, SNAP),
        ((99, 101), ethernet(PACKET, tags=[0x8100]), None, 0),
        ((100,), ethernet(PACKET, tags=[0x88A8, 0x8100]), None, SNAP),
        ((7,), ethernet(PACKET, tags=[0x8100]), 7, SNAP),  # the outer one was taken out
        ((0,), ethernet(PACKET), None, SNAP),
        ((0,), ethernet(PACKET), 0, SNAP),
        ((0,), ethernet(PACKET), 100, 0),
        ((0, 100), ethernet(PACKET), 100, SNAP),
        ((), ethernet(PACKET, tags=[0x8100, 0x8100]), 5, SNAP),
        ((), ethernet(PACKET, tags=[0x8100, 0x8100, 0x8100]), None, 0),
    ],
)
def test_vlans(vlans: tuple[int, ...], frame: bytes, tag: int | None, expected: int) -> None:
    assert expected == kept(FrameFilter(vlans=vlans), frame, tag)


@given(
    st.lists(st.tuples(st.integers(1, 65_535), st.integers(0, 300)), min_size=1, max_size=40),
    st.integers(1, 65_535),
    st.integers(1, 65_535),
)
def test_any_ranges_of_ports(ranges: list[tuple[int, int]], src: int, dst: int) -> None:
    ports = tuple((first, min(first + more, 65_535)) for first, more in ranges)
    wanted = any(first <= port <= last for first, last in ports for port in (src, dst))
    frame = ethernet(ipv4(udp(VOICE, src, dst)))
    assert (SNAP if wanted else 0) == kept(FrameFilter(ports=ports, sip_ports=()), frame)


@given(st.binary(max_size=120), st.sampled_from([None, 0, 100]))
def test_damaged_frames_end_the_program(frame: bytes, tag: int | None) -> None:
    wanted = FrameFilter(((1, 9),), vlans=(100,), hosts=(ip_network("10.0.0.0/8"), ip_network("::/1")))
    assert kept(wanted, ethernet(frame), tag) in (0, SNAP, WHOLE)


def test_far_jumps_of_many_hosts_work() -> None:
    hosts: tuple[Network, ...] = tuple(ip_network(f"10.1.{i}.0/24") for i in range(200))
    assert SNAP == kept(FrameFilter(hosts=hosts), ethernet(ipv4(udp(VOICE), "10.1.199.1", "10.0.0.1")))
    assert 0 == kept(FrameFilter(hosts=hosts), ethernet(ipv4(udp(VOICE), "10.2.199.1", "10.0.0.1")))


def test_too_many_hosts_are_refused() -> None:
    hosts: tuple[Network, ...] = tuple(ip_network(f"10.0.{i // 256}.{i % 256}/32") for i in range(1000))
    with pytest.raises(FilterTooLong, match=str(MAX_INSTRUCTIONS)):
        build_filter(FrameFilter(hosts=hosts))


def test_programs_are_packed_as_the_kernel_wants_them() -> None:
    assert struct.pack("=HBBI", 6, 0, 0, 0) == reject_all()
    program = build_filter(FrameFilter())
    assert 8 * len(program) == len(pack(program))
