"""A call that several observers saw has the quality that the best of them saw."""

import pytest

from collectors.facts import SipCall
from collectors.tracking.call_quality import CallQuality
from collectors.tracking.tracked_call import TrackedCall
from telephony.model import Direction, Endpoint, Labels, Observer, Scale, StreamInterval

HERE, THERE = Endpoint("192.0.2.1", 4000), Endpoint("192.0.2.2", 6000)


def interval(
    r: float | None, mos: float | None, observer: Observer = Observer.RTCP_RR, scale: Scale = Scale.NARROWBAND
) -> StreamInterval:
    return StreamInterval(
        0, Labels(), "c", 1, HERE, THERE, Direction.TO_CALLEE, observer, "PCMA", 8000, 500, 500, 0,
        r_factor=r, mos=mos, mos_scale=scale if r is not None else None,
    )  # fmt: skip


def call() -> TrackedCall:
    return TrackedCall(SipCall("c", 0, "", "", "", "", HERE, THERE, 0, ""), Labels(), "default")


def test_intervals_of_one_observer_add_up() -> None:
    quality = CallQuality()
    for r, mos in ((90.0, 4.3), (60.0, 3.1), (80.0, 4.0)):
        quality.add(interval(r, mos))
    assert (3.1, pytest.approx(3.8), pytest.approx(1 / 3)) == (
        quality.mos_min,
        quality.mos_avg,
        quality.degraded_ratio,
    )
    assert (60.0, 80.0) == (quality.r_min, quality.r_last)


def test_an_interval_without_a_rating_changes_nothing() -> None:
    quality = CallQuality()
    assert not quality.add(interval(None, None))
    assert (None, None, None) == (quality.mos_min, quality.mos_avg, quality.degraded_ratio)


def test_scales_are_not_mixed() -> None:
    quality = CallQuality()
    quality.add(interval(129.0, 4.5, scale=Scale.WIDEBAND))
    quality.add(interval(80.0, 4.0))
    quality.add(interval(70.0, 3.6))
    assert (Scale.NARROWBAND, 3.6, pytest.approx(3.8)) == (quality.scale, quality.mos_min, quality.mos_avg)
    assert 70.0 == quality.r_min


def test_our_own_packets_count_before_what_receivers_report() -> None:
    tracked = call()
    tracked.add_interval(interval(50.0, 2.6, Observer.RTCP_RR))
    tracked.add_interval(interval(90.0, 4.3, Observer.RTP))
    tracked.add_interval(interval(20.0, 1.5, Observer.VQ_REPORT))
    assert (1, 4.3) == (tracked.quality.intervals, tracked.quality.mos_min)


def test_an_observer_that_rated_nothing_leaves_the_word_to_the_next() -> None:
    tracked = call()
    tracked.add_interval(interval(None, None, Observer.RTP))
    tracked.add_interval(interval(50.0, 2.6, Observer.RTCP_RR))
    assert 2.6 == tracked.quality.mos_min
