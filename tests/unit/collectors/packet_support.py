"""Builds captured frames, byte by byte."""

import ipaddress
import struct

MAC = bytes(12)


def mapped(ip: str) -> bytes:
    packed = ipaddress.ip_address(ip).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def udp(payload: bytes, src_port: int = 5060, dst_port: int = 5062, length: int | None = None) -> bytes:
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload) if length is None else length, 0) + payload


def tcp(payload: bytes, sequence: int, flags: int = 0x18, src_port: int = 5060, dst_port: int = 5062) -> bytes:
    return (
        struct.pack("!HHIIBBHHH", src_port, dst_port, sequence, 0, 6 << 4, flags, 1000, 0, 0) + bytes(4) + payload
    )


def ipv4(
    data: bytes,
    proto: int = 17,
    *,
    src: str = "192.0.2.1",
    dst: str = "192.0.2.2",
    fragment: int = 0,
    identification: int = 1,
    options: bytes = b"",
) -> bytes:
    header_words = 5 + len(options) // 4
    total = header_words * 4 + len(data)
    return (
        struct.pack("!BBHHHBBH", 0x40 | header_words, 0, total, identification, fragment, 64, proto, 0)
        + ipaddress.ip_address(src).packed
        + ipaddress.ip_address(dst).packed
        + options
        + data
    )


def ipv6(data: bytes, following: int = 17, *, src: str = "2001:db8::1", dst: str = "2001:db8::2") -> bytes:
    return (
        struct.pack("!IHBB", 6 << 28, len(data), following, 64)
        + ipaddress.ip_address(src).packed
        + ipaddress.ip_address(dst).packed
        + data
    )


def ethernet(packet: bytes, *tags: int) -> bytes:
    ether_type = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return MAC + b"".join(struct.pack("!HH", tag, 100) for tag in tags) + ether_type + packet


def pcap(
    *frames: bytes,
    link_type: int = 1,
    order: str = "<",
    nanoseconds: bool = False,
    at: int = 1_700_000_000,
    original: int = 0,
) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    records = b"".join(
        struct.pack(order + "IIII", at, number, len(frame), original or len(frame)) + frame
        for number, frame in enumerate(frames)
    )
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262_144, link_type) + records


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, options: bytes = b"", order: str = "<", snap: int = 0) -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snap) + options, order)


def enhanced(frame: bytes, ticks: int, number: int = 0, order: str = "<") -> bytes:
    fixed = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFF_FFFF, len(frame), len(frame))
    return block(6, fixed + frame, order)
