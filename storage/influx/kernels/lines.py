"""Columns to line protocol, row by row, in one pass.

What differs from row to row is copied or formatted; what does not (keys, quotes, separators) was laid out by
`storage.influx.lineproto`. Text is copied in words of 16 bytes where nothing in its column needs escaping.
"""

import numpy as np
from numba import njit

from storage.influx.kernels.decimals import put_float, put_signed
from storage.influx.kernels.memory import (
    INLINED,
    OPTIONS,
    U,
    copy_exact,
    copy_text,
    load_u8,
    load_u32,
    load_u64,
    store_u8,
)

COLUMN = np.dtype(
    [
        ("kind", "<u8"),
        ("values", "<u8"),  # address of the values, of text: of its bytes
        ("offsets", "<u8"),  # of text: address of its int32 offsets
        ("valid", "<u8"),  # address of the validity bits, 0 where every value is valid
        ("first", "<u8"),  # position of the first row in all of these
        ("prefix", "<u8"),  # address of what precedes a value: its key, for text with the opening quote
        ("prefix_bytes", "<u8"),
        ("end", "<u8"),  # of text: address after its last byte
        ("escape", "<u8"),  # of text: whether anything in it needs a backslash
        ("bit", "<u8"),  # of a field: its bit in the presence mask
    ]
)
"""One column, as the kernel wants it."""
COLUMN_BYTES = COLUMN.itemsize
TAG, TEXT, INTEGER, FLOAT, BOOLEAN = range(5)

ROWS_WITHOUT_FIELDS, VALUES_NOT_FINITE = range(2)
"""Positions in the counters."""
ESCAPED_IN_TAGS, ESCAPED_IN_TEXT, UNTOLD_IN_TAGS = 1, 2, 4
"""What bytes a column has: those that need a backslash in tags, in text; those that no tag can hold."""

_TAG, _TEXT, _INTEGER, _FLOAT = U(TAG), U(TEXT), U(INTEGER), U(FLOAT)
_COMMA, _EQUALS, _SPACE, _QUOTE, _BACKSLASH = (U(ord(c)) for c in ',= "\\')
_NEWLINE, _I = U(10), U(ord("i"))
_EXPONENT = U(0x7FF << 52)
_TRUE, _FALSE = U(int.from_bytes(b"true", "little")), U(int.from_bytes(b"false", "little"))
_STEP = U(COLUMN_BYTES)


@njit(**OPTIONS)
def classify(data):
    """Return which kinds of special bytes there are in an array of bytes."""
    found = np.uint8(0)
    for i in range(len(data)):
        c = data[i]
        in_tags = (c == 44) | (c == 61) | (c == 32)
        in_text = (c == 34) | (c == 92)
        # Control characters, backslashes, and the lead byte of U+2060 are looked at more closely.
        untold = (c < 32) | (c == 92) | (c == 0xE2) | (c == 127)
        found |= np.uint8(in_tags) | np.uint8(in_text) << np.uint8(1) | np.uint8(untold) << np.uint8(2)
    return found


@njit(**INLINED)
def _put_text(out, at, length, end, escape, in_tag):
    if escape:
        for i in range(length):
            c = load_u8(at + U(i))
            if in_tag:
                special = c in (_COMMA, _EQUALS, _SPACE)
            else:
                special = c in (_QUOTE, _BACKSLASH)
            if special:
                store_u8(out, _BACKSLASH)
                out += U(1)
            store_u8(out, c)
            out += U(1)
        return out
    if at + length + U(16) <= end:
        copy_text(out, at, length)
    else:
        copy_exact(out, at, length)
    return out + length


@njit(**INLINED)
def _put_prefix(out, column):
    length = load_u64(column + U(48))
    copy_text(out, load_u64(column + U(40)), length)
    return out + length


@njit(**OPTIONS)
def encode(columns, tags, fields, rows, times, name, name_bytes, mask, mask_bytes, out, tables, counters):
    """Write `rows` lines at `out`; return where they end.

    `columns` is the address of `tags` tag columns followed by `fields` field columns; `times` of int64 ns; `name`
    of the escaped measurement; `mask` of the key of the presence mask, 0 for none.
    """
    field_columns = columns + U(tags) * _STEP
    end_columns = field_columns + U(fields) * _STEP
    without_fields, not_finite = U(0), U(0)
    for row in range(rows):
        start = out
        copy_text(out, name, name_bytes)
        out += name_bytes
        column = columns
        while column < field_columns:
            position = load_u64(column + U(32)) + U(row)
            offsets = load_u64(column + U(16)) + position * U(4)
            first = load_u32(offsets)
            length = load_u32(offsets + U(4)) - first
            if length:  # an empty tag is no tag
                out = _put_prefix(out, column)
                at = load_u64(column + U(8)) + first
                out = _put_text(out, at, length, load_u64(column + U(56)), load_u64(column + U(64)), True)
            column += _STEP
        separator, present = _SPACE, U(0)
        while column < end_columns:
            position = load_u64(column + U(32)) + U(row)
            valid = load_u64(column + U(24))
            if valid and not (load_u8(valid + (position >> U(3))) >> (position & U(7))) & U(1):
                column += _STEP
                continue
            kind = load_u64(column)
            values = load_u64(column + U(8))
            bits = U(0)
            if kind == _FLOAT:
                bits = load_u64(values + position * U(8))
                if bits & _EXPONENT == _EXPONENT:
                    not_finite += U(1)
                    column += _STEP
                    continue
            store_u8(out, separator)
            separator = _COMMA
            present |= U(1) << load_u64(column + U(72))
            out = _put_prefix(out + U(1), column)
            if kind == _FLOAT:
                out = put_float(out, bits, tables)
            elif kind == _INTEGER:
                out = put_signed(out, load_u64(values + position * U(8)), tables)
                store_u8(out, _I)
                out += U(1)
            elif kind == _TEXT:
                offsets = load_u64(column + U(16)) + position * U(4)
                first = load_u32(offsets)
                length = load_u32(offsets + U(4)) - first
                out = _put_text(
                    out, values + first, length, load_u64(column + U(56)), load_u64(column + U(64)), False
                )
                store_u8(out, _QUOTE)
                out += U(1)
            else:
                word = _FALSE
                if (load_u8(values + (position >> U(3))) >> (position & U(7))) & U(1):
                    word = _TRUE
                length = U(5) if word == _FALSE else U(4)
                for i in range(length):
                    store_u8(out + U(i), word >> (U(i) * U(8)))
                out += length
            column += _STEP
        if mask:
            store_u8(out, separator)
            copy_text(out + U(1), mask, mask_bytes)
            out = put_signed(out + U(1) + mask_bytes, present, tables)
            store_u8(out, _I)
            out += U(1)
        elif separator == _SPACE:
            without_fields += U(1)
            out = start
            continue
        store_u8(out, _SPACE)
        out = put_signed(out + U(1), load_u64(times + U(row) * U(8)), tables)
        store_u8(out, _NEWLINE)
        out += U(1)
    counters[ROWS_WITHOUT_FIELDS] = without_fields
    counters[VALUES_NOT_FINITE] = not_finite
    return out
