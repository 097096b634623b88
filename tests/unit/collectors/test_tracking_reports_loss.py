"""Loss of an interval is the difference of two reports, and a first report is settled only by what is known."""

from dataclasses import replace

import pytest
from report_messages import (
    RELAY_A,
    RELAY_B,
    SSRC_B,
    T0,
    A,
    B,
    S,
    fed,
    finished,
    message,
    only,
    report,
    sender,
    totals,
)

from collectors.facts import (
    ReceptionReport,
)
from telephony.model import Verdict


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
