"""Packets kept on disk: captured frames and received datagrams to pcapng blocks, and the search among them.

One pass that copies; the payload of RTP stays behind unless it is asked for. Blocks are those of
draft-ietf-opsawg-pcapng section 4.3 (enhanced packet block) in the machine's byte order with times in nanoseconds.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from collectors.facts import DATAGRAM, Payload
from collectors.kernels import frames
from collectors.kernels.frames import (
    FRAME,
    HANDED,
    IS_IPV6,
    OTHER,
    PACKET,
    RTP,
    hash_address,
    positions,
    read_frame,
)
from collectors.kernels.memory import (
    OPTIONS,
    U,
    copy_bytes,
    equal_bytes,
    load_be16,
    load_be32,
    load_be64,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    store_u8,
    store_u16,
    store_u32,
    store_u64,
    u64,
)
from collectors.kernels.rtp import BLOCK_COUNT, BLOCK_FIRST, captured_at

BLOCK_OVERHEAD = 36
"""Bytes of an enhanced packet block around its data, padding included."""
SYNTHETIC_HEADERS = 48
"""IPv6 and UDP headers, the longest that are made."""
LINK_TYPES = (1, 101, 113, 276, 0)
"""LINKTYPE_* of the interfaces that every kept file describes, in order: Ethernet, raw IP, SLL, SLL2, null."""
RECEIVED = len(LINK_TYPES)
"""Number of the interface of what was received and not captured: raw IP."""

WANTED, FRAGMENT, SEGMENT = 1, 2, 4
"""What a frame may be in a search: an address or the text is in it; a piece of a datagram; TCP."""

_ENHANCED_PACKET = U(6)
_OVERHEAD = U(32)
_FRAME_BYTES = U(FRAME.itemsize)
_ROW_BYTES = U(DATAGRAM.itemsize)
_frame, _row = positions(FRAME), positions(DATAGRAM)
_LOW = U(0xFFFFFFFF)
_ETHERNET, _RAW, _SLL, _SLL2, _NULL = (U(number) for number in range(5))
_NEXT, _CAPTURED, _WIRE, _MAC = U(0), U(12), U(16), U(24)  # struct tpacket3_hdr
_PACKET_TYPE, _OUTGOING = U(48 + 10), U(4)
_KEPT = tuple(U(kind) for kind in (Payload.SIP, Payload.RTCP_JSON, Payload.RTCP))
_MOST = U(65_535 - 48)
_MAPPED = U(0xFFFF)
_UDP, _TCP = U(17), U(6)


@njit(**OPTIONS)
def _interface(link):
    if link == U(1):
        return _ETHERNET
    if link == U(113):
        return _SLL
    if link == U(276):
        return _SLL2
    return _NULL if link in (U(0), U(108)) else _RAW


@njit(**OPTIONS)
def _begin(out, interface, captured_ns, captured, wire):
    """Write a block but for its data, and return the bytes of all of it."""
    total = _OVERHEAD + ((captured + U(3)) & ~U(3))
    store_u32(out, _ENHANCED_PACKET)
    store_u32(out + U(4), total)
    store_u32(out + U(8), interface)
    store_u32(out + U(12), captured_ns >> U(32))
    store_u32(out + U(16), captured_ns & _LOW)
    store_u32(out + U(20), captured)
    store_u32(out + U(24), wire)
    store_u32(out + total - U(8), U(0))  # padding, and what the data does not overwrite
    store_u32(out + total - U(4), total)
    return total


@njit(**OPTIONS)
def _head_bytes(frame, captured, packet):
    """Return how far the RTP header of a frame goes, its extension (RFC 3550 section 5.3.1) included."""
    address = load_u64(packet + frames.IP_AT)
    if load_u8(packet + IS_IPV6) != U(0):
        ip = address - U(8)
        payload = ip + U(40) + load_be16(ip + U(4)) - load_u16(packet + frames.BYTES)
    else:
        ip = address - U(12)
        payload = ip + (load_u8(ip) & U(15)) * U(4) + U(8)
    first = load_u8(payload)
    head = payload + U(12) + (first & U(15)) * U(4) - frame
    if first & U(16) != U(0) and head + U(4) <= captured:
        head += U(4) + load_be16(frame + head + U(2)) * U(4)
    return head if head < captured else captured


@njit(**OPTIONS)
def _keep(out, frame, captured, wire, link, captured_ns, packet, cut):
    """Write the block of a frame, and return its bytes; 0 where it is of no use to voice."""
    kind = read_frame(frame, captured, link, captured_ns, U(0), U(0), packet)
    if kind == OTHER or captured == U(0):
        return U(0)
    if cut and kind == RTP:
        captured = _head_bytes(frame, captured, packet)
    total = _begin(out, _interface(link), captured_ns, captured, wire)
    copy_bytes(out + U(28), frame, captured)
    return total


@njit(u64(u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def encode_frames(base, listed, count, out, packet, cut, kept):
    """Write captured frames as blocks, and return the bytes written.

    Args:
        base: Address that offsets of frames count from; of a ring, the block.
        listed: Address of an array of `FRAME`; 0 to walk the TPACKET_V3 block at `base`.
        count: Frames of the array; a ring's block says itself how many it has.
        out: Address of room: `BLOCK_OVERHEAD` and the captured bytes of each; of a ring, a block's bytes.
        packet: Address of room for a `PACKET`.
        cut: Whether RTP is cut to its header.
        kept: Address of a 64-bit number that gets how many were written.
    """
    end = out
    written = U(0)
    if listed != U(0):
        entry = listed
        last = listed + count * _FRAME_BYTES
        while entry < last:
            size = _keep(
                end,
                base + load_u64(entry + _frame.offset),
                load_u32(entry + _frame.captured),
                load_u32(entry + _frame.wire),
                load_u32(entry + _frame.link_type),
                load_u64(entry + _frame.captured_ns),
                packet,
                cut != U(0),
            )
            end += size
            written += U(size != U(0))
            entry += _FRAME_BYTES
    else:
        left = load_u32(base + BLOCK_COUNT)
        cursor = base + load_u32(base + BLOCK_FIRST)
        while left > U(0):
            # on the loopback every packet is seen twice: what this host sends comes in as well
            if load_u8(cursor + _PACKET_TYPE) != _OUTGOING:
                size = _keep(
                    end,
                    cursor + load_u16(cursor + _MAC),
                    load_u32(cursor + _CAPTURED),
                    load_u32(cursor + _WIRE),
                    U(1),
                    captured_at(cursor),
                    packet,
                    cut != U(0),
                )
                end += size
                written += U(size != U(0))
            cursor += load_u32(cursor + _NEXT)
            left -= U(1)
    store_u64(kept, written)
    return end - out


@njit(**OPTIONS)
def _sum16(at, length):
    """Return the sum of 16-bit words in network order (RFC 1071), not folded."""
    total = U(0)
    end = at + (length & ~U(1))
    while at < end:
        total += load_be16(at)
        at += U(2)
    if length & U(1) != U(0):
        total += load_u8(at) << U(8)
    return total


@njit(**OPTIONS)
def _store_be16(at, value):
    store_u8(at, value >> U(8))
    store_u8(at + U(1), value & U(0xFF))


@njit(**OPTIONS)
def _folded(total):
    while total >> U(16) != U(0):
        total = (total & U(0xFFFF)) + (total >> U(16))
    return ~total & U(0xFFFF)


@njit(**OPTIONS)
def _is_mapped(address):
    return load_u64(address) == U(0) and load_be32(address + U(8)) == _MAPPED


@njit(**OPTIONS)
def _write_headers(at, row, size):
    """Write the IP and UDP headers of a datagram's row in front of its payload, and return their length."""
    source, target = row + _row.src_ip, row + _row.dst_ip
    if _is_mapped(source) and _is_mapped(target):
        header = U(20)
        store_u64(at, U(0))
        store_u8(at, U(0x45))
        _store_be16(at + U(2), U(28) + size)
        store_u32(at + U(8), U(64) | (_UDP << U(8)))
        copy_bytes(at + U(12), source + U(12), U(4))
        copy_bytes(at + U(16), target + U(12), U(4))
        _store_be16(at + U(10), _folded(_sum16(at, U(20))))
        addresses = U(8)
    else:
        header = U(40)
        store_u64(at, U(0x60))
        _store_be16(at + U(4), U(8) + size)
        store_u8(at + U(6), _UDP)
        store_u8(at + U(7), U(64))
        copy_bytes(at + U(8), source, U(16))
        copy_bytes(at + U(24), target, U(16))
        addresses = U(32)
    udp = at + header
    _store_be16(udp, load_u16(row + _row.src_port))
    _store_be16(udp + U(2), load_u16(row + _row.dst_port))
    _store_be16(udp + U(4), U(8) + size)
    store_u16(udp + U(6), U(0))
    checksum = _folded(_sum16(udp - addresses, addresses + U(8) + size) + _UDP + U(8) + size)
    _store_be16(udp + U(6), checksum if checksum != U(0) else U(0xFFFF))
    return header + U(8)


