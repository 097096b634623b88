"""What shares ports and looks with RTP is told from it: no call and no stream is made of it."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from call_captures import (
    CALLEE,
    CALLER,
    CALLER_SSRC,
    PCMA,
    Capture,
    Packet,
    findings_of,
    measured,
    sdp,
    voice,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_frames import START_NS, ethernet, frames_of, ipv4, take_all, udp

from collectors.facts import ReceptionReport, SenderInfo
from collectors.tracking.streams import StreamSettings, StreamTable
from collectors.wire.rtcp import build_receiver_report, build_sender_report
from telephony.model import Endpoint

SERVER, PLAYER = Endpoint("10.0.0.8", 27_015), Endpoint("10.0.0.9", 50_000)


def noise(number: int, size: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4, "big")).digest(size)


def dns(i: int) -> bytes:
    return struct.pack("!HHHHHH", 0x8000 | i * 7919 & 0x3FFF, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\0\0\1\0\1"


def stun(i: int) -> bytes:
    return struct.pack("!HHI", 1, 0, 0x2112A442) + noise(i, 12)


def dtls(i: int) -> bytes:
    return b"\x17\xfe\xfd" + struct.pack("!HIHH", 1, 0, i, 40) + noise(i, 40)


def zrtp(i: int) -> bytes:
    return struct.pack("!HH4sI", 0x1000, i, b"ZRTP", 0xABCD) + noise(i, 40)


def turn(i: int) -> bytes:
    return struct.pack("!HH", 0x4001, 61) + noise(i, 61) + bytes(3)


def quic_short(i: int) -> bytes:
    return bytes([0x40 | i & 0x3F]) + b"CONNECTN" + noise(i, 60)


def quic_greased(i: int) -> bytes:
    """RFC 9287: the fixed bit may be anything, so version bits can be those of RTP."""
    return bytes([0x80 | i & 0x3F]) + b"CONNECTN" + noise(i, 60)


def raknet(i: int) -> bytes:
    """A game's datagram: flags, then a sequence number of three bytes, the least first."""
    return b"\x84" + struct.pack("<I", i)[:3] + b"\x60\x01\x20" + noise(i, 50)


def counted(i: int) -> bytes:
    """A game that counts its datagrams just where RTP does, with a constant where RTP has its SSRC."""
    return struct.pack("!BBHI4s", 0x90, 0x11, i, int.from_bytes(noise(i, 4), "big"), b"GAME") + noise(i, 40)


def ntp(i: int) -> bytes:
    return b"\xe3" + noise(i, 47)


@pytest.mark.parametrize("protocol", [dns, stun, dtls, zrtp, turn, quic_short, quic_greased, raknet, counted, ntp])
def test_other_protocols_make_no_streams(tmp_path: Path, protocol: Callable[[int], bytes]) -> None:
    capture = Capture()
    for i in range(400):
        capture.datagram(i * 10, SERVER, PLAYER, protocol(i))
    result = capture.replay(tmp_path)
    assert ([], [], {}) == (result.streams, result.calls, findings_of(result))


@pytest.mark.parametrize("protocol", [stun, dtls, zrtp, turn])
def test_other_protocols_beside_media_of_a_call_are_no_media(
    tmp_path: Path, protocol: Callable[[int], bytes]
) -> None:
    capture = Capture().call(10_200).rtp(voice(100, 10_000)).back(voice(100, 10_000))
    for i in range(100):
        capture.datagram(i * 100 + 5, CALLER, CALLEE, protocol(i))
    result = capture.replay(tmp_path)
    assert [(495, 0), (495, 0)] == [(s.received, s.lost) for s in result.streams]
    assert {} == findings_of(result)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.binary(min_size=8, max_size=40), st.integers(4, 60))
def test_random_datagrams_from_one_source_make_no_stream(first: int, second: int, tail: bytes, count: int) -> None:
    """Whatever the first bytes are, and though some of the rest is constant."""
    table = StreamTable(StreamSettings(streams=64, max_streams=64, candidates=64), seed=3)
    payloads = [bytes([first, second]) + noise(i, 10) + tail for i in range(count)]
    memory, frames = frames_of(
        [ethernet(ipv4(udp(p))) for p in payloads], [START_NS + i * 10_000_000 for i in range(count)]
    )
    take_all(table, memory, frames)
    assert len(table) == 0


