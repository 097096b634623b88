"""Calls: events of dialogs and intervals of streams become records, load and minute rows."""

from dataclasses import replace
from typing import Any

import pytest

from collectors.facts import CallAnswered, CallEnded, CallStarted, Codec, MediaDescription, SipCall
from collectors.tracking.calls import RESTATE_NS, CallTable
from collectors.tracking.labels import Labeller, PoolOf
from collectors.tracking.media import MediaIndex
from collectors.tracking.reports import ReportTracker
from collectors.tracking.rollups import Rollups
from collectors.tracking.tracked_call import MAX_SIDES, CallSettings
from storage.rows import batch, call_batch
from telephony.model import (
    INTERVAL_NS,
    CallRecord,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    ReleasedBy,
    Scale,
    StreamInterval,
)

S = 1_000_000_000
T0 = 1_800_000_000 * S
CALLER, CALLEE = Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060)
CALLER_RTP, CALLEE_RTP = Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000)
LINGER = CallSettings().linger_ns


class Table:
    """A call table with what it needs, and short names for what happens to a call."""

    def __init__(self, **settings: Any) -> None:
        self.media = MediaIndex()
        self.rollups = Rollups()
        self.reports = ReportTracker()
        self.calls = CallTable(Labeller(), self.media, self.rollups, PoolOf(), CallSettings(**settings))

    def start(self, call_id: str = "c1", at_ns: int = T0, **headers: str) -> SipCall:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        sip = SipCall(
            call_id, at_ns, "+493012345678", "a.example", "+498912345678", "b.example", CALLER, CALLEE, 1, "sbc",
            headers=headers, last_seen_ns=at_ns,
        )  # fmt: skip
        self.calls.feed([CallStarted(sip)])
        return sip

    def describe(
        self,
        rtp: Endpoint,
        *,
        from_caller: bool,
        answer: bool,
        call_id: str = "c1",
        codec: str = "PCMA",
        ptime_ms: int = 20,
    ) -> None:
        rtcp = Endpoint(rtp.ip, rtp.port + 1)
        codecs = {8: Codec(codec, 8000)}
        self.calls.feed(
            [
                MediaDescription(
                    T0, call_id, from_caller, "audio", rtp, rtcp, codecs, ptime_ms, "sendrecv", answer, False
                )
            ]
        )

    def answer(self, sip: SipCall, after_s: float = 2.0) -> None:
        sip.ringing_ns = sip.first_response_ns = sip.started_ns + S
        sip.answered_ns = sip.started_ns + round(after_s * S)
        sip.sip_code = 200
        self.calls.feed([CallAnswered(sip)])

    def end(self, sip: SipCall, after_s: float = 60.0, **changes: Any) -> None:
        sip.ended_ns = sip.started_ns + round(after_s * S)
        for name, value in changes.items():
            setattr(sip, name, value)
        self.calls.feed([CallEnded(sip)])

    def records(self, at_ns: int = T0 + 3600 * S) -> list[CallRecord]:
        return list(self.calls.take_records(at_ns, self.reports))

    def session(self) -> dict[str, Any]:
        """Return the sums of the session rows, without tags."""
        sums: dict[str, Any] = {}
        for row in self.rollups.sessions.take():
            for name, value in row.items():
                if isinstance(value, int | float) and name != "time" and value:
                    sums[name] = sums.get(name, 0) + value
        return sums


INTERVAL = StreamInterval(
    T0,
    Labels(),
    "c1",
    7,
    CALLER_RTP,
    CALLEE_RTP,
    Direction.TO_CALLEE,
    Observer.RTCP_RR,
    "PCMA",
    8000,
    500,
    490,
    10,
    r_factor=90.0,
    mos=4.3,
    mos_scale=Scale.NARROWBAND,
)


