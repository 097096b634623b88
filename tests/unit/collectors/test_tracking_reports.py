"""From reports to intervals: exact sums, no false loss, and the truth of the lab's captures."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtcp_captures import hep_rtcp, pcap_rtcp

from collectors.facts import (
    Goodbye,
    ReceptionReport,
    ReferenceDelay,
    ReferenceTime,
    RtcpFact,
    RtcpMessage,
    SenderInfo,
    SequenceRuns,
    StatisticsSummary,
    VoipMetrics,
)
from collectors.tracking.report_intervals import IntervalBook, ReportedInterval, shares
from collectors.tracking.reports import ReportedStream, ReportTracker
from collectors.wire.rtcp import parse_rtcp
from collectors.wire.rtcp_json import parse_rtcp_json
from telephony.model import INTERVAL_NS, Endpoint, Observer, Verdict

S = 1_000_000_000
T0 = 1_800_000_000 * S
END = 1 << 62
A, B = Endpoint("192.0.2.1", 5001), Endpoint("192.0.2.2", 6001)
RELAY_A, RELAY_B = Endpoint("198.51.100.1", 30_001), Endpoint("198.51.100.1", 30_003)
SSRC_A, SSRC_B = 0xA, 0xB


def report(**changes: object) -> ReceptionReport:
    """Return B's report about A's stream."""
    usual = ReceptionReport(SSRC_B, SSRC_A, 0, 0, 1000, False, 24, 0, 0)
    return replace(usual, **changes)  # type: ignore[arg-type]


def message(
    at_s: float, *facts: RtcpFact, src: Endpoint = B, dst: Endpoint = A, call_id: str = "c"
) -> RtcpMessage:
    return RtcpMessage(T0 + round(at_s * S), src, dst, call_id, 1, facts)


def sender(packets: int, *, ssrc: int = SSRC_A, ntp: int = 0) -> SenderInfo:
    return SenderInfo(ssrc, ntp, 0, packets, packets * 160)


def fed(messages: Iterable[RtcpMessage]) -> ReportTracker:
    tracker = ReportTracker()
    for each in messages:
        tracker.feed(each)
    return tracker


def finished(tracker: ReportTracker) -> list[ReportedInterval]:
    tracker.finish()
    return tracker.take_intervals(END)


def only(tracker: ReportTracker) -> ReportedStream:
    (stream,) = tracker.streams()
    return stream


def totals(intervals: Iterable[ReportedInterval]) -> tuple[int, int, int]:
    """Return expected, received and lost, summed."""
    counted = [(i.expected or 0, i.received or 0, i.lost or 0) for i in intervals]
    return tuple(map(sum, zip(*counted, strict=True)))  # type: ignore[return-value]


# --- loss is a difference --------------------------------------------------------------------------------------


def test_loss_is_the_difference_of_two_reports_never_the_cumulative_count() -> None:
    tracker = fed(
        message(5 * n, report(cumulative_lost=lost, extended_highest_seq=1000 + 250 * n, fraction_lost=99))
        for n, lost in enumerate([500, 500, 510, 510])
    )
    assert (750, 740, 10) == totals(finished(tracker))


def test_a_stretch_is_shared_out_over_its_intervals_by_time() -> None:
    tracker = fed(
        [
            message(8, report()),
            message(13, report(extended_highest_seq=1250, cumulative_lost=5)),
        ]
    )
    assert [(0, 100, 2), (10, 150, 3)] == [
        ((i.interval_start_ns - T0) // S, i.expected, i.lost) for i in finished(tracker)
    ]


def test_what_comes_late_goes_into_the_oldest_open_interval() -> None:
    tracker = fed([message(8, report())])
    assert [None] == [i.expected for i in tracker.take_intervals(T0 + 10 * S)]
    tracker.feed(message(13, report(extended_highest_seq=1250, cumulative_lost=5)))
    assert [(10, 250, 5)] == [((i.interval_start_ns - T0) // S, i.expected, i.lost) for i in finished(tracker)]


def test_a_16_bit_sequence_number_is_unwrapped() -> None:
    highest = [65_400, 114, 364]
    tracker = fed(
        message(5 * n, report(extended_highest_seq=seq, seq_is_16_bit=True)) for n, seq in enumerate(highest)
    )
    assert (500, 500, 0) == totals(finished(tracker))


def test_a_32_bit_sequence_number_in_json_passes_its_first_cycle() -> None:
    tracker = fed(
        message(5 * n, report(extended_highest_seq=seq, seq_is_16_bit=seq < 65_536))
        for n, seq in enumerate([65_400, 65_650, 65_900])
    )
    assert (500, 500, 0) == totals(finished(tracker))


def test_after_a_long_silence_a_16_bit_number_tells_nothing() -> None:
    tracker = fed(
        message(at, report(extended_highest_seq=seq, seq_is_16_bit=True)) for at, seq in [(0, 100), (400, 200)]
    )
    assert (1, (Verdict.COUNTER_RESET,)) == (tracker.stats.counter_resets, only(tracker).verdicts)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (report(extended_highest_seq=500), Verdict.COUNTER_RESET),
        (report(extended_highest_seq=1250, reporter_ssrc=77), Verdict.COUNTER_RESET),
        (report(extended_highest_seq=1250, cumulative_lost=-2_000), Verdict.COUNTER_RESET),
        (report(extended_highest_seq=1_000_000), Verdict.IMPLAUSIBLE_REPORT),
        (report(extended_highest_seq=1250, cumulative_lost=251), Verdict.IMPLAUSIBLE_REPORT),
    ],
)
def test_a_difference_that_cannot_be_is_no_loss(second: ReceptionReport, verdict: Verdict) -> None:
    highest = second.extended_highest_seq
    third = replace(second, extended_highest_seq=highest + 250, cumulative_lost=second.cumulative_lost + 4)
    tracker = fed([message(0, report()), message(5, second), message(10, third)])
    assert ((verdict,), (250, 246, 4)) == (only(tracker).verdicts, totals(finished(tracker)))


def test_late_packets_take_loss_back() -> None:
    tracker = fed(
        message(5 * n, report(extended_highest_seq=1000 + 250 * n, cumulative_lost=lost))
        for n, lost in enumerate([0, 7, 5])
    )
    assert (500, 495, 5) == totals(finished(tracker))


# --- copies ----------------------------------------------------------------------------------------------------


def test_a_second_tap_changes_nothing() -> None:
    once = [message(5 * n, report(extended_highest_seq=1000 + 250 * n, cumulative_lost=n)) for n in range(5)]
    twice = [copy for m in once for copy in (m, replace(m, at_ns=m.at_ns + 3_000_000, node_id=2))]
    tracker = fed(twice)
    assert (5, finished(fed(once))) == (tracker.stats.duplicates, finished(tracker))


def test_a_report_that_a_relay_forwards_is_counted_once() -> None:
    reports = [report(extended_highest_seq=1000 + 250 * n, cumulative_lost=n) for n in range(4)]
    tracker = fed(
        hop
        for n, said in enumerate(reports)
        for hop in (
            message(5 * n, said, src=B, dst=RELAY_B, call_id=""),
            message(5 * n + 0.001, said, src=RELAY_A, dst=A, call_id=""),
        )
    )
    assert (4, B, 3) == (tracker.stats.forwarded, only(tracker).reporter, only(tracker).lost)


def test_a_report_that_overtook_another_is_not_a_reset() -> None:
    first, second, third = (report(extended_highest_seq=1000 + 250 * n) for n in range(3))
    tracker = fed([message(0, first), message(10, third), message(5, second)])
    assert (1, 500, ()) == (tracker.stats.stale, only(tracker).expected, only(tracker).verdicts)


def test_a_repeated_report_of_a_silent_source_counts_nothing() -> None:
    tracker = fed(message(5 * n, report(extended_highest_seq=1250 if n else 1000)) for n in range(10))
    tracker.feed(message(50, report(extended_highest_seq=1500)))
    intervals = finished(tracker)
    assert (500, 500, 0) == totals(intervals)
    assert [0, 40] == [(i.interval_start_ns - T0) // S for i in intervals]


@pytest.mark.parametrize(
    ("block", "counter"),
    [(report(source_ssrc=0), "null_ssrc"), (report(source_ssrc=SSRC_B), "self_reports")],
)
def test_blocks_about_nobody_are_counted_and_skipped(block: ReceptionReport, counter: str) -> None:
    tracker = fed([message(0, block)])
    assert (1, 0) == (getattr(tracker.stats, counter), len(tracker))


# --- before the first report -----------------------------------------------------------------------------------


def test_the_first_report_counts_what_its_source_says_it_sent() -> None:
    tracker = fed([message(5, sender(250), src=A, dst=B), message(5.01, report(cumulative_lost=8))])
    assert (250, 242, 8) == (only(tracker).expected, only(tracker).received, only(tracker).lost)


def test_a_sender_report_that_came_later_tells_with_the_rate() -> None:
    tracker = fed(
        [
            message(5, report(cumulative_lost=8)),
            message(7, sender(340), src=A, dst=B),
            message(10, report(cumulative_lost=8, extended_highest_seq=1250)),
        ]
    )
    assert (240 + 250, 8) == (only(tracker).expected, only(tracker).lost)  # 340 less 2 s of 50


def test_without_sender_reports_the_fraction_of_the_first_report_tells() -> None:
    tracker = fed([message(5, report(cumulative_lost=10, fraction_lost=10))])
    finished(tracker)
    assert (round(10 * 256 / 10.5), 10) == (only(tracker).expected, only(tracker).lost)


def test_the_fraction_of_a_stream_joined_in_its_life_is_not_taken_for_its_whole() -> None:
    tracker = fed(
        [
            message(5, report(cumulative_lost=20, fraction_lost=10)),
            message(7.5, report(cumulative_lost=20, extended_highest_seq=1125)),
        ]
    )
    assert (125, 0) == (only(tracker).expected, only(tracker).lost)


def test_where_nobody_tells_only_differences_count() -> None:
    tracker = fed(
        [message(5, report(cumulative_lost=3)), message(10, report(cumulative_lost=4, extended_highest_seq=1250))]
    )
    assert (250, 1, 1) == (only(tracker).expected, only(tracker).lost, tracker.stats.first_unknown)


def test_a_stream_joined_in_the_middle_of_its_life_begins_now() -> None:
    tracker = fed([message(5, sender(30_000), src=A, dst=B), message(5.01, report(cumulative_lost=900))])
    assert (None, 1) == (only(tracker).expected, tracker.stats.first_unknown)


def test_a_receiver_whom_nothing_reaches_does_not_report_all_received() -> None:
    nothing = report(extended_highest_seq=0, jitter_ticks=0)
    messages = [
        each
        for n in range(4)
        for each in (
            message(5 * n + 5, sender(250 * (n + 1)), src=A, dst=B),
            message(5 * n + 5.01, nothing),
        )
    ]
    tracker = fed(messages)
    assert (4, 750, 0, 750) == (
        tracker.stats.nothing_received,
        only(tracker).expected,
        only(tracker).received,
        only(tracker).lost,
    )


def test_what_was_sent_while_nothing_came_is_not_counted_twice() -> None:
    nothing = report(extended_highest_seq=0, jitter_ticks=0)
    tracker = fed(
        [
            message(5, sender(250), src=A, dst=B),
            message(5.01, nothing),
            message(10, sender(500), src=A, dst=B),
            message(10.01, nothing),
            message(15, sender(750), src=A, dst=B),
            message(15.01, report(cumulative_lost=2)),
        ]
    )
    assert (500, 252) == (only(tracker).expected, only(tracker).lost)


# --- round trips -----------------------------------------------------------------------------------------------


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
    assert (1, 0) == (len(tracker), tracker.stats.expired)
    tracker.expire(T0 + 200 * S)
    assert (0, 1, []) == (len(tracker), tracker.stats.expired, tracker.sender_activity("c"))


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


@given(begin=st.integers(0, 200 * S), length=st.integers(1, 100 * S), total=st.integers(-1000, 100_000))
def test_shares_sum_to_the_whole_and_keep_its_sign(begin: int, length: int, total: int) -> None:
    parts = shares(begin, begin + length, total)
    assert total == sum(part for _, part in parts)
    assert all(part * total >= 0 and start % INTERVAL_NS == 0 for start, part in parts)


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 400), st.integers(0, 120), st.integers(-20, 60)), min_size=1, max_size=40
    ),
    take_every=st.integers(1, 10),
    start_seq=st.integers(1, 65_535),
    cut=st.booleans(),
)
def test_intervals_sum_to_the_last_report_less_the_first(
    steps: list[tuple[int, int, int]], take_every: int, start_seq: int, cut: bool
) -> None:
    tracker = ReportTracker()
    at, seq, lost = 0.0, start_seq, 0
    taken: list[ReportedInterval] = []
    tracker.feed(message(at, report(extended_highest_seq=seq, seq_is_16_bit=cut)))
    for n, (gap_ds, packets, newly_lost) in enumerate(steps, 1):
        at += gap_ds / 10
        seq += packets
        lost += min(newly_lost, packets)
        shown = seq & 0xFFFF if cut else seq
        tracker.feed(message(at, report(extended_highest_seq=shown, cumulative_lost=lost, seq_is_16_bit=cut)))
        if n % take_every == 0:
            taken += tracker.take_intervals(T0 + round(at * S) - 5 * S)
    taken += finished(tracker)
    assert (seq - start_seq, seq - start_seq - lost, lost) == totals(taken)
    assert (only(tracker).expected or 0, only(tracker).lost or 0) == (seq - start_seq, lost)
    keys = [(i.interval_start_ns, i.call_id, i.reporter, i.ssrc, i.observer) for i in taken]
    assert len(keys) == len(set(keys))


u32 = st.integers(0, 2**32 - 1)
few = st.integers(0, 3)
any_fact = st.one_of(
    st.builds(SenderInfo, few, st.integers(0, 2**64 - 1), u32, u32, u32),
    st.builds(
        ReceptionReport,
        few,
        few,
        st.integers(0, 255),
        st.integers(-(2**23), 2**23),
        u32,
        st.booleans(),
        u32,
        u32,
        u32,
    ),
    st.builds(
        VoipMetrics,
        few,
        few,
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
        expected=st.none() | st.integers(0, 2**27),
        lost=st.none() | st.integers(0, 1000),
        final=st.booleans(),
        by_far_end=st.booleans(),
        covers_ms=st.none() | st.floats(0, 1e9),
    ),
    st.builds(
        StatisticsSummary,
        few,
        few,
        st.integers(0, 65_535),
        st.integers(0, 65_535),
        st.none() | u32,
        st.none() | u32,
        st.none() | u32,
        st.none() | u32,
    ),
    st.builds(
        SequenceRuns,
        few,
        few,
        st.integers(0, 65_535),
        st.integers(0, 65_535),
        few,
        st.booleans(),
        st.lists(st.tuples(st.booleans(), st.integers(0, 16_383)), max_size=5).map(tuple),
    ),
    st.builds(ReferenceTime, few, st.integers(0, 2**64 - 1)),
    st.builds(ReferenceDelay, few, few, u32, u32),
    st.builds(Goodbye, st.lists(few, max_size=3).map(tuple)),
)
any_message = st.builds(
    RtcpMessage,
    st.integers(-(10**12), T0 * 2),
    st.sampled_from([A, B]),
    st.sampled_from([A, B, RELAY_A]),
    st.sampled_from(["", "c"]),
    few,
    st.lists(any_fact, max_size=4).map(tuple),
    st.booleans(),
)


@given(st.lists(any_message, max_size=30), st.integers(0, 30))
def test_no_facts_raise_and_totals_hold(messages: list[RtcpMessage], expire_after: int) -> None:
    tracker = ReportTracker(max_streams=6)
    for n, each in enumerate(messages):
        tracker.feed(each)
        if n == expire_after:
            tracker.expire(each.at_ns)
            tracker.take_intervals(each.at_ns)
    for interval in finished(tracker):
        if interval.expected is not None:
            assert interval.expected == (interval.received or 0) + (interval.lost or 0)
    assert len(tracker) <= 6


# --- captures --------------------------------------------------------------------------------------------------


def of_hep(path: Path) -> ReportTracker:
    return fed(
        parse_rtcp_json(seen.payload).message(seen.at_ns, seen.src, seen.dst, seen.call_id, 3001)
        for seen in hep_rtcp(path)
    )


def of_pcap(path: Path) -> ReportTracker:
    return fed(
        parse_rtcp(seen.payload).message(seen.at_ns, seen.src, seen.dst, seen.call_id, 0)
        for seen in pcap_rtcp(path)
    )


@pytest.mark.captures
def test_loss_of_the_lab_s_hep_is_the_truth_up_to_the_last_report(captures: Path) -> None:
    """MANIFEST.tsv: 2008 packets offered each way, 69 and 59 dropped, both seen in the capture.

    The last reports came 40 s in, 0.16 s before the end: 8 packets of each stream, and one of the 59 losses,
    came after them, and the first sender report passed within 13 ms of the first receiver report.
    """
    tracker = of_hep(captures / "hep" / "21_net_loss3.hepbin")
    intervals = finished(tracker)
    streams = {s.ssrc: s for s in tracker.streams()}
    assert {0x8244E77D: (1999, 69), 0xA783F136: (2001, 58)} == {
        ssrc: (s.expected, s.lost) for ssrc, s in streams.items()
    }
    for ssrc, stream in streams.items():
        assert (stream.expected, stream.received, stream.lost) == totals(i for i in intervals if i.ssrc == ssrc)
        assert 0 < (stream.rtt_ms or 0) < 5


@pytest.mark.captures
def test_the_lab_s_pcap_gives_what_its_hep_gives(captures: Path) -> None:
    """The pcap holds each report twice, as it came to the relay and as the relay sent it on."""
    tracker = of_pcap(captures / "lab" / "21_net_loss3.pcap")
    tracker.finish()
    assert {0x8244E77D: 69, 0xA783F136: 58} == {s.ssrc: s.lost for s in tracker.streams()}
    assert 16 == tracker.stats.forwarded


@pytest.mark.captures
@pytest.mark.parametrize("name", ["01_clean", "04_oneway_callee_silent", "05_hold_reinvite"])
def test_senders_without_receiver_reports_are_known_by_name(captures: Path, name: str) -> None:
    tracker = of_hep(captures / "hep" / f"{name}.hepbin")
    (call_id,) = {seen.call_id for seen in hep_rtcp(captures / "hep" / f"{name}.hepbin")}
    activity = tracker.sender_activity(call_id)
    assert ([], {0}) == (tracker.streams(), {s.reports_with_blocks for s in activity})
    assert {375} == {s.packets for s in activity}


@pytest.mark.captures
def test_a_clean_call_has_no_loss(captures: Path) -> None:
    tracker = of_hep(captures / "hep" / "20_net_clean.hepbin")
    finished(tracker)
    assert {(1250, 0), (1251, 0)} == {(s.expected, s.lost) for s in tracker.streams()}


@pytest.mark.captures
def test_reports_of_a_gateway_about_itself_and_about_nobody_are_left_out(captures: Path) -> None:
    """The caller's gateway reports on SSRC 0 at first and always on itself; what remains has no loss."""
    tracker = of_pcap(captures / "public" / "sipnab_SIP_CALL_RTP_G711.pcap")
    tracker.finish()
    assert {0} == {s.lost or 0 for s in tracker.streams()}
    assert {0xD2BD4E3E, 0x58F33DEA} == {s.ssrc for s in tracker.streams()}
    assert (2, 0) == (tracker.stats.null_ssrc, tracker.stats.implausible)
    assert tracker.stats.self_reports > 10
