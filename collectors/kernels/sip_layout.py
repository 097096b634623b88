"""The row that the SIP kernel writes for each message, and the small codes in it.

Kept apart from the kernel so that readers of the rows need not load the compiler. Positions are offsets into
the batch's buffer, lengths are bytes, 0 length = absent; values are trimmed of white space, still folded.
"""

from enum import IntEnum, IntFlag

import numpy as np


class Method(IntEnum):
    """Request methods that the trackers tell apart; any other token is UNKNOWN."""

    UNKNOWN = 0
    INVITE = 1
    ACK = 2
    BYE = 3
    CANCEL = 4
    REGISTER = 5
    OPTIONS = 6
    PRACK = 7
    UPDATE = 8
    INFO = 9
    SUBSCRIBE = 10
    NOTIFY = 11
    REFER = 12
    MESSAGE = 13
    PUBLISH = 14


class Reject(IntEnum):
    """Why bytes were not taken for a SIP message."""

    NONE = 0
    KEEPALIVE = 1
    """Nothing but line ends, blanks or zeros (RFC 5626 section 3.5.1): not malformed."""
    NOT_SIP = 2
    BAD_STATUS = 3
    BAD_CSEQ = 4
    NO_CSEQ = 5
    NO_CALL_ID = 6
    NO_FROM = 7
    NO_TO = 8
    NO_VIA = 9
    OVERSIZED = 10
    """An identifier longer than the trackers are ready to keep."""
    OUT_OF_BUFFER = 11
    """The row points outside its buffer."""


class Content(IntEnum):
    """What a body is, as far as the trackers care."""

    NONE = 0
    SDP = 1
    VQ_RTCPXR = 2
    MULTIPART = 3
    OTHER = 4


class MessageFlag(IntFlag):
    """Marks on a message."""

    CREDENTIALS = 1
    """Authorization or Proxy-Authorization is present."""
    BAD_REASON = 2
    """The status line has no reason phrase, or control characters in it."""
    DUPLICATE = 4
    """The datagram was marked as seen already."""
    TRUNCATED = 8
    """No empty line after the headers, or fewer body bytes than Content-Length says."""


MAX_IDENTIFIER = 512
"""Longest Call-ID, tag or branch taken, in bytes; longer ones would let one datagram fill the tables."""

SIP_MESSAGE = np.dtype(
    [
        # 64-bit hashes; 0 = absent. Tags are hashed alike in From and To, so the two can be compared.
        ("call_hash", "<u8"),
        ("from_tag_hash", "<u8"),
        ("to_tag_hash", "<u8"),
        ("branch_hash", "<u8"),
        ("text_hash", "<u8"),
        ("body_hash", "<u8"),
        ("from_key", "<u8"),  # of (Call-ID, From-tag)
        ("to_key", "<u8"),  # of (Call-ID, To-tag); 0 without To-tag
        ("transaction_key", "<u8"),  # of (top branch, Call-ID, CSeq)
        ("message_key", "<u8"),  # equal only for copies of one message on one hop
        ("place_hash", "<u8"),  # of both addresses and ports, node id, node name and auth key
        ("captured_ns", "<i8"),
        ("row", "<u4"),  # index of the datagram in its batch
        ("at", "<u4"),  # of the start line
        ("length", "<u4"),  # up to the end of the body
        ("headers_at", "<u4"),
        ("headers_len", "<u4"),
        ("text_at", "<u4"),  # Request-URI of a request, reason phrase of a response
        ("text_len", "<u4"),
        ("method_at", "<u4"),  # of the request line, or of the CSeq for a response
        ("method_len", "<u4"),
        ("call_id_at", "<u4"),
        ("call_id_len", "<u4"),
        ("from_at", "<u4"),
        ("from_len", "<u4"),
        ("from_tag_at", "<u4"),
        ("from_tag_len", "<u4"),
        ("to_at", "<u4"),
        ("to_len", "<u4"),
        ("to_tag_at", "<u4"),
        ("to_tag_len", "<u4"),
        ("branch_at", "<u4"),
        ("branch_len", "<u4"),
        ("sent_by_at", "<u4"),
        ("sent_by_len", "<u4"),
        ("contact_at", "<u4"),
        ("contact_len", "<u4"),
        ("content_type_at", "<u4"),
        ("content_type_len", "<u4"),
        ("reason_at", "<u4"),  # Reason header (RFC 3326), not the reason phrase
        ("reason_len", "<u4"),
        ("rtp_stat_at", "<u4"),  # X-RTP-Stat or P-RTP-Stat
        ("rtp_stat_len", "<u4"),
        ("body_at", "<u4"),
        ("body_len", "<u4"),
        ("cseq", "<u4"),
        ("expires", "<i8"),  # seconds of the Expires header; -1 = absent
        ("status", "<u2"),  # 0 for a request
        ("vias", "<u2"),
        ("reject", "u1"),  # Reject
        ("method", "u1"),  # Method of the request line, or of the CSeq for a response
        ("content", "u1"),  # Content
        ("flags", "u1"),  # MessageFlag
    ]
)
"""One scanned SIP message; the rows of rejected ones hold only `row`, `captured_ns` and `reject`."""
