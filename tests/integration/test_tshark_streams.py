"""`replay` beside tshark's RTP analysis, and beside RFC 3550 appendix A.8 written down once more.

tshark is not always right; each capture where the two differ is listed with the class of its error and checked
against the packets themselves, so that an exception cannot hide an error of ours.
"""

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt
import pytest

from collectors.capture.pcapfile import read_packets
from collectors.facts import format_ip
from collectors.settings import CollectorSettings
from surgecast.replay import replay_files
from telephony.model import Observer, StreamInterval

pytestmark = pytest.mark.captures

_ROW = re.compile(
    r"^\s*\d+\.\d+\s+\d+\.\d+\s+(?P<src>\S+)\s+(?P<sport>\d+)\s+(?P<dst>\S+)\s+(?P<dport>\d+)\s+0x(?P<ssrc>\S+)"
    r"\s+(?P<types>.+?)\s+(?P<packets>\d+)\s+(?P<lost>-?\d+) \(",
    re.MULTILINE,
)
_CAPTURES = [
    "lab/01_clean.pcap",
    "lab/02_loss2.pcap",
    "lab/03_jitter30.pcap",
    "lab/04_oneway_callee_silent.pcap",
    "lab/05_hold_reinvite.pcap",
    "lab/06_fail_404.pcap",
    "lab/07_fail_486.pcap",
    "lab/08_fail_503_uas.pcap",
    "lab/09_register_403.pcap",
    "lab/10_register_ok.pcap",
    "lab/11_invite_407_ok.pcap",
    "lab/12_codec_488.pcap",
    "lab/13_abandoned_cancel.pcap",
    "lab/16_dtmf.pcap",
    "lab/20_net_clean.pcap",
    "lab/21_net_loss3.pcap",
    "public/hepws_hep.pcap",
    "public/hepws_hep3_compressed.pcapng",
    "public/sipnab_SIP_CALL_RTP_G711.pcap",
    "public/sipnab_register-invite-reinvite-bye.pcap",
    "public/sipnab_sip-proxy.pcap",
    "public/ws_FAX-Call-t38-CA-TDM-SIP-FB-1.pcap",
    "public/ws_MagicJack-_short_call.pcap",
]
_RESTARTED = (
    "the sender began anew with the same numbers: tshark calls the second part duplicates, loss below zero"
)
_LEAPING = "duplicates hide losses: tshark subtracts the packets that came from the span of numbers"
_FAX = "tshark reads RTP as T.38 once SDP says T.38, though the sender goes on with RTP, and calls it lost"
_TSHARK_ERRS = {
    ("lab/05_hold_reinvite.pcap", 0x0A0A0A01): _RESTARTED,
    ("lab/05_hold_reinvite.pcap", 0x0B0B0B02): _RESTARTED,
    ("lab/16_dtmf.pcap", 0x0E05384E): _LEAPING,
    ("public/ws_FAX-Call-t38-CA-TDM-SIP-FB-1.pcap", 0x0EAF0EAF): _FAX,
}
"""By capture and SSRC: why tshark's packets or loss are not ours."""
_TIMED_BY_RFC = [name for name in _CAPTURES if name.startswith("lab/") and "05_hold" not in name]
"""A naive A.8 takes the pause of a hold for jitter, and comfort noise too."""


class Key(NamedTuple):
    src: str
    dst: str
    ssrc: int


class Told(NamedTuple):
    packets: int
    lost: int


@pytest.fixture
def tshark(require_program: Callable[[str], str]) -> Callable[[Path], dict[Key, Told]]:
    program = require_program("tshark")

    def run(path: Path) -> dict[Key, Told]:
        command = [program, "-r", str(path), "--enable-heuristic", "rtp_udp", "-q", "-z", "rtp,streams"]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return {
            Key(f"{m['src']}:{m['sport']}", f"{m['dst']}:{m['dport']}", int(m["ssrc"], 16)): Told(
                int(m["packets"]), int(m["lost"])
            )
            for m in _ROW.finditer(text)
        }

    return run


def measured(path: Path) -> dict[Key, StreamInterval]:
    return {
        Key(str(s.src), str(s.dst), s.ssrc): s
        for s in replay_files([path], CollectorSettings()).streams
        if s.observer is Observer.RTP
    }