@njit(u64(u64, u64, u64, u64, u64), **OPTIONS)
def encode_datagrams(buffer, rows, count, out, kept):
    """Write received SIP and RTCP as the UDP packets they were, and return the bytes written.

    Args:
        buffer: Address that positions of rows count from.
        rows: Address of an array of `DATAGRAM`.
        count: Rows of it.
        out: Address of room: `BLOCK_OVERHEAD + SYNTHETIC_HEADERS` and the payload of each.
        kept: Address of a 64-bit number that gets how many were written.
    """
    end = out
    written = U(0)
    row = rows
    last = rows + count * _ROW_BYTES
    while row < last:
        size = load_u32(row + _row.payload_len)
        if load_u16(row + _row.payload_type) in _KEPT and size <= _MOST:
            is_ipv4 = _is_mapped(row + _row.src_ip) and _is_mapped(row + _row.dst_ip)
            captured = size + (U(28) if is_ipv4 else U(48))
            total = _begin(end, U(RECEIVED), load_u64(row + _row.captured_ns), captured, captured)
            copy_bytes(end + U(28) + captured - size, buffer + load_u32(row + _row.payload_at), size)
            _write_headers(end + U(28), row, size)
            end += total
            written += U(1)
        row += _ROW_BYTES
    store_u64(kept, written)
    return end - out


