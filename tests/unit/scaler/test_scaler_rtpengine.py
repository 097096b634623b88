"""What is asked of a relay and what comes of bad answers, against sockets that answer as the test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.bencode import BencodeError, Value, decode, encode
from scaler.relay import RelayError, RelayRefused, RelayUnreachable
from scaler.rtpengine import Rtpengine

HERE = "127.0.0.1"
SOON_S = 0.3
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.integers(-(2**50), 2**50) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: Value) -> None:
    assert value == decode(encode(value))


@given(st.binary(max_size=60) | st.text("ilde:0123456789-", max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    with suppress(BencodeError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"i1", b"i1ee", b"5:ab", b"d1:ae", b"di1e1:ae", b"l" * 5000, b"i" + b"9" * 500 + b"e", b"-1:a", b"x"],
)
def test_what_is_not_one_whole_value_is_refused(data: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(data)


@pytest.fixture
def cli() -> Iterator[Callable[[bytes], int]]:
    """Return a function that starts a relay's CLI that answers all commands alike."""
    opened = []

    def start(answer: bytes) -> int:
        server = socket.create_server((HERE, 0))
        opened.append(server)

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                try:
                    connection.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in opened:
        server.close()


@pytest.fixture
def ng() -> Iterator[Callable[[Callable[[bytes], list[bytes]]], int]]:
    """Return a function that starts a relay's NG port: the cookie in, datagrams out."""
    opened = []

    def start(answers: Callable[[bytes], list[bytes]]) -> int:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((HERE, 0))
        server.settimeout(60)
        opened.append(server)

        def serve() -> None:
            try:
                data, peer = server.recvfrom(1000)
                for answer in answers(data.split(b" ")[0]):
                    server.sendto(answer, peer)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in opened:
        server.close()


def test_the_cli_tells_sessions_of_the_relays_own(cli: Callable[[bytes], int]) -> None:
    answer = b"Current sessions own: 17\nCurrent sessions foreign: 4\nCurrent sessions total: 21\n"
    assert 17 == Rtpengine(cli(answer)).sessions(HERE)


def test_the_cli_tells_the_limit(cli: Callable[[bytes], int]) -> None:
    assert -1 == Rtpengine(cli(b"Maximum sessions configured on rtpengine: -1\n")).limit(HERE)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"Unknown or incomplete command:list:x\n",
        b"Current sessions own: many\n",
        b"\xff\x00" * 40,
        b"x" * 200_000,
    ],
)
def test_a_bad_answer_is_refused(cli: Callable[[bytes], int], answer: bytes) -> None:
    with pytest.raises(RelayRefused, match=HERE):
        Rtpengine(cli(answer)).sessions(HERE)


def test_a_limit_that_was_not_set_is_refused(cli: Callable[[bytes], int]) -> None:
    with pytest.raises(RelayRefused, match="no digists"):
        Rtpengine(cli(b"Fail setting maxsessions to x; no digists found\n")).set_limit(HERE, 0)


def test_a_relay_that_is_not_there_is_unreachable() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = int(server.getsockname()[1])
    with pytest.raises(RelayUnreachable, match=f"{HERE}: CLI port {port}"):
        Rtpengine(port, timeout_s=SOON_S).limit(HERE)


def test_a_relay_that_takes_and_says_nothing_is_unreachable() -> None:
    with socket.create_server((HERE, 0)) as server, pytest.raises(RelayUnreachable, match="no answer in time"):
        Rtpengine(int(server.getsockname()[1]), timeout_s=SOON_S).limit(HERE)


def _statistics(sessions: Value) -> bytes:
    return encode({b"statistics": {b"currentstatistics": {b"sessionsown": sessions}}, b"result": b"ok"})


def test_ng_tells_sessions_and_passes_over_what_others_asked(
    ng: Callable[[Callable[[bytes], list[bytes]]], int],
) -> None:
    port = ng(lambda cookie: [b"other " + _statistics(9), cookie + b" " + _statistics(3)])
    assert 3 == Rtpengine(1, port).sessions(HERE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"d6:resulti1e",
        b"i7e",
        b"d6:result5:error12:error-reason7:unknowne",
        _statistics(b"x"),
        _statistics(-1),
    ],
)
def test_a_bad_ng_answer_is_refused(ng: Callable[[Callable[[bytes], list[bytes]]], int], body: bytes) -> None:
    with pytest.raises(RelayRefused):
        Rtpengine(1, ng(lambda cookie: [cookie + b" " + body])).sessions(HERE)


def test_ng_that_never_answers_is_unreachable(ng: Callable[[Callable[[bytes], list[bytes]]], int]) -> None:
    with pytest.raises(RelayError):
        Rtpengine(1, ng(lambda cookie: []), timeout_s=SOON_S).sessions(HERE)
