"""Numbers as text: integers two digits at a time, doubles as the shortest decimal that reads back the same.

The shortest decimal is found as in Raffaello Giulietti, "The Schubfach way to render doubles" (2021): one
rounded product with a power of ten each for the value and for both ends of what rounds to it. Text has the form
of Python's `repr`, without a trailing ".0".
"""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from storage.influx.kernels.memory import (
    INLINED,
    OPTIONS,
    U,
    as_float,
    as_unsigned,
    high_product,
    load_u16,
    load_u64,
    store_u8,
    store_u16,
)

_POWER_MIN, _POWER_MAX = -292, 324
_PAIRS_BYTES = 200
_FRACTION = U((1 << 52) - 1)
_HIDDEN = U(1 << 52)
_SIGN = U(1 << 63)
_EXPONENT_BIAS = 1075
_DOT, _MINUS, _PLUS, _ZERO, _E = U(ord(".")), U(ord("-")), U(ord("+")), U(ord("0")), U(ord("e"))
_POWERS_AT = U(_PAIRS_BYTES)


def _power_of_ten(exponent: int) -> int:
    """Return 10^exponent scaled to 128 bits, rounded up."""
    value = Fraction(10) ** exponent
    log2 = (exponent * 1741647) >> 19
    scaled = value * Fraction(2) ** (127 - log2)
    return -(-scaled.numerator // scaled.denominator)


def _tables() -> npt.NDArray[np.uint8]:
    pairs = "".join(f"{i:02}" for i in range(100)).encode()
    powers = b"".join(
        part.to_bytes(8, "little")
        for k in range(_POWER_MIN, _POWER_MAX + 1)
        for part in divmod(_power_of_ten(k), 1 << 64)
    )
    return np.frombuffer(pairs + powers, np.uint8).copy()


TABLES: Any = _tables()
"""Digit pairs, then powers of ten as (upper, lower) halves; kernels take its address."""
INTEGER_BYTES = 20
FLOAT_BYTES = 25


@njit(**INLINED)
def digits_of(value):
    """Return how many decimal digits a number has."""
    if value < U(10000):
        if value < U(100):
            return U(1) if value < U(10) else U(2)
        return U(3) if value < U(1000) else U(4)
    count = U(4)
    value //= U(10000)
    while value >= U(10000):
        value //= U(10000)
        count += U(4)
    if value < U(100):
        return count + (U(1) if value < U(10) else U(2))
    return count + (U(3) if value < U(1000) else U(4))


@njit(**INLINED)
def put_digits(out, value, count, tables):
    """Write a number in exactly `count` digits, zeros in front; return where it ends."""
    at = out + count
    while count >= U(2):
        rest = value // U(100)
        at -= U(2)
        store_u16(at, load_u16(tables + (value - rest * U(100)) * U(2)))
        value = rest
        count -= U(2)
        if value == U(0) and count == U(0):
            break
    if count:
        store_u8(at - U(1), _ZERO + value % U(10))
    return at


@njit(**INLINED)
def put_unsigned(out, value, tables):
    """Write a number; return where it ends."""
    count = digits_of(value)
    put_digits(out, value, count, tables)
    return out + count


@njit(**INLINED)
def put_signed(out, value, tables):
    """Write the two's complement number in these 64 bits; return where it ends."""
    if value & _SIGN:
        store_u8(out, _MINUS)
        out += U(1)
        value = U(0) - value
    return put_unsigned(out, value, tables)


@njit(**OPTIONS)
def _round_to_odd(high, low, value):
    upper = high_product(low, value)
    middle = high * value
    top = high_product(high, value)
    middle += upper
    if middle < upper:
        top += U(1)
    return top | U(middle > U(1))


@njit(**OPTIONS)
def _shortest(fraction, exponent, tables):
    """Return digits and decimal exponent of a positive double that is no small whole number."""
    c, q = fraction, np.int64(1 - _EXPONENT_BIAS)
    if exponent:
        c, q = fraction | _HIDDEN, np.int64(exponent) - np.int64(_EXPONENT_BIAS)
    odd = c & U(1)
    closer = fraction == U(0) and exponent > U(1)  # the next smaller double is nearer than the next larger
    k = (q * np.int64(1262611) - (np.int64(524031) if closer else np.int64(0))) >> np.int64(22)
    h = U(q + ((-k * np.int64(1741647)) >> np.int64(19)) + np.int64(1))
    power = tables + _POWERS_AT + U(-k - np.int64(_POWER_MIN)) * U(16)
    high, low = load_u64(power), load_u64(power + U(8))
    four = c << U(2)
    lower = _round_to_odd(high, low, (four - U(2) + U(closer)) << h) + odd
    value = _round_to_odd(high, low, four << h)
    upper = _round_to_odd(high, low, (four + U(2)) << h) - odd
    s = value >> U(2)
    if s >= U(10):
        tens = s // U(10)
        down = lower <= U(40) * tens
        up = U(40) * tens + U(40) <= upper
        if down != up:
            return tens + U(up), k + np.int64(1)
    down = lower <= U(4) * s
    up = U(4) * s + U(4) <= upper
    if down != up:
        return s + U(up), k
    middle = U(4) * s + U(2)
    return s + U(value > middle or (value == middle and (s & U(1)) != U(0))), k


@njit(**OPTIONS)
def _put_shortest(out, bits, tables):
    digits, k = _shortest(bits & _FRACTION, bits >> U(52), tables)
    while digits % U(10) == U(0):
        digits //= U(10)
        k += np.int64(1)
    count = digits_of(digits)
    point = np.int64(count) + k  # the value is 0.DIGITS times 10 to this
    if -4 < point <= 16:
        if point <= 0:
            store_u8(out, _ZERO)
            store_u8(out + U(1), _DOT)
            out += U(2)
            for _ in range(-point):
                store_u8(out, _ZERO)
                out += U(1)
            put_digits(out, digits, count, tables)
            return out + count
        whole = U(point)
        if whole >= count:
            put_digits(out, digits, count, tables)
            for i in range(count, whole):
                store_u8(out + U(i), _ZERO)
            return out + whole
        put_digits(out + U(1), digits, count, tables)
        for i in range(whole):  # move the whole part before the point
            store_u8(out + U(i), load_u16(out + U(i) + U(1)) & U(255))
        store_u8(out + whole, _DOT)
        return out + count + U(1)
    if count == U(1):
        store_u8(out, _ZERO + digits)
        out += U(1)
    else:
        put_digits(out + U(1), digits, count, tables)
        store_u8(out, load_u16(out + U(1)) & U(255))
        store_u8(out + U(1), _DOT)
        out += count + U(1)
    exponent = point - np.int64(1)
    store_u8(out, _E)
    store_u8(out + U(1), _MINUS if exponent < 0 else _PLUS)
    magnitude = U(abs(exponent))
    size = U(3) if magnitude >= U(100) else U(2)
    put_digits(out + U(2), magnitude, size, tables)
    return out + U(2) + size


@njit(**INLINED)
def put_float(out, bits, tables):
    """Write the finite double in these 64 bits; return where it ends."""
    if bits & _SIGN:
        store_u8(out, _MINUS)
        out += U(1)
        bits ^= _SIGN
    value = as_float(bits)
    if value < 1e9:
        # A decimal of at most 15 digits that reads back as the double is its shortest: most figures are rounded.
        thousandths = as_unsigned(value * 1000.0 + 0.5)
        if np.float64(thousandths) / 1000.0 == value:
            whole = thousandths // U(1000)
            rest = thousandths - whole * U(1000)
            out = put_unsigned(out, whole, tables)
            if rest == U(0):
                return out
            store_u8(out, _DOT)
            store_u8(out + U(1), _ZERO + rest // U(100))
            rest %= U(100)
            if rest == U(0):
                return out + U(2)
            store_u16(out + U(2), load_u16(tables + rest * U(2)))
            return out + (U(3) if rest % U(10) == U(0) else U(4))
    return _put_shortest(out, bits, tables)
