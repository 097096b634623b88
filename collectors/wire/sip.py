"""SIP messages as objects, for cold paths and for one message at a time.

The one parser is the kernel (`collectors.kernels.sip`); this module only reads what its rows point at and must
not grow a second way to parse. A `SipMessage` is a view: what it gives out is a copy, its buffer must outlive it.
"""

import re
from functools import lru_cache

import numpy as np

from collectors.facts import DATAGRAM, DatagramBatch, Payload, Rejected
from collectors.kernels.sip import scan_messages
from collectors.kernels.sip_layout import Content, MessageFlag, Method, Reject

_FOLD = re.compile(r"\r?\n[ \t]+")
_CAUSE = re.compile(r";\s*cause\s*=\s*(\d{1,3})(?!\d)", re.IGNORECASE)
_COMPACT = {
    "accept-contact": "a",
    "allow-events": "u",
    "call-id": "i",
    "contact": "m",
    "content-encoding": "e",
    "content-length": "l",
    "content-type": "c",
    "event": "o",
    "from": "f",
    "identity": "y",
    "refer-to": "r",
    "referred-by": "b",
    "reject-contact": "j",
    "request-disposition": "d",
    "session-expires": "x",
    "subject": "s",
    "supported": "k",
    "to": "t",
    "via": "v",
}
"""One-letter names (RFC 3261 section 7.3.3 and the IANA register of SIP header fields)."""

_LONG = {compact: name for name, compact in _COMPACT.items()}


class SipMessage:
    """One message as its kernel row describes it."""

    __slots__ = ("_buffer", "row")

    def __init__(self, buffer: memoryview, row: np.void) -> None:
        self.row = row
        """Its `SIP_MESSAGE` row."""
        self._buffer = buffer

    def _bytes(self, field: str) -> bytes:
        at = int(self.row[f"{field}_at"])
        return bytes(self._buffer[at : at + int(self.row[f"{field}_len"])])

    def _text(self, field: str) -> str:
        return _unfold(self._bytes(field))

    @property
    def method(self) -> str:
        """Request method; of the CSeq for a response."""
        return self._text("method")

    @property
    def method_code(self) -> Method:
        """The method as an enum."""
        return Method(int(self.row["method"]))

    @property
    def status(self) -> int:
        """Status code; 0 for a request."""
        return int(self.row["status"])

    @property
    def request_uri(self) -> str:
        """Request-URI; empty for a response."""
        return "" if self.status else self._text("text")

    @property
    def reason_phrase(self) -> str:
        """Reason phrase; empty for a request."""
        return self._text("text") if self.status else ""

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self._text("call_id")

    @property
    def cseq(self) -> int:
        """CSeq number."""
        return int(self.row["cseq"])

    @property
    def from_value(self) -> str:
        """Whole value of From."""
        return self._text("from")

    @property
    def to_value(self) -> str:
        """Whole value of To."""
        return self._text("to")

    @property
    def from_tag(self) -> str:
        """Tag of From, empty where none."""
        return self._text("from_tag")

    @property
    def to_tag(self) -> str:
        """Tag of To, empty where none."""
        return self._text("to_tag")

    @property
    def branch(self) -> str:
        """Branch of the top Via."""
        return self._text("branch")

    @property
    def sent_by(self) -> str:
        """Host and port of the top Via, as written."""
        return self._text("sent_by")

    @property
    def vias(self) -> int:
        """Number of Via values."""
        return int(self.row["vias"])

    @property
    def contact(self) -> str:
        """First Contact header."""
        return self._text("contact")

    @property
    def expires(self) -> int | None:
        """Seconds of the Expires header."""
        seconds = int(self.row["expires"])
        return None if seconds < 0 else seconds

    @property
    def content(self) -> Content:
        """What the body is."""
        return Content(int(self.row["content"]))

    @property
    def content_type(self) -> str:
        """Content-Type as written."""
        return self._text("content_type")

    @property
    def body(self) -> bytes:
        """The body, as far as it came."""
        return self._bytes("body")

    @property
    def flags(self) -> MessageFlag:
        """Marks of the parser."""
        return MessageFlag(int(self.row["flags"]))

    @property
    def length(self) -> int:
        """Bytes from the start line to the end of the body."""
        return int(self.row["length"])

    def header(self, name: str) -> str | None:
        """Return the first value of any header, by its long name in any case; None where it is absent."""
        found = _pattern((name.lower(),)).search(b"\n" + self._bytes("headers"))
        return None if found is None else _unfold(found[2])

    def headers(self, names: tuple[str, ...], *, longest: int) -> dict[str, str]:
        """Return those of the headers that are present, by lower-case name, cut to `longest` characters."""
        found: dict[str, str] = {}
        for name, value in _pattern(names).findall(b"\n" + self._bytes("headers")):
            long_name = name.decode().lower()
            found.setdefault(_LONG.get(long_name, long_name), _unfold(value)[:longest])
        return found


