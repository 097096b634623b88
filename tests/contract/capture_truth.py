"""What is in a capture, read by a second way: SIP messages of pcap files and of files of HEP datagrams.

It knows nothing of the product; dpkt reads the pcaps, HEP3 is walked chunk by chunk.
"""

import re
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import dpkt


class Seen(NamedTuple):
    """A SIP message on a hop."""

    at_s: float
    src: str
    dst: str
    method: str
    """Of a request, or of the CSeq of a response."""
    status: int
    call_id: str


class Timings(NamedTuple):
    """Of the first call, as its caller saw it."""

    pdd_ms: float
    """First INVITE to the first 18x or final status that is no challenge."""
    duration_s: float | None
    """200 to BYE."""


def sip_of(path: Path) -> list[Seen]:
    """Return the SIP messages of a capture, in order of time."""
    payloads = _hep_payloads(path) if path.suffix == ".hepbin" else _pcap_payloads(path)
    return sorted(message for payload in payloads if (message := _message(*payload)) is not None)


def timings_of(path: Path) -> Timings:
    """Return the timings of the first call in a capture."""
    messages = sip_of(path)
    invite = next(m for m in messages if m.method == "INVITE" and not m.status)
    mine = [m for m in messages if m.call_id == invite.call_id]
    to_caller = [m for m in mine if m.method == "INVITE" and m.status and m.dst == invite.src]
    rung = next(m for m in to_caller if m.status >= 180 and m.status not in (401, 407))
    answered = next((m for m in to_caller if m.status == 200), None)
    byes = [m.at_s for m in mine if m.method == "BYE" and not m.status and invite.src in (m.src, m.dst)]
    return Timings(
        (rung.at_s - invite.at_s) * 1e3, min(byes) - answered.at_s if answered is not None and byes else None
    )


def dropped(manifest_row: dict[str, str]) -> dict[int, tuple[int, int]]:
    """Return, by SSRC, the packets that the impairer was offered and dropped."""
    found = re.findall(r"\|0x([0-9a-f]{8}) offered=(\d+) dropped=(\d+)", manifest_row["truth"])
    return {int(ssrc, 16): (int(offered), int(lost)) for ssrc, offered, lost in found}


def manifest(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the lab's manifest by the name of the capture."""
    names = ("pcap", "bytes", "frames", "sip", "rtcp", "description", "truth", "observed")
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:])
    return {row[0]: dict(zip(names, [*row, ""] * 2, strict=False)) for row in rows}


def _message(at_s: float, src: str, dst: str, payload: bytes) -> Seen | None:
    start = re.match(rb"(?:SIP/2\.0 (\d{3})|([A-Z]+) sips?:)", payload)
    call_id = re.search(rb"^(?:Call-ID|i):\s*(\S+)", payload, re.MULTILINE | re.IGNORECASE)
    cseq = re.search(rb"^CSeq:\s*\d+\s+([A-Z]+)", payload, re.MULTILINE | re.IGNORECASE)
    if start is None or call_id is None or cseq is None:
        return None
    status = int(start[1]) if start[1] else 0
    return Seen(at_s, src, dst, cseq[1].decode(), status, call_id[1].decode())


def _hep_payloads(path: Path) -> Iterator[tuple[float, str, str, bytes]]:
    data, at = path.read_bytes(), 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        frame, chunks, inside = data[at + 4 : at + 4 + size], dict[int, bytes](), 6
        at += 4 + size
        while inside + 6 <= len(frame):
            _, kind, length = struct.unpack_from(">HHH", frame, inside)
            chunks[kind] = frame[inside + 6 : inside + length]
            inside += length
        src, dst = (f"{ip_address(chunks[ip])}:{int.from_bytes(chunks[p], 'big')}" for ip, p in ((3, 7), (4, 8)))
        seconds, micros = (int.from_bytes(chunks[kind], "big") for kind in (9, 10))
        yield seconds + micros / 1e6, src, dst, chunks[15]


def _pcap_payloads(path: Path) -> Iterator[tuple[float, str, str, bytes]]:
    fragments: dict[tuple[bytes, bytes, int], list[dpkt.ip.IP]] = {}
    with path.open("rb") as file:
        for at_s, frame in dpkt.pcap.UniversalReader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if not isinstance(packet, dpkt.ip.IP) or packet.p != dpkt.ip.IP_PROTO_UDP:
                continue
            udp = packet.data
            if packet.mf or packet.offset:
                parts = fragments.setdefault((packet.src, packet.dst, packet.id), [])
                parts.append(packet)
                if packet.mf:
                    continue
                whole = b"".join(bytes(part.data) for part in sorted(parts, key=lambda part: part.offset))
                udp = dpkt.udp.UDP(whole)
            if isinstance(udp, dpkt.udp.UDP):
                src, dst = (f"{ip_address(ip)}:{port}" for ip, port in
                            ((packet.src, udp.sport), (packet.dst, udp.dport)))  # fmt: skip
                yield at_s, src, dst, bytes(udp.data)
