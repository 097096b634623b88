"""Serial number arithmetic on 16 and 32 bits (RFC 1982), the one place where wrapping counters are compared.

RTP sequence numbers (16 bit), RTP timestamps and extended sequence numbers (32 bit) wrap; nobody
compares or subtracts them by hand. Works on bare integers: it holds no state.
"""


def delta16(a: int, b: int) -> int:
    """Return how far `a` is ahead of `b` modulo 2^16: -32768..32767, negative where `a` is older.

    The distance of exactly 2^15, undefined in RFC 1982 section 3.2, is read as older.

    >>> delta16(2, 65_534), delta16(65_534, 2)
    (4, -4)
    """
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def delta32(a: int, b: int) -> int:
    """Return how far `a` is ahead of `b` modulo 2^32: -2^31..2^31 - 1, negative where `a` is older.

    >>> delta32(160, 2**32 - 160)
    320
    """
    return ((a - b + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


def is_newer16(a: int, b: int) -> bool:
    """Tell whether `a` comes after `b` in 16-bit serial order.

    >>> is_newer16(0, 65_535), is_newer16(5, 5)
    (True, False)
    """
    return delta16(a, b) > 0


def is_newer32(a: int, b: int) -> bool:
    """Tell whether `a` comes after `b` in 32-bit serial order.

    >>> is_newer32(0, 2**32 - 1)
    True
    """
    return delta32(a, b) > 0


def unwrap16(reference: int, value: int) -> int:
    """Return the integer nearest to `reference` that equals the 16-bit `value` modulo 2^16.

    Feed the previous result back as `reference` to count cycles (RFC 3550 appendix A.1); a late packet
    gives a smaller number, and before the first cycle it may be negative.

    >>> unwrap16(65_535, 1)
    65537
    >>> unwrap16(65_537, 65_534)
    65534
    """
    return reference + delta16(value, reference)


def unwrap32(reference: int, value: int) -> int:
    """Return the integer nearest to `reference` that equals the 32-bit `value` modulo 2^32.

    >>> unwrap32(2**32 - 160, 0)
    4294967296
    """
    return reference + delta32(value, reference)
