"""Erlang B against the tables, its inverses, and Hayward."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.teletraffic import (
    erlang_b,
    hayward,
    offered_erlangs,
    offered_for,
    servers_for,
    servers_for_peaked,
)


@pytest.mark.parametrize(
    ("servers", "offered", "blocking"),
    # Published Erlang B tables: traffic at a grade of service.
    [
        (1, 0.0101, 0.01),
        (5, 1.3608, 0.01),
        (10, 4.4612, 0.01),
        (30, 20.337, 0.01),
        (100, 84.064, 0.01),
        (50, 40.255, 0.02),
    ],
)
def test_teletraffic_erlang_b_table(servers, offered, blocking):
    assert blocking == pytest.approx(erlang_b(servers, offered), rel=2e-3)
    assert offered == pytest.approx(offered_for(servers, blocking), rel=2e-3)


@given(st.integers(0, 60), st.floats(0.01, 80))
def test_teletraffic_erlang_b_is_its_definition(servers, offered):
    terms = [offered**k / math.factorial(k) for k in range(servers + 1)]
    assert terms[-1] / math.fsum(terms) == pytest.approx(erlang_b(servers, offered), rel=1e-9)


def test_teletraffic_erlang_b_is_stable_for_large_groups():
    assert 0.001 < erlang_b(10_000, 9_900.0) < 0.01
    assert 0.0 == erlang_b(10_000, 1.0)


@given(st.floats(0, 40), st.floats(0, 40), st.floats(0.05, 40))
def test_teletraffic_blocking_falls_with_servers_fractional_ones_too(n1, n2, offered):
    low, high = sorted((n1, n2))
    assert erlang_b(high, offered) <= erlang_b(low, offered) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("servers", "offered", "blocking"),
    [(0.5, 0.3, 0.5107516873), (2.5, 1.7, 0.2449224412), (2.5, 9.0, 0.7538509600), (10.25, 8.0, 0.1105369831)],
)
def test_teletraffic_fractional_servers_are_the_integral(servers, offered, blocking):
    # By Simpson's rule on 1/B = A integral exp(-A t) (1 + t)^x dt.
    assert blocking == pytest.approx(erlang_b(servers, offered), rel=1e-8)


@given(st.floats(0.1, 500), st.sampled_from([0.001, 0.01, 0.05, 0.2]))
def test_teletraffic_servers_for_is_the_fewest(offered, blocking):
    n = servers_for(offered, blocking)
    assert erlang_b(n, offered) <= blocking * (1 + 1e-9)
    assert n == 0 or erlang_b(n - 1, offered) > blocking * (1 - 1e-9)


@given(st.floats(0.1, 200), st.sampled_from([0.001, 0.01, 0.1]))
def test_teletraffic_peaked_traffic_of_peakedness_1_is_poisson(offered, blocking):
    assert servers_for(offered, blocking) == servers_for_peaked(offered, blocking, 1.0)


def test_teletraffic_peaked_traffic_needs_more():
    needs = [servers_for_peaked(84.0, 0.01, z) for z in (1.0, 1.5, 2.0, 4.0)]
    assert needs == sorted(set(needs))
    assert hayward(100, 84.0, 2.0) > erlang_b(100, 84.0)


def test_teletraffic_offered_traffic():
    assert 360.0 == offered_erlangs(2.0, 180.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: erlang_b(-1, 1.0),
        lambda: erlang_b(1, -1.0),
        lambda: servers_for(1.0, 0.0),
        lambda: servers_for(-1.0, 0.1),
        lambda: offered_for(1, 1.0),
        lambda: hayward(1, 1.0, 0.0),
        lambda: servers_for_peaked(1.0, 0.0, 1.0),
    ],
)
def test_teletraffic_refuses_what_is_no_traffic(call):
    with pytest.raises(ValueError, match=r"erlangs|blocking|peakedness"):
        call()


@pytest.mark.parametrize("offered", [0.0])
def test_teletraffic_no_traffic_is_never_blocked(offered):
    assert (0.0, 0, 0) == (
        erlang_b(5, offered),
        servers_for(offered, 0.01),
        servers_for_peaked(offered, 0.01, 2.0),
    )
