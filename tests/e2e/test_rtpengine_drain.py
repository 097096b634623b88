"""Emptying real relays: two rtpengine daemons of Debian's, with calls set up over the NG protocol."""

import pytest
from lab.relays import ONE, TWO, Calls

from scaler.drain import Drained, Drainer, ReplicaSetOrder
from scaler.relay import NO_LIMIT, RelayRefused, RelayUnreachable
from scaler.rtpengine import Rtpengine
from scaler.target import DrainMark, Pod, TargetState


def test_a_closed_relay_refuses_new_calls_and_keeps_the_old(relays: Rtpengine, calls: Calls) -> None:
    calls.up(ONE, "old")
    relays.set_limit(ONE, 0)
    with pytest.raises(RelayRefused, match="Parallel session limit reached"):
        calls.offer(ONE, "new")
    calls.offer(ONE, "old", tag="callee")
    calls.answer(ONE, "old")
    assert (1, 0, NO_LIMIT) == (relays.sessions(ONE), relays.limit(ONE), relays.limit(TWO))


def test_an_opened_relay_takes_calls_again(relays: Rtpengine, calls: Calls) -> None:
    for limit in (0, NO_LIMIT):
        relays.set_limit(ONE, limit)
    calls.up(ONE, "new")
    assert (1, NO_LIMIT) == (relays.sessions(ONE), relays.limit(ONE))


def test_both_protocols_count_alike(relays: Rtpengine, calls: Calls) -> None:
    calls.up(ONE, "a", "b")
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
    calls.up(ONE, "a", "b")
    calls.up(TWO, "c")
    marks = Marks()
    drainer = Drainer(marks, relays, ReplicaSetOrder(), 600.0, lambda: True)

    def step(now_s: float) -> Drained:
        return drainer.step(marks.state(), 1, now_s)

    waiting = [step(0.0), step(15.0)]
    assert ["1 of 1 being emptied, 1 calls up"] * 2 == [drained.why for drained in waiting]
    with pytest.raises(RelayRefused):
        calls.offer(TWO, "d")
    calls.delete(TWO, "c")
    assert ([0, 1], {"two"}) == ([step(30.0).removable, step(45.0).removable], marks.preferred)


def test_load_that_returns_opens_the_relay(relays: Rtpengine, calls: Calls) -> None:
    calls.up(ONE, "a")
    marks = Marks()
    drainer = Drainer(marks, relays, ReplicaSetOrder(), 600.0, lambda: True)
    drainer.step(marks.state(), 1, 0.0)
    closed = [relays.limit(ONE), relays.limit(TWO)]
    drainer.step(marks.state(), 0, 15.0)
    calls.up(TWO, "b")
    assert ([NO_LIMIT, 0], {}, 1) == (closed, marks.notes, relays.sessions(TWO))


def test_a_relay_that_died_is_unreachable_over_both(relays: Rtpengine) -> None:
    for asked in (relays, Rtpengine(relays.cli_port)):
        with pytest.raises(RelayUnreachable, match=r"127\.0\.0\.4"):
            asked.sessions("127.0.0.4")
