"""Sums are exact for any reports, and the lab's captures give their truth."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_messages import RELAY_A, T0, A, B, S, fed, finished, message, only, report, totals
from rtcp_captures import hep_rtcp, pcap_rtcp

from collectors.facts import (
    Goodbye,
    ReceptionReport,
    ReferenceDelay,
    ReferenceTime,
    RtcpMessage,
    SenderInfo,
    SequenceRuns,
    StatisticsSummary,
    VoipMetrics,
)
from collectors.tracking.report_intervals import ReportedInterval, shares
from collectors.tracking.reports import ReportTracker
from collectors.wire.rtcp import parse_rtcp
from collectors.wire.rtcp_json import parse_rtcp_json
from telephony.model import INTERVAL_NS


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
