"""Captured frames to RTP packets: link layer, IPv4 and IPv6, UDP, in a kernel.

A frame that is plainly RTP over UDP becomes a `PACKET` record; one that is plainly of no use is named and
counted; everything else (SIP, RTCP, HEP, TCP, fragments, damage) is handed to `collectors.wire.packet`,
which does it right and slowly. Nothing is read beyond what was captured.

Of RTP in IP fragments the first one tells all that is measured; those behind it are known by their identification,
named and counted, so that they do not wait in vain to be joined.
"""

from collections import namedtuple
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from collectors.kernels.memory import (
    OPTIONS,
    U,
    fold_multiply,
    likely,
    load_be16,
    load_be32,
    load_be64,
    load_u8,
    load_u32,
    load_u64,
    store_u8,
    store_u16,
    store_u32,
    store_u64,
)

FRAME = np.dtype(
    [
        ("offset", "<u8"),  # of the frame's first byte, from the address that goes with the array
        ("captured_ns", "<i8"),
        ("captured", "<u4"),  # bytes that the capture kept
        ("wire", "<u4"),  # bytes it had on the wire
        ("link_type", "<u4"),  # LINKTYPE_* of pcap
        ("number", "<u4"),  # position in its file or block
    ]
)
"""Where one captured frame is, and when it came."""

PACKET = np.dtype(
    [
        ("key_a", "<u8"),  # both IPv4 addresses, or a keyed hash of both IPv6 addresses
        ("key_b", "<u8"),  # source port, destination port, SSRC
        ("hash", "<u8"),
        ("captured_ns", "<i8"),
        ("timestamp", "<u4"),
        ("seq", "<u2"),
        ("bytes", "<u2"),  # RTP header and payload
        ("payload_type", "u1"),
        ("dscp", "u1"),
        ("marker", "u1"),
        ("is_ipv6", "u1"),
        ("pad", "u1", 4),
        ("ip_at", "<u8"),  # address of the IP source address in the frame; the other follows it
        ("row_at", "<u8"),  # address of the row that is probably its stream's; 0 where there is none
    ]
)
"""An RTP packet between parsing and its stream's row: one cache line."""

RTP, HANDED, STUN, DTLS, ZRTP, OTHER, TURN, FRAGMENT = (U(code) for code in range(8))
"""What a frame is; those from STUN on are counted and forgotten."""
COUNTED = ("stun", "dtls", "zrtp", "other", "turn", "rtp_fragment")
"""The names of these, in order."""
KINDS = ("rtp", "handed", *COUNTED)

FRAGMENTS = 256
"""Fragmented RTP packets whose first fragment is remembered, by a hash of addresses and identification."""

LINK_ETHERNET = 1
_ETHERNET = U(LINK_ETHERNET)
_NULL, _LOOP, _SLL, _SLL2 = U(0), U(108), U(113), U(276)
_IPV4, _IPV6 = U(0x0800), U(0x86DD)
_UDP, _FRAGMENT_HEADER = U(17), U(44)
_FOLD_C = U(0x8EBC6AF09C88C6E3)
_FOLD_D = U(0x589965CC75374CC3)


def positions(layout: npt.DTypeLike) -> Any:
    """Return a named tuple with the offset of every field of a structured type, as kernels want it."""
    fields = np.dtype(layout).fields
    assert fields is not None
    make: Any = namedtuple  # its stub wants the names written out
    return make("Positions", list(fields))(*(U(field[1]) for field in fields.values()))


_at = positions(PACKET)
KEY_A, KEY_B, HASH, CAPTURED_NS = _at.key_a, _at.key_b, _at.hash, _at.captured_ns
TIMESTAMP, SEQ, BYTES = _at.timestamp, _at.seq, _at.bytes
PAYLOAD_TYPE, MARKER, IS_IPV6 = _at.payload_type, _at.marker, _at.is_ipv6
IP_AT, ROW_AT = _at.ip_at, _at.row_at


@njit(**OPTIONS)
def is_vlan(ether_type):
    """Return whether a VLAN tag (802.1Q, 802.1ad) follows."""
    return ether_type == U(0x8100) or ether_type == U(0x88A8) or ether_type == U(0x9100)


