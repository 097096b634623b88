"""Streams of the lab captures against what the impairer did, and jitter against a plain RFC 3550 computation."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt
import numpy as np
import pytest
from rtp_frames import frames_of, take_all

from collectors.capture.pcapfile import read_packets
from collectors.facts import format_ip
from collectors.tracking.streams import StreamSettings, StreamTable
from telephony.jitter import JitterEstimator

pytestmark = pytest.mark.captures

OBSERVED = re.compile(
    r"(\S+)>(\S+) 0x([0-9a-f]{8}) pt(\d+) rx=(\d+) span=(\d+) missing=(\d+) dup=(\d+) late=(\d+)"
)
CAPTURES = [
    "01_clean",
    "02_loss2",
    "03_jitter30",
    "04_oneway_callee_silent",
    "05_hold_reinvite",
    "11_invite_407_ok",
    "16_dtmf",
    "20_net_clean",
    "21_net_loss3",
]
RESTARTED = "05_hold_reinvite"
"""The sender began anew with the same numbers after the hold; the manifest shows them as duplicates."""


class Key(NamedTuple):
    src: str
    dst: str
    ssrc: int


class Truth(NamedTuple):
    received: int
    lost: int
    duplicates: int
    reordered: int


def truth_of(captures: Path, name: str) -> dict[Key, Truth]:
    for line in (captures / "lab" / "MANIFEST.tsv").read_text().splitlines():
        if line.startswith(f"{name}.pcap\t"):
            found = {}
            for src, dst, ssrc, _, rx, _, missing, dup, late in OBSERVED.findall(line):
                truth = Truth(int(rx), int(missing), int(dup), int(late))
                if name == RESTARTED:
                    truth = truth._replace(duplicates=0, reordered=0)
                found[Key(src, dst, int(ssrc, 16))] = truth
            return found
    raise LookupError(name)


def totals_of(path: Path) -> dict[Key, np.void]:
    errors: Counter[str] = Counter()
    with path.open("rb") as file:
        packets = list(read_packets(file, path, errors))
    memory, frames = frames_of([p.data for p in packets], [p.captured_ns for p in packets])
    frames["link_type"] = [p.link_type for p in packets]
    table = StreamTable(StreamSettings(), seed=7)
    take_all(table, memory, frames)
    table.finish()
    return {
        Key(
            f"{format_ip(m['src_ip'].tobytes())}:{m['src_port']}",
            f"{format_ip(m['dst_ip'].tobytes())}:{m['dst_port']}",
            int(m["ssrc"]),
        ): m
        for ended in table.take_ended()
        for m in ended
    }


@pytest.mark.parametrize("name", CAPTURES)
def test_counts_equal_the_truth(captures: Path, name: str) -> None:
    totals = totals_of(captures / "lab" / f"{name}.pcap")
    counted = {
        key: Truth(
            int(m["unique"]) + int(m["duplicates"]), int(m["lost"]), int(m["duplicates"]), int(m["reordered"])
        )
        for key, m in totals.items()
    }
    assert truth_of(captures, name) == counted


@pytest.mark.parametrize("name", ["02_loss2", "03_jitter30", "21_net_loss3.ca", "21_net_loss3.cb"])
def test_loss_equals_what_the_impairer_dropped(captures: Path, name: str) -> None:
    totals = totals_of(captures / "lab" / f"{name.split('.')[0]}.pcap")
    summary = json.loads((captures / "lab" / f"{name}.summary.json").read_text())
    for stream, did in summary["streams"].items():
        addresses, _, ssrc = stream.partition("|")
        if ssrc != "rtcp":
            src, _, dst = addresses.partition(">")
            assert did["dropped"] == totals[Key(src, dst, int(ssrc, 16))]["lost"]


def rtp_of(path: Path) -> Iterator[tuple[Key, dpkt.rtp.RTP, int]]:
    errors: Counter[str] = Counter()
    with path.open("rb") as file:
        for packet in read_packets(file, path, errors):
            frame = dpkt.sll.SLL(packet.data) if packet.link_type == 113 else dpkt.ethernet.Ethernet(packet.data)
            ip = frame.data
            if isinstance(ip, dpkt.ip.IP) and isinstance(ip.data, dpkt.udp.UDP) and len(ip.data.data) >= 12:
                payload = ip.data.data
                if payload[0] >> 6 == 2 and not 192 <= payload[1] <= 223:
                    src, dst = (
                        format_ip(bytes(10) + b"\xff\xff" + ip.src),
                        format_ip(bytes(10) + b"\xff\xff" + ip.dst),
                    )
                    rtp = dpkt.rtp.RTP(payload)
                    yield (
                        Key(f"{src}:{ip.data.sport}", f"{dst}:{ip.data.dport}", rtp.ssrc),
                        rtp,
                        packet.captured_ns,
                    )


@pytest.mark.parametrize("name", [n for n in CAPTURES if n not in (RESTARTED, "16_dtmf")])
def test_jitter_equals_an_independent_computation(captures: Path, name: str) -> None:
    path = captures / "lab" / f"{name}.pcap"
    estimators: dict[Key, JitterEstimator] = {}
    running: dict[Key, list[float]] = {}
    for key, rtp, at_ns in rtp_of(path):
        if key in estimators:
            estimators[key].add(rtp.ts, at_ns)
            running[key].append(estimators[key].ms)
        else:
            estimators[key] = JitterEstimator(8000)
            estimators[key].add(rtp.ts, at_ns)
            running[key] = []
    for key, measured in totals_of(path).items():
        mean_ms = measured["jitter_sum_us"] / measured["jitter_count"] / 1000
        assert mean_ms == pytest.approx(sum(running[key]) / len(running[key]), rel=0.01)
        assert measured["jitter_max_us"] / 1000 == pytest.approx(max(running[key]), rel=0.01)


def test_hold_is_no_jitter(captures: Path) -> None:
    for measured in totals_of(captures / "lab" / f"{RESTARTED}.pcap").values():
        assert (1, 0) == (measured["restarts"], measured["lost"])
        assert measured["jitter_max_us"] < 10_000  # a plain computation says 733 ms


def test_events_are_told_from_voice(captures: Path) -> None:
    totals = totals_of(captures / "lab" / "16_dtmf.pcap")
    assert [0, 0, 0, 0, 32, 32] == sorted(int(m["dtmf"]) for m in totals.values())
