"""Round trips, jitter, extended reports, senders and bounds."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from report_messages import END, SSRC_A, SSRC_B, T0, A, B, S, fed, finished, message, only, report, sender, totals

from collectors.facts import (
    Goodbye,
    ReferenceDelay,
    ReferenceTime,
    RtcpFact,
    RtcpMessage,
    SequenceRuns,
    StatisticsSummary,
    VoipMetrics,
)
from collectors.tracking.report_intervals import IntervalBook
from collectors.tracking.reports import ReportTracker
from telephony.model import INTERVAL_NS, Endpoint, Observer


def rtt_messages(half_a_s: float, half_b_s: float) -> Iterator[RtcpMessage]:
    """A and B report in turn; the tap sees each half take its time."""
    for n in range(3):
        at = 5 * n
        ntp_a, ntp_b = (4_000_000_000 + at) << 32, (4_000_000_001 + at) << 32
        yield message(at, sender(250 * n + 1, ntp=ntp_a), src=A, dst=B)
        block = report(extended_highest_seq=1000 + 250 * n, lsr=ntp_a >> 16 & 0xFFFFFFFF, dlsr=65_536)
        yield message(at + 1 + half_b_s, sender(250 * n + 1, ssrc=SSRC_B, ntp=ntp_b), block)
        answer = report(
            reporter_ssrc=SSRC_A,
            source_ssrc=SSRC_B,
            extended_highest_seq=1000 + 250 * n,
            lsr=ntp_b >> 16 & 0xFFFFFFFF,
            dlsr=65_536,
        )
        yield message(at + 2 + half_b_s + half_a_s, answer, src=A, dst=B)


def test_a_tap_in_the_middle_adds_up_both_halves() -> None:
    streams = {s.ssrc: s for s in fed(rtt_messages(0.03, 0.05)).streams()}
    assert (50.0, 80.0) == (streams[SSRC_A].rtt_half_ms, streams[SSRC_A].rtt_ms)
    assert (30.0, 80.0) == (streams[SSRC_B].rtt_half_ms, streams[SSRC_B].rtt_ms)


def test_a_tap_beside_an_endpoint_sees_the_whole_trip() -> None:
    streams = {s.ssrc: s for s in fed(rtt_messages(-0.0005, 0.05)).streams()}
    assert (0.0, 50.0) == (streams[SSRC_B].rtt_half_ms, streams[SSRC_B].rtt_ms)


@pytest.mark.parametrize(("lsr", "late_s"), [(0, 0.05), (12345, 0.05), (None, 10.5), (None, -0.5)])
def test_no_round_trip_without_its_sender_report_or_beyond_reason(lsr: int | None, late_s: float) -> None:
    ntp = 4_000_000_000 << 32
    seen = ntp >> 16 & 0xFFFFFFFF if lsr is None else lsr
    tracker = fed(
        [message(0, sender(1, ntp=ntp), src=A, dst=B), message(1 + late_s, report(lsr=seen, dlsr=65_536))]
    )
    assert None is only(tracker).rtt_half_ms


def test_a_receiver_without_media_gets_its_round_trip_from_dlrr() -> None:
    ntp = 4_000_000_000 << 32
    tracker = fed(
        [
            message(0, ReferenceTime(SSRC_A, ntp), src=A, dst=B),
            message(1, report()),
            message(1.02, ReferenceDelay(SSRC_B, SSRC_A, ntp >> 16 & 0xFFFFFFFF, 65_536)),
        ]
    )
    assert 20.0 == only(tracker).rtt_half_ms


# --- figures that are a state ----------------------------------------------------------------------------------


def test_jitter_stays_in_ticks_as_mean_and_maximum_of_the_reports() -> None:
    tracker = fed(
        message(at, report(extended_highest_seq=1000 + at * 50, jitter_ticks=ticks))
        for at, ticks in [(1, 10), (5, 20), (9, 60)]
    )
    (interval,) = finished(tracker)
    assert (30.0, 60, None) == (interval.jitter_ticks_mean, interval.jitter_ticks_max, interval.jitter_ms)


def test_the_sender_s_own_count_stands_beside() -> None:
    tracker = fed(
        each
        for n in range(3)
        for each in (
            message(5 * n, sender(250 * n), src=A, dst=B),
            message(5 * n + 0.01, report(extended_highest_seq=1000 + 250 * n)),
        )
    )
    assert 500 == sum(i.sender_packets_sent or 0 for i in finished(tracker))


def test_a_sender_report_that_jumps_is_not_believed() -> None:
    tracker = fed(message(5 * n, sender(count), src=A, dst=B) for n, count in enumerate([250, 2_000_000]))
    assert 1 == tracker.implausible_senders


def metrics(**changes: object) -> VoipMetrics:
    usual = VoipMetrics(
        SSRC_B,
        SSRC_A,
        0.02,
        0.04,
        burst_density=0.5,
        gap_density=0.0,
        burst_duration_ms=200.0,
        gap_duration_ms=9800.0,
        round_trip_ms=40.0,
        r_factor=80.0,
        mos_lq=4.1,
        mos_cq=4.0,
        plc="standard",
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_an_extended_report_gives_its_state_and_only_the_growth_of_its_discards() -> None:
    tracker = fed(
        message(5 * n + 1, report(extended_highest_seq=1000 + 250 * n), metrics(discard_ratio=ratio))
        for n, ratio in enumerate([0.0, 0.04, 0.04])
    )
    xr = [i for i in finished(tracker) if i.observer is Observer.RTCP_XR]
    first, second = xr
    assert (10, 10) == (first.discarded, second.discarded)  # 4 % of 250, then of 500
    assert (None, 40.0, 1.52, "standard", 4.0, 80.0) == (
        first.expected,
        first.rtt_ms,
        round(first.burst_ratio or 0, 2),
        first.plc,
        first.mos,
        first.r_factor,
    )


def test_a_statistics_summary_counts_its_own_interval_or_what_it_adds_to_the_last() -> None:
    tracker = fed(
        [
            message(5, StatisticsSummary(SSRC_B, SSRC_A, 1000, 1250, 3, 1, 10, 30)),
            message(10, StatisticsSummary(SSRC_B, SSRC_A, 1250, 1500, 4, 0, 10, 30)),
            message(15, StatisticsSummary(SSRC_B, SSRC_A, 1250, 1750, 5, 2, 10, 30)),
        ]
    )
    intervals = finished(tracker)
    assert ((750, 742, 8), 3) == (totals(intervals), sum(i.duplicates or 0 for i in intervals))


def test_a_loss_run_length_block_gives_the_burst_ratio() -> None:
    runs = SequenceRuns(SSRC_B, SSRC_A, 0, 100, 0, False, ((True, 50), (False, 10), (True, 60)))
    (interval,) = finished(fed([message(5, runs)]))
    assert 10 * 0.9 == interval.burst_ratio


def vq(at_s: float, *facts: RtcpFact) -> RtcpMessage:
    return RtcpMessage(
        T0 + round(at_s * S), Endpoint("192.0.2.2", 5060), Endpoint("192.0.2.9", 5060), "c", 1, facts, True, B, A
    )


def test_a_session_report_adds_only_what_interval_reports_did_not_say() -> None:
    tracker = fed(
        [
            vq(10, metrics(expected=500, lost=5, covers_ms=10_000.0)),
            vq(20, metrics(expected=500, lost=5, covers_ms=10_000.0, mos_cq=3.9)),
            vq(25, metrics(expected=1250, lost=12, covers_ms=25_000.0, final=True)),
        ]
    )
    intervals = finished(tracker)
    assert (1250, 1238, 12) == totals(intervals)
    assert [False, False, True] == [i.final for i in intervals]
    assert {(Observer.VQ_REPORT, B, A)} == {(i.observer, i.reporter, i.far) for i in intervals}


def test_metrics_of_the_far_end_are_of_the_opposite_stream() -> None:
    far = metrics(reporter_ssrc=SSRC_A, source_ssrc=SSRC_B, by_far_end=True)
    streams = {s.ssrc: (s.reporter, s.far) for s in fed([vq(10, metrics(), far)]).streams()}
    assert {SSRC_A: (B, A), SSRC_B: (A, B)} == streams


# --- life ------------------------------------------------------------------------------------------------------


def test_a_goodbye_closes_what_its_source_sent_and_what_it_reported() -> None:
    other_way = report(reporter_ssrc=SSRC_A, source_ssrc=SSRC_B)
    tracker = fed(
        [message(1, report()), message(2, other_way, src=A, dst=B), message(3, Goodbye((SSRC_A,)), src=A, dst=B)]
    )
    assert [True, True] == [i.final for i in tracker.take_intervals(END)]


def test_idle_streams_and_senders_are_forgotten() -> None:
    tracker = fed([message(0, sender(1), src=A, dst=B), message(1, report())])
    tracker.expire(T0 + 100 * S)
    assert 1 == len(tracker)
    tracker.expire(T0 + 200 * S)
    assert (0, []) == (len(tracker), tracker.sender_activity("c"))


def test_a_clock_far_ahead_does_not_keep_others_from_being_forgotten() -> None:
    tracker = fed([message(10_000, report(source_ssrc=99)), message(1, report())])
    tracker.expire(T0 + 200 * S)
    assert [99] == [stream.ssrc for stream in tracker.streams()]


def test_a_flood_of_streams_evicts_the_longest_silent() -> None:
    tracker = ReportTracker(max_streams=10)
    for n in range(1000):
        tracker.feed(message(n / 100, report(source_ssrc=n + 100), sender(9, ssrc=n + 5000), call_id=f"c{n}"))
    assert (10, 990) == (len(tracker), tracker.stats.evicted)
    assert len(tracker._book) <= 40
    assert {len(tracker._streams)} == {len(tracker._pairs), len(tracker._parties) // 2}


def test_what_senders_said_tells_who_never_reports() -> None:
    tracker = fed(
        [
            message(0, sender(100), src=A, dst=B),
            message(5, sender(350), src=A, dst=B),
            message(6, sender(300, ssrc=SSRC_B), report(), src=B, dst=A),
        ]
    )
    assert [(A, 350, 2, 0), (B, 300, 1, 1)] == [
        (s.src, s.packets, s.reports, s.reports_with_blocks) for s in tracker.sender_activity("c")
    ]


def test_a_book_that_is_full_gives_up_the_furthest_future() -> None:
    book = IntervalBook(max_entries=2)
    keys = [("c", A, n, Observer.RTCP_RR.value) for n in range(3)]
    book.bucket(T0 + 10 * INTERVAL_NS, keys[0], B, 1)
    book.bucket(T0, keys[1], B, 1)
    book.bucket(T0, keys[2], B, 1)
    assert (1, [T0, T0]) == (book.shed, [i.interval_start_ns for i in book.take(END)])


# --- properties ------------------------------------------------------------------------------------------------