def test_the_record_of_an_answered_call() -> None:
    table = Table()
    sip = table.start()
    table.describe(CALLER_RTP, from_caller=True, answer=False)
    table.describe(CALLEE_RTP, from_caller=False, answer=True)
    table.answer(sip)
    table.calls.add_interval(INTERVAL)
    table.calls.add_interval(replace(INTERVAL, r_factor=60.0, mos=3.1))
    table.end(sip, released_by="callee", q850=16, clean_end=True)
    (record,) = table.records()
    assert (Outcome.ANSWERED, 200, 16, ReleasedBy.CALLEE) == (
        record.outcome,
        record.sip_code,
        record.q850,
        record.released_by,
    )
    assert (1000.0, 2000.0, 58.0) == (record.pdd_ms, record.setup_ms, record.duration_s)
    assert (3.1, pytest.approx(3.7), 0.5, "") == (
        record.mos_min,
        record.mos_avg,
        record.degraded_ratio,
        record.quality_reason,
    )
    assert ("+4930******78", "+4989******78", "+49") == (record.from_masked, record.to_masked, record.destination)
    assert ("PCMA", ("PCMA",)) == (record.codec, record.codecs)
    assert 1 == call_batch([record]).num_rows


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        pytest.param(Outcome.BUSY, {"sip_code": 486}, id="486"),
        pytest.param(Outcome.CLIENT_ERROR, {"sip_code": 404}, id="404"),
        pytest.param(Outcome.CLIENT_ERROR, {"sip_code": 403}, id="403"),
        pytest.param(Outcome.NO_FACILITY, {"sip_code": 503}, id="503"),
        pytest.param(Outcome.REDIRECTED, {"sip_code": 302}, id="302"),
        pytest.param(Outcome.CHALLENGED, {"sip_code": 407}, id="407"),
        pytest.param(Outcome.REJECTED, {"sip_code": 603}, id="603"),
        pytest.param(Outcome.ABANDONED, {"sip_code": 487, "cancelled": True}, id="CANCEL before 18x"),
        pytest.param(Outcome.NO_ANSWER, {"sip_code": 487, "ringing_ns": T0 + 5}, id="CANCEL after 18x"),
        pytest.param(Outcome.ABANDONED, {"cancelled": True}, id="CANCEL never answered"),
        pytest.param(Outcome.TIMEOUT, {}, id="no answer at all"),
    ],
)
def test_the_outcome_of_an_unanswered_call(expected: Outcome, changes: dict[str, Any]) -> None:
    table = Table()
    table.end(table.start(), after_s=5, **changes)
    (record,) = table.records()
    assert (expected, None, "not answered: no media to rate") == (
        record.outcome,
        record.duration_s,
        record.quality_reason,
    )
    session = table.session()
    assert (1, 1) == (session["attempts"], session[expected.value])


def test_403_counts_as_rejected_where_configured() -> None:
    table = Table(reject_403=True)
    table.end(table.start(), sip_code=403)
    assert [Outcome.REJECTED] == [record.outcome for record in table.records()]


def test_a_record_waits_for_the_intervals_of_its_last_seconds() -> None:
    table = Table()
    sip = table.start()
    table.answer(sip)
    table.end(sip, after_s=60)
    ended_ns = T0 + 60 * S
    assert ([], 1) == (table.records(ended_ns + LINGER - 1), len(table.calls))
    table.calls.add_interval(INTERVAL)
    (record,) = table.records(ended_ns + LINGER)
    assert (4.3, 0) == (record.mos_min, len(table.calls))
    assert LINGER > INTERVAL_NS


def test_too_many_waiting_calls_get_their_records_at_once_and_are_counted() -> None:
    table = Table(max_waiting=2)
    for i in range(5):
        table.end(table.start(f"c{i}", T0 + i), after_s=0)
    assert ["c0", "c1", "c2"] == [record.call_id for record in table.records(T0 + 5)]
    assert (3, 2) == (table.calls.stats.hurried, len(table.calls))


def test_session_rollups_of_an_answered_call() -> None:
    table = Table()
    sip = table.start()
    table.answer(sip)
    table.end(sip, after_s=8, clean_end=True)
    table.records()
    assert {
        "attempts": 1,
        "answered": 1,
        "seer_effective": 1,
        "completed": 1,
        "short_calls": 1,
        "no_media": 1,
        "minutes": pytest.approx(0.1),
    } == table.session()


@pytest.mark.parametrize(
    ("expected", "sip_code"),
    [
        ({"seer_effective"}, 486),
        ({"seer_effective"}, 480),
        ({"ineffective"}, 503),
        ({"ineffective"}, 408),
        (set(), 404),
    ],
)
def test_seer_and_isa_counts(expected: set[str], sip_code: int) -> None:
    table = Table()
    table.end(table.start(), sip_code=sip_code)
    assert expected == {"seer_effective", "ineffective"} & set(table.session())