@njit(**OPTIONS)
def _ip_at(frame, captured, link):
    """Return the address of the IP header, 0 where there is none."""
    if link != U(1):
        return frames.network_at(frame, frame + captured, link)
    at = frame + U(12)
    while at + U(4) <= frame + captured:
        kind = load_be16(at)
        if kind == U(0x0800) or kind == U(0x86DD):
            return at + U(2)
        if not frames.is_vlan(kind):
            return U(0)
        at += U(4)
    return U(0)


@njit(**OPTIONS)
def _holds(at, end, text, length):
    first = load_u8(text)
    while at + length <= end:
        if load_u8(at) == first and equal_bytes(at, text, length):
            return True
        at += U(1)
    return False


@njit(**OPTIONS)
def _is_listed(value, addresses, count):
    low, high = U(0), count
    while low < high:
        middle = (low + high) >> U(1)
        if load_u64(addresses + middle * U(8)) < value:
            low = middle + U(1)
        else:
            high = middle
    return low < count and load_u64(addresses + low * U(8)) == value


@njit(**OPTIONS)
def _look(frame, captured, link, packet, addresses, address_count, text, text_length):
    ip = _ip_at(frame, captured, link)
    end = frame + captured
    if ip == U(0) or ip + U(28) > end:
        return U(0)
    if load_u8(ip) >> U(4) == U(4):
        proto = load_u8(ip + U(9))
        udp = ip + (load_u8(ip) & U(15)) * U(4)
        if udp + U(8) > end:
            return U(0)
        fragment = load_be16(ip + U(6)) & U(0x3FFF) != U(0)
        later = load_be16(ip + U(6)) & U(0x1FFF) != U(0)
        source = hash_address(U(0), U(0x0000FFFF00000000) | load_be32(ip + U(12)), load_be16(udp), U(0))
        target = hash_address(U(0), U(0x0000FFFF00000000) | load_be32(ip + U(16)), load_be16(udp + U(2)), U(0))
    elif ip + U(48) <= end:
        proto = load_u8(ip + U(6))
        udp = ip + U(40)
        if proto != _UDP and proto != _TCP:
            behind = frames.skip_extensions(udp, end, proto)
            if behind != U(0) and behind + U(8) <= end:
                udp = behind
                proto = _UDP
        fragment = proto == U(44)
        later = fragment
        source = hash_address(load_be64(ip + U(8)), load_be64(ip + U(16)), load_be16(udp), U(0))
        target = hash_address(load_be64(ip + U(24)), load_be64(ip + U(32)), load_be16(udp + U(2)), U(0))
    else:
        return U(0)
    found = U(0)
    if fragment:
        found |= U(FRAGMENT)
    elif proto == _TCP:
        found |= U(SEGMENT)
    if (
        not later
        and proto == _UDP
        and (_is_listed(source, addresses, address_count) or _is_listed(target, addresses, address_count))
    ):
        return found | U(WANTED)
    if text_length == U(0) or (
        proto == _UDP and read_frame(frame, captured, link, U(0), U(0), U(0), packet) != HANDED
    ):
        return found
    return found | U(WANTED) if _holds(ip, end, text, text_length) else found


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def find_frames(base, listed, count, packet, addresses, address_count, text, text_length, found):
    """Tell of each frame whether it is wanted, and return how many are, or may turn out to be.

    Args:
        base: Address that offsets of frames count from.
        listed: Address of an array of `FRAME`.
        count: Frames of it.
        packet: Address of room for a `PACKET`.
        addresses: Address of a sorted array of wanted `address_key`s, of either end.
        address_count: Length of it.
        text: Address of a text that is wanted in what is not RTP.
        text_length: Length of it; 0: no text.
        found: Address of a byte for each frame: `WANTED`, `FRAGMENT` and `SEGMENT` bits.
    """
    entry = listed
    last = listed + count * _FRAME_BYTES
    number = U(0)
    while entry < last:
        value = _look(
            base + load_u64(entry + _frame.offset),
            load_u32(entry + _frame.captured),
            load_u32(entry + _frame.link_type),
            packet,
            addresses,
            address_count,
            text,
            text_length,
        )
        store_u8(found, value)
        number += U(value != U(0))
        found += U(1)
        entry += _FRAME_BYTES
    return number


def address_key(packed_ip: bytes, port: int) -> int:
    """Return what `find_frames` compares of a transport address: 16 bytes of address, and a port."""
    high, low = (U(int.from_bytes(half, "big")) for half in (packed_ip[:8], packed_ip[8:]))
    return int(hash_address(high, low, U(port), U(0)))


def packet_room() -> npt.NDArray[np.void]:
    """Return room for the `PACKET` that the kernels above need."""
    return np.zeros(1, PACKET)
