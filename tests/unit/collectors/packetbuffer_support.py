"""A packet buffer that took known frames, and calls cut out of it."""

import struct
from collections import Counter
from pathlib import Path

import numpy as np
from packet_support import mapped

from collectors.capture.packetbuffer import PacketBuffer, segments
from collectors.capture.packetslice import SliceRequest, save_call
from collectors.capture.pcapfile import Packet, read_packets
from collectors.facts import DATAGRAM, DatagramBatch, Payload
from collectors.kernels.frames import FRAME
from collectors.settings import PacketBufferSettings

T0 = 1_795_428_000_000_000_000
MS = 10**6
SDP = (
    "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
)
SPEECH = b"\x5a" * 160


def invite(call_id: str, body: str = SDP) -> bytes:
    return (
        f"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
        f"To: <sip:b@x>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def rtp(seq: int, *, csrcs: int = 0, extension: bytes = b"") -> bytes:
    first = 0x80 | csrcs | (0x10 if extension else 0)
    head = struct.pack("!BBHII", first, 8, seq, seq * 160, 77) + bytes(4 * csrcs)
    return head + (struct.pack("!HH", 1, len(extension) // 4) + extension if extension else b"") + SPEECH


def settings(**changes) -> PacketBufferSettings:
    return PacketBufferSettings(**({"bytes": 16 << 20} | changes))


def frames_of(frames: list[bytes], link_type: int = 1, start_ns: int = T0):
    memory = np.frombuffer(b"".join(frames) + bytes(64), np.uint8)
    described = np.zeros(len(frames), FRAME)
    at = 0
    for n, frame in enumerate(frames):
        described[n] = (at, start_ns + n * MS, len(frame), len(frame), link_type, n)
        at += len(frame)
    return memory, described


def datagrams_of(*messages: tuple[Payload, bytes, tuple[str, int], tuple[str, int]]) -> DatagramBatch:
    rows, data = np.zeros(len(messages), DATAGRAM), b""
    for n, (kind, payload, src, dst) in enumerate(messages):
        rows[n]["captured_ns"] = T0 + n * MS
        rows[n]["src_ip"], rows[n]["dst_ip"] = (np.frombuffer(mapped(e[0]), np.uint8) for e in (src, dst))
        rows[n]["src_port"], rows[n]["dst_port"] = src[1], dst[1]
        rows[n]["payload_type"], rows[n]["payload_at"], rows[n]["payload_len"] = kind, len(data), len(payload)
        data += payload
    return DatagramBatch(rows, np.frombuffer(data + b"\0", np.uint8))


def packets_in(path: Path) -> list[Packet]:
    errors: Counter[str] = Counter()
    with path.open("rb") as file:
        packets = list(read_packets(file, path, errors))
    assert not errors
    return packets


def kept(directory: Path) -> list[Packet]:
    return [packet for segment in segments(directory) for packet in packets_in(segment.path)]


def keep(directory: Path, *takes, **changes):
    """Return the figures of a buffer that took what it was given and was closed."""
    buffer = PacketBuffer(directory, settings(**changes))
    for take in takes:
        if isinstance(take, DatagramBatch):
            buffer.take_datagrams(take)
        else:
            buffer.take_frames(*take)
    buffer.close()
    return buffer.stats()


def save(directory: Path, tmp_path: Path, call_id: str = "one", **changes):
    request = {"call_id": call_id, "since_ns": T0 - 10**9, "until_ns": T0 + 10**10} | changes
    return save_call(directory, SliceRequest(**request), tmp_path / "out.pcapng")


FAR = ("10.0.0.2", 5060)
NEAR = ("10.0.0.1", 5060)
