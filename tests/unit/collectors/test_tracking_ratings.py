"""A reported interval is rated by the one door of the E-model, or says nothing where it cannot be."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.facts import Codec
from collectors.tracking.media import StreamMatch
from collectors.tracking.ratings import MIN_RATED_PACKETS, rated, rated_stream
from collectors.tracking.report_intervals import ReportedInterval
from collectors.tracking.report_streams import ReportedStream
from telephony.model import Direction, Endpoint, Labels, Observer, Scale, Source, Verdict
from telephony.quality import assess

HERE, THERE = Endpoint("10.0.0.2", 6001), Endpoint("10.0.0.1", 4001)
LABELS = Labels(tenant="acme")
PCMA = StreamMatch(
    "c", Direction.TO_CALLEE, Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000), Codec("PCMA", 8000), 20
)
REPORTED = ReportedInterval(
    interval_start_ns=10_000_000_000,
    call_id="c",
    observer=Observer.RTCP_RR,
    reporter=HERE,
    far=THERE,
    ssrc=7,
    node_id=1,
    expected=500,
    received=490,
    lost=10,
    discarded=None,
    duplicates=None,
    jitter_ticks_mean=80.0,
    jitter_ticks_max=160.0,
    jitter_ms=None,
    jitter_max_ms=None,
    rtt_half_ms=None,
    rtt_ms=50.0,
    burst_ratio=None,
    plc="unspecified",
    mos=None,
    r_factor=None,
    codec="",
    verdicts=(),
    sender_packets_sent=None,
    final=False,
)


def test_a_matched_interval_is_rated_as_telephony_quality_does() -> None:
    interval = rated(REPORTED, PCMA, LABELS)
    rating = assess("PCMA", 0.02, jitter_ms=10.0, rtt_ms=50.0, ptime_ms=20)
    assert (rating.r_factor, rating.mos, Scale.NARROWBAND) == (
        interval.r_factor,
        interval.mos,
        interval.mos_scale,
    )
    assert (10.0, 20.0, rating.delay_ms) == (interval.jitter_ms, interval.jitter_max_ms, interval.delay_ms)
    assert (Source.PUBLISHED, rating.codec_source) == (interval.delay_source, interval.codec_source)
    assert (PCMA.src, PCMA.dst, PCMA.direction) == (interval.src, interval.dst, interval.direction)


@pytest.mark.parametrize(
    ("expected", "clock_rate_hz"), [(10.0, 8000), (5.0, 16_000), (80 / 48, 48_000)], ids=["8k", "16k", "48k"]
)
def test_jitter_is_in_ms_of_the_codecs_own_clock(expected: float, clock_rate_hz: int) -> None:
    match = replace(PCMA, codec=Codec("OPUS", clock_rate_hz))
    assert expected == pytest.approx(rated(REPORTED, match, LABELS).jitter_ms)


def test_without_a_match_the_addresses_are_those_of_the_media_below_the_rtcp() -> None:
    interval = rated(REPORTED, None, LABELS)
    assert (Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000)) == (interval.src, interval.dst)
    assert ("unknown", 0, Direction.UNKNOWN) == (interval.codec, interval.clock_rate_hz, interval.direction)


@pytest.mark.parametrize(
    ("expected", "codec"),
    [("PCMA", "pcma"), ("G729", "g.729"), ("other", "evil-codec-0001"), ("OPUS", "opus/48000/2")],
)
def test_the_codec_tag_is_of_a_bounded_set(expected: str, codec: str) -> None:
    assert expected == rated(replace(REPORTED, codec=codec), None, LABELS).codec


@pytest.mark.parametrize(
    ("rated_at_all", "changes"),
    [
        pytest.param(True, {}, id="usual"),
        pytest.param(False, {"expected": None, "received": None, "lost": None}, id="no counts"),
        pytest.param(False, {"expected": 0, "received": 0, "lost": 0}, id="nothing was sent"),
        pytest.param(False, {"expected": MIN_RATED_PACKETS - 1}, id="too few packets"),
        pytest.param(True, {"expected": MIN_RATED_PACKETS}, id="just enough packets"),
        pytest.param(False, {"verdicts": (Verdict.IMPLAUSIBLE_REPORT,)}, id="implausible"),
        pytest.param(False, {"verdicts": (Verdict.ENCRYPTED_RTCP,)}, id="encrypted"),
        pytest.param(True, {"verdicts": (Verdict.COUNTER_RESET,)}, id="a reset is no reason not to"),
        pytest.param(True, {"lost": -3, "received": 503}, id="late packets make up for lost ones"),
        pytest.param(True, {"lost": 9_000}, id="more lost than expected"),
    ],
)
def test_what_is_rated(rated_at_all: bool, changes: dict[str, Any]) -> None:
    interval = rated(replace(REPORTED, **changes), PCMA, LABELS)
    assert rated_at_all == (interval.mos is not None) == (interval.mos_scale is not None)


@pytest.mark.parametrize("name", ["CN", "TELEPHONE-EVENT", "T38"])
def test_what_is_no_voice_is_not_rated(name: str) -> None:
    assert rated(REPORTED, replace(PCMA, codec=Codec(name, 8000)), LABELS).mos is None


def test_discards_and_bursts_lower_the_rating() -> None:
    plain = rated(REPORTED, PCMA, LABELS).r_factor
    discards = rated(replace(REPORTED, discarded=20), PCMA, LABELS).r_factor
    bursts = rated(replace(REPORTED, burst_ratio=2.0), PCMA, LABELS).r_factor
    assert plain is not None
    assert discards is not None
    assert bursts is not None
    assert max(discards, bursts) < plain


def test_concealment_that_a_receiver_denies_lowers_the_rating() -> None:
    with_plc, without = (rated(replace(REPORTED, plc=p), PCMA, LABELS).r_factor for p in ("standard", "disabled"))
    assert with_plc is not None
    assert without is not None
    assert without < with_plc


def test_a_stream_of_a_few_packets_is_rated_as_a_whole() -> None:
    stream = ReportedStream(
        call_id="c",
        observer=Observer.VQ_REPORT,
        reporter=HERE,
        far=THERE,
        ssrc=7,
        expected=50,
        received=45,
        lost=5,
        jitter_ticks_mean=None,
        jitter_ticks_max=None,
        jitter_ms=3.0,
        jitter_max_ms=4.0,
        rtt_half_ms=None,
        rtt_ms=None,
        reports=1,
        verdicts=(),
        first_ns=5,
        last_ns=9,
        discarded=5,
        burst_ratio=1.5,
    )
    interval = rated_stream(stream, PCMA, LABELS)
    rating = assess("PCMA", 0.1, 0.1, jitter_ms=3.0, ptime_ms=20, burst_ratio=1.5)
    assert (5, rating.mos, 1.5, 5) == (interval.time_ns, interval.mos, interval.burst_ratio, interval.discarded)


_COUNT = st.none() | st.integers(-(2**23), 2**32)
_MS = st.none() | st.floats(0, 1e12)


@given(_COUNT, _COUNT, _COUNT, _MS, _MS, st.none() | st.floats(1.0, 1e9), st.sampled_from(["", "PCMA", "x" * 400]))
def test_any_figures_give_finite_ones(
    expected: int | None,
    lost: int | None,
    discarded: int | None,
    jitter_ticks: float | None,
    rtt_ms: float | None,
    burst_ratio: float | None,
    codec: str,
) -> None:
    reported = replace(
        REPORTED,
        expected=expected,
        lost=lost,
        discarded=discarded,
        jitter_ticks_mean=jitter_ticks,
        jitter_ticks_max=jitter_ticks,
        rtt_ms=rtt_ms,
        burst_ratio=burst_ratio,
        codec=codec,
    )
    interval = rated(reported, None, LABELS)
    figures = (interval.r_factor, interval.mos, interval.jitter_ms, interval.jitter_max_ms, interval.delay_ms)
    assert all(figure is None or math.isfinite(figure) for figure in figures)
    assert interval.mos is None or 1.0 <= interval.mos <= 4.5