def srtp(capture: Capture, until_ms: float) -> Capture:
    """Send media whose payload is cipher text, and its RTCP."""
    for i, p in enumerate(voice(100, until_ms)):
        capture.rtp([p._replace(payload=noise(i, 170))])
    capture.back([p._replace(payload=noise(9, 170)) for p in voice(100, until_ms)])
    for number in range(1, 7):
        head = struct.pack("!BBHI", 0x80, 200, 6, CALLER_SSRC)
        trailer = struct.pack("!I", 0x80000000 | number) + noise(number, 10)
        rtcp = (Endpoint(CALLER.ip, CALLER.port + 1), Endpoint(CALLEE.ip, CALLEE.port + 1))
        capture.datagram(number * 4_000, *rtcp, head + noise(number, 60) + trailer)
    return capture


def test_srtp_is_measured_by_its_headers_and_its_rtcp_not_believed(tmp_path: Path) -> None:
    lines = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    offer, answer = (sdp(a, PCMA, lines, profile="RTP/SAVP") for a in (CALLER, CALLEE))
    result = srtp(Capture().invite(0, offer, answer).bye(30_200), 30_000).replay(tmp_path)
    (stream,) = measured(result)
    assert (1495, 0, "PCMA", "call") == (stream.received, stream.lost, stream.codec, stream.call_id)
    assert (6, 0) == (result.rtcp_rejected, sum(s.observer != "rtp" for s in result.streams))
    assert {} == findings_of(result)