@lru_cache(maxsize=256)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return what finds headers in a section that starts with a line end: name, then value with its folds."""
    spellings = [re.escape(n) for name in names for n in (name, _COMPACT.get(name.lower(), name))]
    text = rf"\n({'|'.join(spellings)})[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)"
    return re.compile(text.encode("utf-8", "replace"), re.IGNORECASE)


def parse_message(data: bytes) -> SipMessage | Rejected:
    """Parse one message; what is rejected has the lower-case name of its `Reject` as reason."""
    rows = np.zeros(1, DATAGRAM)
    rows["payload_type"] = Payload.SIP
    rows["payload_len"] = len(data)
    row = scan_messages(DatagramBatch(rows, np.frombuffer(data or b"\0", np.uint8)), np.zeros(1, np.int64))[0]
    if row["reject"]:
        return Rejected(Reject(int(row["reject"])).name.lower())
    return SipMessage(memoryview(data), row)


def uri_parts(value: str) -> tuple[str, str]:
    """Return user and host of the URI in a From, To or Contact value; the host in lower case, empty for tel.

    >>> uri_parts('"Ann <Sales>" <sip:+4930123;npdi@[2001:DB8::1]:5060;user=phone>;tag=1')
    ('+4930123', '2001:db8::1')
    >>> uri_parts("sip:bob@Example.com;tag=x"), uri_parts("<tel:+1-201-555;phone-context=x>")
    (('bob', 'example.com'), ('+1-201-555', ''))
    """
    opened = value.rfind("<")
    if opened >= 0:
        closed = value.find(">", opened)
        uri = value[opened + 1 : closed if closed >= 0 else None]
    else:
        uri = value.partition(";")[0]
    scheme, _, rest = uri.strip().partition(":")
    if scheme.lower() == "tel":
        return rest.partition(";")[0], ""
    user, _, host = rest.partition("?")[0].rpartition("@")
    host = host.partition(";")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return user.partition(";")[0].partition(":")[0], host.strip().lower()


def q850_cause(reason: str) -> int:
    """Return the Q.850 cause of a Reason header (RFC 3326); 0 where it has none.

    >>> q850_cause('SIP;cause=200;text="Call completed elsewhere", Q.850 ;cause=16;text="x"')
    16
    """
    for value in reason.split(","):
        if value.strip()[:5].upper() == "Q.850":
            cause = _CAUSE.search(value)
            return int(cause[1]) if cause else 0
    return 0


def contact_expires(contact: str) -> int | None:
    """Return the `expires` of the first contact of a REGISTER (RFC 3261 section 10.2.1.1)."""
    found = re.search(r";\s*expires\s*=\s*\"?(\d{1,10})(?!\d)", contact, re.IGNORECASE)
    return int(found[1]) if found else None


def _unfold(value: bytes) -> str:
    text = value.decode("utf-8", "replace").strip()
    return _FOLD.sub(" ", text) if "\n" in text else text
