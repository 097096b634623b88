"""Scan of SIP messages where they lie, one row of positions and hashes for each.

A tolerant reading of RFC 3261 sections 7 and 25: compact names, folded lines, LF or CRLF, several Via in one
header. It decides nothing: what is missing or absurd becomes a `Reject` code. It never reads outside the
message it was given and allocates nothing.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from collectors.facts import DATAGRAM, DATAGRAM_DUPLICATE, DatagramBatch
from collectors.kernels.memory import OPTIONS, U, hash_bytes, load_u32, load_u64
from collectors.kernels.sip_layout import MAX_IDENTIFIER, SIP_MESSAGE, Content, MessageFlag, Method, Reject
from collectors.kernels.text import (
    COLON,
    COMMA,
    CR,
    EQUALS,
    LF,
    QUOTE,
    SEMICOLON,
    SLASH,
    SPACE,
    TAB,
    after_quoted,
    byte,
    equals_any_case,
    find,
    find_lf,
    is_blank,
    line_end,
    number,
    parameter,
    skip_blanks,
    starts_with,
    token_end,
    trim_end,
)


def _offset(name: str) -> int:
    assert DATAGRAM.fields is not None
    return int(DATAGRAM.fields[name][1])


_ROW_SIZE = DATAGRAM.itemsize
_CAPTURED = _offset("captured_ns")
_ADDRESSES = _offset("src_ip")
_ADDRESSES_LEN = _offset("dst_port") + 2 - _ADDRESSES  # both addresses and both ports lie together
_FLAGS = _offset("flags")
_NODE_ID = _offset("node_id")
_PAYLOAD_AT = _offset("payload_at")
_PAYLOAD_LEN = _offset("payload_len")
_NODE_NAME_AT = _offset("node_name_at")
_NODE_NAME_LEN = _offset("node_name_len")
_AUTH_KEY_AT = _offset("auth_key_at")
_AUTH_KEY_LEN = _offset("auth_key_len")

# Plain integers: numba freezes globals, but not members of enums used as integers.
_KEEPALIVE, _NOT_SIP, _BAD_STATUS = int(Reject.KEEPALIVE), int(Reject.NOT_SIP), int(Reject.BAD_STATUS)
_BAD_CSEQ, _NO_CSEQ, _NO_CALL_ID = int(Reject.BAD_CSEQ), int(Reject.NO_CSEQ), int(Reject.NO_CALL_ID)
_NO_FROM, _NO_TO, _NO_VIA = int(Reject.NO_FROM), int(Reject.NO_TO), int(Reject.NO_VIA)
_OVERSIZED, _OUT_OF_BUFFER = int(Reject.OVERSIZED), int(Reject.OUT_OF_BUFFER)
_CREDENTIALS, _BAD_REASON = int(MessageFlag.CREDENTIALS), int(MessageFlag.BAD_REASON)
_DUPLICATE, _TRUNCATED = int(MessageFlag.DUPLICATE), int(MessageFlag.TRUNCATED)
_NO_CONTENT, _SDP, _VQ_RTCPXR = int(Content.NONE), int(Content.SDP), int(Content.VQ_RTCPXR)
_MULTIPART, _OTHER_CONTENT = int(Content.MULTIPART), int(Content.OTHER)

_METHODS_BY_LENGTH = {
    length: tuple((tuple(m.name.encode()), int(m)) for m in Method if m and len(m.name) == length)
    for length in range(3, 10)
}
_METHODS_3, _METHODS_4, _METHODS_5 = (_METHODS_BY_LENGTH[n] for n in (3, 4, 5))
_METHODS_6, _METHODS_7 = (_METHODS_BY_LENGTH[n] for n in (6, 7))
_METHODS_8, _METHODS_9 = (_METHODS_BY_LENGTH[n] for n in (8, 9))

_SIP = tuple(b"sip/")
_TAG, _BRANCH = tuple(b"tag"), tuple(b"branch")
_TO, _VIA, _FROM, _CSEQ = tuple(b"to"), tuple(b"via"), tuple(b"from"), tuple(b"cseq")
_CALL_ID, _CONTACT, _EXPIRES, _REASON = tuple(b"call-id"), tuple(b"contact"), tuple(b"expires"), tuple(b"reason")
_X_RTP_STAT, _P_RTP_STAT = tuple(b"x-rtp-stat"), tuple(b"p-rtp-stat")
_CONTENT_TYPE, _CONTENT_LENGTH = tuple(b"content-type"), tuple(b"content-length")
_AUTHORIZATION, _PROXY_AUTHORIZATION = tuple(b"authorization"), tuple(b"proxy-authorization")
_APPLICATION_SDP, _APPLICATION_VQ = tuple(b"application/sdp"), tuple(b"application/vq-rtcpxr")
_MULTIPART_PREFIX = tuple(b"multipart/")

_ZERO, _ONE, _29, _31, _32, _33 = (U(n) for n in (0, 1, 29, 31, 32, 33))
_K1, _K2 = U(0x9E3779B97F4A7C15), U(0xD6E8FEB86659FD93)


@njit
def _field(row, offset):
    return np.int64(load_u32(U(row + offset)))


@njit
def _mix(a, b):
    """Return a hash of two hashes; not symmetric."""
    h = (a ^ ((b << _31) | (b >> _33))) * _K1
    h ^= h >> _32
    h = (h ^ b) * _K2
    return h ^ (h >> _29)


@njit
def _hash(at, length, seed):
    """Return a 64-bit hash of bytes; never 0 for some bytes, always 0 for none."""
    if length <= 0:
        return _ZERO
    h = hash_bytes(U(at), U(length), seed)
    return h if h != _ZERO else _ONE


@njit
def _one_of(at, methods):
    for name, code in methods:
        same = True
        for i in range(len(name)):
            if byte(at + i) != name[i]:
                same = False
                break
        if same:
            return code
    return 0


@njit
def _method(at, length):
    """Return the `Method` of a token; methods are case-sensitive (RFC 3261 section 7.1)."""
    if length == 3:
        return _one_of(at, _METHODS_3)
    if length == 4:
        return _one_of(at, _METHODS_4)
    if length == 5:
        return _one_of(at, _METHODS_5)
    if length == 6:
        return _one_of(at, _METHODS_6)
    if length == 7:
        return _one_of(at, _METHODS_7)
    if length == 8:
        return _one_of(at, _METHODS_8)
    if length == 9:
        return _one_of(at, _METHODS_9)
    return 0


@njit
def _vias(at, end):
    """Return how many Via values a header holds and where the first of them ends."""
    count, first_end, something, quotes = 0, end, False, True
    while at < end:
        c = byte(at)
        if c == QUOTE and quotes:
            after = after_quoted(at, end)
            quotes = after >= 0
            at = after if quotes else at + 1
            something = True
            continue
        if c == COMMA:
            if something:
                count += 1
                if count == 1:
                    first_end = at
            something = False
        elif not is_blank(c):
            something = True
        at += 1
    return (count + 1 if something else count), first_end


@njit
def _top_via(out, base, at, end):
    """Take sent-by and branch from `SIP / 2.0 / UDP host : port ; branch=...` (blanks may be anywhere)."""
    by = find(find(at, end, SLASH) + 1, end, SLASH) + 1
    by = skip_blanks(token_end(skip_blanks(by, end), end), end)
    stop = trim_end(by, find(by, end, SEMICOLON)) if by < end else by
    if stop > by:
        out.sent_by_at = by - base
        out.sent_by_len = stop - by
    value, length = parameter(at, end, _BRANCH)
    if length > 0:
        out.branch_at = value - base
        out.branch_len = length


@njit
def _start_line(out, base, at, end):
    """Read the request or status line; return a `Reject` code."""
    end = trim_end(at, end)
    if starts_with(at, end, _SIP):
        space = find(at, end, SPACE)
        code = skip_blanks(space, end)
        status, after = number(code, end)
        if after - code != 3 or status < 100 or status > 699:
            return _BAD_STATUS
        if after < end and byte(after) != SPACE:
            return _BAD_STATUS
        out.status = status
        phrase = skip_blanks(after, end)
        out.text_at = phrase - base
        out.text_len = end - phrase
        bad = phrase == after
        for i in range(phrase, end):
            bad = bad or byte(i) < SPACE
        if bad:
            out.flags |= _BAD_REASON
        return 0
    stop = token_end(at, end)
    if stop == at or stop - at > 32 or stop >= end or byte(stop) != SPACE:
        return _NOT_SIP
    version = end
    while version > stop and byte(version - 1) != SPACE:
        version -= 1
    if not starts_with(version, end, _SIP):
        return _NOT_SIP
    uri = skip_blanks(stop, version)
    uri_end = trim_end(uri, version)
    if uri_end == uri:
        return _NOT_SIP
    out.method = _method(at, stop - at)
    out.method_at = at - base
    out.method_len = stop - at
    out.text_at = uri - base
    out.text_len = uri_end - uri
    return 0


@njit
def _cseq(out, base, at, end):
    """Read `number method`; return a `Reject` code."""
    value, after = number(at, end)
    if value < 0 or value > 0xFFFFFFFF:  # RFC 3261 section 8.1.1.5 allows 2**31 - 1; senders go beyond
        return _BAD_CSEQ
    start = skip_blanks(after, end)
    stop = token_end(start, end)
    if start == after or stop == start:
        return _BAD_CSEQ
    out.cseq = value
    if out.status != 0:
        out.method = _method(start, stop - start)
        out.method_at = start - base
        out.method_len = stop - start
    return 0


@njit
def _content(at, end):
    if starts_with(at, end, _APPLICATION_SDP):
        return _SDP
    if starts_with(at, end, _APPLICATION_VQ):
        return _VQ_RTCPXR
    if starts_with(at, end, _MULTIPART_PREFIX):
        return _MULTIPART
    return _OTHER_CONTENT


(
    _H_OTHER,
    _H_VIA,
    _H_FROM,
    _H_TO,
    _H_CALL_ID,
    _H_CSEQ,
    _H_CONTACT,
    _H_CONTENT_TYPE,
    _H_CONTENT_LENGTH,
    _H_EXPIRES,
    _H_REASON,
    _H_RTP_STAT,
    _H_CREDENTIALS,
) = range(13)
_COMPACT = {"v": _H_VIA, "f": _H_FROM, "t": _H_TO, "i": _H_CALL_ID, "m": _H_CONTACT}
_COMPACT |= {"c": _H_CONTENT_TYPE, "l": _H_CONTENT_LENGTH}
_BY_LETTER = tuple(_COMPACT.get(chr(letter), _H_OTHER) for letter in range(128))
"""Header of each one-letter name (RFC 3261 section 7.3.3)."""


@njit
def _header(at, length):
    """Return which header a name of this length is."""
    if length == 1:
        c = byte(at) | 32
        return _BY_LETTER[c] if c < 128 else _H_OTHER
    if length == 2:
        return _H_TO if equals_any_case(at, _TO) else _H_OTHER
    if length == 3:
        return _H_VIA if equals_any_case(at, _VIA) else _H_OTHER
    if length == 4:
        if equals_any_case(at, _FROM):
            return _H_FROM
        return _H_CSEQ if equals_any_case(at, _CSEQ) else _H_OTHER
    if length == 6:
        return _H_REASON if equals_any_case(at, _REASON) else _H_OTHER
    if length == 7:
        if equals_any_case(at, _CALL_ID):
            return _H_CALL_ID
        if equals_any_case(at, _CONTACT):
            return _H_CONTACT
        return _H_EXPIRES if equals_any_case(at, _EXPIRES) else _H_OTHER
    if length == 10:
        return _H_RTP_STAT if equals_any_case(at, _X_RTP_STAT) or equals_any_case(at, _P_RTP_STAT) else _H_OTHER
    if length == 12:
        return _H_CONTENT_TYPE if equals_any_case(at, _CONTENT_TYPE) else _H_OTHER
    if length == 13:
        return _H_CREDENTIALS if equals_any_case(at, _AUTHORIZATION) else _H_OTHER
    if length == 14:
        return _H_CONTENT_LENGTH if equals_any_case(at, _CONTENT_LENGTH) else _H_OTHER
    if length == 19:
        return _H_CREDENTIALS if equals_any_case(at, _PROXY_AUTHORIZATION) else _H_OTHER
    return _H_OTHER


@njit
def _headers(out, base, at, end):
    """Take the headers; return a `Reject` code and the Content-Length (-1 = absent)."""
    out.expires = -1
    content_length = -1
    has_cseq = False
    out.headers_at = at - base
    out.headers_len = end - at
    out.body_at = end - base
    out.flags |= _TRUNCATED  # until the empty line is found
    start = at
    while at < end:
        first = byte(at)
        if first == LF or (first == CR and (at + 1 >= end or byte(at + 1) == LF)):
            out.headers_len = at - start
            out.body_at = min(at + (1 if first == LF else 2), end) - base
            out.flags &= ~_TRUNCATED
            break
        stop = line_end(at, end)
        colon = find(at, stop, COLON)
        value = skip_blanks(colon + 1, stop)
        last = trim_end(value, stop) if value < stop else value
        length = last - value
        name_end = colon
        while name_end > at and (byte(name_end - 1) == SPACE or byte(name_end - 1) == TAB):
            name_end -= 1
        header = _header(at, name_end - at) if length > 0 and colon < stop else _H_OTHER
        if header == _H_OTHER:
            pass
        elif header == _H_VIA:
            count, first_end = _vias(value, last)
            if out.vias == 0 and count > 0:
                _top_via(out, base, value, first_end)
            out.vias = min(out.vias + count, 0xFFFF)
        elif header == _H_FROM and out.from_len == 0:
            out.from_at = value - base
            out.from_len = length
            tag, tag_len = parameter(value, last, _TAG)
            if tag_len > 0:
                out.from_tag_at = tag - base
                out.from_tag_len = tag_len
        elif header == _H_TO and out.to_len == 0:
            out.to_at = value - base
            out.to_len = length
            tag, tag_len = parameter(value, last, _TAG)
            if tag_len > 0:
                out.to_tag_at = tag - base
                out.to_tag_len = tag_len
        elif header == _H_CALL_ID and out.call_id_len == 0:
            out.call_id_at = value - base
            out.call_id_len = length
        elif header == _H_CSEQ and not has_cseq:
            has_cseq = True
            reject = _cseq(out, base, value, last)
            if reject != 0:
                return reject, -1
        elif header == _H_CONTACT and out.contact_len == 0:
            out.contact_at = value - base
            out.contact_len = length
        elif header == _H_CONTENT_TYPE and out.content_type_len == 0:
            out.content_type_at = value - base
            out.content_type_len = length
            out.content = _content(value, last)
        elif header == _H_CONTENT_LENGTH and content_length < 0:
            content_length, _ = number(value, last)
        elif header == _H_EXPIRES:
            out.expires, _ = number(value, last)
        elif header == _H_REASON and out.reason_len == 0:
            out.reason_at = value - base
            out.reason_len = length
        elif header == _H_RTP_STAT and out.rtp_stat_len == 0:
            out.rtp_stat_at = value - base
            out.rtp_stat_len = length
        elif header == _H_CREDENTIALS:
            out.flags |= _CREDENTIALS
        at = stop + 1
    if out.call_id_len == 0:
        return _NO_CALL_ID, -1
    if not has_cseq:
        return _NO_CSEQ, -1
    if out.from_len == 0:
        return _NO_FROM, -1
    if out.to_len == 0:
        return _NO_TO, -1
    if out.vias == 0:
        return _NO_VIA, -1
    longest = max(max(out.call_id_len, out.branch_len), max(out.from_tag_len, out.to_tag_len))
    if longest > MAX_IDENTIFIER:
        return _OVERSIZED, -1
    return 0, content_length


@njit
def _hashes(out, base, row, seed):
    call, from_tag = (
        _hash(base + out.call_id_at, out.call_id_len, seed),
        _hash(base + out.from_tag_at, out.from_tag_len, seed),
    )
    to_tag, branch = (
        _hash(base + out.to_tag_at, out.to_tag_len, seed),
        _hash(base + out.branch_at, out.branch_len, seed),
    )
    out.call_hash = call
    out.from_tag_hash = from_tag
    out.to_tag_hash = to_tag
    out.branch_hash = branch
    out.text_hash = _hash(base + out.text_at, out.text_len, seed)
    body = _hash(base + out.body_at, out.body_len, seed)
    out.body_hash = body
    out.from_key = _mix(call, from_tag)
    out.to_key = _mix(call, to_tag) if to_tag != _ZERO else _ZERO
    method = _hash(base + out.method_at, out.method_len, seed)
    transaction = _mix(_mix(branch, call), U(out.cseq))
    hop = _hash(row + _ADDRESSES, _ADDRESSES_LEN, seed)
    out.transaction_key = _mix(transaction, method)
    out.message_key = _mix(_mix(_mix(_mix(transaction, method), U(out.status)), _mix(hop, to_tag)), body)
    name = _hash(base + _field(row, _NODE_NAME_AT), _field(row, _NODE_NAME_LEN), seed)
    key = _hash(base + _field(row, _AUTH_KEY_AT), _field(row, _AUTH_KEY_LEN), seed)
    out.place_hash = _mix(_mix(_mix(name, key), U(_field(row, _NODE_ID))), hop)


@njit
def _message(out, base, row, at, end, seed):
    """Scan the message in [at, end); return a `Reject` code."""
    while at < end and (is_blank(byte(at)) or byte(at) == 0):
        at += 1
    if at >= end:
        return _KEEPALIVE
    out.at = at - base
    line = find_lf(at, end)
    reject = _start_line(out, base, at, line)
    if reject != 0:
        return reject
    reject, content_length = _headers(out, base, min(line + 1, end), end)
    if reject != 0:
        return reject
    body = base + out.body_at
    available = end - body
    if content_length > available:
        out.flags |= _TRUNCATED
    elif content_length >= 0:
        available = content_length  # RFC 3261 section 18.3: what follows in the datagram is not ours
    out.body_len = available
    out.length = body + available - base - out.at
    if available == 0:
        out.content = _NO_CONTENT
    elif out.content_type_len == 0:
        sdp = available > 3 and byte(body) == 118 and byte(body + 1) == EQUALS and byte(body + 2) == 48  # v=0
        out.content = _SDP if sdp else _OTHER_CONTENT
    _hashes(out, base, row, seed)
    return 0


@njit(**OPTIONS)
def scan(rows, row_indices, base, size, seed, messages):
    """Scan the SIP payloads of some datagrams.

    Args:
        rows: address of contiguous `DATAGRAM` rows.
        row_indices: int64 indices of the rows that hold SIP.
        base: address of the batch's buffer.
        size: its length in bytes.
        seed: key of the hashes.
        messages: zeroed `SIP_MESSAGE` rows to fill, one per index.
    """
    for i in range(row_indices.shape[0]):
        out = messages[i]
        index = row_indices[i]
        row = rows + index * _ROW_SIZE
        out.row = index
        out.captured_ns = np.int64(load_u64(U(row + _CAPTURED)))
        at = _field(row, _PAYLOAD_AT)
        length = _field(row, _PAYLOAD_LEN)
        name_end = _field(row, _NODE_NAME_AT) + _field(row, _NODE_NAME_LEN)
        key_end = _field(row, _AUTH_KEY_AT) + _field(row, _AUTH_KEY_LEN)
        if at + length > size or name_end > size or key_end > size:
            out.reject = _OUT_OF_BUFFER
            continue
        if byte(row + _FLAGS) & DATAGRAM_DUPLICATE:
            out.flags |= _DUPLICATE
        out.reject = _message(out, base, row, base + at, base + at + length, seed)


def scan_messages(
    batch: DatagramBatch, row_indices: npt.NDArray[np.int64], hash_seed: int = 0
) -> npt.NDArray[np.void]:
    """Return the `SIP_MESSAGE` rows of the given rows of a batch, in the same order.

    Hashes of two scans compare only under the same seed; with a secret one nobody can aim for collisions.
    """
    messages = np.zeros(len(row_indices), SIP_MESSAGE)
    rows = np.ascontiguousarray(batch.rows)
    indices = np.ascontiguousarray(row_indices, np.int64)
    scan(rows.ctypes.data, indices, batch.buffer.ctypes.data, batch.buffer.size, U(hash_seed), messages)
    return messages
