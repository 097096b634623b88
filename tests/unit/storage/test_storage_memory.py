"""What a writer remembers of the points it wrote: too much may be marked, never too little."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.memory import Memory

_SECOND = 1 << 30


def _seen(memory: Memory, times: list[int], keys: list[int]) -> list[bool]:
    found: list[bool] = memory.seen(np.array(times, dtype=np.int64), np.array(keys, dtype=np.uint64)).tolist()
    return found


def _keys(count: int, seed: int = 0) -> list[int]:
    found: list[int] = np.random.default_rng(seed).integers(1, 2**64, count, dtype=np.uint64).tolist()
    return found


def test_what_was_written_is_marked() -> None:
    memory = Memory(0, 1024)
    one, two, three = _keys(3)
    assert [False, False] == _seen(memory, [5, 6], [one, two])
    assert [True, False] == _seen(memory, [6, 7], [two, three])


def test_whatever_is_before_the_horizon_is_marked() -> None:
    assert [True, False] == _seen(Memory(1000, 1024), [999, 1000], _keys(2))


def test_nothing_is_nothing() -> None:
    assert [] == _seen(Memory(0, 1024), [], [])


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 90)), min_size=1, max_size=60), max_size=12))
def test_a_memory_that_forgets_marks_too_much_never_too_little(writes: list[list[tuple[int, int]]]) -> None:
    memory = Memory(0, 64)
    names = _keys(100 * 41)
    before: set[tuple[int, int]] = set()
    for write in writes:
        points = list(dict.fromkeys(write))
        marks = _seen(memory, [time * _SECOND for time, _ in points], [names[t * 100 + n] for t, n in points])
        assert all(mark for point, mark in zip(points, marks, strict=True) if point in before)
        before.update(points)


def test_new_rows_in_the_order_of_time_are_hardly_ever_marked() -> None:
    memory = Memory(0, 65_536)
    marked = sum(sum(_seen(memory, [tick * _SECOND] * 1000, _keys(1000, tick))) for tick in range(300))
    assert 0 == marked


def test_rows_are_remembered_for_half_of_what_there_is_room_for() -> None:
    memory = Memory(0, 65_536)
    for tick in range(300):
        _seen(memory, [tick * _SECOND] * 1000, _keys(1000, tick))
    late = _seen(memory, [(300 - 28) * _SECOND] * 1000, _keys(1000, 1000))
    assert not any(late)


def test_a_wrong_clock_does_not_make_everything_old() -> None:
    memory = Memory(0, 65_536)
    ahead = _keys(5, 999)
    _seen(memory, [10_000 * _SECOND] * 5, ahead)
    marked = sum(sum(_seen(memory, [tick * _SECOND] * 1000, _keys(1000, tick))) for tick in range(300))
    assert 0 == marked
    assert [True] * 5 == _seen(memory, [10_000 * _SECOND] * 5, ahead)


def test_more_wrong_clocks_than_are_kept_apart_are_marked_still() -> None:
    memory = Memory(0, 1024)
    ahead = _keys(8_000, 999)
    for at in range(0, 8_000, 100):
        _seen(memory, [10_000 * _SECOND] * 100, ahead[at : at + 100])
        _seen(memory, [at * _SECOND] * 300, _keys(300, at))
    assert all(_seen(memory, [10_000 * _SECOND] * 8_000, ahead))


def test_it_never_grows() -> None:
    memory = Memory(0, 65_536)
    size = memory.nbytes
    for tick in range(20):
        _seen(memory, [tick * _SECOND] * 10_000, _keys(10_000, tick))
    assert (size, 65_536 * 8) == (memory.nbytes, size - memory._next.nbytes)
