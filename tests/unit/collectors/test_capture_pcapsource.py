"""Packet captures as a source of datagrams."""

import gzip
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hep_support import RECEIVED_NS, datagram, text
from packet_support import ethernet, ipv4, ipv6, mapped, pcap, tcp, udp

from collectors.capture.base import CaptureError, SourceStats
from collectors.capture.files import open_capture
from collectors.capture.hepfile import HepFileSource
from collectors.capture.pcapsource import PcapSource, correct_times
from collectors.facts import DatagramBatch, Payload
from collectors.kernels.frames import FRAME
from collectors.wire.hep import DuplicateFilter, HepParser, encode_hep1
from telephony.model import Endpoint

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n"
SENDER_REPORT = b"\x80\xc8\x00\x06" + bytes(24)
RTP = b"\x80\x00" + bytes(170)


def feed(path: Path, parser: HepParser | None = None) -> tuple[list[tuple[int, bytes]], SourceStats]:
    """Return (payload type, payload) of each row, and the figures."""
    found: list[tuple[int, bytes]] = []

    def sink(batch: DatagramBatch) -> None:
        found.extend((int(row["payload_type"]), text(batch, n, "payload")) for n, row in enumerate(batch.rows))

    source = open_capture(path, parser or HepParser())
    source.run(sink, threading.Event())
    return found, source.stats()


def capture(folder: Path, *packets: bytes, **options: int) -> Path:
    path = folder / "a.pcap"
    path.write_bytes(pcap(*map(ethernet, packets), **options))
    return path


def test_sip_rtcp_and_hep_become_rows_in_order_and_rtp_is_counted(tmp_path: Path) -> None:
    packets = [OPTIONS, RTP, SENDER_REPORT, datagram(b"in hep"), RTP, OPTIONS, b"other"]
    found, stats = feed(capture(tmp_path, *(ipv4(udp(packet)) for packet in packets)))
    expected = [
        (Payload.SIP, OPTIONS),
        (Payload.RTCP, SENDER_REPORT),
        (Payload.SIP, b"in hep"),
        (Payload.SIP, OPTIONS),
    ]
    kinds = {"sip": 2, "rtp": 2, "rtcp": 1, "hep": 1, "other": 1}
    assert (expected, kinds, 7, 4) == (found, dict(stats.payloads), stats.frames, stats.accepted)


def test_rows_carry_the_addresses_and_the_time_of_the_packet(tmp_path: Path) -> None:
    batches: list[DatagramBatch] = []
    path = capture(tmp_path, ipv4(udp(OPTIONS, 5070, 5080)), ipv6(udp(OPTIONS)), at=1_700_000_000)
    open_capture(path, HepParser()).run(batches.append, threading.Event())
    first, second = batches[0].rows
    assert (mapped("192.0.2.1"), mapped("192.0.2.2"), 5070, 5080, 17, 1_700_000_000_000_000_000) == (
        first["src_ip"].tobytes(),
        first["dst_ip"].tobytes(),
        int(first["src_port"]),
        int(first["dst_port"]),
        int(first["ip_proto"]),
        int(first["captured_ns"]),
    )
    assert mapped("2001:db8::1") == second["src_ip"].tobytes()


def test_hep1_gets_the_time_of_its_packet(tmp_path: Path) -> None:
    batches: list[DatagramBatch] = []
    made = encode_hep1(OPTIONS, src=Endpoint("10.0.0.1", 1), dst=Endpoint("10.0.0.2", 2))
    path = capture(tmp_path, ipv4(udp(made)), at=1_600_000_000)
    open_capture(path, HepParser()).run(batches.append, threading.Event())
    assert 1_600_000_000_000_000_000 == int(batches[0].rows["captured_ns"][0]) != RECEIVED_NS


def test_sip_and_hep_over_tcp(tmp_path: Path) -> None:
    data = OPTIONS + datagram(b"in hep") + OPTIONS
    packets = [ipv4(tcp(data[at : at + 50], 1 + at), 6) for at in range(0, len(data), 50)]
    found, stats = feed(capture(tmp_path, ipv4(tcp(b"", 0, 2), 6), *packets))
    assert [(1, OPTIONS), (1, b"in hep"), (1, OPTIONS)] == found
    assert {"sip": 2, "hep": 1} == dict(stats.payloads)


def test_a_fragmented_message_is_one_row(tmp_path: Path) -> None:
    message = OPTIONS[:-2] + b"Subject: " + b"x" * 3000 + b"\r\n\r\n"
    data = udp(message)
    packets = [
        ipv4(data[at : at + 1400], fragment=at // 8 | (0x2000 if at + 1400 < len(data) else 0))
        for at in range(0, len(data), 1400)
    ]
    assert [(Payload.SIP, message)] == feed(capture(tmp_path, *packets))[0]


def test_a_message_that_the_capture_cut_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(ethernet(ipv4(udp(OPTIONS)))[:60]))
    found, stats = feed(path)
    assert ([], {"snapped": 1}) == (found, dict(stats.errors))


