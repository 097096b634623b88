"""Which frames are RTP, which go the slow way, and that nothing is read beyond a frame's end."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_frames import START_NS, ethernet, frames_of, ipv4, ipv6, rtp, take_all, udp
from rtp_reference import Sent

from collectors.facts import format_ip
from collectors.tracking.streams import StreamSettings, StreamTable

EASY = StreamSettings(streams=64, max_streams=64, candidates=64, need_announced=1, need_unknown=1)
PACKET = rtp(Sent(7, 160, START_NS), 0xCAFE)
SLL = bytes(14) + b"\x08\x00"
SLL2 = b"\x08\x00" + bytes(18)
HOP_BY_HOP = bytes([17, 0]) + bytes(6)


def kinds(frame: bytes, link_type: int = 1) -> dict[str, int]:
    table = StreamTable(EASY, seed=1)
    memory, frames = frames_of([frame], [START_NS], link_type)
    take_all(table, memory, frames)
    return dict(table.frames_by_kind())


@pytest.mark.parametrize(
    ("frame", "link_type"),
    [
        (ethernet(ipv4(udp(PACKET))), 1),
        (ethernet(ipv4(udp(PACKET)), tags=[0x8100]), 1),
        (ethernet(ipv4(udp(PACKET)), tags=[0x88A8, 0x8100]), 1),
        (ethernet(ipv6(udp(PACKET)), 0x86DD), 1),
        (ethernet(ipv6(HOP_BY_HOP + udp(PACKET), following=0), 0x86DD), 1),
        (SLL + ipv4(udp(PACKET)), 113),
        (SLL2 + ipv4(udp(PACKET)), 276),
        (ipv4(udp(PACKET)), 101),
        (ipv6(udp(PACKET)), 229),
        (struct.pack("<I", 2) + ipv4(udp(PACKET)), 0),
    ],
)
def test_rtp_is_found_in_every_link_layer(frame: bytes, link_type: int) -> None:
    assert {"rtp": 1} == kinds(frame, link_type)


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (struct.pack("!HHI", 1, 0, 0x2112A442) + bytes(12), "stun"),
        (b"\x16\xfe\xfd" + bytes(20), "dtls"),
        (b"\x10\x00\x00\x01ZRTP" + bytes(8), "zrtp"),
        (b"\xc3" + bytes(30), "other"),  # a QUIC long header
        (b"\x40\x01\x00\x11" + bytes(17), "turn"),
        (b"\x40\x01\x00\x11" + bytes(20), "turn"),  # padded
        (b"\x40\x01\x00\x11" + bytes(21), "handed"),
        (b"\x81\xc8" + bytes(30), "handed"),  # RTCP
        (b"INVITE sip:x SIP/2.0\r\n", "handed"),
        (b"HEP3" + bytes(20), "handed"),
        (b"\x80\x08\x00", "handed"),  # too short
    ],
)
def test_payloads_are_told_apart(payload: bytes, kind: str) -> None:
    assert {kind: 1} == kinds(ethernet(ipv4(udp(payload))))


def test_of_fragments_the_first_is_read_and_lone_others_go_the_slow_way_as_tcp_does() -> None:
    whole = ipv4(udp(PACKET))
    first, later = (whole[:6] + flags + whole[8:] for flags in (b"\x20\x00", b"\x00\x40"))
    assert {"rtp": 1} == kinds(ethernet(first))
    assert {"handed": 1} == kinds(ethernet(later))
    assert {"handed": 1} == kinds(ethernet(ipv4(udp(PACKET), proto=6)))


def test_addresses_and_dscp_are_kept() -> None:
    table = StreamTable(EASY, seed=1)
    memory, frames = frames_of(
        [
            ethernet(ipv4(udp(PACKET, 1234, 5678), "192.0.2.1", "198.51.100.2")),
            ethernet(ipv6(udp(PACKET)), 0x86DD),
        ],
        [START_NS, START_NS],
    )
    take_all(table, memory, frames)
    table.finish()
    (ended,) = table.take_ended()
    shown = [
        (format_ip(m["src_ip"].tobytes()), int(m["src_port"]), format_ip(m["dst_ip"].tobytes())) for m in ended
    ]
    assert [("192.0.2.1", 1234, "198.51.100.2"), ("2001:db8::1", 4000, "2001:db8::2")] == shown
    assert [46, 46] == ended["dscp"].tolist()
    assert 0xCAFE == ended["ssrc"][0]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0, 1, 12, 101, 113, 276, 999]))
def test_any_bytes_are_counted_once(frame: bytes, link_type: int) -> None:
    assert 1 == sum(kinds(frame, link_type).values())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60))
def test_a_cut_frame_is_not_read_beyond_its_end(length: int) -> None:
    frame = ethernet(ipv4(udp(PACKET)))
    memory, frames = frames_of([frame], [START_NS])
    frames["captured"] = length
    table = StreamTable(EASY, seed=1)
    take_all(table, memory, frames)
    assert (length >= 54) == (table.frames_by_kind()["rtp"] == 1)
    assert isinstance(memory, np.ndarray)
