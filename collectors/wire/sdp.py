"""Session descriptions (RFC 8866) as far as they say where media flows, and as what.

Lines that make no sense are counted and skipped; nothing here raises. ICE candidates, keys and fingerprints are
not read: what is measured is what the m= and c= lines say, or what is seen to flow.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import NamedTuple

from collectors.facts import Codec
from telephony.codecs import static_codec
from telephony.model import Endpoint

_DIRECTIONS = {
    b"a=sendrecv": "sendrecv",
    b"a=sendonly": "sendonly",
    b"a=recvonly": "recvonly",
    b"a=inactive": "inactive",
}
_ON_HOLD = {"sendrecv": "sendonly", "recvonly": "inactive"}
_UNSPECIFIED = frozenset({"0.0.0.0", "::"})
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LF = 10
_MAX_MEDIA = 32
"""m-lines read of one description; further ones count as bad lines."""


class MediaLine(NamedTuple):
    """One m-line with its attributes."""

    media: str
    """audio, video, image (T.38), …"""
    protocol: str
    """RTP/AVP, RTP/SAVP, udptl, …"""
    endpoint: Endpoint
    """Where the describing side wants to receive; the address is empty where no c-line gave one."""
    rtcp: Endpoint
    """a=rtcp (RFC 3605), `endpoint` under a=rtcp-mux (RFC 5761), else the next port."""
    codecs: Mapping[int, Codec]
    """Payload type to codec, in order of preference; those that nothing names are left out."""
    ptime_ms: int
    """0 where it is not given."""
    sendrecv: str
    """sendrecv, sendonly, recvonly, inactive; c=0.0.0.0 (RFC 3264 section 8.4) reads as not receiving."""

    @property
    def rejected(self) -> bool:
        """Port 0: the stream is refused or removed (RFC 3264 sections 6 and 8.2)."""
        return self.endpoint.port == 0


class SessionDescription(NamedTuple):
    """What an SDP body says."""

    media: tuple[MediaLine, ...]
    bad_lines: int


class _Attributes(NamedTuple):
    """The lines of a section that are the same in many calls."""

    address: str | None
    direction: str
    codecs: Mapping[int, Codec]
    ptime_ms: int
    mux: bool
    bad_lines: int


def parse_sdp(body: bytes) -> SessionDescription:
    """Read an SDP body; bytes that are none give a description without media."""
    head, *sections = body.split(b"\nm=")
    if head[:2] == b"m=":
        sections.insert(0, head[2:])
        head = b""
    origin = head.find(b"\no=")
    if origin >= 0:
        # Unlike the other lines of the head it is never the same twice: without it they are found in the cache.
        head = head[:origin] + head[head.find(b"\n", origin + 1) :]
    address, direction, bad = _session(head)
    media = []
    for section in sections[:_MAX_MEDIA]:
        first, _, rest = section.partition(b"\n")
        line, bad_lines = _media_line(first, rest, address, direction)
        bad += bad_lines
        if line is not None:
            media.append(line)
    return SessionDescription(tuple(media), bad + max(len(sections) - _MAX_MEDIA, 0))


@lru_cache(maxsize=4096)
def _session(head: bytes) -> tuple[str, str, int]:
    """Return address, direction and number of bad lines of the part before the first m-line."""
    address, direction, bad = "", "sendrecv", 0
    for line in head.splitlines():
        kind = line[:2]
        if kind == b"c=":
            found = _connection(line)
            bad += found is None
            address = found or ""
        elif kind == b"a=":
            direction = _DIRECTIONS.get(line.rstrip(), direction)
        elif kind[1:] != b"=" and line.strip():
            bad += 1
    return address, direction, bad


def _media_line(
    first: bytes, rest: bytes, session_address: str, session_direction: str
) -> tuple[MediaLine | None, int]:
    """Return an m-line with its attributes, None where it makes no sense; and the number of bad lines."""
    fields = first.split(None, 3)
    port = _port(fields[1].partition(b"/")[0]) if len(fields) > 2 else None
    if port is None:
        return None, 1
    rtcp_port, rtcp_address, bad = -1, "", 0
    at = rest.find(b"a=rtcp:")
    if at == 0 or (at > 0 and rest[at - 1] == _LF):
        # It differs from call to call: without it, the other lines are found in the cache.
        end = rest.find(b"\n", at)
        end = len(rest) if end < 0 else end + 1
        rtcp_port, rtcp_address = _rtcp(rest[at + 7 : end])
        bad = int(rtcp_port < 0)
        rest = rest[:at] + rest[end:]
    media, protocol = _words(fields[0], fields[2])
    attributes = _attributes(fields[3].rstrip() if len(fields) > 3 else b"", rest)
    address = session_address if attributes.address is None else attributes.address
    endpoint = Endpoint(address, port)
    if rtcp_port >= 0:
        rtcp = Endpoint(rtcp_address or address, rtcp_port)
    elif attributes.mux:
        rtcp = endpoint
    else:
        rtcp = Endpoint(address, port + 1 if 0 < port < 65535 else 0)
    direction = attributes.direction or session_direction
    if address in _UNSPECIFIED:
        direction = _ON_HOLD.get(direction, direction)
    line = MediaLine(media, protocol, endpoint, rtcp, attributes.codecs, attributes.ptime_ms, direction)
    return line, bad + attributes.bad_lines


@lru_cache(maxsize=2048)
def _attributes(formats: bytes, lines: bytes) -> _Attributes:
    """Read the lines below an m-line.

    Cached: a network speaks in few such combinations, however many calls it makes.
    """
    address: str | None = None
    direction, ptime_ms, mux, bad = "", 0, False, 0
    maps = []
    for line in lines.splitlines():
        kind, name = line[:2], line[2:6]
        if kind == b"a=":
            if name in (b"rtpm", b"fmtp"):
                maps.append(line)
            elif name in (b"send", b"recv", b"inac"):
                bad += line.rstrip() not in _DIRECTIONS
                direction = _DIRECTIONS.get(line.rstrip(), direction)
            elif name == b"ptim":
                ptime_ms = _ptime_ms(line)
                bad += ptime_ms == 0
            elif line[2:10] == b"rtcp-mux":
                mux = True
        elif kind == b"c=":
            address = _connection(line)
            bad += address is None
        elif kind[1:] != b"=" and line.strip():
            bad += 1
    codecs, bad_maps = _codecs(formats, maps)
    return _Attributes(address, direction, codecs, ptime_ms, mux, bad + bad_maps)


def find_sdp(content_type: str, body: bytes) -> bytes | None:
    """Return the SDP part of a multipart body (RFC 2046 section 5.1), None where it has none."""
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2]).encode() if found else body.lstrip()[2:].split(b"\n", 1)[0].strip()
    if not boundary:
        return None
    for part in body.split(b"--" + boundary)[1:]:
        head, *rest = _BLANK_LINE.split(part, maxsplit=1)
        if rest and b"application/sdp" in head.lower():
            return rest[0]
    return None


@lru_cache(maxsize=256)
def _words(media: bytes, protocol: bytes) -> tuple[str, str]:
    return media.decode("ascii", "replace").lower()[:32], protocol.decode("ascii", "replace")[:32]


@lru_cache(maxsize=4096)
def _connection(line: bytes) -> str | None:
    """Return the address of `c=IN IP4 192.0.2.1/127`; a host name as it is, None where there is none."""
    fields = line[2:].split()
    if len(fields) < 3 or fields[0].upper() != b"IN" or fields[1].upper() not in (b"IP4", b"IP6"):
        return None
    text = fields[2].partition(b"/")[0].decode("ascii", "replace")
    try:
        return str(ip_address(text))
    except ValueError:
        return text[:255].lower()


def _rtcp(value: bytes) -> tuple[int, str]:
    """Return port and address of `53020 IN IP4 192.0.2.1`; -1 for no port, the address may be left out."""
    number, _, rest = value.strip().partition(b" ")
    port = _port(number)
    if port is None:
        return -1, ""
    return port, (_connection(b"c=" + rest) or "") if rest else ""


def _port(text: bytes) -> int | None:
    if not text.isdigit() or len(text) > 5:
        return None
    port = int(text)
    return port if port < 65536 else None


def _ptime_ms(line: bytes) -> int:
    try:
        value = float(line.partition(b":")[2])
    except ValueError:
        return 0
    return int(value) if 1 <= value <= 1000 else 0


def _codecs(formats: bytes, lines: list[bytes]) -> tuple[Mapping[int, Codec], int]:
    """Return the codecs of a format list and its rtpmap and fmtp lines, and how many of the lines are bad."""
    maps: dict[int, tuple[str, int, int]] = {}
    fmtp: dict[int, str] = {}
    bad = 0
    for line in lines:
        text = line.decode("utf-8", "replace").strip()
        name, _, rest = text[2:].partition(":")
        number, _, value = rest.strip().partition(" ")
        payload_type = _payload_type(number)
        mapping = _rtpmap(value) if name == "rtpmap" else None
        if payload_type is None or (mapping is None and name != "fmtp"):
            bad += 1
        elif mapping is not None:
            maps[payload_type] = mapping
        else:
            fmtp[payload_type] = value.strip()[:255]
    codecs = {}
    for number in formats.decode("ascii", "replace").split():
        payload_type = _payload_type(number)
        if payload_type is None:
            continue  # a T.38 or WebRTC data format is a word
        static = maps.get(payload_type) or static_codec(payload_type)
        if static is not None:
            codecs[payload_type] = Codec(*static, fmtp.get(payload_type, ""))
    return MappingProxyType(codecs), bad


def _payload_type(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128 else None


def _rtpmap(value: str) -> tuple[str, int, int] | None:
    """Return name, clock rate and channels of `opus/48000/2`."""
    name, _, rest = value.strip().partition("/")
    rate, _, channels = rest.partition("/")
    if not name or not (rate.isascii() and rate.isdigit() and len(rate) <= 6) or int(rate) == 0:
        return None
    count = int(channels) if channels.isascii() and channels.isdigit() and len(channels) <= 2 else 1
    return name.upper()[:32], int(rate), max(count, 1)
