"""Records of pcap and pcapng files."""

import io
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_support import block, enhanced, interface, pcap, section

from collectors.capture.base import CaptureError
from collectors.capture.pcapfile import Packet, read_packets

AT = 1_700_000_000
PATH = Path("a.pcap")


def read(data: bytes) -> tuple[list[Packet], dict[str, int]]:
    errors: Counter[str] = Counter()
    return list(read_packets(io.BytesIO(data), PATH, errors)), dict(errors)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("nanoseconds", "tick_ns"), [(False, 1000), (True, 1)])
def test_pcap_of_either_order_and_resolution(order: str, nanoseconds: bool, tick_ns: int) -> None:
    packets, _ = read(pcap(b"one", b"two", order=order, nanoseconds=nanoseconds, at=AT, link_type=113))
    assert [(AT * 10**9, 113, b"one", 3), (AT * 10**9 + tick_ns, 113, b"two", 3)] == packets


def test_a_cut_packet_keeps_its_original_length() -> None:
    packets, _ = read(pcap(b"one", original=1500))
    assert [1500] == [packet.original_bytes for packet in packets]


def option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


@pytest.mark.parametrize(
    ("options", "ticks", "expected_ns"),
    [
        (b"", AT * 10**6 + 5, AT * 10**9 + 5000),
        (option(9, b"\x09"), AT * 10**9 + 5, AT * 10**9 + 5),
        (option(9, b"\x8a"), AT * 1024 + 512, AT * 10**9 + 500_000_000),  # 2^-10 seconds
        (option(2, b"eth0") + option(9, b"\x03") + option(0, b""), AT * 1000 + 5, AT * 10**9 + 5_000_000),
        (option(9, b"\x03") + option(14, struct.pack("<q", 100)), AT * 1000, (AT + 100) * 10**9),
    ],
)
def test_pcapng_times(options: bytes, ticks: int, expected_ns: int) -> None:
    packets, _ = read(section() + interface(options=options) + enhanced(b"data", ticks))
    assert [expected_ns] == [packet.captured_ns for packet in packets]


def test_pcapng_of_the_other_order_with_several_interfaces() -> None:
    data = section(">") + interface(1, order=">") + interface(113, order=">")
    packets, _ = read(data + enhanced(b"a", 7, 1, ">") + enhanced(b"b", 8, 0, ">"))
    assert [(7000, 113, b"a"), (8000, 1, b"b")] == [packet[:3] for packet in packets]


def test_pcapng_sections_and_unknown_blocks() -> None:
    data = section() + interface(1) + block(0xBAD, b"whatever") + enhanced(b"a", 1)
    data += section() + interface(101) + block(5, bytes(12)) + enhanced(b"b", 2)
    packets, _ = read(data)
    assert [(1, b"a"), (101, b"b")] == [packet[1:3] for packet in packets]


def test_pcapng_simple_and_obsolete_packets() -> None:
    obsolete = block(2, struct.pack("<HHIIII", 0, 5, 0, 9, 3, 3) + b"old")
    simple = block(3, struct.pack("<I", 100) + b"snap")
    packets, _ = read(section() + interface(snap=4) + obsolete + simple)
    assert [(9000, 1, b"old", 3), (9000, 1, b"snap", 100)] == packets


@pytest.mark.parametrize(
    ("data", "packets", "errors"),
    [
        (pcap(b"one", b"two")[:-1], 1, {"truncated_file": 1}),
        (pcap(b"one", b"two")[:-4], 1, {"truncated_file": 1}),
        (pcap(b"one") + b"\0" * 3, 1, {"truncated_file": 1}),
        (pcap(b"one") + struct.pack("<IIII", 0, 0, 1 << 30, 5), 1, {"bad_record": 1}),
        (pcap()[:10], 0, {"truncated_file": 1}),
        (section() + interface() + enhanced(b"a", 1)[:-5], 0, {"truncated_file": 1}),
        (section() + enhanced(b"a", 1), 0, {"bad_record": 1}),  # no interface
        (section() + interface() + struct.pack("<II", 6, 3), 0, {"bad_record": 1}),
        (section() + interface() + struct.pack("<II", 6, 0xFFFFFFFC), 0, {"bad_record": 1}),
        (
            section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 100, 100) + b"x"),
            0,
            {"bad_record": 1},
        ),
        (section() + interface() + block(6, b"short"), 0, {"bad_record": 1}),
        (section() + block(1, b"x"), 0, {"bad_record": 1}),
        (b"\x0a\x0d\x0d\x0a\0\0\0\x1c????" + bytes(20), 0, {"bad_record": 1}),
    ],
)
def test_damage_is_counted_after_the_good_records(data: bytes, packets: int, errors: dict[str, int]) -> None:
    found, counted = read(data)
    assert (packets, errors) == (len(found), counted)


@pytest.mark.parametrize("data", [b"", b"abc", b"#!/bin/sh\n", bytes(100)])
def test_what_is_no_capture_is_an_error(data: bytes) -> None:
    with pytest.raises(CaptureError, match=r"a\.pcap: neither pcap nor pcapng"):
        read(data)


_GOOD = [pcap(b"one", b"two" * 40), section() + interface(options=option(9, b"\x09")) + enhanced(b"a" * 50, 1)]


@given(st.sampled_from(_GOOD), st.data())
def test_mutated_files_never_raise_anything_else(data: bytes, choice: st.DataObject) -> None:
    at = choice.draw(st.integers(4, len(data) - 1))
    read(data[:at] + choice.draw(st.binary(min_size=1, max_size=8)) + data[at + 1 :])