def packets_of(path: Path) -> Iterator[tuple[Key, dpkt.rtp.RTP, int]]:
    """Yield the RTP packets of a capture, read by other code than ours."""
    errors: Counter[str] = Counter()
    with path.open("rb") as file:
        for packet in read_packets(file, path, errors):
            frame = dpkt.sll.SLL(packet.data) if packet.link_type == 113 else dpkt.ethernet.Ethernet(packet.data)
            ip = frame.data
            if not isinstance(ip, dpkt.ip.IP) or not isinstance(ip.data, dpkt.udp.UDP):
                continue
            data = ip.data.data
            if len(data) >= 12 and data[0] >> 6 == 2 and not 192 <= data[1] <= 223:
                src, dst = (format_ip(bytes(10) + b"\xff\xff" + address) for address in (ip.src, ip.dst))
                rtp = dpkt.rtp.RTP(data)
                key = Key(f"{src}:{ip.data.sport}", f"{dst}:{ip.data.dport}", rtp.ssrc)
                yield key, rtp, packet.captured_ns


@pytest.mark.parametrize("name", _CAPTURES)
def test_packets_and_loss_equal_tshark(
    captures: Path, tshark: Callable[[Path], dict[Key, Told]], name: str
) -> None:
    told, ours = tshark(captures / name), measured(captures / name)
    assert told.keys() == ours.keys()
    compared = {key: told[key] for key in told if (name, key.ssrc) not in _TSHARK_ERRS}
    assert compared == {key: Told(ours[key].received or 0, ours[key].lost or 0) for key in compared}


@pytest.mark.parametrize(("name", "ssrc"), sorted(_TSHARK_ERRS))
def test_where_tshark_errs_the_packets_tell(
    captures: Path, tshark: Callable[[Path], dict[Key, Told]], name: str, ssrc: int
) -> None:
    told, ours = tshark(captures / name), measured(captures / name)
    numbers: dict[Key, list[int]] = defaultdict(list)
    for key, rtp, _ in packets_of(captures / name):
        if key.ssrc == ssrc:
            numbers[key].append(rtp.seq)
    for key, came in numbers.items():
        # none of these streams wraps around: every number of the span that never came is lost, and no other
        missing = max(came) - min(came) + 1 - len(set(came))
        assert (len(came), missing) == (ours[key].received, ours[key].lost)
        assert Told(len(came), missing) != told[key], "tshark agrees: no exception is needed any more"


def test_every_capture_is_compared(captures: Path) -> None:
    there = {
        f"{folder}/{path.name}"
        for folder in ("lab", "public")
        for path in (captures / folder).iterdir()
        if path.suffix in (".pcap", ".pcapng")
    }
    assert there == set(_CAPTURES)


class PlainJitter:
    """RFC 3550 appendix A.8, in real numbers."""

    def __init__(self) -> None:
        self.transit: float | None = None
        self.jitter = 0.0
        self.running: list[float] = []

    def add(self, arrival_ns: int, timestamp: int) -> None:
        transit = arrival_ns / 1e9 * 8000 - timestamp
        if self.transit is not None:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
            self.running.append(self.jitter / 8)
        self.transit = transit


@pytest.mark.parametrize("name", _TIMED_BY_RFC)
def test_jitter_equals_appendix_a8(captures: Path, name: str) -> None:
    """Duplicates and events aside: these captures are all of an 8 kHz clock."""
    plain: dict[Key, PlainJitter] = defaultdict(PlainJitter)
    seen: set[tuple[Key, int]] = set()
    first_ns = 0
    for key, rtp, arrival_ns in packets_of(captures / name):
        first_ns = first_ns or arrival_ns
        if rtp.pt < 96 and (key, rtp.seq) not in seen:
            seen.add((key, rtp.seq))
            plain[key].add(arrival_ns - first_ns, rtp.ts)
    for key, stream in measured(captures / name).items():
        if key in plain:
            running = plain[key].running
            assert stream.jitter_ms == pytest.approx(sum(running) / len(running), rel=0.01)
            assert stream.jitter_max_ms == pytest.approx(max(running), rel=0.01)
