"""Totals of the exporter: bands by trunk and direction, jitter as a histogram."""

from dataclasses import replace

import pytest

from collectors.tracking.counters import Counters
from telephony.model import Direction, Endpoint, Labels, Observer, Scale, StreamInterval

HERE = Endpoint("10.0.0.1", 4000)
INTERVAL = StreamInterval(
    50,
    Labels(trunk="carrier-a"),
    "c",
    7,
    HERE,
    HERE,
    Direction.TO_CALLEE,
    Observer.RTCP_RR,
    "PCMA",
    8000,
    500,
    500,
    0,
    jitter_ms=7.5,
    r_factor=93.0,
    mos=4.4,
    mos_scale=Scale.NARROWBAND,
)


@pytest.mark.parametrize(
    ("expected", "r_factor", "scale"),
    [
        ("A", 93.0, Scale.NARROWBAND),
        ("C", 75.0, Scale.NARROWBAND),
        ("F", 10.0, Scale.NARROWBAND),
        ("A", 120.0, Scale.WIDEBAND),
        ("C", 93.0, Scale.WIDEBAND),
        ("unrated", None, Scale.NARROWBAND),
        ("unrated", 93.0, None),
    ],
)
def test_an_interval_counts_in_the_band_of_its_own_scale(
    expected: str, r_factor: float | None, scale: Scale | None
) -> None:
    counters = Counters()
    counters.add_interval(replace(INTERVAL, r_factor=r_factor, mos_scale=scale))
    assert {(expected, "to_callee", "carrier-a"): 1} == dict(counters.intervals)


def test_jitter_is_summed_where_it_was_told() -> None:
    counters = Counters()
    for jitter_ms in (7.5, None, 2.5, 10.0, 10.1, 1e9):
        counters.add_interval(replace(INTERVAL, jitter_ms=jitter_ms))
    assert [0, 0, 1, 2, 1, 0, 0, 0, 0, 1] == counters.jitter_histogram, "an edge counts below itself"
    assert 1e9 + 30.1 == pytest.approx(counters.jitter_ms_sum)


def test_the_newest_interval_is_remembered() -> None:
    counters = Counters()
    for time_ns in (50, 90, 60):
        counters.add_interval(replace(INTERVAL, time_ns=time_ns))
    assert 90 == counters.last_interval_ns
