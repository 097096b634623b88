"""Numbers as agents write them: strings, negatives, hex, floats, null.

Senders of RTCP in JSON and of vq-rtcpxr agree on the keys and not on the types. Each function here takes what
came and gives a number of the wire's own range, or None where it is not one; none of them raises.
"""

import math

U32 = 0xFFFF_FFFF

SSRC_HEX_DIGITS = 8
"""FreeSWITCH prints an SSRC as eight hex digits without a prefix."""


def to_int(value: object) -> int | None:
    """Return an integer of any sign, from an int, a float, or decimal or 0x text; None where it is none.

    >>> to_int("4286124543"), to_int("0x1F"), to_int(12.9), to_int("-2"), to_int(None), to_int(True)
    (4286124543, 31, 12, -2, None, None)
    """
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return _int_of_text(value.strip())
    return None


def _int_of_text(text: str) -> int | None:
    if not text.isascii() or len(text) > 24:
        return None
    try:
        return int(text, 16) if text[:2].lower() == "0x" else int(text)
    except ValueError:
        number = to_float(text)
        return None if number is None else int(number)


def to_u32(value: object) -> int:
    """Return a 32-bit word; negatives are the word read as signed (older Asterisk), absent is 0.

    >>> to_u32(-1640316609), to_u32("0"), to_u32(None)
    (2654650687, 0, 0)
    """
    number = to_int(value)
    return 0 if number is None else number & U32


def to_ssrc(value: object) -> int:
    """Return an SSRC; text of eight digits, or with a letter, is hex even without its prefix; absent is 0.

    >>> [hex(to_ssrc(v)) for v in ("0x1a2a9c52", "1A2A9C52", "00001234", 5, "-1")]
    ['0x1a2a9c52', '0x1a2a9c52', '0x1234', '0x5', '0xffffffff']
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) == SSRC_HEX_DIGITS or any(c in "abcdefABCDEF" for c in text):
            try:
                return int(text, 16) & U32
            except ValueError:
                return 0
    return to_u32(value)


def to_float(value: object) -> float | None:
    """Return a finite number; a trailing unit or percent sign is dropped.

    >>> to_float("4.2"), to_float("1.5%"), to_float(3), to_float("n/a"), to_float(float("nan"))
    (4.2, 1.5, 3.0, None, None)
    """
    if isinstance(value, str):
        text = value.strip().rstrip("%ms ")
        if not text.isascii() or len(text) > 32:
            return None
        try:
            value = float(text)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def signed_24_bit(value: int) -> int:
    """Return the low 24 bits as the signed number they are (RFC 3550 section 6.4.1).

    >>> signed_24_bit(16_777_214), signed_24_bit(-2), signed_24_bit(5)
    (-2, -2, 5)
    """
    return ((value & 0xFF_FFFF) ^ 0x80_0000) - 0x80_0000


def positive(value: object) -> float | None:
    """Return a number above zero; None where it is absent or zero, which stands for "not measured" in delays.

    >>> positive("45.5"), positive(0), positive(None)
    (45.5, None, None)
    """
    number = to_float(value)
    return number if number is not None and number > 0 else None


def milliseconds(value: object) -> float | None:
    """Return a span of 0 to 65,535 ms, the range of RFC 6035 and RFC 3611; None for what cannot be one.

    >>> milliseconds("4.5"), milliseconds(0), milliseconds(-1), milliseconds(1e9)
    (4.5, 0.0, None, None)
    """
    number = to_float(value)
    return number if number is not None and 0 <= number <= 65_535 else None


def mos(value: object) -> float | None:
    """Return a MOS of 1 to 5; None for what cannot be one (12.7 is the wire's 127, "not available").

    >>> mos("4.1"), mos(12.7), mos(0)
    (4.1, None, None)
    """
    number = to_float(value)
    return number if number is not None and 1 <= number <= 5 else None


def r_factor(value: object) -> float | None:
    """Return an R factor of 0 to 120; None for what cannot be one (127 is "not available").

    Listening R of wideband codecs may exceed 100 (G.107.1).

    >>> r_factor(93.2), r_factor(127), r_factor(-1)
    (93.2, None, None)
    """
    number = to_float(value)
    return number if number is not None and 0 <= number <= 120 else None


def ratio_of_percent(value: object) -> float | None:
    """Return percent as a ratio of 0 to 1; None for what cannot be one.

    >>> ratio_of_percent("2.5"), ratio_of_percent(127)
    (0.025, None)
    """
    number = to_float(value)
    return number / 100 if number is not None and 0 <= number <= 100 else None
