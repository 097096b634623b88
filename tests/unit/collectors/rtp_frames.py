"""Frames made for tests of the stream kernel."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rtp_reference import Sent

from collectors.kernels.frames import FRAME
from collectors.tracking.streams import StreamTable

START_NS = 1_700_000_000_000_000_000


def rtp(packet: Sent, ssrc: int) -> bytes:
    return struct.pack(
        "!BBHII",
        0x80,
        packet.marker << 7 | packet.payload_type,
        packet.seq & 0xFFFF,
        packet.timestamp & 0xFFFFFFFF,
        ssrc,
    ) + bytes(packet.payload_bytes)


def udp(payload: bytes, src_port: int = 4000, dst_port: int = 5000) -> bytes:
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def ipv4(
    payload: bytes, src: str = "10.0.0.1", dst: str = "10.0.0.2", *, tos: int = 184, proto: int = 17
) -> bytes:
    addresses = bytes(int(part) for part in f"{src}.{dst}".split("."))
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), 1, 0, 64, proto, 0) + addresses + payload


def ipv6(payload: bytes, *, following: int = 17, tos: int = 184) -> bytes:
    source = bytes.fromhex("20010db8000000000000000000000001")
    target = bytes.fromhex("20010db8000000000000000000000002")
    head = struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload), following, 64)
    return head + source + target + payload


def ethernet(payload: bytes, kind: int = 0x0800, tags: Sequence[int] = ()) -> bytes:
    vlan = b"".join(struct.pack("!HH", tag, 100) for tag in tags)
    return bytes(12) + vlan + struct.pack("!H", kind) + payload


def frames_of(
    frames: Sequence[bytes], times_ns: Sequence[int], link_type: int = 1
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.void]]:
    """Return memory that holds the frames, and their descriptions."""
    memory = np.frombuffer(b"".join(frames) + bytes(64), np.uint8)
    described = np.zeros(len(frames), FRAME)
    offset = 0
    for i, (frame, time_ns) in enumerate(zip(frames, times_ns, strict=True)):
        described[i] = (offset, time_ns, len(frame), len(frame), link_type, i)
        offset += len(frame)
    return memory, described


def stream_frames(
    packets: Sequence[Sent], ssrc: int = 0x1234
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.void]]:
    return frames_of(
        [ethernet(ipv4(udp(rtp(p, ssrc)), tos=p.dscp << 2)) for p in packets], [p.arrival_ns for p in packets]
    )


def take_all(table: StreamTable, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void]) -> None:
    done = 0
    while done < len(frames):
        done += table.take(memory, frames[done:]).frames