@njit(**OPTIONS)
def network_at(frame, end, link):
    """Return the address of the IP header of a frame that is not Ethernet; 0 where there is none."""
    if link == U(12) or link == U(14) or link == U(101) or link == U(228) or link == U(229):
        return frame
    if link in (_NULL, _LOOP):
        return frame + U(4)
    if link == _SLL2:
        if frame + U(20) > end:
            return U(0)
        kind = load_be16(frame)
        return frame + U(20) if kind in (_IPV4, _IPV6) else U(0)
    if link != _SLL:
        return U(0)
    at = frame + U(14)
    if at + U(2) > end:
        return U(0)
    kind = load_be16(at)
    while is_vlan(kind):
        at += U(4)
        if at + U(2) > end:
            return U(0)
        kind = load_be16(at)
    return at + U(2) if kind in (_IPV4, _IPV6) else U(0)


@njit(**OPTIONS)
def skip_extensions(at, end, following):
    """Return the address behind the IPv6 extension headers where UDP follows them, else 0."""
    for _ in range(8):
        # hop-by-hop options, routing, destination options, mobility (RFC 8200 section 4)
        if following != U(0) and following != U(43) and following != U(60) and following != U(135):
            return U(0)
        if at + U(8) > end:
            return U(0)
        following = load_u8(at)
        at += (load_u8(at + U(1)) + U(1)) * U(8)
        if following == _UDP:
            return at
    return U(0)


@njit(**OPTIONS)
def _first_of(fragments, key_a, identification, offset):
    """Return where to remember a first fragment; of a later one, 1 where its first one was RTP, else 0."""
    mark = fold_multiply(key_a ^ _FOLD_C, identification ^ _FOLD_D) | U(1)
    entry = fragments + ((mark >> U(8)) % U(FRAGMENTS)) * U(8)
    if offset == U(0):
        store_u64(entry, U(0))  # until it turns out to be RTP
        return entry
    return U(1) if load_u64(entry) == mark else U(0)


@njit(**OPTIONS)
def _remember_fragment(entry, key_a, identification):
    store_u64(entry, fold_multiply(key_a ^ _FOLD_C, identification ^ _FOLD_D) | U(1))


@njit(**OPTIONS)
def _name_other(first, payload, length):
    """Tell what a UDP payload is whose version bits are not those of RTP (RFC 7983 section 7)."""
    if first >= U(64) and first < U(80):
        channel = load_be16(payload + U(2)) + U(4)  # RFC 8656 section 12.4; padded to a word at most
        return TURN if channel <= length and length < channel + U(4) else HANDED
    if first < U(4) and load_be32(payload + U(4)) == U(0x2112A442):
        return STUN
    if first == U(16) and load_be32(payload + U(4)) == U(0x5A525450):
        return ZRTP
    if first >= U(20) and first <= U(26) and load_u8(payload + U(1)) == U(0xFE):
        return DTLS
    return OTHER if first >= U(192) else HANDED


