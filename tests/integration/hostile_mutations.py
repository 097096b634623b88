"""Ways in which datagrams come that nobody should send; each is deterministic by its seed."""

import re
import struct
from collections.abc import Callable
from random import Random

Mutation = Callable[[list[bytes], Random], list[bytes]]

_NUMBERS = (b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"4294967296", b"9" * 40, b'""', b"null", b"[]", b"\xff")
_TEXTS = (b"\x00", b"\xed\xa0\x80", b"%s%n", b"\r\n\r\n", b"a" * 5000, b"sip:", b":", b"\xc3\x28")


def _some(
    datagrams: list[bytes], random: Random, change: Callable[[bytes], bytes], share: float = 0.5
) -> list[bytes]:
    return [change(d) if d and random.random() < share else d for d in datagrams]


def truncated(datagrams: list[bytes], random: Random) -> list[bytes]:
    return _some(datagrams, random, lambda d: d[: random.randrange(len(d))])


def bits_flipped(datagrams: list[bytes], random: Random) -> list[bytes]:
    def flip(datagram: bytes) -> bytes:
        changed = bytearray(datagram)
        for _ in range(random.randrange(1, 9)):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        return bytes(changed)

    return _some(datagrams, random, flip)


def bytes_zeroed(datagrams: list[bytes], random: Random) -> list[bytes]:
    def zero(datagram: bytes) -> bytes:
        at = random.randrange(len(datagram))
        size = random.randrange(1, 40)
        return (datagram[:at] + bytes(size) + datagram[at + size :])[: len(datagram)]

    return _some(datagrams, random, zero)


def lengths_wrong(datagrams: list[bytes], random: Random) -> list[bytes]:
    """Put any number where the datagram, or a chunk, says how long it is."""

    def lie(datagram: bytes) -> bytes:
        changed = bytearray(datagram)
        places = [4, *(at + 4 for at, _ in _chunks(datagram))]
        at = random.choice(places)
        if at + 2 <= len(changed):
            length = random.choice((0, 1, 5, 6, 7, 0x7FFF, 0xFFFF, random.randrange(65_536)))
            struct.pack_into("!H", changed, at, length)
        return bytes(changed)

    return _some(datagrams, random, lie)


def chunks_swapped(datagrams: list[bytes], random: Random) -> list[bytes]:
    def swap(datagram: bytes) -> bytes:
        chunks = [chunk for _, chunk in _chunks(datagram)]
        random.shuffle(chunks)
        if chunks and random.random() < 0.5:
            chunks.append(random.choice(chunks))
        if chunks and random.random() < 0.5:
            chunks.pop(random.randrange(len(chunks)))
        body = b"".join(chunks)
        return b"HEP3" + struct.pack("!H", len(body) + 6) + body if len(body) < 65_000 else datagram

    return _some(datagrams, random, swap)


def values_swapped(datagrams: list[bytes], random: Random) -> list[bytes]:
    """Give a chunk the bytes of another: ports as payload, text as addresses, times of another year."""

    def swap(datagram: bytes) -> bytes:
        chunks = [chunk for _, chunk in _chunks(datagram)]
        if len(chunks) < 2:
            return datagram
        at = random.randrange(len(chunks))
        chunks[at] = chunks[at][:4] + random.choice(chunks)[4:]
        body = b"".join(chunks)
        return b"HEP3" + struct.pack("!H", len(body) + 6) + body

    return _some(datagrams, random, swap)


def numbers_absurd(datagrams: list[bytes], random: Random) -> list[bytes]:
    """Replace numbers in SIP, SDP and JSON; chunk lengths are set right again."""
    return _some(
        datagrams, random, lambda d: _with_payload(d, _replace(d, rb"-?\d+(\.\d+)?", _NUMBERS, random)), 0.8
    )


def words_absurd(datagrams: list[bytes], random: Random) -> list[bytes]:
    return _some(datagrams, random, lambda d: _with_payload(d, _replace(d, rb"[A-Za-z._@-]{2,}", _TEXTS, random)))


def duplicated(datagrams: list[bytes], random: Random) -> list[bytes]:
    return [datagram for datagram in datagrams for _ in range(random.randrange(1, 5))]


def shuffled(datagrams: list[bytes], random: Random) -> list[bytes]:
    return random.sample(datagrams, len(datagrams))


def spliced(datagrams: list[bytes], random: Random) -> list[bytes]:
    """End each with the end of another."""

    def splice(datagram: bytes) -> bytes:
        other = random.choice(datagrams)
        return (datagram[: random.randrange(len(datagram))] + other[random.randrange(len(other) + 1) :])[:65_535]

    return _some(datagrams, random, splice)


def random_bytes(datagrams: list[bytes], random: Random) -> list[bytes]:
    starts = (
        b"",
        b"HEP3",
        b"HEP3\x00\x20",
        b"\x01\x10\x02",
        b"\x02\x10\x02",
        b"INVITE ",
        b"SIP/2.0 ",
        b"\x80\xc8",
        b"{",
    )
    return [random.choice(starts) + random.randbytes(random.randrange(1, 300)) for _ in datagrams]


def times_wild(datagrams: list[bytes], random: Random) -> list[bytes]:
    """Let each say another time of the last and the next decades."""

    def move(datagram: bytes) -> bytes:
        changed = bytearray(datagram)
        for at, chunk in _chunks(datagram):
            if chunk[:4] == b"\0\0\0\x09" and len(chunk) == 10:
                struct.pack_into(
                    "!I", changed, at + 6, random.choice((0, 1, 2**31, 2**32 - 1, random.getrandbits(32)))
                )
        return bytes(changed)

    return _some(datagrams, random, move, 0.3)


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        truncated,
        bits_flipped,
        bytes_zeroed,
        lengths_wrong,
        chunks_swapped,
        values_swapped,
        numbers_absurd,
        words_absurd,
        duplicated,
        shuffled,
        spliced,
        random_bytes,
        times_wild,
    )
}


def _chunks(datagram: bytes) -> list[tuple[int, bytes]]:
    """Return the offset and the bytes of each chunk, as far as they make sense."""
    chunks, at = [], 6
    while at + 6 <= len(datagram):
        length = int.from_bytes(datagram[at + 4 : at + 6], "big")
        if length < 6 or at + length > len(datagram):
            break
        chunks.append((at, datagram[at : at + length]))
        at += length
    return chunks


def _payload_at(datagram: bytes) -> tuple[int, bytes] | None:
    return next(((at, chunk) for at, chunk in _chunks(datagram) if chunk[:4] == b"\0\0\0\x0f"), None)


def _replace(datagram: bytes, pattern: bytes, values: tuple[bytes, ...], random: Random) -> bytes:
    """Return the payload with some of what the pattern finds replaced."""
    found = _payload_at(datagram)
    if found is None:
        return b""
    return re.sub(pattern, lambda m: random.choice(values) if random.random() < 0.1 else m[0], found[1][6:])


def _with_payload(datagram: bytes, payload: bytes) -> bytes:
    found = _payload_at(datagram)
    if found is None or len(datagram) + len(payload) > 60_000:
        return datagram
    at, chunk = found
    changed = chunk[:4] + struct.pack("!H", len(payload) + 6) + payload
    body = datagram[6:at] + changed + datagram[at + len(chunk) :]
    return b"HEP3" + struct.pack("!H", len(body) + 6) + body
