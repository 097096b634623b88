"""Captured frames to transport segments: link layer, IPv4 and IPv6, fragments, UDP and TCP headers.

For captures from files, where a few microseconds a packet do no harm; live RTP is parsed by kernels.
It knows nothing of what the segments carry, and never raises on what was captured.
"""

from collections import Counter
from typing import NamedTuple

TCP = 6
UDP = 17

_MAPPED = bytes(10) + b"\xff\xff"
_VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_LINK_NULL, _LINK_ETHERNET, _LINK_LOOP, _LINK_SLL, _LINK_SLL2 = 0, 1, 108, 113, 276
_LINKS_RAW = (12, 14, 101, 228, 229)
_INET_FAMILIES = (2, 10, 24, 28, 30)  # AF_INET, and AF_INET6 of the systems that write captures
_FRAGMENT_HEADER, _AUTHENTICATION_HEADER = 44, 51
_EXTENSIONS = (0, 43, 60, 135, 139, 140)
"""Hop-by-hop, routing, destination options, mobility, HIP, shim6: length in 8-byte units less one."""


class Segment(NamedTuple):
    """A UDP datagram or TCP segment; addresses have 16 bytes, IPv4 as v4-mapped."""

    ip_proto: int
    src_ip: bytes
    dst_ip: bytes
    src_port: int
    dst_port: int
    payload: bytes
    cut: bool
    """The capture did not take all of it."""
    sequence: int = 0
    tcp_flags: int = 0


class _Fragments:
    """The pieces of one IP datagram."""

    __slots__ = ("first_ns", "parts", "size", "total")

    def __init__(self, first_ns: int) -> None:
        self.first_ns = first_ns
        self.parts: dict[int, bytes] = {}
        self.size = 0
        self.total = -1

    def whole(self) -> bytes | None:
        """Return the datagram once no piece is missing."""
        if self.total < 0 or self.size < self.total:
            return None
        data = bytearray()
        for at in sorted(self.parts):
            part = self.parts[at]
            if at > len(data):
                return None
            data += part[len(data) - at :]
        return bytes(data[: self.total]) if len(data) >= self.total else None


