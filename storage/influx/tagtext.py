r"""Tag values that line protocol cannot hold, as ones that it can, and back.

InfluxDB drops or misreads line breaks in a tag value, and a backslash at its end swallows the delimiter after it.
Both are written as U+2060 (word joiner: shows as nothing) and a visible stand-in; U+2060 itself is doubled. The
mapping is one to one, so two values never become one and a filter finds what was written.

    >>> as_stored("branch\\").encode("ascii", "backslashreplace")
    b'branch\\u2060\\u29f5'
    >>> as_told(as_stored("branch\\")) == "branch\\"
    True
"""

import re

_MARK = "\u2060"
_BACKSLASH_STORED = "\u29f5"
_CONTROL_STORED = 0x2400
"""Unicode has a visible picture of each control character from here on; that of U+007F is U+2421."""
_TROUBLE = re.compile(r"[\x00-\x1f\x7f\u2060]|\\\Z")
_STORED = re.compile(f"{_MARK}([\u2400-\u2421\u29f5\u2060])")


def as_stored(value: str) -> str:
    """Return a tag value as it is written."""
    return _TROUBLE.sub(_store, value)


def as_told(value: str) -> str:
    """Return a tag value as it was before it was written."""
    return _STORED.sub(_tell, value) if _MARK in value else value


def _store(match: re.Match[str]) -> str:
    found = match[0]
    if found == "\\":
        return _MARK + _BACKSLASH_STORED
    if found == _MARK:
        return _MARK + _MARK
    return _MARK + ("\u2421" if found == "\x7f" else chr(_CONTROL_STORED + ord(found)))


def _tell(match: re.Match[str]) -> str:
    found = match[1]
    if found == _BACKSLASH_STORED:
        return "\\"
    if found == _MARK:
        return _MARK
    return "\x7f" if found == "\u2421" else chr(ord(found) - _CONTROL_STORED)
