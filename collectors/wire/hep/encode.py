"""Facts to HEP datagrams, as kamailio, rtpengine and heplify write them.

For the simulator, the tests and the benchmarks; the collector itself never sends.
"""

import ipaddress
import struct
import zlib
from collections.abc import Iterable

from collectors.facts import Payload
from telephony.model import Endpoint

UDP = 17

_CHUNK = struct.Struct("!HHH")
_U8 = struct.Struct("!HHHB")
_U16 = struct.Struct("!HHHH")
_U32 = struct.Struct("!HHHI")
_AF_INET = 2
_AF_INET6 = 10


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    return _CHUNK.pack(vendor, kind, 6 + len(value)) + value


def _compress(payload: bytes, how: str) -> bytes:
    window_bits = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16, "deflate": -zlib.MAX_WBITS}[how]
    stream = zlib.compressobj(wbits=window_bits)
    return stream.compress(payload) + stream.flush()


def encode_hep3(
    payload: bytes,
    *,
    src: Endpoint,
    dst: Endpoint,
    captured_ns: int,
    payload_type: int = Payload.SIP,
    ip_proto: int = UDP,
    node_id: int = 0,
    node_name: str = "",
    correlation_id: str = "",
    auth_key: bytes = b"",
    compress: str = "",
    extra_chunks: Iterable[tuple[int, int, bytes]] = (),
) -> bytes:
    """Return one HEP3 datagram; times are cut to microseconds.

    Args:
        payload: What was captured.
        src: Where it came from; both addresses are of one family.
        dst: Where it went.
        captured_ns: UTC ns.
        payload_type: HEP protocol type.
        ip_proto: IP protocol number of the captured packet.
        node_id: Capture agent id (chunk 0x0c).
        node_name: Agent name (0x13), left out where empty.
        correlation_id: Call-ID (0x11), left out where empty.
        auth_key: Key (0x0e), left out where empty.
        compress: `zlib`, `gzip` or `deflate` to send chunk 0x10 in place of 0x0f.
        extra_chunks: (vendor, type, value) of further chunks, written before the payload.

    Raises:
        ValueError: An address is none, or the datagram exceeds 65,535 bytes.
    """
    source = _packed(src.ip)
    target = _packed(dst.ip)
    inet6 = len(source) == 16
    seconds, nanoseconds = divmod(captured_ns, 1_000_000_000)
    parts = [
        b"",
        _U8.pack(0, 0x01, 7, _AF_INET6 if inet6 else _AF_INET),
        _U8.pack(0, 0x02, 7, ip_proto),
        _chunk(0x05 if inet6 else 0x03, source),
        _chunk(0x06 if inet6 else 0x04, target),
        _U16.pack(0, 0x07, 8, src.port),
        _U16.pack(0, 0x08, 8, dst.port),
        _U32.pack(0, 0x09, 10, seconds),
        _U32.pack(0, 0x0A, 10, nanoseconds // 1000),
        _U8.pack(0, 0x0B, 7, payload_type),
        _U32.pack(0, 0x0C, 10, node_id),
    ]
    if auth_key:
        parts.append(_chunk(0x0E, auth_key))
    if correlation_id:
        parts.append(_chunk(0x11, correlation_id.encode()))
    if node_name:
        parts.append(_chunk(0x13, node_name.encode()))
    parts.extend(_chunk(kind, value, vendor) for vendor, kind, value in extra_chunks)
    parts.append(_chunk(0x10, _compress(payload, compress)) if compress else _chunk(0x0F, payload))
    total = 6 + sum(map(len, parts))
    if total > 65_535:
        raise ValueError(f"a HEP3 datagram holds at most 65535 bytes, not {total}")
    parts[0] = b"HEP3" + total.to_bytes(2, "big")
    return b"".join(parts)


def encode_hep1(payload: bytes, *, src: Endpoint, dst: Endpoint, ip_proto: int = UDP) -> bytes:
    """Return one HEP1 datagram: SIP only, and no time."""
    return _header12(1, src, dst, ip_proto) + payload


def encode_hep2(
    payload: bytes, *, src: Endpoint, dst: Endpoint, captured_ns: int, node_id: int = 0, ip_proto: int = UDP
) -> bytes:
    """Return one HEP2 datagram: SIP only; `node_id` has 16 bits, times are little-endian microseconds."""
    seconds, nanoseconds = divmod(captured_ns, 1_000_000_000)
    times = struct.pack("<IIHxx", seconds, nanoseconds // 1000, node_id)
    return _header12(2, src, dst, ip_proto) + times + payload


def _header12(version: int, src: Endpoint, dst: Endpoint, ip_proto: int) -> bytes:
    source = _packed(src.ip)
    target = _packed(dst.ip)
    length = 8 + len(source) + len(target)
    family = _AF_INET if len(source) == 4 else _AF_INET6
    return struct.pack("!BBBBHH", version, length, family, ip_proto, src.port, dst.port) + source + target
