"""Emptying real relays: two rtpengine daemons of Debian's, with calls set up over the NG protocol."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.namespace import wait_until

from scaler.drain import Drained, Drainer, ReplicaSetOrder
from scaler.relay import NO_LIMIT, RelayRefused, RelayUnreachable
from scaler.rtpengine import Rtpengine
from scaler.target import DrainMark, Pod, TargetState

pytestmark = pytest.mark.timeout(60)
ONE, TWO = "127.0.0.2", "127.0.0.3"
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((ONE, 0))
        return int(probe.getsockname()[1])


class Calls:
    """What a SIP proxy tells relays."""

    def __init__(self, relays: Rtpengine) -> None:
        self._relays = relays

    def offer(self, address: str, call: str, tag: str = "") -> None:
        """Begin a call, or change one (a re-INVITE) where the callee's tag is given."""
        more = {b"to-tag": tag.encode()} if tag else {}
        self._tell(address, {b"command": b"offer", b"call-id": call.encode(), b"sdp": SDP} | more)

    def answer(self, address: str, call: str) -> None:
        self._tell(
            address, {b"command": b"answer", b"call-id": call.encode(), b"to-tag": b"callee", b"sdp": SDP}
        )  # fmt: skip

    def delete(self, address: str, call: str) -> None:
        self._tell(address, {b"command": b"delete", b"call-id": call.encode()})

    def _tell(self, address: str, request: dict[bytes, bytes]) -> None:
        self._relays.ask(address, {b"from-tag": b"caller", **request})


def _answers(relays: Rtpengine, address: str) -> bool:
    try:
        return relays.sessions(address) == 0
    except RelayUnreachable:
        return False


@pytest.fixture
def relays(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Rtpengine]:
    """Run one relay at each address; sessions are counted over NG."""
    program = require_program("rtpengine")
    cli, ng = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    processes = []
    try:
        for number, address in enumerate((ONE, TWO)):
            first = 32_000 + 200 * number
            with (tmp_path / f"rtpengine-{number}.log").open("wb") as log:
                process = subprocess.Popen(
                    [
                        program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=5",
                        "--table=-1", f"--interface={address}",
                        f"--listen-ng={address}:{ng}", f"--listen-cli={address}:{cli}",
                        f"--port-min={first}", f"--port-max={first + 198}", "--delete-delay=0", "--num-threads=1",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            processes.append(process)
        relays = Rtpengine(cli, ng)
        for address in (ONE, TWO):
            wait_until(lambda address=address: _answers(relays, address), 10, f"rtpengine at {address}")  # type: ignore[misc]
        yield relays
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def calls(relays: Rtpengine) -> Calls:
    return Calls(relays)


def up(calls: Calls, address: str, *names: str) -> None:
    for name in names:
        calls.offer(address, name)
        calls.answer(address, name)


def test_a_closed_relay_refuses_new_calls_and_keeps_the_old(relays: Rtpengine, calls: Calls) -> None:
    up(calls, ONE, "old")
    relays.set_limit(ONE, 0)
    with pytest.raises(RelayRefused, match="Parallel session limit reached"):
        calls.offer(ONE, "new")
    calls.offer(ONE, "old", tag="callee")
    calls.answer(ONE, "old")
    assert (1, 0, NO_LIMIT) == (relays.sessions(ONE), relays.limit(ONE), relays.limit(TWO))


def test_an_opened_relay_takes_calls_again(relays: Rtpengine, calls: Calls) -> None:
    for limit in (0, NO_LIMIT):
        relays.set_limit(ONE, limit)
    up(calls, ONE, "new")
    assert (1, NO_LIMIT) == (relays.sessions(ONE), relays.limit(ONE))


def test_both_protocols_count_alike(relays: Rtpengine, calls: Calls) -> None:
    up(calls, ONE, "a", "b")
    by_cli = Rtpengine(relays.cli_port)
    assert [2, 2, 0, 0] == [counted.sessions(address) for address in (ONE, TWO) for counted in (relays, by_cli)]


def test_ng_cannot_close_a_relay(relays: Rtpengine) -> None:
    with pytest.raises(RelayRefused, match="Unrecognized command"):
        relays.ask(ONE, {b"command": b"set maxsessions", b"maxsessions": 0})


class Marks:
    """The pods of the two relays, with what is noted on them."""

    def __init__(self) -> None:
        self.notes: dict[str, DrainMark] = {}
        self.preferred: set[str] = set()

    def mark_draining(self, pod: str, mark: DrainMark | None) -> None:
        self.notes.pop(pod, None)
        if mark is not None:
            self.notes[pod] = mark

    def prefer_to_delete(self, pod: str, prefer: bool) -> None:
        self.preferred = self.preferred | {pod} if prefer else self.preferred - {pod}

    def state(self) -> TargetState:
        pods = [
            Pod(name, 0.0, 0.0, True, address, self.notes.get(name), name in self.preferred)
            for name, address in (("one", ONE), ("two", TWO))
        ]
        return TargetState(2, "", tuple(pods))


def test_the_emptier_relay_is_drained_and_may_go_once_its_last_call_ended(relays: Rtpengine, calls: Calls) -> None:
    up(calls, ONE, "a", "b")
    up(calls, TWO, "c")
    marks = Marks()
    drainer = Drainer(marks, relays, ReplicaSetOrder(), 600.0)

    def step(now_s: float) -> Drained:
        return drainer.step(marks.state(), 1, now_s)

    waiting = [step(0.0), step(15.0)]
    assert ["1 of 1 being emptied, 1 calls up"] * 2 == [drained.why for drained in waiting]
    with pytest.raises(RelayRefused):
        calls.offer(TWO, "d")
    calls.delete(TWO, "c")
    assert ([0, 1], {"two"}) == ([step(30.0).removable, step(45.0).removable], marks.preferred)


def test_load_that_returns_opens_the_relay(relays: Rtpengine, calls: Calls) -> None:
    up(calls, ONE, "a")
    marks = Marks()
    drainer = Drainer(marks, relays, ReplicaSetOrder(), 600.0)
    drainer.step(marks.state(), 1, 0.0)
    closed = [relays.limit(ONE), relays.limit(TWO)]
    drainer.step(marks.state(), 0, 15.0)
    up(calls, TWO, "b")
    assert ([NO_LIMIT, 0], {}, 1) == (closed, marks.notes, relays.sessions(TWO))


def test_a_relay_that_died_is_unreachable_over_both(relays: Rtpengine) -> None:
    for asked in (relays, Rtpengine(relays.cli_port)):
        with pytest.raises(RelayUnreachable, match=r"127\.0\.0\.4"):
            asked.sessions("127.0.0.4")
