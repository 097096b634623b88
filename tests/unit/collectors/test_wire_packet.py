"""Captured frames to segments."""

import struct
from collections import Counter

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_support import ethernet, ipv4, ipv6, mapped, tcp, udp

from collectors.wire.packet import PacketDecoder, Segment

V4 = ipv4(udp(b"payload"))
V6 = ipv6(udp(b"payload"))


def decode(link_type: int, frame: bytes) -> Segment | None:
    return PacketDecoder(Counter()).decode(link_type, frame, 0)


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, ethernet(V4)),
        (1, ethernet(V4) + bytes(20)),  # padding of a short frame
        (1, ethernet(V4, 0x8100)),
        (1, ethernet(V4, 0x88A8, 0x8100)),
        (1, ethernet(V6)),
        (1, ethernet(V6, 0x8100)),
        (101, V4),
        (101, V6),
        (228, V4),
        (229, V6),
        (12, V4),
        (0, b"\2\0\0\0" + V4),
        (0, b"\0\0\0\2" + V4),
        (0, b"\x1e\0\0\0" + V6),
        (108, b"\0\0\0\2" + V4),
        (113, bytes(14) + b"\x08\x00" + V4),
        (113, bytes(14) + b"\x81\x00\0\x64\x08\x00" + V4),
        (113, bytes(14) + b"\x86\xdd" + V6),
        (276, b"\x08\x00" + bytes(18) + V4),
        (276, b"\x86\xdd" + bytes(18) + V6),
        (1, ethernet(ipv4(udp(b"payload"), options=bytes(8)))),
        (1, ethernet(ipv6(b"\x11\0" + bytes(6) + udp(b"payload"), 0))),  # hop-by-hop options
        (1, ethernet(ipv6(b"\x3c\1" + bytes(14) + b"\x11\0" + bytes(6) + udp(b"payload"), 43))),
        (1, ethernet(ipv6(b"\x11\4" + bytes(22) + udp(b"payload"), 51))),  # authentication header
        (1, ethernet(ipv6(b"\x11\0\0\0" + bytes(4) + udp(b"payload"), 44))),  # atomic fragment
    ],
)
def test_every_link_layer_gives_the_datagram(link_type: int, frame: bytes) -> None:
    segment = decode(link_type, frame)
    assert segment is not None
    assert (b"payload", 5060, 5062, False) == (segment.payload, segment.src_port, segment.dst_port, segment.cut)


def test_addresses_have_16_bytes() -> None:
    four, six = decode(101, V4), decode(101, V6)
    assert four is not None
    assert six is not None
    expected = [mapped("192.0.2.1"), mapped("192.0.2.2"), mapped("2001:db8::1"), mapped("2001:db8::2")]
    assert expected == [four.src_ip, four.dst_ip, six.src_ip, six.dst_ip]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x00", "bad_ip"),
        (b"", "bad_ip"),
        (b"\x45" + bytes(10), "bad_ip"),
        (b"\x43" + bytes(40), "bad_ip"),
        (b"\x60" + bytes(20), "bad_ip"),
        (ipv6(b"\x11", 0), "bad_ip"),
        (ipv4(b"\0\0\0\0"), "bad_udp"),
        (ipv4(udp(b"x", length=7)), "bad_udp"),
        (ipv4(bytes(20), 6), "bad_tcp"),
        (ipv4(bytes(12) + b"\xf0" + bytes(10), 6), "bad_tcp"),
    ],
)
def test_a_damaged_header_is_counted(frame: bytes, reason: str) -> None:
    errors: Counter[str] = Counter()
    assert (None, {reason: 1}) == (PacketDecoder(errors).decode(101, frame, 0), dict(errors))


def test_an_unknown_link_layer_is_counted() -> None:
    errors: Counter[str] = Counter()
    PacketDecoder(errors).decode(147, V4, 0)
    assert {"link_type": 1} == dict(errors)


def test_a_frame_that_the_capture_cut_says_so() -> None:
    segment = decode(1, ethernet(ipv4(udp(b"x" * 100)))[:80])
    assert segment is not None
    assert segment.cut


def test_tcp_headers_are_read() -> None:
    segment = decode(101, ipv4(tcp(b"data", 77, 0x19), 6))
    assert segment is not None
    assert (b"data", 77, 0x19, 5060) == (segment.payload, segment.sequence, segment.tcp_flags, segment.src_port)


# --- fragments ------------------------------------------------------------------------------------------