@njit(**OPTIONS)
def read_frame(frame, captured, link, captured_ns, seed, fragments, packet):
    """Write the record of an RTP packet, and return what the frame is.

    Args:
        frame: Address of its first byte.
        captured: Bytes there.
        link: LINKTYPE_* of pcap.
        captured_ns: When it was captured.
        seed: Secret of the table's hash.
        fragments: Address of `FRAGMENTS` words, zero at first; 0 to take no fragment for RTP.
        packet: Address of room for a `PACKET`.
    """
    end = frame + captured
    if likely(link == _ETHERNET):
        at = frame + U(12)
        if captured < U(14):
            return HANDED
        kind = load_be16(at)
        while is_vlan(kind):
            at += U(4)
            if at + U(2) > end:
                return HANDED
            kind = load_be16(at)
        if kind != _IPV4 and kind != _IPV6:
            return OTHER
        at += U(2)
    else:
        at = network_at(frame, end, link)
        if at == U(0):
            return HANDED
    # the shortest IP, UDP and RTP headers, whichever IP it is
    if at + U(40) > end:
        return HANDED
    head = load_u8(at)
    identification = U(0)
    if likely(head >> U(4) == U(4)):
        udp = at + (head & U(15)) * U(4)
        if load_u8(at + U(9)) != _UDP or udp < at + U(20):
            return HANDED
        partial = load_be16(at + U(6)) & U(0x3FFF)  # more fragments, or an offset: not whole
        offset = partial & U(0x1FFF)
        if not likely(partial == U(0)):
            identification = load_be16(at + U(4))
        addresses = at + U(12)
        key_a = load_be64(addresses)
        dscp = load_u8(at + U(1)) >> U(2)
        is_ipv6 = U(0)
    elif head >> U(4) == U(6):
        udp = at + U(40)
        following = load_u8(at + U(6))
        partial = offset = U(0)
        if following == _FRAGMENT_HEADER:
            if udp + U(8) > end or load_u8(udp) != _UDP:
                return HANDED
            partial = load_be16(udp + U(2)) & U(0xFFF9)
            offset = partial & U(0xFFF8)
            identification = load_be32(udp + U(4))
            udp += U(8)
        elif following != _UDP:
            udp = skip_extensions(udp, end, following)
            if udp == U(0):
                return HANDED
        addresses = at + U(8)
        key_a = fold_multiply(
            fold_multiply(load_be64(addresses) ^ seed, load_be64(addresses + U(8)) ^ _FOLD_C),
            fold_multiply(load_be64(addresses + U(16)) ^ _FOLD_D, load_be64(addresses + U(24)) ^ seed),
        )
        dscp = (load_be16(at) >> U(6)) & U(0x3F)
        is_ipv6 = U(1)
    else:
        return HANDED
    fragment = U(0)
    if not likely(partial == U(0)):
        if fragments == U(0):
            return HANDED
        fragment = _first_of(fragments, key_a, identification, offset)
        if fragment <= U(1):
            return FRAGMENT if fragment == U(1) else HANDED
    if udp + U(20) > end:
        return HANDED
    length = load_be16(udp + U(4))
    if length < U(20):
        return HANDED
    payload = udp + U(8)
    word = load_be32(payload)
    if word >> U(30) != U(2):
        return _name_other(word >> U(24), payload, length - U(8))
    kind = (word >> U(16)) & U(0xFF)
    if kind >= U(192) and kind <= U(223):
        return HANDED  # RTCP on any port (RFC 5761 section 4)
    key_b = (load_be32(udp) << U(32)) | load_be32(payload + U(8))
    store_u64(packet + KEY_A, key_a)
    store_u64(packet + KEY_B, key_b)
    store_u64(packet + HASH, hash_key(key_a, key_b, seed))
    store_u64(packet + CAPTURED_NS, captured_ns)
    store_u32(packet + TIMESTAMP, load_be32(payload + U(4)))
    store_u16(packet + SEQ, word & U(0xFFFF))
    store_u16(packet + BYTES, length - U(8))
    store_u16(packet + PAYLOAD_TYPE, (kind & U(0x7F)) | (dscp << U(8)))
    store_u8(packet + MARKER, kind >> U(7))
    store_u8(packet + IS_IPV6, is_ipv6)
    store_u64(packet + IP_AT, addresses)
    if not likely(fragment == U(0)):
        _remember_fragment(fragment, key_a, identification)
    return RTP


@njit(**OPTIONS)
def hash_key(key_a, key_b, seed):
    """Return the hash of a stream's key; without the secret seed nobody can aim for collisions."""
    return fold_multiply(fold_multiply(key_a ^ seed, key_b ^ _FOLD_C) ^ _FOLD_D, seed | U(1))


@njit(**OPTIONS)
def hash_address(high, low, port, seed):
    """Return the hash of a transport address given as the two halves of its 16 bytes, in network order."""
    return fold_multiply(fold_multiply(high ^ seed, low ^ _FOLD_C) ^ port, _FOLD_D) | U(1)


@njit(**OPTIONS)
def hash_target(packet, seed):
    """Return the hash of the address that a packet goes to."""
    addresses = load_u64(packet + IP_AT)
    port = (load_u32(packet + KEY_B + U(4))) & U(0xFFFF)
    if load_u8(packet + IS_IPV6) != U(0):
        return hash_address(load_be64(addresses + U(16)), load_be64(addresses + U(24)), port, seed)
    return hash_address(U(0), U(0x0000FFFF00000000) | load_be32(addresses + U(4)), port, seed)
