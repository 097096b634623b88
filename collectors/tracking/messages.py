"""The SIP messages of one batch as the trackers read them: plain integers, and the rest on demand."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.facts import DatagramBatch, MediaDescription
from collectors.kernels.sip_layout import Content, MessageFlag
from collectors.tracking.names import Names
from collectors.wire.sdp import SessionDescription, find_sdp, parse_sdp
from collectors.wire.sip import SipMessage, q850_cause

_MAX_BODY = 8192
"""Bytes of a body that are read."""
_MEDIA = frozenset({"audio", "image"})
SDP_OR_MULTIPART = (int(Content.SDP), int(Content.MULTIPART))
_CREDENTIALS = int(MessageFlag.CREDENTIALS)
_EMPTY = SessionDescription((), 0)


class Message(NamedTuple):
    """What every message needs, of its `SIP_MESSAGE` row."""

    captured_ns: int
    method: int
    status: int
    from_key: int
    to_key: int
    message_key: int
    place_hash: int
    from_tag_hash: int
    to_tag_hash: int
    branch_at: int
    branch_len: int
    text_hash: int
    text_at: int
    text_len: int
    body_hash: int
    body_at: int
    body_len: int
    cseq: int
    vias: int
    content: int
    row: int
    position: int
    """Of the row among those of the batch, for what is not here."""

    @property
    def has_sdp(self) -> bool:
        """Whether the body may describe media."""
        return self.content in SDP_OR_MULTIPART


_IDENTITY = ["call_id_at", "call_id_len", "from_at", "from_len", "to_at", "to_len"]
_COLUMNS = Message._fields[:-1]
_message = partial(tuple.__new__, Message)


class Messages:
    """The rows of a batch and the bytes they point at."""

    def __init__(self, rows: npt.NDArray[np.void], batch: DatagramBatch, names: Names) -> None:
        self.rows = rows
        self.names = names
        self._identities: npt.NDArray[np.void] | None = None
        names.read(batch)

    def __iter__(self) -> Iterator[Message]:
        columns = [self.rows[name].tolist() for name in _COLUMNS]
        return map(_message, zip(*columns, range(len(self.rows)), strict=True))

    def view(self, message: Message) -> SipMessage:
        """Return the message as an object."""
        return SipMessage(self.names.view, self.rows[message.position])

    def identity(self, message: Message) -> tuple[str, str, str]:
        """Return Call-ID and the values of From and To."""
        if self._identities is None:
            self._identities = self.rows[_IDENTITY]  # a view: many fields at once cost little more than one
        decode = self.names.decode
        call_at, call_len, from_at, from_len, to_at, to_len = self._identities[message.position].item()
        return decode(call_at, call_len), decode(from_at, from_len), decode(to_at, to_len)

    def hash_of(self, message: Message, field: str) -> int:
        """Return one of the 64-bit keys of the row."""
        return int(self.rows[message.position][field])

    def value(self, message: Message, field: str) -> str:
        """Return the text that the row points at; empty where it is absent."""
        row = self.rows[message.position]
        length = int(row[f"{field}_len"])
        return self.names.decode(int(row[f"{field}_at"]), length) if length else ""

    def q850(self, message: Message) -> int:
        """Return the Q.850 cause of its Reason header, 0 where there is none."""
        reason = self.value(message, "reason")
        return q850_cause(reason) if reason else 0

    def has_credentials(self, message: Message) -> bool:
        """Return whether the message presents credentials."""
        return bool(int(self.rows[message.position]["flags"]) & _CREDENTIALS)

    def body(self, message: Message) -> bytes:
        """Return the body, cut to what is read of one."""
        at = message.body_at
        return bytes(self.names.view[at : at + min(message.body_len, _MAX_BODY)])

    def session(self, message: Message) -> SessionDescription:
        """Return what the SDP of a message says; it may be a part of a multipart body."""
        body: bytes | None = self.body(message)
        if message.content == SDP_OR_MULTIPART[1]:
            body = find_sdp(self.value(message, "content_type"), body or b"")
        return parse_sdp(body) if body else _EMPTY


def describe(
    session: SessionDescription,
    message: Message,
    call_id: str,
    *,
    from_caller: bool,
    is_answer: bool,
    is_reinvite: bool,
) -> Iterator[MediaDescription]:
    """Yield the audio and image lines that a session description accepts."""
    for line in session.media:
        if line.media in _MEDIA and not line.rejected and line.endpoint.ip:
            yield MediaDescription(
                message.captured_ns,
                call_id,
                from_caller,
                line.media,
                line.endpoint,
                line.rtcp,
                line.codecs,
                line.ptime_ms,
                line.sendrecv,
                is_answer,
                is_reinvite,
            )
