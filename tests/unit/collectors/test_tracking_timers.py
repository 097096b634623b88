"""Deadlines: nothing fires early, nothing is forgotten, and moving one later costs nothing."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from collectors.tracking.timers import SLOT_NS, TimerWheel

S_NS = 1_000_000_000
START_NS = 1_800_000_000 * S_NS


@dataclass(slots=True, eq=False)
class Item:
    due_ns: int = 0
    slot: int = 0


@given(st.lists(st.integers(0, 60 * S_NS), max_size=20), st.lists(st.integers(1, 9 * S_NS), max_size=20))
def test_everything_fires_once_and_within_a_slot_of_its_time(delays: list[int], steps: list[int]) -> None:
    wheel: TimerWheel[Item] = TimerWheel()
    waiting = [Item() for _ in delays]
    for item, delay in zip(waiting, delays, strict=True):
        wheel.arm(item, START_NS + delay, START_NS)
    now_ns = START_NS
    for step in [*steps, 100 * S_NS]:
        now_ns += step
        fired = wheel.expired(now_ns)
        assert all(item.due_ns <= now_ns for item in fired)
        waiting = [item for item in waiting if not any(item is other for other in fired)]
        assert all(item.due_ns > now_ns - SLOT_NS for item in waiting)
    assert [] == waiting


def test_a_deadline_moved_later_holds() -> None:
    wheel: TimerWheel[Item] = TimerWheel()
    item = Item()
    wheel.arm(item, START_NS + S_NS, START_NS)
    item.due_ns += 10 * S_NS
    assert ([], [item]) == (wheel.expired(START_NS + 5 * S_NS), wheel.expired(START_NS + 12 * S_NS))


def test_a_deadline_moved_earlier_fires_once() -> None:
    wheel: TimerWheel[Item] = TimerWheel()
    item = Item()
    wheel.arm(item, START_NS + 5 * S_NS, START_NS)
    wheel.arm(item, START_NS + S_NS, START_NS)
    assert ([item], []) == (wheel.expired(START_NS + 2 * S_NS), wheel.expired(START_NS + 9 * S_NS))


def test_a_cancelled_item_never_fires() -> None:
    wheel: TimerWheel[Item] = TimerWheel()
    item = Item()
    wheel.arm(item, START_NS + S_NS, START_NS)
    wheel.cancel(item)
    assert [] == wheel.expired(START_NS + 9 * S_NS)
