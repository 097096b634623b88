"""Text of SIP messages and SDP bodies, and what a capture agent makes of them.

Pure formatting: what is said when is decided in `scripts`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from collectors.facts import Payload
from telephony.model import Endpoint


class Agent(NamedTuple):
    """A capture agent, by what it puts into its HEP datagrams."""

    node_id: int
    name: str
    auth_key: str
    """Empty: sends none (as rtpengine)."""


class Sighting(NamedTuple):
    """One message as one agent captures it on one hop."""

    at_ns: int
    agent: Agent
    src: Endpoint
    dst: Endpoint
    kind: Payload
    payload: bytes
    correlation_id: str = ""


PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9, "G729": 18, "OPUS": 96, "ILBC": 97}
_RTPMAP = {
    "PCMU": "PCMU/8000",
    "PCMA": "PCMA/8000",
    "G722": "G722/8000",  # RFC 3551 section 4.5.2: 8000 although it samples at 16000
    "G729": "G729/8000",
    "OPUS": "opus/48000/2",
    "ILBC": "iLBC/8000",
}
CLOCK_RATE_HZ = {codec: int(text.split("/")[1]) for codec, text in _RTPMAP.items()}
REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    302: "Moved Temporarily",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    504: "Server Time-out",
    600: "Busy Everywhere",
    603: "Decline",
}


def render(start: str, vias: Iterable[str], headers: Iterable[str], body: str = "") -> bytes:
    """Return a SIP message; Via headers come first, Content-Length is counted here."""
    lines = [start, *(f"Via: {via}" for via in vias), *headers]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def status_line(code: int) -> str:
    """Return the first line of a response.

    >>> status_line(486)
    'SIP/2.0 486 Busy Here'
    """
    return f"SIP/2.0 {code} {REASONS[code]}"


def sdp(owner: str, version: int, media: Endpoint, codecs: Iterable[str], mode: str = "sendrecv") -> str:
    """Return an audio offer or answer; `media` is where the describing side receives RTP, RTCP one port above."""
    names = list(codecs)
    types = " ".join(str(PAYLOAD_TYPES[c]) for c in names)
    maps = [f"a=rtpmap:{PAYLOAD_TYPES[c]} {_RTPMAP[c]}" for c in names]
    lines = [
        "v=0",
        f"o={owner} {media.port} {version} IN IP4 {media.ip}",
        "s=-",
        f"c=IN IP4 {media.ip}",
        "t=0 0",
        f"m=audio {media.port} RTP/AVP {types} 101",
        *maps,
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        f"a=rtcp:{media.port + 1}",
        "a=ptime:20",
        f"a={mode}",
    ]
    return "\r\n".join(lines) + "\r\n"
