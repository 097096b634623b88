"""The packet buffer keeps what came, without what people said, within its bytes; a call can be cut out of it."""

import struct
import threading
from collections import Counter

import numpy as np
import pytest
from packet_support import MAC, ethernet, ipv4, ipv6, mapped, tcp, udp
from packetbuffer_support import (
    FAR,
    MS,
    NEAR,
    SDP,
    SPEECH,
    T0,
    datagrams_of,
    frames_of,
    invite,
    keep,
    kept,
    packets_in,
    rtp,
    save,
    settings,
)

from collectors.capture import packetbuffer
from collectors.capture.base import CaptureError
from collectors.capture.packetbuffer import BufferedSource, PacketBuffer, segments
from collectors.capture.packetslice import PacketsGone
from collectors.capture.pcapfile import Packet
from collectors.capture.pcapsource import PcapSource
from collectors.facts import Payload, ReceptionReport, SenderInfo
from collectors.wire.hep import HepParser
from collectors.wire.packet import PacketDecoder
from collectors.wire.rtcp import build_sender_report, parse_rtcp
from collectors.wire.rtcp_json import encode_rtpengine_json
from telephony.model import Endpoint


@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100)])
@pytest.mark.parametrize("wrap", [ipv4, ipv6])
@pytest.mark.parametrize(("csrcs", "extension"), [(0, b""), (3, b""), (0, bytes(8)), (2, bytes(4))])
def test_speech_is_cut_away_and_headers_stay(tmp_path, tags, wrap, csrcs, extension):
    frame = ethernet(wrap(udp(rtp(5, csrcs=csrcs, extension=extension), 4000, 4002)), *tags)
    keep(tmp_path, frames_of([frame]))
    (packet,) = kept(tmp_path)
    assert (packet.data, packet.original_bytes) == (frame.removesuffix(SPEECH), len(frame))


def test_speech_is_kept_where_it_is_asked_for(tmp_path):
    frame = ethernet(ipv4(udp(rtp(5), 4000, 4002)))
    keep(tmp_path, frames_of([frame]), payload=True)
    assert kept(tmp_path) == [Packet(T0, 1, frame, len(frame))]


def test_what_is_no_rtp_is_kept_whole(tmp_path):
    report = build_sender_report(SenderInfo(7, 1 << 32, 0, 10, 1600))
    frames = [ethernet(ipv4(udp(invite("one")))), ethernet(ipv4(udp(report, 4001, 4003)))]
    stats = keep(tmp_path, frames_of(frames))
    assert [p.data for p in kept(tmp_path)] == frames
    assert (stats.packets, stats.dropped) == (2, 0)


def test_what_is_of_no_use_to_voice_is_left_out(tmp_path):
    quic = ethernet(ipv4(udp(b"\xc3" + bytes(40), 4433, 4433)))
    arp = MAC + b"\x08\x06" + bytes(40)
    assert keep(tmp_path, frames_of([quic, arp])).packets == 0


@pytest.mark.parametrize(("link_type", "head"), [(101, b""), (113, bytes(14) + b"\x08\x00"), (0, b"\2\0\0\0")])
def test_link_types_stay_what_they_were(tmp_path, link_type, head):
    frame = head + ipv4(udp(invite("one")))
    keep(tmp_path, frames_of([frame], link_type))
    assert kept(tmp_path) == [Packet(T0, link_type, frame, len(frame))]


