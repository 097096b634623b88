"""HEP datagrams in memory to `DATAGRAM` rows.

The layouts are those of the HEP3 specification (rev. 37, chunks in any order) and of the `hep_hdr` of
HEP 1 and 2. Nothing is looked at twice and nothing is copied but addresses: rows hold offsets into
the buffer. Inflating, authentication and counting belong to `collectors.wire.hep`.
"""

from numba import njit

from collectors.facts import DATAGRAM
from collectors.kernels.memory import (
    OPTIONS,
    U,
    copy_bytes,
    load_be16,
    load_be32,
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

OK = U(0)
TRUNCATED = U(1)
BAD_MAGIC = U(2)
BAD_LENGTH = U(3)
CHUNK_LENGTH = U(4)
NO_PAYLOAD = U(5)
NO_ADDRESSES = U(6)
BAD_TIMESTAMP = U(7)
BAD_FAMILY = U(8)

FLAG_COMPRESSED = 0x80
"""Bit of a fresh row's `flags`: the payload is still to be inflated. Never leaves `collectors.wire`."""


def _field(name):
    fields = DATAGRAM.fields
    assert fields is not None
    return U(fields[name][1])


ROW_BYTES = U(DATAGRAM.itemsize)
CAPTURED_NS = _field("captured_ns")
SRC_IP = _field("src_ip")
DST_IP = _field("dst_ip")
SRC_PORT = _field("src_port")
DST_PORT = _field("dst_port")
PAYLOAD_TYPE = _field("payload_type")
IP_PROTO = _field("ip_proto")
FLAGS = _field("flags")
NODE_ID = _field("node_id")
PAYLOAD_AT = _field("payload_at")
PAYLOAD_LEN = _field("payload_len")
CORRELATION_AT = _field("correlation_at")
CORRELATION_LEN = _field("correlation_len")
NODE_NAME_AT = _field("node_name_at")
NODE_NAME_LEN = _field("node_name_len")
AUTH_KEY_AT = _field("auth_key_at")
AUTH_KEY_LEN = _field("auth_key_len")

_HEP3 = U(0x48455033)
_EEP3 = U(0x45455033)
_EEP1 = U(0x45455031)
_HEADER = U(6)  # of the datagram, and of each chunk

_AF_INET = U(2)
_MAPPED = U(0xFFFF0000)  # bytes 8..11 of ::ffff:a.b.c.d, as a little-endian word

_SEEN_SRC = U(1)
_SEEN_DST = U(2)
_SEEN_BOTH = U(3)


@njit(**OPTIONS)
def _is_inet6(family):
    # AF_INET6 is the sender's: 10 Linux, 24 NetBSD and OpenBSD, 28 FreeBSD, 30 macOS
    return family == U(10) or family == U(24) or family == U(28) or family == U(30)


@njit(**OPTIONS)
def store_ip(target, source, length):
    """Store an address of 4 or 16 bytes as 16, IPv4 as ::ffff:a.b.c.d."""
    if length == U(4):
        store_u64(target, U(0))
        store_u64(target + U(8), _MAPPED | (load_u32(source) << U(32)))
    else:
        store_u64(target, load_u64(source))
        store_u64(target + U(8), load_u64(source + U(8)))


@njit(**OPTIONS)
def _clear(row):
    at = U(0)
    while at + U(8) <= ROW_BYTES:
        store_u64(row + at, U(0))
        at += U(8)
    while at < ROW_BYTES:
        store_u8(row + at, U(0))
        at += U(1)


@njit(**OPTIONS)
def _parse_hep3(datagram, length, offset, received_ns, row):
    if length < _HEADER:
        return TRUNCATED
    total = load_be16(datagram + U(4))
    if total < _HEADER:
        return BAD_LENGTH
    # A total beyond the datagram is tolerated while its chunks are whole: senders exist that get it wrong.
    cut = total > length
    end = datagram + (length if cut else total)
    seconds = U(0)
    microseconds = U(0)
    seen = U(0)
    payload = U(0)
    payload_length = U(0)
    packed = U(0)
    packed_length = U(0)
    chunk = datagram + _HEADER
    while chunk < end:
        if chunk + _HEADER > end:
            return TRUNCATED if cut else CHUNK_LENGTH
        size = load_be16(chunk + U(4))
        if size < _HEADER:
            return CHUNK_LENGTH
        value = chunk + _HEADER
        kind = load_be16(chunk + U(2))
        vendor = load_be16(chunk)
        chunk += size
        if chunk > end:
            return TRUNCATED if cut else CHUNK_LENGTH
        size -= _HEADER
        if vendor != U(0):
            continue
        if kind == U(0x02):
            if size != U(1):
                return CHUNK_LENGTH
            store_u8(row + IP_PROTO, load_u8(value))
        elif kind == U(0x03) or kind == U(0x05):
            # some senders put v4-mapped addresses into the IPv4 chunk
            if size != U(16) and (size != U(4) or kind != U(0x03)):
                return CHUNK_LENGTH
            store_ip(row + SRC_IP, value, size)
            seen |= _SEEN_SRC
        elif kind == U(0x04) or kind == U(0x06):
            if size != U(16) and (size != U(4) or kind != U(0x04)):
                return CHUNK_LENGTH
            store_ip(row + DST_IP, value, size)
            seen |= _SEEN_DST
        elif kind == U(0x07):
            if size != U(2):
                return CHUNK_LENGTH
            store_u16(row + SRC_PORT, load_be16(value))
        elif kind == U(0x08):
            if size != U(2):
                return CHUNK_LENGTH
            store_u16(row + DST_PORT, load_be16(value))
        elif kind == U(0x09):
            if size != U(4):
                return CHUNK_LENGTH
            seconds = load_be32(value)
        elif kind == U(0x0A):
            if size != U(4):
                return CHUNK_LENGTH
            microseconds = load_be32(value)
        elif kind == U(0x0B):
            if size != U(1):
                return CHUNK_LENGTH
            store_u16(row + PAYLOAD_TYPE, load_u8(value))
        elif kind == U(0x0C):
            if size != U(4):
                return CHUNK_LENGTH
            store_u32(row + NODE_ID, load_be32(value))
        elif kind == U(0x0E):
            store_u32(row + AUTH_KEY_AT, value - datagram + offset)
            store_u32(row + AUTH_KEY_LEN, size)
        elif kind == U(0x0F):
            payload = value
            payload_length = size
        elif kind == U(0x10):
            packed = value
            packed_length = size
        elif kind == U(0x11):
            store_u32(row + CORRELATION_AT, value - datagram + offset)
            store_u32(row + CORRELATION_LEN, size)
        elif kind == U(0x13):
            store_u32(row + NODE_NAME_AT, value - datagram + offset)
            store_u32(row + NODE_NAME_LEN, size)
    if payload_length == U(0):
        if packed_length == U(0):
            return TRUNCATED if cut else NO_PAYLOAD
        payload = packed
        payload_length = packed_length
        store_u8(row + FLAGS, U(FLAG_COMPRESSED))
    if seen != _SEEN_BOTH:
        return NO_ADDRESSES
    if microseconds >= U(1_000_000):
        return BAD_TIMESTAMP
    store_u32(row + PAYLOAD_AT, payload - datagram + offset)
    store_u32(row + PAYLOAD_LEN, payload_length)
    if seconds != U(0):
        store_u64(row + CAPTURED_NS, seconds * U(1_000_000_000) + microseconds * U(1_000))
    else:
        store_u64(row + CAPTURED_NS, received_ns)
    return OK


@njit(**OPTIONS)
def _parse_hep12(datagram, length, version, offset, received_ns, row):
    if length < U(8):
        return TRUNCATED
    family = load_u8(datagram + U(2))
    if family == _AF_INET:
        address_bytes = U(4)
    elif _is_inet6(family):
        address_bytes = U(16)
    else:
        return BAD_FAMILY
    header = U(8) + U(2) * address_bytes
    start = header if version == U(1) else header + U(12)
    stated = load_u8(datagram + U(1))
    # the length byte leaves the time header out, or (rarely) counts it in
    if stated != header and stated != start:
        return BAD_LENGTH
    if length < start:
        return TRUNCATED
    if length == start:
        return NO_PAYLOAD
    captured_ns = received_ns
    if version == U(2):
        # hep_timehdr is in the sender's order, little-endian in practice, padded to 12 bytes
        seconds = load_u32(datagram + header)
        microseconds = load_u32(datagram + header + U(4))
        if microseconds >= U(1_000_000):
            return BAD_TIMESTAMP
        if seconds != U(0):
            captured_ns = seconds * U(1_000_000_000) + microseconds * U(1_000)
        store_u32(row + NODE_ID, load_u16(datagram + header + U(8)))
    store_u64(row + CAPTURED_NS, captured_ns)
    store_u8(row + IP_PROTO, load_u8(datagram + U(3)))
    store_u16(row + SRC_PORT, load_be16(datagram + U(4)))
    store_u16(row + DST_PORT, load_be16(datagram + U(6)))
    store_ip(row + SRC_IP, datagram + U(8), address_bytes)
    store_ip(row + DST_IP, datagram + U(8) + address_bytes, address_bytes)
    store_u16(row + PAYLOAD_TYPE, U(1))
    store_u32(row + PAYLOAD_AT, offset + start)
    store_u32(row + PAYLOAD_LEN, length - start)
    return OK


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def parse_datagrams(base, offsets, lengths, count, received_ns, rows, origins, reasons):
    """Parse `count` datagrams and return how many rows were written.

    Args:
        base: Address of the buffer.
        offsets: Address of `count` u32 offsets into it.
        lengths: Address of `count` u32 lengths.
        count: Number of datagrams.
        received_ns: Address of `count` i64 receipt times, used where a datagram states no time.
        rows: Address of room for `count` `DATAGRAM` rows; accepted ones are written without gaps.
        origins: Address of room for `count` u32: which datagram each row came from.
        reasons: Address of room for `count` u8: 0 or why the datagram was refused.
    """
    accepted = U(0)
    row = rows
    i = U(0)
    while i < count:
        offset = load_u32(offsets + i * U(4))
        length = load_u32(lengths + i * U(4))
        now_ns = load_u64(received_ns + i * U(8))
        datagram = base + offset
        _clear(row)
        if length < U(4):
            reason = TRUNCATED
        else:
            magic = load_be32(datagram)
            version = magic >> U(24)
            if magic in (_HEP3, _EEP3, _EEP1):
                reason = _parse_hep3(datagram, length, offset, now_ns, row)
            elif version == U(1) or version == U(2):
                reason = _parse_hep12(datagram, length, version, offset, now_ns, row)
            else:
                reason = BAD_MAGIC
        store_u8(reasons + i, reason)
        if reason == OK:
            store_u32(origins + accepted * U(4), i)
            accepted += U(1)
            row += ROW_BYTES
        i += U(1)
    return accepted


@njit(u64(u64, u64, u64, u64, u64, u64), **OPTIONS)
def gather(base, offsets, lengths, count, target, new_offsets):
    """Copy `count` datagrams one after another to `target`, write their u32 offsets, and return the bytes."""
    at = U(0)
    i = U(0)
    while i < count:
        length = load_u32(lengths + i * U(4))
        copy_bytes(target + at, base + load_u32(offsets + i * U(4)), length)
        store_u32(new_offsets + i * U(4), at)
        at += length
        i += U(1)
    return at