def test_the_far_leg_of_a_b2bua_is_recorded_but_not_counted_again() -> None:
    table = Table()
    near, far = table.start("near"), table.start("far", x_cid="near")
    for sip in (near, far):
        table.answer(sip)
    load = table.calls.take_load()
    for sip in (near, far):
        table.end(sip)
    records = {record.call_id: record for record in table.records()}
    assert {"near": ("far",), "far": ("near",)} == {c: r.correlated for c, r in records.items()}
    session = table.session()
    assert (1, 1) == (session["attempts"], session["answered"])
    assert 1 == sum(int(str(row["concurrent"])) for row in load.values())


def test_load_follows_calls_in_setup_up_and_measured() -> None:
    table = Table()
    first, second = table.start("c1"), table.start("c2")
    key = ("unassigned", "default", "unknown", "sbc")
    assert {"concurrent": 0, "setup_in_progress": 2, "measured_calls": 0, "attempts": 2, "answered": 0} == (
        table.calls.take_load()[key]
    )
    table.answer(first)
    answered = table.calls.get("c1")
    assert answered is not None
    answered.reports = 1
    assert {"concurrent": 1, "setup_in_progress": 1, "measured_calls": 1, "attempts": 0, "answered": 1} == (
        table.calls.take_load()[key]
    )
    table.end(first)
    table.end(second, sip_code=486)
    assert 0 == table.calls.take_load()[key]["concurrent"]


@pytest.mark.parametrize(("expected", "ptime_ms"), [(100.0, 20), (200 / 3, 30), (200.0, 10)])
def test_packets_per_second_follow_the_negotiated_packet_time(expected: float, ptime_ms: int) -> None:
    table = Table()
    sip = table.start()
    table.describe(CALLEE_RTP, from_caller=False, answer=True, ptime_ms=ptime_ms)
    table.answer(sip)
    call = table.calls.get("c1")
    assert call is not None
    assert pytest.approx(expected) == call.packets_per_second


def test_holding_times_are_counted_at_the_end() -> None:
    table = Table()
    sip = table.start()
    table.answer(sip)
    table.end(sip)
    counts = [row["holding_time_histogram"] for row in table.rollups.load.take()]
    assert 1 == sum(sum(c) for c in counts if isinstance(c, list))


def test_a_second_attempt_under_one_call_id_ends_the_first() -> None:
    table = Table()
    table.start(at_ns=T0)
    again = table.start(at_ns=T0 + S)
    table.end(again, sip_code=486)
    assert [Outcome.TIMEOUT, Outcome.BUSY] == [record.outcome for record in table.records()]
    assert 0 == len(table.calls)


def test_an_attempt_that_reuses_a_call_id_keeps_its_media() -> None:
    table = Table()
    table.end(table.start(), after_s=1, sip_code=503)
    sip = table.start(at_ns=T0 + 2 * S)
    table.describe(CALLER_RTP, from_caller=True, answer=False)
    table.describe(CALLEE_RTP, from_caller=False, answer=True)
    table.answer(sip)
    assert 1 == len(table.records(T0 + 20 * S))
    assert table.calls.match(CALLEE_RTP, CALLER_RTP, "c1") is not None


def test_a_codec_that_a_reinvite_changes_is_listed_after_the_first() -> None:
    table = Table()
    sip = table.start()
    for codec in ("PCMU", "OPUS", "PCMU"):
        table.describe(CALLER_RTP, from_caller=True, answer=False, codec=codec)
        table.describe(CALLEE_RTP, from_caller=False, answer=True, codec=codec)
    table.answer(sip)
    table.end(sip)
    (record,) = table.records()
    assert (("PCMU", "OPUS"), "PCMU") == (record.codecs, record.codec)


def test_codecs_of_a_call_that_was_not_answered_are_those_it_preferred() -> None:
    table = Table()
    sip = table.start()
    table.describe(CALLER_RTP, from_caller=True, answer=False, codec="G729")
    table.end(sip, sip_code=488)
    assert [("G729",)] == [record.codecs for record in table.records()]


