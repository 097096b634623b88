"""Bencode, in which rtpengine's NG protocol speaks: integers, byte strings, lists and dictionaries.

Decoding takes bytes from a network: it is bounded in depth and in the digits of a number, and raises
BencodeError for everything that is not one whole value.
"""

from typing import TypeAlias

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

_DEPTH = 32
_DIGITS = 20


class BencodeError(ValueError):
    """These bytes are not one bencoded value; the message says where."""


def encode(value: Value) -> bytes:
    """Return a value bencoded; keys in order, as the format demands.

    >>> encode({b"command": b"ping", b"a": [1, b"x"]})
    b'd1:ali1e1:xe7:command4:pinge'
    """
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data: bytes) -> Value:
    """Return the value in `data`. Raises BencodeError.

    >>> decode(b"d6:result4:ponge")
    {b'result': b'pong'}
    """
    value, end = _decode(data, 0, _DEPTH)
    if end != len(data):
        raise BencodeError(f"{len(data) - end} bytes behind the value")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth == 0:
        raise BencodeError(f"deeper than {_DEPTH} at {at}")
    kind = data[at : at + 1]
    if kind == b"i":
        return _number(data, at + 1, b"e")
    if kind == b"l":
        return _list(data, at + 1, depth - 1)
    if kind == b"d":
        items, end = _list(data, at + 1, depth - 1)
        return _dictionary(items, at), end
    if not kind.isdigit():
        raise BencodeError(f"no value at {at}")
    length, start = _number(data, at, b":")
    if start + length > len(data):
        raise BencodeError(f"a string of {length} bytes ends before its end")
    return data[start : start + length], start + length


def _number(data: bytes, at: int, end: bytes) -> tuple[int, int]:
    stop = data.find(end, at, at + _DIGITS)
    digits = data[at:stop].removeprefix(b"-") if stop > 0 else b""
    if not digits.isdigit():
        raise BencodeError(f"no number at {at}")
    return int(data[at:stop]), stop + 1


def _list(data: bytes, at: int, depth: int) -> tuple[list[Value], int]:
    items = []
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at, depth)
        items.append(item)
    return items, at + 1


def _dictionary(items: list[Value], at: int) -> dict[bytes, Value]:
    keys = items[::2]
    if len(items) % 2 or not all(isinstance(key, bytes) for key in keys):
        raise BencodeError(f"no dictionary at {at}")
    return {key: value for key, value in zip(keys, items[1::2], strict=True) if isinstance(key, bytes)}
