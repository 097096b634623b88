"""Session descriptions (RFC 8866) as far as they say where media flows, and as what.

Lines that make no sense are counted and skipped; nothing here raises. ICE candidates, keys and fingerprints are
not read: what is measured is what the m= and c= lines say, or what is seen to flow.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType

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
_MAX_MEDIA = 32
"""m-lines read of one description; further ones count as bad lines."""


@dataclass(frozen=True, slots=True)
class MediaLine:
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


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """What an SDP body says."""

    media: tuple[MediaLine, ...]
    bad_lines: int


class _Section:
    """An m-line while its attributes are read."""

    __slots__ = ("address", "direction", "formats", "maps", "media", "mux", "port", "protocol", "ptime", "rtcp")

    def __init__(self, media: str, port: int, protocol: str, formats: bytes) -> None:
        self.media = media
        self.port = port
        self.protocol = protocol
        self.formats = formats
        self.address: str | None = None
        self.direction = ""
        self.maps: list[bytes] = []
        self.mux = False
        self.ptime = 0
        self.rtcp: tuple[int, str] | None = None


def parse_sdp(body: bytes) -> SessionDescription:
    """Read an SDP body; bytes that are none give a description without media."""
    session_address, session_direction = "", "sendrecv"
    sections: list[_Section] = []
    section: _Section | None = None
    bad = 0
    for line in body.splitlines():
        kind = line[:2]
        if kind == b"a=":
            name = line[2:6]
            if name in (b"rtpm", b"fmtp"):
                if section is not None:
                    section.maps.append(line)
            elif name in (b"send", b"recv", b"inac"):
                direction = _DIRECTIONS.get(line.rstrip())
                if direction is None:
                    bad += 1
                elif section is None:
                    session_direction = direction
                else:
                    section.direction = direction
            elif name == b"ptim" and section is not None:
                section.ptime = _ptime_ms(line)
                bad += section.ptime == 0
            elif name == b"rtcp" and section is not None:
                if line[6:7] == b":":
                    section.rtcp = _rtcp(line)
                    bad += section.rtcp is None
                elif line[6:10] == b"-mux":
                    section.mux = True
        elif kind == b"c=":
            address = _connection(line)
            if address is None:
                bad += 1
            elif section is None:
                session_address = address
            else:
                section.address = address
        elif kind == b"m=":
            section = _media(line) if len(sections) < _MAX_MEDIA else None
            if section is None:
                bad += 1
                # What follows belongs to the line that could not be read, not to the one before.
                section = _Section("", 0, "", b"")
            else:
                sections.append(section)
        elif line[1:2] != b"=" and line.strip():
            bad += 1
    media = []
    for s in sections:
        line_, bad_maps = _finish(s, session_address, session_direction)
        media.append(line_)
        bad += bad_maps
    return SessionDescription(tuple(media), bad)


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


def _finish(s: _Section, session_address: str, session_direction: str) -> tuple[MediaLine, int]:
    address = s.address if s.address is not None else session_address
    endpoint = Endpoint(address, s.port)
    if s.rtcp is not None:
        rtcp = Endpoint(s.rtcp[1] or address, s.rtcp[0])
    elif s.mux:
        rtcp = endpoint
    else:
        rtcp = Endpoint(address, s.port + 1 if 0 < s.port < 65535 else 0)
    direction = s.direction or session_direction
    if address in _UNSPECIFIED:
        direction = _ON_HOLD.get(direction, direction)
    codecs, bad = _codecs(s.formats, tuple(s.maps))
    return MediaLine(s.media, s.protocol, endpoint, rtcp, codecs, s.ptime, direction), bad


def _media(line: bytes) -> _Section | None:
    fields = line[2:].split(None, 3)
    if len(fields) < 3:
        return None
    port = _port(fields[1].partition(b"/")[0])
    if port is None:
        return None
    media, protocol = _words(fields[0], fields[2])
    return _Section(media, port, protocol, fields[3] if len(fields) > 3 else b"")


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


def _rtcp(line: bytes) -> tuple[int, str] | None:
    """Return port and address of `a=rtcp:53020 IN IP4 192.0.2.1`; the address may be left out."""
    number, _, rest = line[7:].strip().partition(b" ")
    port = _port(number)
    if port is None:
        return None
    return port, (_connection(b"c=" + rest) or "") if rest else ""


def _port(text: bytes) -> int | None:
    if not text.isdigit() or len(text) > 5:
        return None
    port = int(text)
    return port if port < 65536 else None


@lru_cache(maxsize=64)
def _ptime_ms(line: bytes) -> int:
    try:
        value = float(line.partition(b":")[2])
    except ValueError:
        return 0
    return int(value) if 1 <= value <= 1000 else 0


@lru_cache(maxsize=2048)
def _codecs(formats: bytes, lines: tuple[bytes, ...]) -> tuple[Mapping[int, Codec], int]:
    """Return the codecs of a format list and its rtpmap and fmtp lines, and how many of the lines are bad.

    Cached: a network speaks in few such combinations, however many calls it makes.
    """
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
