"""The packets of one call out of the rolling buffer, as a pcapng file that Wireshark opens.

SIP is found by its Call-ID, media by the addresses of the call's legs (those that its SDP names and those that
its streams had) within the time of the call, which is what tells it from the next call on the same port. RTCP that
came as JSON from a relay becomes the binary reports that it tells of.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.capture.base import CaptureError
from collectors.capture.packetbuffer import SegmentFile, file_header, segments
from collectors.capture.pcapmap import read_blocks
from collectors.facts import DATAGRAM, Payload, ReceptionReport, SenderInfo
from collectors.kernels.memory import U
from collectors.kernels.packets import (
    BLOCK_OVERHEAD,
    LINK_TYPES,
    SYNTHETIC_HEADERS,
    address_key,
    encode_datagrams,
    find_frames,
    packet_room,
)
from collectors.kernels.sip_layout import Content as Body
from collectors.wire.classify import Content, classify, is_sip
from collectors.wire.packet import TCP, UDP, PacketDecoder, Segment
from collectors.wire.rtcp import build_receiver_report, build_sender_report
from collectors.wire.rtcp_json import parse_rtcp_json
from collectors.wire.sdp import find_sdp, parse_sdp
from collectors.wire.sip import SipMessage, parse_message
from telephony.model import Endpoint

_COLUMNS = ("offset", "captured", "captured_ns", "wire", "link_type")
MAX_PACKETS = 2_000_000
"""Of a slice; five hours of a call of two streams."""
_UNSPECIFIED = ("", "0.0.0.0", "::")
_COPY_NS = 250_000_000
"""The same message at the same hop within this is another agent's sight of it (RFC 3261's T1 is 500 ms)."""
_RAW = 101
_Address = tuple[bytes, int]
"""16 bytes of address, and a port."""


@dataclass(frozen=True, slots=True)
class SliceRequest:
    """Which packets are wanted."""

    call_id: str
    since_ns: int
    until_ns: int
    endpoints: tuple[Endpoint, ...] = ()
    """Addresses of its media beside those in its SDP."""


@dataclass(frozen=True, slots=True)
class SavedSlice:
    """What was saved."""

    path: Path
    packets: int
    sip: int
    rtp: int
    rtcp: int
    other: int
    first_ns: int
    last_ns: int
    kept_since_ns: int
    """From when on the buffer has packets: earlier ones of the call are gone."""
    complete: bool
    """The buffer reaches back to the begin of the call, and the slice was not cut for its length."""


class PacketsGone(Exception):
    """The buffer holds nothing of the call: the message says why, and from when on it has packets."""

    def __init__(self, message: str, kept_since_ns: int) -> None:
        super().__init__(message)
        self.kept_since_ns = kept_since_ns


class _Found(NamedTuple):
    """A packet that may belong to the call."""

    captured_ns: int
    link_type: int
    wire: int
    data: bytes
    transport: Segment
    content: Content


def save_call(directory: Path, wanted: SliceRequest, target: Path) -> SavedSlice:
    """Write the packets of a call to `target`.

    Raises:
        PacketsGone: There is none, or none any more.
        CaptureError: The buffer or the target cannot be used.
    """
    kept = segments(directory)
    if not kept:
        raise PacketsGone("the packet buffer is empty", 0)
    kept_since_ns = kept[0].first_ns
    files = _covering(kept, wanted)
    sip = list(_own_sip(_search(files, wanted, (), wanted.call_id.encode()), wanted.call_id))
    addresses = {a for endpoint in (*wanted.endpoints, *_media_of(sip)) for a in _addresses(endpoint)}
    media = _own_media(_search(files, wanted, sorted(address_key(*a) for a in addresses), b""), addresses)
    packets = _once(sorted([*sip, *media], key=lambda found: found.captured_ns))
    whole = len(packets) <= MAX_PACKETS
    packets = packets[:MAX_PACKETS]
    if not packets:
        if kept_since_ns > wanted.until_ns:
            raise PacketsGone("the packet buffer has rolled over since the call", kept_since_ns)
        raise PacketsGone("the packet buffer has no packet of the call", kept_since_ns)
    kinds = _write(target, packets)
    return SavedSlice(
        target,
        len(packets),
        kinds[Content.SIP],
        kinds[Content.RTP],
        kinds[Content.RTCP],
        kinds[Content.OTHER],
        packets[0].captured_ns,
        packets[-1].captured_ns,
        kept_since_ns,
        whole and kept_since_ns <= wanted.since_ns,
    )


def _covering(kept: list[SegmentFile], wanted: SliceRequest) -> list[Path]:
    """Return the files that may hold packets of the time: a file lasts until the next one begins."""
    ends = [later.first_ns for later in kept[1:]] + [wanted.since_ns + 1]
    margin_ns = 120_000_000_000  # agents come interleaved, each with its own delay and clock
    return [
        segment.path
        for segment, end_ns in zip(kept, ends, strict=True)
        if segment.first_ns - margin_ns <= wanted.until_ns and end_ns + margin_ns > wanted.since_ns
    ]


def _search(files: Iterable[Path], wanted: SliceRequest, keys: Sequence[int], text: bytes) -> Iterator[_Found]:
    """Yield what has one of the addresses or holds the text; of TCP and of fragments also what may go with it."""
    errors: Counter[str] = Counter()
    decoder = PacketDecoder(errors)
    addresses, needle, room = np.array(keys, np.uint64), np.frombuffer(text + b"\0", np.uint8), packet_room()
    for path in files:
        try:
            for memory, frames in read_blocks(path, errors):
                times = frames["captured_ns"]
                inside = np.ascontiguousarray(frames[(times >= wanted.since_ns) & (times <= wanted.until_ns)])
                flags = np.zeros(len(inside) + 1, np.uint8)
                find_frames(
                    U(memory.ctypes.data),
                    U(inside.ctypes.data),
                    U(len(inside)),
                    U(room.ctypes.data),
                    U(addresses.ctypes.data),
                    U(len(addresses)),
                    U(needle.ctypes.data),
                    U(len(text)),
                    U(flags.ctypes.data),
                )
                yield from _decoded(memory, inside[np.flatnonzero(flags[:-1])], decoder)
        except CaptureError:
            continue  # dropped while we read: the buffer rolls on


def _decoded(
    memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], decoder: PacketDecoder
) -> Iterator[_Found]:
    for offset, captured, at_ns, wire, link_type in zip(
        *(frames[name].tolist() for name in _COLUMNS), strict=True
    ):
        data = memory[offset : offset + captured].tobytes()
        segment = decoder.decode(link_type, data, at_ns)
        if segment is None:
            continue
        content = classify(segment.payload)
        if len(segment.payload) > len(data):  # joined of fragments: written as the one packet that it was
            data, link_type = _packet_of(segment, segment.payload), _RAW
            wire = len(data)
        yield _Found(at_ns, link_type, wire, data, segment, content)


def _own_sip(found: Iterable[_Found], call_id: str) -> Iterator[_Found]:
    """Yield the messages of the call; of TCP the segments that a message begins in and goes on in."""
    flows: dict[tuple[bytes, bytes, int, int], bool] = {}
    for packet in found:
        segment = packet.transport
        if segment.ip_proto == TCP:
            flow = segment.src_ip, segment.dst_ip, segment.src_port, segment.dst_port
            begins = is_sip(segment.payload)
            if begins or call_id.encode() in segment.payload:
                flows[flow] = call_id.encode() in segment.payload
            if segment.payload and flows.get(flow, False):
                yield packet._replace(content=Content.SIP)
        elif packet.content is Content.SIP:
            message = parse_message(segment.payload)
            if isinstance(message, SipMessage) and message.call_id == call_id:
                yield packet


def _media_of(sip: Iterable[_Found]) -> Iterator[Endpoint]:
    """Yield where the SDP of the messages wants media, and RTCP of its own address."""
    for packet in sip:
        message = parse_message(packet.transport.payload)
        if not isinstance(message, SipMessage) or not message.body:
            continue
        body = find_sdp(message.content_type, message.body) if message.content is Body.MULTIPART else message.body
        for line in parse_sdp(body or b"").media:
            if not line.rejected:
                yield from (line.endpoint, line.rtcp)


def _addresses(endpoint: Endpoint) -> Iterator[_Address]:
    """Yield what a media address is searched by, and its RTCP beside it (RFC 3550 section 11)."""
    if endpoint.ip in _UNSPECIFIED or not endpoint.port:
        return
    try:
        address = ip_address(endpoint.ip)
    except ValueError:
        return  # SDP may give a name
    packed = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
    for port in (endpoint.port, min(endpoint.port + 1, 0xFFFF)):
        yield packed, port


def _own_media(found: Iterable[_Found], addresses: Set[_Address]) -> Iterator[_Found]:
    """Yield what one of the addresses sent or got over UDP, but for SIP."""
    for packet in found:
        segment = packet.transport
        ends = {(segment.src_ip, segment.src_port), (segment.dst_ip, segment.dst_port)}
        if segment.ip_proto == UDP and packet.content is not Content.SIP and ends & addresses:
            yield _as_rtcp(packet)


def _as_rtcp(found: _Found) -> _Found:
    """Return the packet; a report in JSON as the binary one that it tells of (RFC 3550 section 6.4)."""
    if not found.transport.payload.startswith(b"{"):
        return found
    facts = parse_rtcp_json(found.transport.payload).facts
    reports = [fact for fact in facts if isinstance(fact, ReceptionReport)]
    sender = next((fact for fact in facts if isinstance(fact, SenderInfo)), None)
    if sender is not None:
        payload = build_sender_report(sender, reports)
    elif reports:
        payload = build_receiver_report(reports[0].reporter_ssrc, reports)
    else:
        return found
    data = _packet_of(found.transport, payload)
    return found._replace(link_type=_RAW, wire=len(data), data=data, content=Content.RTCP)


def _packet_of(segment: Segment, payload: bytes) -> bytes:
    """Return the IP packet of a UDP payload between the addresses of a segment."""
    row, kept = np.zeros(1, DATAGRAM), np.zeros(1, np.uint64)
    row["src_ip"], row["dst_ip"] = (np.frombuffer(ip, np.uint8) for ip in (segment.src_ip, segment.dst_ip))
    row["src_port"], row["dst_port"] = segment.src_port, segment.dst_port
    row["payload_type"], row["payload_len"] = Payload.SIP, len(payload)
    out = np.zeros(BLOCK_OVERHEAD + SYNTHETIC_HEADERS + len(payload), np.uint8)
    source = np.frombuffer(payload + b"\0", np.uint8)
    encode_datagrams(U(source.ctypes.data), U(row.ctypes.data), U(1), U(out.ctypes.data), U(kept.ctypes.data))
    (size,) = struct.unpack("<I", out[20:24].tobytes())
    return out[28 : 28 + size].tobytes()


def _once(packets: Iterable[_Found]) -> list[_Found]:
    """Leave out what several capture agents, or an agent and our own capture, saw of one message at one hop."""
    seen: dict[tuple[bytes, bytes, int, int, bytes], int] = {}
    kept = []
    for packet in packets:
        segment = packet.transport
        if packet.content is Content.SIP and segment.ip_proto != TCP:
            key = segment.src_ip, segment.dst_ip, segment.src_port, segment.dst_port, segment.payload
            before_ns = seen.get(key, -_COPY_NS)
            seen[key] = packet.captured_ns
            if packet.captured_ns - before_ns < _COPY_NS:
                continue
        kept.append(packet)
    return kept


def _write(target: Path, packets: Iterable[_Found]) -> Counter[Content]:
    kinds: Counter[Content] = Counter()
    try:
        with target.open("wb") as file:
            file.write(file_header())
            for packet in packets:
                kinds[packet.content] += 1
                interface = LINK_TYPES.index(packet.link_type if packet.link_type in LINK_TYPES else _RAW)
                size = 32 + -(-len(packet.data) // 4) * 4
                high, low = packet.captured_ns >> 32, packet.captured_ns & 0xFFFFFFFF
                file.write(
                    struct.pack("<IIIIIII", 6, size, interface, high, low, len(packet.data), packet.wire)
                    + packet.data
                    + bytes(-len(packet.data) % 4)
                    + struct.pack("<I", size)
                )
    except OSError as error:
        raise CaptureError(f"{target}: cannot be written: {error.strerror}") from error
    return kinds
