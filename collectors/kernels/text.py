"""Text scanning on raw addresses, for kernels of line-based protocols.

Positions are int64 here, so that they can be compared and subtracted; every function takes the end it must
not read beyond, and returns it where nothing was found. All go forward only: no input makes them quadratic.
"""

import numpy as np
from numba import njit

from collectors.kernels.memory import U, load_u8, load_u64, trailing_zeros

TAB, LF, CR, SPACE, QUOTE, COMMA, SLASH, COLON, SEMICOLON, LESS, EQUALS, GREATER, BACKSLASH = (
    b'\t\n\r ",/:;<=>\\'  # in byte order
)

_LOW_BITS = U(0x0101010101010101)
_HIGH_BITS = U(0x8080808080808080)
_EIGHT_LF = U(0x0A0A0A0A0A0A0A0A)
_TOKEN_MARKS = tuple(b"-.!%*_+`'~")
_ZERO, _3 = U(0), U(3)


@njit
def byte(at):
    """Return the byte at an address."""
    return np.int64(load_u8(U(at)))


@njit
def is_blank(c):
    """Return whether a byte is white space that may surround a value, fold included."""
    return c in (SPACE, TAB, CR, LF)


@njit
def skip_blanks(at, end):
    """Return the first position that is not blank."""
    while at < end and is_blank(byte(at)):
        at += 1
    return at


@njit
def trim_end(at, end):
    """Return the end without the blanks before it."""
    while end > at and is_blank(byte(end - 1)):
        end -= 1
    return end


@njit
def find(at, end, wanted):
    """Return where the next such byte is."""
    while at < end and byte(at) != wanted:
        at += 1
    return at


@njit
def find_lf(at, end):
    """Return where the next LF is, or `end`; eight bytes at a time."""
    while at + 8 <= end:
        x = load_u64(U(at)) ^ _EIGHT_LF
        hit = (x - _LOW_BITS) & ~x & _HIGH_BITS
        if hit != _ZERO:
            return at + np.int64(trailing_zeros(hit) >> _3)
        at += 8
    return find(at, end, LF)


@njit
def line_end(at, end):
    """Return where the LF of a header is that may go on over folded lines (RFC 3261 section 7.3.1)."""
    lf = find_lf(at, end)
    while lf + 1 < end and (byte(lf + 1) == SPACE or byte(lf + 1) == TAB):
        lf = find_lf(lf + 1, end)
    return lf


@njit
def equals_any_case(at, name):
    """Return whether the bytes are `name` (a tuple, in lower case); the caller knows that there are enough."""
    for i in range(len(name)):
        c = byte(at + i)
        if 65 <= c <= 90:
            c += 32
        if c != name[i]:
            return False
    return True


@njit
def starts_with(at, end, name):
    """Return whether the bytes start with `name` (a tuple, in lower case), whatever their case."""
    return end - at >= len(name) and equals_any_case(at, name)


@njit
def token_end(at, end):
    """Return the end of an RFC 3261 token: letters, digits and `-.!%*_+`'~`."""
    while at < end:
        c = byte(at)
        if not (97 <= (c | 32) <= 122 or 48 <= c <= 57 or c in _TOKEN_MARKS):
            break
        at += 1
    return at


@njit
def number(at, end):
    """Return the decimal number at `at` and where it ends; -1 for none, or beyond 18 digits."""
    value, start = 0, at
    while at < end and 48 <= byte(at) <= 57 and at - start < 19:
        value = value * 10 + byte(at) - 48
        at += 1
    return (value if 0 < at - start < 19 else -1), at


@njit
def after_quoted(at, end):
    """Return the position after the quoted string that starts at `at`; -1 where it never closes."""
    i = at + 1
    while i < end:
        c = byte(i)
        if c == BACKSLASH:
            i += 1
        elif c == QUOTE:
            return i + 1
        i += 1
    return -1


@njit
def value_end(at, end):
    """Return the end of an unquoted parameter value."""
    while at < end:
        c = byte(at)
        if c in (SEMICOLON, COMMA, GREATER) or is_blank(c):
            break
        at += 1
    return at


@njit
def parameter(at, end, name):
    """Return position and length of a header parameter; those inside quotes or <> belong to something else.

    After a quote or bracket that never closes the next ones are taken for plain text: one scan, whatever comes.
    """
    quotes, brackets = True, True
    while at < end:
        c = byte(at)
        if c == QUOTE and quotes:
            after = after_quoted(at, end)
            quotes = after >= 0
            at = after if quotes else at + 1
        elif c == LESS and brackets:
            closing = find(at, end, GREATER)
            brackets = closing < end
            at = closing + 1 if brackets else at + 1
        elif c == SEMICOLON:
            start = skip_blanks(at + 1, end)
            stop = token_end(start, end)
            equals = skip_blanks(stop, end)
            at = stop
            if equals < end and byte(equals) == EQUALS:
                value = skip_blanks(equals + 1, end)
                at = value
                if stop - start == len(name) and equals_any_case(start, name):
                    return value, value_end(value, end) - value
        else:
            at += 1
    return end, 0
