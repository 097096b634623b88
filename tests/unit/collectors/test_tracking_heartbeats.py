"""OPTIONS pings: alive whatever the answer, dead after 32 s without one."""

import numpy as np
import pytest
from sip_batches import CALLER, PROXY, START_NS, Ladder, batch_of

from collectors.facts import HeartbeatEnded
from collectors.tracking.dialogs import DialogSettings, DialogTracker

S_NS = 1_000_000_000


def run(ladder: Ladder, until_s: float = 100.0, settings: DialogSettings | None = None) -> list[HeartbeatEnded]:
    tracker = DialogTracker(settings or DialogSettings())
    for datagram in ladder.datagrams:
        tracker.feed(batch_of([datagram]), np.arange(1))
    tracker.advance(START_NS + round(until_s * S_NS))
    return [e for e in tracker.take_events() if isinstance(e, HeartbeatEnded)]


def ping(ladder: Ladder, at_s: float, cseq: int = 1) -> Ladder:
    return ladder.request(at_s, "OPTIONS", PROXY, CALLER, cseq=cseq)


def pong(ladder: Ladder, at_s: float, status: int = 200, cseq: int = 1) -> Ladder:
    return ladder.response(at_s, status, CALLER, PROXY, method="OPTIONS", cseq=cseq)


@pytest.mark.parametrize("status", [200, 404, 405, 501])
def test_any_final_answer_is_alive(status: int) -> None:
    assert [HeartbeatEnded(START_NS + 30_000_000, PROXY, CALLER, 1, "n1", "k", status, 30_000_000)] == run(
        pong(ping(Ladder(), 0), 0.03, status)
    )


def test_no_answer() -> None:
    ladder = ping(ping(Ladder(), 0), 0.5)
    assert ([], [(0, 0, START_NS + 32 * S_NS)]) == (
        run(ladder, until_s=31),
        [(e.sip_code, e.rtt_ns, e.at_ns) for e in run(ladder, until_s=33)],
    )


def test_copies_are_one_heartbeat() -> None:
    ladder = pong(ping(ping(Ladder(), 0), 0.5), 0.6)
    assert [600_000_000] == [e.rtt_ns for e in run(pong(ping(ladder, 1), 1.1))]


def test_provisional_answer_is_not_final() -> None:
    assert [200] == [e.sip_code for e in run(pong(pong(ping(Ladder(), 0), 0.1, 100), 0.2))]


def test_each_ping_counts() -> None:
    ladder = Ladder()
    for number in range(3):
        pong(ping(ladder, number, number + 1), number + 0.1, cseq=number + 1)
    assert 3 == len(run(ladder))


def test_ping_inside_a_dialog_is_none() -> None:
    assert [] == run(Ladder().request(0, "OPTIONS", PROXY, CALLER, in_dialog=True))


def test_flood_is_bounded() -> None:
    tracker = DialogTracker(DialogSettings(max_heartbeats=10))
    datagrams = [d for n in range(30) for d in ping(Ladder(f"id-{n}"), 0).datagrams]
    tracker.feed(batch_of(datagrams), np.arange(30))
    assert (10, 20) == (len(tracker.heartbeats), tracker.heartbeats.evicted)


def test_close_says_nothing_of_open_pings() -> None:
    tracker = DialogTracker(DialogSettings())
    tracker.feed(batch_of(ping(Ladder(), 0).datagrams), np.arange(1))
    tracker.close(START_NS + S_NS)
    assert ([], 0) == (tracker.take_events(), len(tracker.heartbeats))
