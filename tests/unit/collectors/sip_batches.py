"""What the SIP tests share: batches made of messages, a ladder to write calls with, and readers of captures."""

import re
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import dpkt
import numpy as np

from collectors.facts import DATAGRAM, DatagramBatch, Payload
from telephony.model import Endpoint

START_NS = 1_800_000_000_000_000_000

CALLER = Endpoint("10.0.0.1", 5060)
PROXY = Endpoint("10.0.0.2", 5060)
CALLEE = Endpoint("10.0.0.3", 5060)
OTHER = Endpoint("10.0.0.4", 5060)

PHRASES = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 407: "Proxy Authentication Required"}


class Datagram(NamedTuple):
    at_ns: int
    src: Endpoint
    dst: Endpoint
    payload: bytes
    node_id: int = 1
    node_name: str = ""
    auth_key: str = ""
    flags: int = 0


def batch_of(datagrams: Iterable[Datagram]) -> DatagramBatch:
    datagrams = list(datagrams)
    rows = np.zeros(len(datagrams), DATAGRAM)
    buffer = bytearray()
    for row, d in zip(rows, datagrams, strict=True):
        row["captured_ns"], row["node_id"], row["flags"] = d.at_ns, d.node_id, d.flags
        row["payload_type"] = Payload.SIP
        for side, endpoint in (("src", d.src), ("dst", d.dst)):
            packed = ip_address(endpoint.ip).packed
            mapped = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
            row[f"{side}_ip"] = np.frombuffer(mapped, np.uint8)
            row[f"{side}_port"] = endpoint.port
        for field, value in (
            ("payload", d.payload),
            ("node_name", d.node_name.encode()),
            ("auth_key", d.auth_key.encode()),
        ):
            row[f"{field}_at"], row[f"{field}_len"] = len(buffer), len(value)
            buffer += value
    return DatagramBatch(rows, np.frombuffer(bytes(buffer) or b"\0", np.uint8))


def sdp(ip: str = "10.0.0.1", port: int = 40000, direction: str = "sendrecv", codec: str = "8") -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {codec}\r\na=ptime:20\r\na={direction}\r\n"
    )


def message(
    start: str,
    *,
    cseq: str,
    call_id: str = "call-1",
    from_tag: str = "a",
    to_tag: str = "",
    branches: Iterable[str] = ("z9hG4bK-1",),
    headers: Iterable[str] = (),
    body: str = "",
    to: str = "<sip:bob@example.net>",
) -> bytes:
    lines = [
        start,
        *(f"Via: SIP/2.0/UDP 10.0.0.9:5060;branch={branch}" for branch in branches),
        f'From: "Alice" <sip:alice@example.com>;tag={from_tag}',
        f"To: {to}" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
        *headers,
    ]
    if body and not any(h.lower().startswith("content-type") for h in lines):
        lines.append("Content-Type: application/sdp")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


