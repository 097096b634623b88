"""Histograms count, merge and give quantiles within a bucket's width."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.histogram import (
    HOLDING_S,
    JITTER_MS,
    LOSS_RATIO,
    MOS,
    PDD_MS,
    R_FACTOR,
    RRD_MS,
    Buckets,
    merge,
)

ALL = [R_FACTOR, MOS, JITTER_MS, LOSS_RATIO, PDD_MS, RRD_MS, HOLDING_S]
finite = st.floats(0.0, 1e6, allow_nan=False)


@pytest.mark.parametrize("buckets", ALL, ids=lambda b: b.name)
def test_histogram_edges_rise_and_start_at_the_scale(buckets):
    assert list(buckets.edges) == sorted(set(buckets.edges))
    assert len(buckets.edges) == buckets.count + 1


@pytest.mark.parametrize("buckets", ALL, ids=lambda b: b.name)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_histogram_index_holds_the_value_or_clamps(buckets, value):
    i = buckets.index(value)
    assert 0 <= i < buckets.count
    if buckets.edges[0] <= value < buckets.edges[-1]:
        assert buckets.edges[i] <= value < buckets.edges[i + 1]


@given(st.lists(finite), st.lists(finite))
def test_histogram_merge_is_the_histogram_of_both(a, b):
    assert PDD_MS.of(a + b) == merge(PDD_MS.of(a), PDD_MS.of(b))


@given(st.lists(st.floats(0.0, 149.9), min_size=1), st.floats(0.0, 1.0))
def test_histogram_quantile_is_within_a_bucket_of_the_sample_quantile(values, q):
    ordered = sorted(values)
    exact = ordered[max(0, math.ceil(q * len(ordered)) - 1)]
    estimate = R_FACTOR.quantile(R_FACTOR.of(values), q)
    assert abs(estimate - exact) <= 2.0


@given(st.lists(finite, min_size=1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_histogram_quantiles_rise_with_q(values, q1, q2):
    counts = JITTER_MS.of(values)
    low, high = sorted((q1, q2))
    assert JITTER_MS.quantile(counts, low) <= JITTER_MS.quantile(counts, high)


def test_histogram_of_nothing_has_no_quantile():
    assert MOS.quantile(MOS.zeros(), 0.5) is None


def test_histogram_leaves_out_what_is_not_finite():
    assert 1 == sum(R_FACTOR.of([math.nan, math.inf, -math.inf, 93.2]))


def test_histogram_band_edges_of_r_are_bucket_edges():
    assert {50.0, 60.0, 70.0, 80.0, 90.0} <= set(R_FACTOR.edges)


def test_histogram_refuses_to_merge_other_buckets():
    with pytest.raises(ValueError, match="2 and 3 buckets"):
        merge([1, 2], [1, 2, 3])


def test_histogram_quantile_of_one_bucket_is_linear():
    assert [0.0, 2.5, 10.0] == [Buckets("x", (0.0, 10.0, 20.0)).quantile([4, 0], q) for q in (0.0, 0.25, 1.0)]