def fragments4(data: bytes, size: int, identification: int = 1) -> list[bytes]:
    return [
        ipv4(
            data[at : at + size],
            fragment=at // 8 | (0x2000 if at + size < len(data) else 0),
            identification=identification,
        )
        for at in range(0, len(data), size)
    ]


def fragments6(data: bytes, size: int) -> list[bytes]:
    return [
        ipv6(struct.pack("!BBHI", 17, 0, at | int(at + size < len(data)), 99) + data[at : at + size], 44)
        for at in range(0, len(data), size)
    ]


@given(
    payload=st.binary(min_size=100, max_size=3000), make=st.sampled_from([fragments4, fragments6]), order=st.data()
)
def test_fragments_are_joined_in_any_order(payload: bytes, make, order: st.DataObject) -> None:
    decoder = PacketDecoder(Counter())
    frames = order.draw(st.permutations(make(udp(payload), 64)))
    segments = [decoder.decode(101, frame, 0) for frame in frames]
    assert [payload] == [segment.payload for segment in segments if segment is not None]


def test_a_repeated_fragment_does_no_harm() -> None:
    decoder = PacketDecoder(Counter())
    first, second = fragments4(udp(bytes(100)), 64)
    segments = [decoder.decode(101, frame, 0) for frame in (first, first, second)]
    assert [False, False, True] == [segment is not None for segment in segments]


def test_fragments_of_different_datagrams_do_not_mix() -> None:
    decoder = PacketDecoder(Counter())
    one, two = fragments4(udp(b"1" * 100), 64, 1), fragments4(udp(b"2" * 100), 64, 2)
    segments = [decoder.decode(101, frame, 0) for frame in (one[0], two[0], two[1], one[1])]
    assert [b"2" * 100, b"1" * 100] == [segment.payload for segment in segments if segment is not None]


def test_incomplete_datagrams_are_bounded_and_the_oldest_goes() -> None:
    errors: Counter[str] = Counter()
    decoder = PacketDecoder(errors, max_fragmented=2)
    held = [fragments4(udp(bytes(100)), 64, number) for number in range(3)]
    for first, _ in held:
        decoder.decode(101, first, 0)
    joined = [decoder.decode(101, second, 0) is not None for _, second in held[1:]]
    assert ([True, True], {"fragments_evicted": 1}) == (joined, dict(errors))


def test_a_fragment_too_late_starts_anew() -> None:
    errors: Counter[str] = Counter()
    decoder = PacketDecoder(errors, fragment_timeout_ns=10)
    first, second = fragments4(udp(bytes(100)), 64)
    decoder.decode(101, first, 0)
    assert (None, {"fragments_expired": 1}) == (decoder.decode(101, second, 11), dict(errors))


def test_overlapping_fragments_cannot_grow_without_end() -> None:
    errors: Counter[str] = Counter()
    decoder = PacketDecoder(errors)
    for at in range(0, 4000, 8):
        decoder.decode(101, ipv4(bytes(1400), fragment=0x2000 | (at + 8) // 8), 0)
    assert errors["bad_fragment"] > 0


@given(st.sampled_from([0, 1, 101, 108, 113, 276, 999]), st.binary(max_size=120))
def test_random_bytes_never_raise(link_type: int, frame: bytes) -> None:
    decode(link_type, frame)


@given(st.sampled_from([V4, V6, ipv4(tcp(b"x" * 30, 1), 6), fragments4(udp(bytes(100)), 64)[0]]), st.data())
def test_mutated_packets_never_raise(packet: bytes, choice: st.DataObject) -> None:
    at = choice.draw(st.integers(0, len(packet) - 1))
    mutated = packet[:at] + choice.draw(st.binary(min_size=1, max_size=4)) + packet[at + 1 :]
    decode(101, mutated[: choice.draw(st.integers(0, len(mutated)))])


def test_agrees_with_dpkt_on_a_real_capture(captures) -> None:
    with (captures / "lab" / "20_net_clean.pcap").open("rb") as file:
        frames = [bytes(data) for _, data in dpkt.pcap.Reader(file)]
    expected = []
    for frame in frames:
        packet = dpkt.ethernet.Ethernet(frame).data
        if isinstance(packet, dpkt.ip.IP) and isinstance(packet.data, dpkt.udp.UDP):
            expected.append((packet.src, packet.data.sport, packet.data.dport, bytes(packet.data.data)))
    segments = [decode(1, frame) for frame in frames]
    found = [(s.src_ip[12:], s.src_port, s.dst_port, s.payload) for s in segments if s is not None]
    assert expected == found
