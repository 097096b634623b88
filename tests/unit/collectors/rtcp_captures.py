"""Readers of the captures for the RTCP tests: independent of the product's own."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt

from telephony.model import Endpoint


class Captured(NamedTuple):
    at_ns: int
    src: Endpoint
    dst: Endpoint
    call_id: str
    payload: bytes


def hep_rtcp(path: Path) -> Iterator[Captured]:
    """Yield the RTCP JSON of a file of HEP3 datagrams, each behind its length."""
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
        if chunks[0x0B][0] != 5:
            continue
        seconds, micros = (int.from_bytes(chunks[kind], "big") for kind in (9, 10))
        src, dst = (
            Endpoint(".".join(map(str, chunks[ip])), int.from_bytes(chunks[port], "big"))
            for ip, port in ((3, 7), (4, 8))
        )
        yield Captured(seconds * 10**9 + micros * 1000, src, dst, chunks[0x11].decode(), chunks[0x0F])


def pcap_rtcp(path: Path) -> Iterator[Captured]:
    """Yield the RTCP datagrams of a pcap (RFC 5761 section 4: second byte 192 to 223)."""
    with path.open("rb") as file:
        reader = dpkt.pcap.Reader(file)
        for time, frame in reader:
            if reader.datalink() == dpkt.pcap.DLT_EN10MB:
                packet = dpkt.ethernet.Ethernet(frame).data
            else:
                packet = dpkt.sll.SLL(frame).data
            if not isinstance(packet, dpkt.ip.IP) or not isinstance(packet.data, dpkt.udp.UDP):
                continue
            udp = packet.data
            payload = bytes(udp.data)
            if len(payload) < 8 or payload[0] >> 6 != 2 or not 192 <= payload[1] <= 223:
                continue
            src = Endpoint(".".join(map(str, packet.src)), udp.sport)
            dst = Endpoint(".".join(map(str, packet.dst)), udp.dport)
            yield Captured(round(time * 1e9), src, dst, "", payload)