class Ladder:
    """Writes the messages of calls, in the order in which the collector gets them."""

    def __init__(self, call_id: str = "call-1", from_tag: str = "a", to_tag: str = "b") -> None:
        self.call_id = call_id
        self.from_tag = from_tag
        self.to_tag = to_tag
        self.datagrams: list[Datagram] = []

    def _add(self, at_s: float, src: Endpoint, dst: Endpoint, payload: bytes, node_id: int) -> None:
        self.datagrams.append(
            Datagram(START_NS + round(at_s * 1e9), src, dst, payload, node_id, f"n{node_id}", "k")
        )

    def request(
        self,
        at_s: float,
        method: str,
        src: Endpoint = CALLER,
        dst: Endpoint = CALLEE,
        *,
        cseq: int = 1,
        vias: int = 1,
        in_dialog: bool = False,
        from_callee: bool = False,
        headers: Iterable[str] = (),
        body: str = "",
        branch: str = "",
        node_id: int = 1,
        to: str = "<sip:bob@example.net>",
    ) -> "Ladder":
        own, other = (self.to_tag, self.from_tag) if from_callee else (self.from_tag, self.to_tag)
        branch = branch or f"z9hG4bK-{method}-{cseq}-{own}"
        payload = message(
            f"{method} sip:bob@example.net SIP/2.0",
            cseq=f"{cseq} {method}",
            call_id=self.call_id,
            from_tag=own,
            to_tag=other if in_dialog else "",
            branches=[f"{branch}-{hop}" for hop in reversed(range(vias))],
            headers=headers,
            body=body,
            to=to,
        )
        self._add(at_s, src, dst, payload, node_id)
        return self

    def response(
        self,
        at_s: float,
        status: int,
        src: Endpoint = CALLEE,
        dst: Endpoint = CALLER,
        *,
        method: str = "INVITE",
        cseq: int = 1,
        vias: int = 1,
        from_callee: bool = False,
        to_tag: str | None = None,
        headers: Iterable[str] = (),
        body: str = "",
        branch: str = "",
        node_id: int = 1,
        to: str = "<sip:bob@example.net>",
    ) -> "Ladder":
        own, other = (self.to_tag, self.from_tag) if from_callee else (self.from_tag, self.to_tag)
        branch = branch or f"z9hG4bK-{method}-{cseq}-{own}"
        payload = message(
            f"SIP/2.0 {status} {PHRASES.get(status, 'Whatever')}",
            cseq=f"{cseq} {method}",
            call_id=self.call_id,
            from_tag=own,
            to_tag=(other if to_tag is None else to_tag) if status > 100 else "",
            branches=[f"{branch}-{hop}" for hop in reversed(range(vias))],
            headers=headers,
            body=body,
            to=to,
        )
        self._add(at_s, src, dst, payload, node_id)
        return self


def hep_sip(path: Path) -> Iterator[Datagram]:
    """Yield the SIP of a file of HEP3 datagrams, each behind its length; independent of the product's reader."""
    data, at = path.read_bytes(), 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        frame = data[at + 4 : at + 4 + size]
        at += 4 + size
        chunks, inside = {}, 6
        while inside + 6 <= len(frame):
            _, kind, length = struct.unpack_from(">HHH", frame, inside)
            chunks[kind] = frame[inside + 6 : inside + length]
            inside += length
        if chunks[0x0B][0] != Payload.SIP:
            continue
        numbers = {kind: int.from_bytes(chunks[kind], "big") for kind in (7, 8, 9, 10, 12)}
        yield Datagram(
            numbers[9] * 10**9 + numbers[10] * 1000,
            Endpoint(str(ip_address(chunks[3])), numbers[7]),
            Endpoint(str(ip_address(chunks[4])), numbers[8]),
            chunks[15],
            numbers[12],
            auth_key=chunks.get(14, b"").decode(),
        )


def pcap_sip(path: Path) -> Iterator[Datagram]:
    """Yield the UDP payloads of an Ethernet pcap that start like SIP, fragments put together."""
    fragments: dict[tuple[bytes, bytes, int], list[dpkt.ip.IP]] = {}
    with path.open("rb") as file:
        for time, frame in dpkt.pcap.UniversalReader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if not isinstance(packet, dpkt.ip.IP) or packet.p != dpkt.ip.IP_PROTO_UDP:
                continue
            udp = packet.data
            if packet.mf or packet.offset:
                parts = fragments.setdefault((packet.src, packet.dst, packet.id), [])
                parts.append(packet)
                if packet.mf:
                    continue
                whole = b"".join(bytes(p.data) for p in sorted(parts, key=lambda p: p.offset))
                udp = dpkt.udp.UDP(whole)
            if not isinstance(udp, dpkt.udp.UDP):
                continue
            payload = bytes(udp.data)
            if re.match(rb"SIP/2\.0 |[A-Z]+ sips?:", payload):
                src = Endpoint(str(ip_address(packet.src)), udp.sport)
                dst = Endpoint(str(ip_address(packet.dst)), udp.dport)
                yield Datagram(round(time * 1e6) * 1000, src, dst, payload)