def test_keys_are_enforced_on_hep_in_a_capture(tmp_path: Path) -> None:
    parser = HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["198.51.100.0/24"])
    packets = [ipv4(udp(datagram(b"no"))), ipv4(udp(datagram(b"exempt")), src="198.51.100.9")]
    assert [(1, b"exempt")] == feed(capture(tmp_path, *packets), parser)[0]


def test_many_packets_are_handed_over_in_bounded_batches(tmp_path: Path) -> None:
    sizes: list[int] = []
    path = capture(tmp_path, *[ipv4(udp(OPTIONS))] * 2000)
    open_capture(path, HepParser()).run(lambda batch: sizes.append(len(batch.rows)), threading.Event())
    assert (2000, True) == (sum(sizes), max(sizes) <= 512)


def test_stopping_ends_the_reading(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    source = open_capture(capture(tmp_path, ipv4(udp(OPTIONS))), HepParser())
    source.run(lambda batch: None, stop)
    assert 0 == source.stats().frames


# --- choosing by the first bytes ------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_capture_is_opened_by_its_first_bytes(tmp_path: Path, compress) -> None:
    path = tmp_path / "anything"
    path.write_bytes(compress(pcap(ethernet(ipv4(udp(OPTIONS))))))
    assert isinstance(open_capture(path, HepParser()), PcapSource)
    assert [(1, OPTIONS)] == feed(path)[0]


def test_a_datagram_file_is_opened_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "anything"
    path.write_bytes(len(datagram()).to_bytes(4, "big") + datagram())
    assert isinstance(open_capture(path, HepParser()), HepFileSource)


@pytest.mark.parametrize("data", [b"", b"HEP3", b"#!/bin/sh\necho", b"\xff" * 40, b"PK\3\4" + bytes(50)])
def test_an_unknown_file_is_a_capture_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "anything"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match="neither pcap, pcapng nor HEP datagrams"):
        open_capture(path, HepParser())


def test_a_folder_is_a_capture_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="cannot be read"):
        open_capture(tmp_path, HepParser())


# --- real captures --------------------------------------------------------------------------------------


def test_the_tripled_datagrams_of_a_public_capture_are_duplicates(captures: Path) -> None:
    duplicates = DuplicateFilter()
    source = open_capture(captures / "public" / "hepws_hep3_compressed.pcapng", HepParser())
    starts: Counter[bytes] = Counter()

    def sink(batch: DatagramBatch) -> None:
        duplicates.mark(batch)
        starts.update(text(batch, n, "payload")[:12] for n, row in enumerate(batch.rows) if not row["flags"])

    source.run(sink, threading.Event())
    assert (21, 14, 7) == (source.stats().accepted, duplicates.duplicates, sum(starts.values()))
    assert all(
        start.startswith((b"SIP/2.0", b"INVITE", b"ACK", b"BYE", b"REGISTER", b"OPTIONS")) for start in starts
    )


def manifest(captures: Path) -> dict[str, tuple[int, int, int]]:
    """Frames, SIP messages and RTCP packets of each lab capture, as its manifest says."""
    lines = (captures / "lab" / "MANIFEST.tsv").read_text().splitlines()[1:]
    found = {}
    for line in lines:
        name, _, frames, sip, rtcp, *_ = line.split("\t")
        messages = sum(int(part.rpartition("x")[2]) for part in sip.split())
        found[name] = int(frames), messages, int(rtcp.removeprefix("rtcp="))
    return found


def test_lab_captures_hold_what_their_manifest_says(captures: Path) -> None:
    expected = manifest(captures)
    found = {}
    for name in expected:
        _, stats = feed(captures / "lab" / name)
        found[name] = stats.frames, stats.payloads["sip"], stats.payloads["rtcp"]
    assert expected == found


HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("times", "corrected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 9 * HOUR_NS, 3], [1, 1, 3]),
        ([9 * HOUR_NS, 2, 3], [2, 2, 3]),
        ([1, 2, 9 * HOUR_NS], [1, 2, 2]),
        ([1, 9 * HOUR_NS, 9 * HOUR_NS + 1], [1, 9 * HOUR_NS, 9 * HOUR_NS + 1]),  # a pause
        ([5, 4, 3], [5, 4, 3]),
        ([9 * HOUR_NS], [9 * HOUR_NS]),
    ],
)
def test_a_time_far_ahead_of_the_next_is_not_believed(times: list[int], corrected: list[int]) -> None:
    frames = np.zeros(len(times), FRAME)
    frames["captured_ns"] = times
    wrong, last_ns = correct_times(frames, 0)
    assert (corrected, corrected[-1]) == (frames["captured_ns"].tolist(), last_ns)
    assert sum(a != b for a, b in zip(times, corrected)) == wrong


def test_a_damaged_time_is_counted(tmp_path: Path) -> None:
    frames = [ethernet(ipv4(udp(RTP))) for _ in range(3)]
    data = bytearray(pcap(*frames))
    record = 24 + 16 + len(frames[0])
    data[record : record + 4] = (2**32 - 1).to_bytes(4, "little")
    path = tmp_path / "a.pcap"
    path.write_bytes(bytes(data))
    assert {"time_ahead": 1} == dict(feed(path)[1].errors)
