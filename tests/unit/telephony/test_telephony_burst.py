"""BurstR from runs, from Markov chains and from RFC 3611 burst and gap metrics agree on what they mean."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.burst import from_burst_gap, from_markov, from_runs


def runs_of(lost_flags):
    return sum(flag and not before for before, flag in zip([False, *lost_flags], lost_flags, strict=False))


@pytest.mark.parametrize(
    ("expected", "lost", "runs", "burst_ratio"),
    [
        (1000, 0, 0, 1.0),
        (1000, 10, 10, 1.0),  # isolated losses read as random
        (1000, 20, 5, 4 * 0.98),
        (100, 100, 1, 1.0),
        (0, 0, 0, 1.0),
        (10, 20, 1, 1.0),
    ],
)
def test_burst_from_runs(expected, lost, runs, burst_ratio):
    assert burst_ratio == pytest.approx(from_runs(expected, lost, runs))


def test_burst_of_random_loss_is_1():
    rng = random.Random(7)
    flags = [rng.random() < 0.1 for _ in range(100_000)]
    assert 1.0 == pytest.approx(from_runs(len(flags), sum(flags), runs_of(flags)), abs=0.03)


@pytest.mark.parametrize(("p", "q"), [(0.01, 0.2), (0.02, 0.48), (0.005, 0.5)])
def test_burst_from_runs_measures_the_markov_chain_that_made_them(p, q):
    rng = random.Random(11)
    flags, lost = [], False
    for _ in range(400_000):
        lost = rng.random() >= q if lost else rng.random() < p
        flags.append(lost)
    assert from_markov(p, q) == pytest.approx(from_runs(len(flags), sum(flags), runs_of(flags)), rel=0.05)


@pytest.mark.parametrize(
    ("p", "q", "burst_ratio"), [(0.02, 0.98, 1.0), (0.02, 0.23, 4.0), (0.5, 0.9, 1.0), (0, 0, 1.0)]
)
def test_burst_from_markov(p, q, burst_ratio):
    assert burst_ratio == pytest.approx(from_markov(p, q))


@pytest.mark.parametrize(
    "metrics",
    [
        (None, 0.0, 100.0, 100.0),
        (0.5, None, 100.0, 100.0),
        (0.5, 0.0, None, 100.0),
        (0.5, 0.0, 100.0, None),
        (0.0, 0.0, 0.0, 10_000.0),
        (0.5, 0.0, 0.0, 10_000.0),
    ],
)
def test_burst_without_metrics_or_bursts_is_1(metrics):
    assert 1.0 == from_burst_gap(*metrics)


def test_burst_from_burst_gap_of_a_solid_outage_is_its_length():
    # 100 of 1000 packets lost in one run: 100 x 0.9
    assert 90.0 == pytest.approx(from_burst_gap(1.0, 0.0, 2000.0, 18_000.0))


def test_burst_from_burst_gap_grows_with_density_in_bursts():
    ratios = [from_burst_gap(density, 0.005, 400.0, 9600.0) for density in (0.3, 0.5, 0.7, 0.9, 1.0)]
    assert ratios == sorted(ratios)


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 65_535), st.floats(0, 65_535), st.sampled_from([0, 10, 20, 60])
)
def test_burst_ratio_never_falls_below_1(burst_density, gap_density, burst_ms, gap_ms, ptime_ms):
    assert from_burst_gap(burst_density, gap_density, burst_ms, gap_ms, ptime_ms) >= 1.0