@pytest.mark.parametrize(
    ("attribute", "rtcp"),
    [
        pytest.param("a=rtcp-mux", CALLEE, id="rtcp-mux"),
        pytest.param("a=rtcp:7777", Endpoint(CALLEE.ip, 7777), id="a=rtcp"),
        pytest.param("a=rtcp:7777 IN IP4 10.0.0.77", Endpoint("10.0.0.77", 7777), id="a=rtcp elsewhere"),
        pytest.param("a=ptime:20", Endpoint(CALLEE.ip, CALLEE.port + 1), id="odd port"),
    ],
)
def test_rtcp_finds_its_call_wherever_sdp_puts_it(tmp_path: Path, attribute: str, rtcp: Endpoint) -> None:
    offer, answer = sdp(CALLER, PCMA, "a=rtcp-mux"), sdp(CALLEE, PCMA, attribute)
    capture = Capture().invite(0, offer, answer).bye(20_200).rtp(voice(100, 20_000)).back(voice(100, 20_000))
    for at_ms in (5_000, 10_000, 15_000):
        report = ReceptionReport(0xB2, CALLER_SSRC, 0, 0, 100 + at_ms // 20, False, 5, 0, 0)
        packet = build_sender_report(SenderInfo(0xB2, at_ms << 32, 0, at_ms // 20, 160 * at_ms), [report])
        capture.datagram(at_ms, rtcp, CALLER, packet)
    result = capture.replay(tmp_path)
    reported = [s for s in result.streams if s.observer == "rtcp_rr"]
    assert [("call", "to_callee", CALLEE)] == [(s.call_id, s.direction, s.dst) for s in reported]
    assert (3, {}) == (result.rtcp_reports, findings_of(result))


def test_reduced_size_rtcp_on_a_muxed_port_is_no_media(tmp_path: Path) -> None:
    capture = Capture().rtp(voice(0, 5_000))
    for i in range(50):
        capture.datagram(i * 100 + 3, CALLER, CALLEE, build_receiver_report(CALLER_SSRC))
    (stream,) = measured(capture.replay(tmp_path))
    assert (250, 0, (8,)) == (stream.received, stream.lost, stream.payload_types)


def test_payload_types_of_events_and_redundancy_are_listed(tmp_path: Path) -> None:
    codecs = [(0, "PCMU/8000"), (96, "red/8000"), (101, "telephone-event/8000")]
    capture = Capture().call(10_200, "call", CALLER, CALLEE, codecs, "a=fmtp:96 0/0/0")
    first = voice(100, 5_000, payload_type=96, payload_bytes=490)
    digits = [
        Packet(5_000 + i * 20, 345 + i, 44_200, 101, i == 0, struct.pack("!BBH", 5, 10, 160 * i))
        for i in range(10)
    ]
    second = voice(5_200, 10_000, seq=355, timestamp=45_800, payload_type=96, payload_bytes=490)
    (stream,) = measured(capture.rtp([*first, *digits, *second]).replay(tmp_path))
    assert ("PCMU", (96, 101), "dtmf", 0) == (stream.codec, stream.payload_types, stream.verdict, stream.lost)
    assert stream.mos is not None


def fragments_v4(payload: bytes, identification: int, size: int = 400) -> list[bytes]:
    head = struct.pack("!HHHH", CALLER.port, CALLEE.port, 8 + len(payload), 0)
    return _ipv4_fragments(head + payload, identification, size, CALLER.ip, CALLEE.ip)


def _ipv4_fragments(data: bytes, identification: int, size: int, src: str, dst: str) -> list[bytes]:
    parts = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        flags = at // 8 | (0x2000 if at + size < len(data) else 0)
        addresses = bytes(int(b) for b in f"{src}.{dst}".split("."))
        header = struct.pack("!BBHHHBBH", 0x45, 184, 20 + len(part), identification, flags, 64, 17, 0)
        parts.append(bytes(12) + b"\x08\x00" + header + addresses + part)
    return parts


def fragments_v6(payload: bytes, identification: int, size: int = 400) -> list[bytes]:
    data = struct.pack("!HHHH", CALLER.port, CALLEE.port, 8 + len(payload), 0) + payload
    addresses = bytes.fromhex("20010db8000000000000000000000001" + "20010db8000000000000000000000002")
    parts = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        offset = at | (1 if at + size < len(data) else 0)
        header = struct.pack("!IHBB", 6 << 28, 8 + len(part), 44, 64) + addresses
        parts.append(bytes(12) + b"\x86\xdd" + header + struct.pack("!BBHI", 17, 0, offset, identification) + part)
    return parts


@pytest.mark.parametrize("fragment", [fragments_v4, fragments_v6])
@pytest.mark.parametrize("tail_first", [False, True])
def test_fragmented_rtp_is_measured_from_its_first_fragments(
    tmp_path: Path, fragment: Callable[[bytes, int], list[bytes]], tail_first: bool
) -> None:
    capture = Capture()
    for p in voice(0, 6_000):
        packet = struct.pack("!BBHII", 0x80, 8, p.seq, p.timestamp, 7) + bytes(1_000)
        parts = fragment(packet, p.seq)
        for i, frame in enumerate(reversed(parts) if tail_first and p.seq == 150 else parts):
            capture.frame(p.at_ms + i * 0.01, frame)
    result = capture.replay(tmp_path)
    (stream,) = measured(result, 7)
    assert (300, 0, 0) == (stream.received, stream.lost, stream.duplicates)
    assert result.capture.errors["rtp_fragment"] == (600 if not tail_first else 598)


def test_fragmented_sip_is_put_together(tmp_path: Path) -> None:
    made = Capture().call(10_200, "call", CALLER, CALLEE, PCMA, "a=x:" + "y" * 1_500)
    capture = Capture().rtp(voice(100, 10_000)).back(voice(100, 10_000))
    for number, (at_ms, frame) in enumerate(made.frames):
        src, dst = (".".join(map(str, frame[at : at + 4])) for at in (26, 30))
        for part in _ipv4_fragments(frame[34:], number, 800, src, dst):
            capture.frame(at_ms, part)
    result = capture.replay(tmp_path)
    assert [("call", "answered", False)] == [(c.call_id, c.outcome, c.one_way) for c in result.calls]
    assert ["call", "call"] == [s.call_id for s in result.streams]
