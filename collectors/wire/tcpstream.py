"""TCP segments of a capture to the SIP messages and HEP frames they carry.

Segments are put in order, retransmissions and overlaps trimmed. Where one is missing for good (or
the capture starts in the middle of a connection) the stream is taken up again at the next segment
that starts a message. Everything is bounded: connections, segments waiting for an earlier one, and
the length of a message.
"""

import re
from collections import Counter

from collectors.wire.classify import Content, is_hep3, is_sip
from collectors.wire.packet import Segment

_FIN, _SYN, _RST = 1, 2, 4
_CONTENT_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_HEP_HEADER_BYTES = 6
_HALF = 1 << 31
_MAX_WAITING = 1024

Message = tuple[Content, bytes]


class _Stream:
    """One direction of a connection."""

    __slots__ = ("content", "next", "pending", "text", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.next = -1
        """Sequence number of the next byte; -1 until a message start is seen."""
        self.content: Content | None = None
        self.text = b""
        self.waiting: dict[int, bytes] = {}
        self.waiting_bytes = 0


class TcpStreams:
    """Reassembles the connections of a capture.

    Args:
        errors: Gets `tcp_gap` (bytes are missing), `tcp_evicted`, `tcp_oversized`, `tcp_unframed`.
        max_streams: Directions held; the one idle longest goes first.
        max_waiting_bytes: Bytes a direction may hold ahead of a missing segment.
        max_message_bytes: Longest message put together.
    """

    def __init__(
        self,
        errors: Counter[str],
        *,
        max_streams: int = 4096,
        max_waiting_bytes: int = 262_144,
        max_message_bytes: int = 65_535,
    ) -> None:
        self._errors = errors
        self._max_streams = max_streams
        self._max_waiting_bytes = max_waiting_bytes
        self._max_message_bytes = max_message_bytes
        self._streams: dict[tuple[bytes, int, bytes, int], _Stream] = {}

    def feed(self, segment: Segment) -> list[Message]:
        """Take a segment and return the messages it completes, in order."""
        key = (segment.src_ip, segment.src_port, segment.dst_ip, segment.dst_port)
        stream = self._streams.pop(key, None)
        if segment.tcp_flags & _SYN:
            stream = _Stream()
            stream.next = (segment.sequence + 1) & 0xFFFF_FFFF
        elif segment.tcp_flags & _RST:
            return []
        elif stream is None:
            if not segment.payload:
                return []
            stream = _Stream()
        messages = self._take(stream, segment)
        if not segment.tcp_flags & _FIN or stream.waiting:
            if len(self._streams) >= self._max_streams:
                del self._streams[next(iter(self._streams))]
                self._errors["tcp_evicted"] += 1
            self._streams[key] = stream  # last in order: used most recently
        return messages

    def _take(self, stream: _Stream, segment: Segment) -> list[Message]:
        data = segment.payload
        if not data or segment.tcp_flags & _SYN or stream.content is Content.OTHER:
            return []
        if segment.cut:
            self._lose(stream, "tcp_gap")
            return []
        if stream.next < 0:
            if not (is_hep3(data) or is_sip(data)):
                return []
            stream.next = segment.sequence
        ahead = (segment.sequence - stream.next) & 0xFFFF_FFFF
        messages: list[Message] = []
        if ahead and ahead < _HALF:
            if segment.sequence not in stream.waiting:
                stream.waiting[segment.sequence] = data
                stream.waiting_bytes += len(data)
            if stream.waiting_bytes > self._max_waiting_bytes or len(stream.waiting) > _MAX_WAITING:
                messages += self._skip_gap(stream)
        else:
            messages += self._append(stream, segment.sequence, data)
        return messages

    def _append(self, stream: _Stream, sequence: int, data: bytes) -> list[Message]:
        """Add bytes that start at or before the next one expected, and all that waited for them."""
        messages: list[Message] = []
        while True:
            fresh = data[(stream.next - sequence) & 0xFFFF_FFFF :]
            stream.next = (stream.next + len(fresh)) & 0xFFFF_FFFF
            if fresh:
                stream.text += fresh
                messages += self._frame(stream)
            due = next((at for at in stream.waiting if not 0 < (at - stream.next) & 0xFFFF_FFFF < _HALF), None)
            if due is None or stream.next < 0:
                return messages
            sequence, data = due, stream.waiting.pop(due)
            stream.waiting_bytes -= len(data)

    def _skip_gap(self, stream: _Stream) -> list[Message]:
        """Give a missing segment up: go on at the earliest waiting one that starts a message."""
        waiting = stream.waiting
        base = stream.next
        self._lose(stream, "tcp_gap")
        for at in sorted(waiting, key=lambda at: (at - base) & 0xFFFF_FFFF):
            data = waiting.pop(at)
            if is_hep3(data) or is_sip(data):
                stream.next = at
                stream.waiting = waiting
                stream.waiting_bytes = sum(map(len, waiting.values()))
                return self._append(stream, at, data)
        return []

    def _lose(self, stream: _Stream, reason: str) -> None:
        """Forget what is held of a stream, to take it up again at the next message start."""
        self._errors[reason] += 1
        stream.next = -1
        stream.text = b""
        stream.waiting = {}
        stream.waiting_bytes = 0

    def _frame(self, stream: _Stream) -> list[Message]:
        """Cut complete messages off the front of the stream's bytes."""
        messages: list[Message] = []
        while stream.text:
            text = stream.text
            if text[0] in b"\r\n":
                stream.text = text.lstrip(b"\r\n")  # keep-alives (RFC 5626 section 4.4.1)
                continue
            if len(text) < 4:
                break
            if is_hep3(text):
                content, length = Content.HEP, int.from_bytes(text[4:6], "big")
                if length < _HEP_HEADER_BYTES <= len(text):
                    length = -1
                elif len(text) < _HEP_HEADER_BYTES:
                    length = 0
            else:
                content, length = Content.SIP, self._sip_length(text)
            if length < 0:
                if stream.content is None:
                    stream.content = Content.OTHER
                    stream.text = b""
                else:
                    self._lose(stream, "tcp_unframed")
                break
            if not length or length > len(text):
                if len(text) > self._max_message_bytes:
                    self._lose(stream, "tcp_oversized")
                break
            stream.content = content
            messages.append((content, text[:length]))
            stream.text = text[length:]
        return messages

    def _sip_length(self, text: bytes) -> int:
        """Return the length of the message at the start (RFC 3261 section 18.3): 0 not known yet, -1 no SIP."""
        end = _HEADER_END.search(text)
        line_complete = b"\n" in text
        if (line_complete or len(text) > 2048) and not is_sip(text):
            return -1
        if end is None:
            return 0
        stated = _CONTENT_LENGTH.search(text, 0, end.end())
        return end.end() + (int(stated[1]) if stated else 0)
