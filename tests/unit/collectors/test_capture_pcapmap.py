"""The mapped reader gives what the plain one gives, whatever the file."""

import gzip
import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_support import block, enhanced, interface, pcap, section

from collectors.capture.base import CaptureError
from collectors.capture.pcapfile import Packet, read_packets
from collectors.capture.pcapmap import read_blocks


def option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


TICKS = (
    1_700_000_000_123_456_789,
    1_700_000_000 * 1024 + 77,
    1_700_000_000_123_456_789_012 >> 8,
    1_700_000_000_000_000,
)
FILES = {
    "pcap": pcap(b"one", b"two" * 40),
    "big_endian": pcap(b"one", b"", b"two" * 40, order=">", nanoseconds=True, link_type=113),
    "pcapng": section() + interface() + enhanced(b"a" * 50, 1) + enhanced(b"b", 2) + block(5, bytes(12)),
    "resolutions": section()
    + interface(options=option(9, b"\x09"))
    + interface(101, options=option(9, b"\x8a"))
    + interface(options=option(9, b"\x0c"))
    + interface(options=option(14, struct.pack("<q", -5)))
    + b"".join(enhanced(b"abc", ticks + n % 3, n % 4) for n, ticks in enumerate(TICKS * 3)),
    "other_blocks": section(">")
    + interface(order=">")
    + enhanced(b"a", 7, 0, ">")
    + section()
    + interface(snap=4)
    + block(0xBAD, b"whatever")
    + block(2, struct.pack("<HHIIII", 0, 5, 0, 9, 3, 3) + b"old")
    + block(3, struct.pack("<I", 100) + b"snap")
    + enhanced(b"z" * 9, 30),
}


def plain(data: bytes) -> tuple[list[Packet], dict[str, int]]:
    errors: Counter[str] = Counter()
    return list(read_packets(io.BytesIO(data), Path("a"), errors)), dict(errors)


def mapped(path: Path) -> tuple[list[Packet], dict[str, int]]:
    errors: Counter[str] = Counter()
    packets = []
    for found in read_blocks(path, errors):
        for row in found.frames:
            at, captured = int(row["offset"]), int(row["captured"])
            data = found.memory[at : at + captured].tobytes()
            packets.append(Packet(int(row["captured_ns"]), int(row["link_type"]), data, int(row["wire"])))
    return packets, dict(errors)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compressed", [False, True])
def test_mapped_equals_plain(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(gzip.compress(FILES[name]) if compressed else FILES[name])
    assert plain(FILES[name]) == mapped(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_files_give_the_same_packets_and_errors(tmp_path: Path, name: str, choice: st.DataObject) -> None:
    data = FILES[name]
    at = choice.draw(st.integers(4, len(data) - 1))
    data = data[:at] + choice.draw(st.binary(max_size=6)) + data[at + choice.draw(st.integers(0, 6)) :]
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    packets, errors = plain(data)
    found, counted = mapped(path)
    # times far beyond what 63 bits of nanoseconds hold are the one difference
    assert [(p.link_type, p.data) for p in packets] == [(p.link_type, p.data) for p in found]
    assert errors == counted


@pytest.mark.parametrize("data", [b"", b"abc", b"#!/bin/sh\n", bytes(100)])
def test_what_is_no_capture_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=r"a\.pcap: neither pcap nor pcapng"):
        mapped(path)


def test_numbers_go_on_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(*[b"x"] * 40_000))
    numbers = np.concatenate([found.frames["number"] for found in read_blocks(path, Counter())])
    assert list(range(40_000)) == numbers.tolist()
