"""Serial arithmetic holds at every wrap."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telephony.serial import delta16, delta32, is_newer16, is_newer32, unwrap16, unwrap32

CASES = [(16, delta16, unwrap16, is_newer16), (32, delta32, unwrap32, is_newer32)]


@pytest.mark.parametrize(("bits", "delta", "unwrap", "is_newer"), CASES)
@given(data=st.data())
def test_serial_adding_a_distance_is_undone_by_delta(bits, delta, unwrap, is_newer, data):
    size = 1 << bits
    start = data.draw(st.integers(0, size - 1) | st.sampled_from([0, 1, size - 1, size // 2]))
    step = data.draw(st.integers(-size // 2, size // 2 - 1))
    end = (start + step) % size
    assert step == delta(end, start)
    assert is_newer(end, start) == (step > 0)


@pytest.mark.parametrize(("bits", "delta", "unwrap", "is_newer"), CASES)
@given(data=st.data())
def test_serial_unwrap_recovers_the_counter_behind_the_wraps(bits, delta, unwrap, is_newer, data):
    size = 1 << bits
    counter = data.draw(st.integers(0, 5 * size))
    for step in data.draw(st.lists(st.integers(-size // 2, size // 2 - 1), max_size=20)):
        moved = counter + step
        assert moved == unwrap(counter, moved % size)
        counter = moved


@given(st.integers(0, 65_535), st.integers(0, 65_535))
@example(0, 32_768)
@example(32_768, 0)
def test_serial_order_is_antisymmetric_but_for_the_opposite_number(a, b):
    if abs(a - b) == 32_768:
        assert (-32_768, -32_768) == (delta16(a, b), delta16(b, a))
    else:
        assert delta16(a, b) == -delta16(b, a)


@pytest.mark.parametrize(
    ("newer", "older", "distance"),
    [(0, 65_535, 1), (10, 65_530, 16), (65_535, 0, -1), (7, 7, 0), (32_767, 0, 32_767)],
)
def test_serial_delta16_at_the_wrap(newer, older, distance):
    assert distance == delta16(newer, older)