@pytest.mark.parametrize(("src", "dst"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
@pytest.mark.parametrize("payload", [invite("one"), invite("odd!")])
def test_received_messages_become_the_packets_they_were(tmp_path, src, dst, payload):
    keep(tmp_path, datagrams_of((Payload.SIP, payload, (src, 5060), (dst, 5070))))
    (packet,) = kept(tmp_path)
    errors: Counter[str] = Counter()
    segment = PacketDecoder(errors).decode(packet.link_type, packet.data, T0)
    assert segment is not None
    assert segment[:6] == (17, mapped(src), mapped(dst), 5060, 5070, payload)
    assert _checksums_hold(packet.data)


def _checksums_hold(data: bytes) -> bool:
    """Sums over header and datagram that hold their checksum are all ones (RFC 1071)."""

    def total(part: bytes) -> int:
        value = sum(struct.unpack(f"!{(len(part) + 1) // 2}H", part + bytes(len(part) % 2)))
        while value >> 16:
            value = (value & 0xFFFF) + (value >> 16)
        return value

    if data[0] >> 4 == 4:
        pseudo = data[12:20] + struct.pack("!HH", 17, len(data) - 20)
        return total(data[:20]) == total(pseudo + data[20:]) == 0xFFFF
    return total(data[8:40] + struct.pack("!IHH", len(data) - 40, 0, 17) + data[40:]) == 0xFFFF


def test_logs_and_the_like_are_not_kept(tmp_path):
    stats = keep(tmp_path, datagrams_of((Payload.LOG, b"text", NEAR, FAR), (Payload.VQ_RTCPXR, b"x", NEAR, FAR)))
    assert stats.packets == 0


def test_the_buffer_stays_within_its_bytes_and_loses_the_oldest(tmp_path):
    frame = ethernet(ipv4(udp(rtp(1), 4000, 4002)))
    for run in range(10):
        takes = [frames_of([frame] * 4000, start_ns=T0 + (4 * run + n) * 10**9) for n in range(4)]
        stats = keep(tmp_path, *takes, payload=True)
    on_disk = sum(s.path.stat().st_size for s in segments(tmp_path))
    assert on_disk == stats.bytes
    assert 12 << 20 < on_disk <= 16 << 20
    assert stats.oldest_ns > T0 + 10**9
    assert kept(tmp_path)[-1].captured_ns == T0 + 39 * 10**9 + 3999 * MS


def test_a_slow_disk_drops_packets_and_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr(packetbuffer, "_QUEUE_BYTES", 100)
    stats = keep(tmp_path, frames_of([ethernet(ipv4(udp(invite("one"))))] * 3))
    assert (stats.packets, stats.dropped) == (0, 3)


@pytest.mark.parametrize(("queue_bytes", "packets", "dropped"), [(32 << 20, 100, 0), (100, 0, 100)])
def test_blocks_of_a_ring_are_kept_or_counted(tmp_path, monkeypatch, queue_bytes, packets, dropped):
    monkeypatch.setattr(packetbuffer, "_QUEUE_BYTES", queue_bytes)
    slot, first = 192, 48
    block = np.zeros(first + 100 * slot, np.uint8)
    block[8:20].view(np.uint32)[:] = (1, 100, first)
    frame = ethernet(ipv4(udp(rtp(1), 4000, 4002)))[:96]
    for n in range(100):
        head = block[first + n * slot : first + (n + 1) * slot]
        head[:20].view(np.uint32)[:] = (slot, T0 // 10**9, n, len(frame), 214)
        head[24:26].view(np.uint16)[0] = 82
        head[82 : 82 + len(frame)] = np.frombuffer(frame, np.uint8)
    buffer = PacketBuffer(tmp_path, settings())
    buffer.take_ring_block(block.ctypes.data, len(block), T0)
    buffer.close()
    assert (buffer.stats().packets, buffer.stats().dropped) == (packets, dropped)
    assert [(p.captured_ns, p.original_bytes) for p in kept(tmp_path)] == [(T0 + n, 214) for n in range(packets)]


def test_a_full_disk_is_counted_and_borne(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    buffer = PacketBuffer(tmp_path, settings())
    monkeypatch.setattr(packetbuffer, "file_header", full)
    buffer.take_frames(*frames_of([ethernet(ipv4(udp(invite("one"))))] * 3))
    buffer.close()
    assert (buffer.stats().write_failures, buffer.stats().dropped) == (1, 3)


def test_earlier_runs_count_and_are_kept(tmp_path):
    first = keep(tmp_path, frames_of([ethernet(ipv4(udp(invite("one"))))]))
    second = keep(tmp_path, frames_of([ethernet(ipv4(udp(invite("two"))))]))
    assert len(kept(tmp_path)) == 2
    assert second.bytes == 2 * first.bytes
    assert second.oldest_ns == T0


def test_one_process_at_a_time_writes(tmp_path):
    buffer = PacketBuffer(tmp_path, settings())
    with pytest.raises(CaptureError, match="another process"):
        PacketBuffer(tmp_path, settings())
    buffer.close()


def test_nobody_else_may_read(tmp_path):
    keep(tmp_path / "packets", frames_of([ethernet(ipv4(udp(invite("one"))))]))
    modes = {p.stat().st_mode & 0o077 for p in [tmp_path / "packets", *(tmp_path / "packets").iterdir()]}
    assert modes == {0}


def test_what_agents_send_is_kept_and_passes(tmp_path):
    class Once:
        name = "agents"

        def run(self, sink, stop):
            sink(datagrams_of((Payload.SIP, invite("two"), NEAR, FAR)))

        def stats(self):
            return None

    taken = []
    buffer = PacketBuffer(tmp_path, settings())
    BufferedSource(Once(), buffer).run(taken.append, None)
    buffer.close()
    assert (len(taken), buffer.stats().packets) == (1, 1)


# -- the slice of a call


def test_a_call_is_cut_out_and_nothing_of_others(tmp_path):
    other = SDP.replace("10.0.0.1", "10.0.0.9")
    mine = [
        ethernet(ipv4(udp(invite("one")), src="10.0.0.1", dst="10.0.0.2")),
        ethernet(ipv4(udp(rtp(1), 6000, 4000), src="10.0.0.2", dst="10.0.0.1")),
        ethernet(ipv4(udp(rtp(1), 4000, 6000), src="10.0.0.1", dst="10.0.0.2")),
        ethernet(ipv4(udp(build_sender_report(SenderInfo(7, 1, 0, 1, 1)), 6001, 4001), dst="10.0.0.1")),
    ]
    foreign = [
        ethernet(ipv4(udp(invite("one-and-more", other)))),
        ethernet(ipv4(udp(invite("two", other)))),
        ethernet(ipv4(udp(rtp(1), 6000, 4000), src="10.0.0.2", dst="10.0.0.9")),
        ethernet(ipv4(tcp(b"GET / HTTP/1.1\r\n\r\n", 1))),
    ]
    keep(tmp_path / "b", frames_of(mine + foreign), payload=True)
    saved = save(tmp_path / "b", tmp_path)
    assert [p.data for p in packets_in(saved.path)] == mine
    assert (saved.packets, saved.sip, saved.rtp, saved.rtcp, saved.other) == (4, 1, 2, 1, 0)
    assert (saved.first_ns, saved.last_ns, saved.complete) == (T0, T0 + 3 * MS, False)


def test_addresses_that_only_the_store_knows_are_searched_too(tmp_path):
    keep(tmp_path / "b", frames_of([ethernet(ipv4(udp(rtp(1), 9000, 9002), src="10.9.9.9"))]))
    saved = save(tmp_path / "b", tmp_path, endpoints=(Endpoint("10.9.9.9", 9000), Endpoint("", 0)))
    assert saved.rtp == 1


def test_packets_of_another_time_are_another_call_s(tmp_path):
    frame = ethernet(ipv4(udp(rtp(1), 6000, 4000), dst="10.0.0.1"))
    sip = ethernet(ipv4(udp(invite("one"))))
    keep(tmp_path / "b", frames_of([sip]), frames_of([frame], start_ns=T0 + 60 * 10**9))
    assert save(tmp_path / "b", tmp_path).packets == 1


def test_json_of_a_relay_becomes_the_report_it_tells_of(tmp_path):
    report = ReceptionReport(7, 8, 25, 3, 500, False, 90, 11, 12)
    sender = SenderInfo(7, 5 << 32, 800, 10, 1600)
    told = encode_rtpengine_json(7, sender, (report,), "a@b")
    messages = [
        (Payload.SIP, invite("one"), NEAR, FAR),
        (Payload.RTCP_JSON, told, ("10.0.0.1", 4001), ("10.0.0.2", 6001)),
    ]
    keep(tmp_path / "b", datagrams_of(*messages))
    saved = save(tmp_path / "b", tmp_path)
    segment = PacketDecoder(Counter()).decode(101, packets_in(saved.path)[1].data, T0)
    assert (saved.sip, saved.rtcp) == (1, 1)
    assert segment is not None
    facts = parse_rtcp(segment.payload).facts
    assert sender in facts
    assert [
        (f.source_ssrc, f.cumulative_lost, f.jitter_ticks) for f in facts if isinstance(f, ReceptionReport)
    ] == [(8, 3, 90)]


def test_what_two_agents_saw_of_a_message_is_one_packet(tmp_path):
    keep(tmp_path / "b", datagrams_of(*[(Payload.SIP, invite("one"), NEAR, FAR)] * 2))
    assert save(tmp_path / "b", tmp_path).sip == 1


def test_a_fragmented_message_is_joined(tmp_path):
    whole = udp(invite("one", SDP + "a=x:" + "y" * 1600))
    pieces = [
        ethernet(ipv4(whole[:1000], fragment=0x2000, identification=9)),
        ethernet(ipv4(whole[1000:], fragment=125, identification=9)),
    ]
    keep(tmp_path / "b", frames_of(pieces))
    saved = save(tmp_path / "b", tmp_path)
    segment = PacketDecoder(Counter()).decode(101, packets_in(saved.path)[0].data, T0)
    assert segment is not None
    assert segment.payload == whole[8:]


def test_of_tcp_the_segments_of_its_messages_are_kept(tmp_path):
    text, other = invite("one"), invite("two")
    frames = [
        ethernet(ipv4(tcp(text[:250], 1), 6)),
        ethernet(ipv4(tcp(text[250:], 251), 6)),
        ethernet(ipv4(tcp(other, 1000), 6)),
        ethernet(ipv4(tcp(other[:9], 9000), 6)),
    ]
    keep(tmp_path / "b", frames_of(frames))
    assert [p.data for p in packets_in(save(tmp_path / "b", tmp_path).path)] == frames[:2]


def test_an_empty_buffer_says_so(tmp_path):
    with pytest.raises(PacketsGone, match="empty"):
        save(tmp_path, tmp_path)


def test_a_call_from_before_the_buffer_says_from_when_there_are_packets(tmp_path):
    keep(tmp_path / "b", frames_of([ethernet(ipv4(udp(invite("two"))))]))
    with pytest.raises(PacketsGone, match="rolled over") as gone:
        save(tmp_path / "b", tmp_path, since_ns=T0 - 10**12, until_ns=T0 - 10**11)
    assert gone.value.kept_since_ns == T0


def test_a_call_that_the_buffer_never_saw_says_so(tmp_path):
    keep(tmp_path / "b", frames_of([ethernet(ipv4(udp(invite("two"))))]))
    with pytest.raises(PacketsGone, match="no packet of the call"):
        save(tmp_path / "b", tmp_path)


def test_a_file_that_is_being_written_can_be_read(tmp_path):
    keep(tmp_path / "b", frames_of([ethernet(ipv4(udp(invite("one"))))]))
    (segment,) = segments(tmp_path / "b")
    with segment.path.open("ab") as file:
        file.write(b"\x06\0\0\0\x80\0\0\0")
    assert save(tmp_path / "b", tmp_path).sip == 1


def test_captures_go_in_through_the_source_of_files(tmp_path):
    keep(tmp_path / "b", frames_of([ethernet(ipv4(udp(invite("one")))), ethernet(ipv4(udp(rtp(1), 6000, 4000)))]))
    path = segments(tmp_path / "b")[0].path
    source = PcapSource(path, HepParser())
    source.run(lambda batch: None, threading.Event())
    assert (source.stats().payloads["sip"], source.stats().payloads["rtp"]) == (1, 1)