class PacketDecoder:
    """Decodes frames one after the other, joining IP fragments.

    Args:
        errors: Gets what could not be decoded, by reason.
        max_fragmented: Incomplete datagrams held; the oldest goes first (`fragments_evicted`).
        fragment_timeout_ns: How long one may stay incomplete, by capture time (`fragments_expired`).
    """

    def __init__(
        self, errors: Counter[str], *, max_fragmented: int = 256, fragment_timeout_ns: int = 30_000_000_000
    ) -> None:
        self._errors = errors
        self._max_fragmented = max_fragmented
        self._fragment_timeout_ns = fragment_timeout_ns
        self._fragmented: dict[tuple[bytes, bytes, int, int], _Fragments] = {}

    def decode(self, link_type: int, frame: bytes, captured_ns: int) -> Segment | None:
        """Return the UDP or TCP segment in a frame; None for anything else, or an incomplete fragment."""
        at = self._network_at(link_type, frame)
        if at < 0:
            return None
        version = frame[at] >> 4 if at < len(frame) else 0
        if version == 4:
            return self._ipv4(frame, at, captured_ns)
        if version == 6:
            return self._ipv6(frame, at, captured_ns)
        self._errors["bad_ip"] += 1
        return None

    def _network_at(self, link_type: int, frame: bytes) -> int:
        """Return where the IP header starts, -1 where there is none."""
        if link_type in _LINKS_RAW:
            return 0
        if link_type in (_LINK_NULL, _LINK_LOOP):
            family = frame[:4]
            known = int.from_bytes(family, "little"), int.from_bytes(family, "big")
            return 4 if any(value in _INET_FAMILIES for value in known) else -1
        if link_type == _LINK_ETHERNET:
            at = 12
        elif link_type == _LINK_SLL:
            at = 14
        elif link_type == _LINK_SLL2:
            return 20 if frame[:2] in (_IPV4, _IPV6) else -1
        else:
            self._errors["link_type"] += 1
            return -1
        ether_type = frame[at : at + 2]
        while ether_type in _VLAN_TAGS:
            at += 4
            ether_type = frame[at : at + 2]
        return at + 2 if ether_type in (_IPV4, _IPV6) else -1

    def _ipv4(self, frame: bytes, at: int, captured_ns: int) -> Segment | None:
        header_bytes = (frame[at] & 15) * 4
        if header_bytes < 20 or at + header_bytes > len(frame):
            self._errors["bad_ip"] += 1
            return None
        total = int.from_bytes(frame[at + 2 : at + 4], "big") or len(frame) - at  # 0 with segmentation offload
        fragment = int.from_bytes(frame[at + 6 : at + 8], "big")
        proto = frame[at + 9]
        source = _MAPPED + frame[at + 12 : at + 16]
        target = _MAPPED + frame[at + 16 : at + 20]
        data = frame[at + header_bytes : at + total]
        cut = at + total > len(frame)
        if fragment & 0x3FFF:
            identification = int.from_bytes(frame[at + 4 : at + 6], "big")
            key = (source, target, identification, proto)
            more = bool(fragment & 0x2000)
            joined = self._join(key, (fragment & 0x1FFF) * 8, more, data, cut, captured_ns)
            if joined is None:
                return None
            data = joined
        return self._transport(proto, source, target, data, cut)

    def _ipv6(self, frame: bytes, at: int, captured_ns: int) -> Segment | None:
        if at + 40 > len(frame):
            self._errors["bad_ip"] += 1
            return None
        end = at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
        if end == at + 40:
            end = len(frame)  # jumbogram, or segmentation offload
        cut = end > len(frame)
        source = frame[at + 8 : at + 24]
        target = frame[at + 24 : at + 40]
        following = frame[at + 6]
        at += 40
        while following in _EXTENSIONS or following in (_FRAGMENT_HEADER, _AUTHENTICATION_HEADER):
            if at + 8 > len(frame):
                self._errors["bad_ip"] += 1
                return None
            kind, following = following, frame[at]
            if kind == _FRAGMENT_HEADER:
                fragment = int.from_bytes(frame[at + 2 : at + 4], "big")
                key = (source, target, int.from_bytes(frame[at + 4 : at + 8], "big"), following)
                data = frame[at + 8 : end]
                if fragment & 0xFFF9:
                    joined = self._join(key, fragment & 0xFFF8, bool(fragment & 1), data, cut, captured_ns)
                    if joined is None:
                        return None
                    data = joined
                return self._transport(following, source, target, data, cut)
            at += (frame[at + 1] + 2) * 4 if kind == _AUTHENTICATION_HEADER else (frame[at + 1] + 1) * 8
        return self._transport(following, source, target, frame[at:end], cut)

    def _join(
        self, key: tuple[bytes, bytes, int, int], offset: int, more: bool, data: bytes, cut: bool, now_ns: int
    ) -> bytes | None:
        if cut or not data or offset + len(data) > 65_535:
            self._errors["bad_fragment"] += 1
            return None
        held = self._fragmented.get(key)
        if held is not None and now_ns - held.first_ns > self._fragment_timeout_ns:
            del self._fragmented[key]
            self._errors["fragments_expired"] += 1
            held = None
        if held is None:
            if len(self._fragmented) >= self._max_fragmented:
                del self._fragmented[next(iter(self._fragmented))]
                self._errors["fragments_evicted"] += 1
            held = self._fragmented[key] = _Fragments(now_ns)
        if offset not in held.parts:
            held.parts[offset] = data
            held.size += len(data)
        if not more:
            held.total = offset + len(data)
        joined = held.whole()
        if joined is not None:
            del self._fragmented[key]
        elif held.size > 2 * 65_535:
            del self._fragmented[key]
            self._errors["bad_fragment"] += 1
        return joined

    def _transport(self, proto: int, source: bytes, target: bytes, data: bytes, cut: bool) -> Segment | None:
        if proto == UDP:
            length = int.from_bytes(data[4:6], "big")
            if len(data) < 8 or (length < 8 and length):
                self._errors["bad_udp"] += 1
                return None
            length = length or len(data)
            return Segment(
                UDP,
                source,
                target,
                int.from_bytes(data[0:2], "big"),
                int.from_bytes(data[2:4], "big"),
                data[8:length],
                cut or length > len(data),
            )
        if proto == TCP:
            header_bytes = data[12] >> 4 << 2 if len(data) >= 20 else 0
            if header_bytes < 20 or header_bytes > len(data):
                self._errors["bad_tcp"] += 1
                return None
            return Segment(
                TCP,
                source,
                target,
                int.from_bytes(data[0:2], "big"),
                int.from_bytes(data[2:4], "big"),
                data[header_bytes:],
                cut,
                int.from_bytes(data[4:8], "big"),
                data[13],
            )
        return None
