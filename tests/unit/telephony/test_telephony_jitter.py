"""The jitter estimator of RFC 3550 appendix A.8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.jitter import JitterEstimator, ticks_to_ms

PACKET_NS, PACKET_TICKS = 20_000_000, 160


def run(lateness_ns, first_timestamp=0, clock=8000):
    jitter = JitterEstimator(clock)
    for n, late in enumerate(lateness_ns):
        jitter.add((first_timestamp + n * PACKET_TICKS) % 2**32, n * PACKET_NS + late)
    return jitter


def test_jitter_of_a_steady_stream_is_0():
    assert 0.0 == run([0] * 100).ticks


def test_jitter_of_one_packet_is_0():
    assert 0.0 == run([0]).ms


def test_jitter_closes_on_the_mean_difference():
    # Every other packet 5 ms late: |D| is always 5 ms.
    assert 5.0 == pytest.approx(run([0, 5_000_000] * 200).ms, abs=1e-6)


@given(st.lists(st.integers(0, 50_000_000), min_size=2, max_size=60), st.integers(0, 2**32 - 1))
def test_jitter_does_not_see_the_wrap_of_the_timestamp(lateness, first):
    assert run(lateness).ticks == run(lateness, first).ticks


def test_jitter_is_the_sixteenth_of_the_first_difference():
    assert 16_000_000 * 8000 / 1e9 / 16 == run([0, 16_000_000]).ticks


@pytest.mark.parametrize(("ticks", "clock", "ms"), [(80, 8000, 10.0), (480, 48_000, 10.0), (0, 8000, 0.0)])
def test_jitter_in_ms(ticks, clock, ms):
    assert ms == ticks_to_ms(ticks, clock)