def test_addresses_of_a_call_are_bounded_and_freed() -> None:
    table = Table()
    sip = table.start()
    for port in range(4000, 4000 + 4 * MAX_SIDES, 2):
        table.describe(Endpoint("10.0.0.1", port), from_caller=True, answer=False)
    assert 2 * MAX_SIDES == len(table.media)
    assert table.media.find(Endpoint("10.0.0.1", 4000 + 4 * MAX_SIDES - 2)) is not None, "the newest is in force"
    table.end(sip, sip_code=486)
    table.records()
    assert 0 == len(table.media)


def test_an_end_leaves_addresses_that_a_later_call_took() -> None:
    table = Table()
    first = table.start("c1")
    table.describe(CALLER_RTP, from_caller=True, answer=False, call_id="c1")
    table.start("c2")
    table.describe(CALLER_RTP, from_caller=True, answer=False, call_id="c2")
    table.end(first, sip_code=486)
    table.records()
    side = table.media.find(CALLER_RTP)
    assert side is not None
    assert "c2" == side.call_id


@pytest.mark.parametrize(
    ("expected", "reporter", "far"),
    [
        pytest.param("c1", CALLEE_RTP, CALLER_RTP, id="both ends are the call's"),
        pytest.param(None, Endpoint("192.0.2.1", 9), CALLER_RTP, id="one end is not enough"),
        pytest.param(None, CALLER_RTP, CALLER_RTP, id="one side twice is no stream"),
    ],
)
def test_a_correlation_id_that_is_no_call_id_needs_both_ends(
    expected: str | None, reporter: Endpoint, far: Endpoint
) -> None:
    table = Table()
    table.start()
    table.describe(CALLER_RTP, from_caller=True, answer=False)
    table.describe(CALLEE_RTP, from_caller=False, answer=True)
    match = table.calls.match(reporter, far, "PJSIP/alice-00000001")
    assert expected == (match.call_id if match is not None else None)


def test_quality_is_of_the_scale_that_most_intervals_are_on() -> None:
    table = Table()
    sip = table.start()
    table.answer(sip)
    wideband = replace(INTERVAL, r_factor=120.0, mos=4.2, mos_scale=Scale.WIDEBAND)
    for interval in (INTERVAL, wideband, replace(wideband, mos=4.0)):
        table.calls.add_interval(interval)
    table.end(sip)
    (record,) = table.records()
    assert (4.0, pytest.approx(4.1)) == (record.mos_min, record.mos_avg)


@pytest.mark.parametrize(
    ("expected", "described", "reports"),
    [
        ("no SDP seen: its media cannot be told apart", False, 0),
        ("neither RTP nor RTCP seen for its media addresses", True, 0),
        ("media seen, but nothing of it that can be rated", True, 3),
    ],
)
def test_a_call_without_quality_says_why(expected: str, described: bool, reports: int) -> None:
    table = Table()
    sip = table.start()
    if described:
        table.describe(CALLER_RTP, from_caller=True, answer=False)
    table.answer(sip)
    call = table.calls.get("c1")
    assert call is not None
    call.reports = reports
    table.end(sip)
    assert [expected] == [record.quality_reason for record in table.records()]


def test_a_call_is_stated_when_it_changes_and_now_and_then() -> None:
    table = Table()
    sip = table.start()
    assert ["setup"] == [row["state"] for row in table.calls.take_states(T0 + S)]
    assert [] == table.calls.take_states(T0 + 2 * S)
    assert ["setup"] == [row["state"] for row in table.calls.take_states(T0 + S + RESTATE_NS)]
    sip.ringing_ns = T0 + S
    table.answer(sip)
    assert ["answered"] == [row["state"] for row in table.calls.take_states(T0 + 40 * S)]
    table.end(sip)
    rows = table.calls.take_states(T0 + 61 * S)
    assert [("ended", "answered")] == [(row["state"], row["outcome"]) for row in rows]
    assert 1 == batch("call_now", rows).num_rows


def test_states_of_many_calls_do_not_overwrite_one_another() -> None:
    table = Table()
    for i in range(3000):
        table.start(f"call-{i}@gateway.example")
    rows = table.calls.take_states(T0 + S)
    assert 3000 == len({(row["time"], row["shard"]) for row in rows})
    assert all(T0 < int(str(row["time"])) <= T0 + S for row in rows)
