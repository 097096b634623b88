"""TCP segments to the SIP messages and HEP frames in them."""

from collections import Counter

import pytest
from hep_support import datagram
from hypothesis import given
from hypothesis import strategies as st

from collectors.wire.classify import Content
from collectors.wire.packet import TCP, Segment
from collectors.wire.tcpstream import TcpStreams

FIN, SYN, RST, ACK = 1, 2, 4, 16


def segment(sequence: int, payload: bytes = b"", flags: int = ACK, port: int = 5060, cut: bool = False) -> Segment:
    return Segment(TCP, bytes(16), bytes(16), port, 5061, payload, cut, sequence & 0xFFFF_FFFF, flags)


def invite(number: int, body: bytes = b"v=0\r\n", name: bytes = b"Content-Length") -> bytes:
    return b"INVITE sip:%d@b SIP/2.0\r\nCall-ID: %d\r\n%s: %d\r\n\r\n%s" % (number, number, name, len(body), body)


def feed(streams: TcpStreams, *segments: Segment) -> list[bytes]:
    return [data for each in segments for _, data in streams.feed(each)]


@given(
    base=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    order=st.data(),
)
def test_messages_come_out_however_they_are_split_ordered_and_repeated(base, sizes, order) -> None:
    messages = [invite(1), datagram(b"hep in between"), b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n", invite(2, b"x" * 200)]
    data = b"".join(messages)
    pieces = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(segment(base + 1 + at, data[at : at + size]))
        at += size
    shuffled = order.draw(st.permutations([*pieces, *pieces[:3]]))
    assert messages == feed(TcpStreams(Counter()), segment(base, flags=SYN), *shuffled)


def test_kinds_are_told() -> None:
    streams = TcpStreams(Counter())
    found = streams.feed(segment(1, invite(1) + datagram()))
    assert [Content.SIP, Content.HEP] == [content for content, _ in found]


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"l", b"L ", b"Content-Length\t"])
def test_content_length_in_every_spelling(name: bytes) -> None:
    assert [invite(1, b"12345", name)] == feed(TcpStreams(Counter()), segment(1, invite(1, b"12345", name)))


def test_bare_line_feeds_and_keepalives_are_taken() -> None:
    message = b"OPTIONS sip:a@b SIP/2.0\nl: 2\n\nok"
    found = feed(
        TcpStreams(Counter()), segment(1, invite(1) + b"\r\n\r\n"), segment(1 + len(invite(1)) + 4, message)
    )
    assert [invite(1), message] == found


def test_overlapping_segments_are_trimmed() -> None:
    data = invite(1) + invite(2)
    found = feed(TcpStreams(Counter()), segment(1, data[:50]), segment(31, data[30:80]), segment(61, data[60:]))
    assert [invite(1), invite(2)] == found


def test_a_capture_that_starts_in_the_middle_begins_at_the_next_message() -> None:
    assert [invite(1)] == feed(TcpStreams(Counter()), segment(500, b"tail of a message"), segment(900, invite(1)))


def test_a_lost_segment_is_counted_and_the_stream_taken_up_again() -> None:
    errors: Counter[str] = Counter()
    streams = TcpStreams(errors, max_waiting_bytes=300)
    found = feed(streams, segment(0, flags=SYN), segment(1, invite(1)))
    at = 1 + len(invite(1)) + 100  # 100 bytes never come
    for number in range(2, 9):
        found += feed(streams, segment(at, invite(number)))
        at += len(invite(number))
    assert ([invite(n) for n in range(1, 9)], {"tcp_gap": 1}) == (found, dict(errors))


def test_a_segment_that_the_capture_cut_is_a_gap() -> None:
    errors: Counter[str] = Counter()
    found = feed(TcpStreams(errors), segment(1, invite(1)[:30], cut=True), segment(500, invite(2)))
    assert ([invite(2)], {"tcp_gap": 1}) == (found, dict(errors))


def test_a_message_too_long_is_given_up() -> None:
    errors: Counter[str] = Counter()
    streams = TcpStreams(errors, max_message_bytes=1000)
    head = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 5000\r\n\r\n"
    feed(streams, segment(1, head + bytes(1200)))
    assert ([invite(2)], {"tcp_oversized": 1}) == (feed(streams, segment(9000, invite(2))), dict(errors))


def test_other_protocols_are_left_alone() -> None:
    errors: Counter[str] = Counter()
    found = feed(
        TcpStreams(errors), segment(0, flags=SYN), segment(1, b"GET / HTTP/1.1\r\n"), segment(17, invite(1))
    )
    assert ([], {}) == (found, dict(errors))


def test_garbage_after_a_message_is_counted() -> None:
    errors: Counter[str] = Counter()
    found = feed(TcpStreams(errors), segment(1, invite(1) + b"garbage garbage\r\n"), segment(900, invite(2)))
    assert ([invite(1), invite(2)], {"tcp_unframed": 1}) == (found, dict(errors))


def test_both_directions_and_other_connections_do_not_mix() -> None:
    one, two = invite(1), invite(2)
    streams = TcpStreams(Counter())
    found = feed(streams, segment(1, one[:40], port=1), segment(1, two[:40], port=2))
    found += feed(streams, segment(41, two[40:], port=2), segment(41, one[40:], port=1))
    assert [two, one] == found


def test_connections_are_bounded_and_the_idlest_goes() -> None:
    errors: Counter[str] = Counter()
    streams = TcpStreams(errors, max_streams=2)
    data = invite(1)
    for port in (1, 2):
        feed(streams, segment(1, data[:40], port=port))
    feed(streams, segment(41, data[40:50], port=1), segment(1, data[:40], port=3))
    evicted = dict(errors)
    found = feed(streams, segment(51, data[50:], port=1)), feed(streams, segment(41, data[40:], port=2))
    assert (([data], []), {"tcp_evicted": 1}) == (found, evicted)


def test_a_reset_forgets_the_connection() -> None:
    streams = TcpStreams(Counter())
    data = invite(1)
    feed(streams, segment(1, data[:40]), segment(41, flags=RST))
    assert [] == feed(streams, segment(41, data[40:]))


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=40), st.sampled_from([ACK, SYN, FIN, RST]))))
def test_random_segments_never_raise(pieces: list[tuple[int, bytes, int]]) -> None:
    feed(TcpStreams(Counter(), max_waiting_bytes=200), *(segment(at, data, flags) for at, data, flags in pieces))
