"""Tells by its first bytes what a UDP payload or a TCP stream of a capture carries."""

import re
from enum import StrEnum

_SIP = re.compile(rb"SIP/2\.0 |[A-Z]{3,20} (?:(?i:sips?|tel|urn):|[^\s]+ SIP/2\.0)")
_HEP3_MAGICS = (b"HEP3", b"EEP3", b"EEP1")
_HEP12_HEADER_BYTES = (16, 28, 40, 52)
_HEP12_FAMILIES = (2, 10, 24, 28, 30)
_RTP_HEADER_BYTES = 12
_RTCP_HEADER_BYTES = 8


class Content(StrEnum):
    """What a captured payload is."""

    HEP = "hep"
    SIP = "sip"
    RTCP = "rtcp"
    RTP = "rtp"
    OTHER = "other"


def is_hep3(data: bytes) -> bool:
    """Return whether `data` starts a HEP3 datagram or frame."""
    return data[:4] in _HEP3_MAGICS


def is_sip(data: bytes) -> bool:
    """Return whether `data` starts like a SIP request or response (RFC 3261 section 7)."""
    return _SIP.match(data) is not None


def classify(data: bytes) -> Content:
    """Return what a UDP payload is; an RTP port may carry RTCP too (RFC 5761 section 4)."""
    if len(data) < 4:
        return Content.OTHER
    if data[0] >> 6 == 2:
        if 192 <= data[1] <= 223:
            length = (int.from_bytes(data[2:4], "big") + 1) * 4
            return Content.RTCP if _RTCP_HEADER_BYTES <= len(data) and length <= len(data) else Content.OTHER
        return Content.RTP if len(data) >= _RTP_HEADER_BYTES else Content.OTHER
    if is_hep3(data):
        return Content.HEP
    if data[0] in (1, 2) and data[1] in _HEP12_HEADER_BYTES and data[2] in _HEP12_FAMILIES:
        return Content.HEP
    return Content.SIP if is_sip(data) else Content.OTHER
