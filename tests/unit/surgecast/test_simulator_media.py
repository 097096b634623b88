"""Loss is true packet by packet, and the reports say of it what RFC 3550 makes of it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.facts import ReceptionReport, SenderInfo
from collectors.wire.rtcp_json import parse_rtcp_json
from surgecast.simulator.calls import PlannedCall
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import EXAMPLE_START_NS, Engine
from surgecast.simulator.incidents import Impairment, Incident, IncidentPlan, Place
from surgecast.simulator.loss import LossProcess
from surgecast.simulator.media import MediaSession, stray_reports
from surgecast.simulator.truth import Truth
from telephony.model import Direction


@pytest.fixture(scope="module")
def answered() -> list[PlannedCall]:
    engine = Engine(start_ns=EXAMPLE_START_NS, calls=60, seed=5, plan=IncidentPlan())
    for _ in engine.sightings(EXAMPLE_START_NS):
        pass
    calls = [c for c in engine.truth.live.values() if c.answered]
    assert len(calls) > 30
    return calls


def plain(call, **changes):
    """Return the call as an undisturbed one of two minutes, both sides sending RTCP."""
    sides = {
        "caller": replace(call.caller, sends_rtcp=True),
        "callee": replace(call.callee, sends_rtcp=True),
        "end_ns": call.final_ns + 120 * 10**9,
        "hold": None,
        "silent": "",
        "vanished": False,
    }
    return replace(call, **(sides | changes))


def facts_of(sightings):
    return [(s, parse_rtcp_json(s.payload).facts) for s in sightings]


@pytest.mark.parametrize(("loss_ratio", "burst_packets"), [(0.01, 1.0), (0.05, 3.5), (0.3, 2.0), (0.002, 8.0)])
def test_losses_have_the_ratio_that_is_asked_for(loss_ratio, burst_packets):
    process = LossProcess(Random(1))
    lost = sum(process.advance(250, loss_ratio, burst_packets) for _ in range(8000))
    assert lost / 2_000_000 == pytest.approx(loss_ratio, rel=0.05)


def test_bursts_have_the_length_that_is_asked_for():
    process = LossProcess(Random(2))
    runs, length = 0, 0
    for _ in range(300_000):
        if process.advance(1, 0.05, 3.0):
            length += 1
            runs += process.run == 1
    assert length / runs == pytest.approx(3.0, rel=0.05)


def test_the_first_packet_is_received():
    assert all(LossProcess(Random(seed)).advance(1, 0.9, 5.0) == 0 for seed in range(50))


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 0.9), st.floats(1, 10)), max_size=20))
def test_no_more_is_lost_than_was_sent(steps):
    process = LossProcess(Random(3))
    for packets, loss_ratio, burst_packets in steps:
        lost = process.advance(packets, loss_ratio, burst_packets)
        assert 0 <= lost <= packets
        assert process.run <= sum(p for p, _, _ in steps)


def test_expected_is_received_and_lost(answered):
    for call in answered:
        session = MediaSession(call, IncidentPlan())
        list(session.reports())
        for stream in session.streams:
            assert stream.expected == stream.received + stream.lost


def test_the_last_report_of_a_stream_says_what_is_true_of_it(answered):
    bad = Incident("loss", Place.REGION, answered[0].relay.region, 0, 2**63, impairment=Impairment(0.08, 2.0))
    for call in answered[:10]:
        session = MediaSession(plain(call), IncidentPlan([bad]))
        last = {
            fact.source_ssrc: fact
            for _, facts in facts_of(session.reports())
            for fact in facts
            if isinstance(fact, ReceptionReport)
        }
        for stream in session.streams:
            assert stream.lost == last[stream.ssrc].cumulative_lost


def test_a_fraction_is_of_the_interval_and_not_of_the_call(answered):
    call = plain(answered[0], end_ns=answered[0].final_ns + 60 * 10**9)
    begins = Incident(
        "loss", Place.REGION, call.relay.region, call.final_ns + 30 * 10**9, 2**63, impairment=Impairment(0.5, 1.0)
    )
    session = MediaSession(call, IncidentPlan([begins]))
    fractions = [
        (sighting.at_ns < begins.start_ns, fact.fraction_lost / 256)
        for sighting, facts in facts_of(session.reports())
        for fact in facts
        if isinstance(fact, ReceptionReport)
    ]
    assert max(f for before, f in fractions if before) < 0.05
    assert fractions[-1][1] == pytest.approx(0.5, abs=0.12)


def test_lsr_and_dlsr_give_the_round_trip_between_relay_and_reporter(answered):
    call = plain(answered[0])
    delay_ms = {call.caller.ssrc: call.caller.path.delay_ms, call.callee.ssrc: call.callee.path.delay_ms}
    seen: dict[int, int] = {}
    checked = 0
    for sighting, facts in facts_of(MediaSession(call, IncidentPlan()).reports()):
        for fact in facts:
            if isinstance(fact, SenderInfo):
                seen[fact.ntp >> 16 & 0xFFFFFFFF] = sighting.at_ns
            if isinstance(fact, ReceptionReport) and fact.lsr:
                round_trip_ms = (sighting.at_ns - seen[fact.lsr]) / 1e6 - fact.dlsr / 65.536
                assert round_trip_ms == pytest.approx(2 * delay_ms[fact.reporter_ssrc], abs=0.1)
                checked += 1
    assert checked > 30


def test_reports_come_in_order_of_capture(answered):
    at_ns = [s.at_ns for s in MediaSession(plain(answered[0]), IncidentPlan()).reports()]
    assert at_ns == sorted(at_ns)
    assert len(at_ns) == pytest.approx(48, abs=6)


def test_who_sends_no_rtcp_is_not_heard(answered):
    call = plain(answered[0])
    call = replace(call, callee=replace(call.callee, sends_rtcp=False))
    reports = list(MediaSession(call, IncidentPlan()).reports())
    assert {s.src for s in reports} == {call.caller.rtcp}


@pytest.mark.parametrize(
    ("silent", "heard"), [("caller", Direction.TO_CALLER), ("callee", Direction.TO_CALLEE), ("", None)]
)
def test_of_one_way_audio_one_direction_is_reported(answered, silent, heard):
    session = MediaSession(plain(answered[0], silent=silent), IncidentPlan())
    list(session.reports())
    expected = {heard} if heard else {Direction.TO_CALLEE, Direction.TO_CALLER}
    assert {s.direction for s in session.streams} == expected


def test_being_held_pauses_what_the_held_side_sends(answered):
    final_ns = answered[0].final_ns
    held = plain(answered[0], hold=(final_ns + 40 * 10**9, final_ns + 70 * 10**9))
    session = MediaSession(held, IncidentPlan())
    list(session.reports())
    sent = {s.direction: s.expected for s in session.streams}
    assert sent[Direction.TO_CALLER] - sent[Direction.TO_CALLEE] == pytest.approx(30 * 50, abs=400)


def test_an_impaired_trunk_shows_in_jitter(answered):
    call = next(c for c in answered if c.trunk is not None)
    incident = Incident("j", Place.TRUNK, call.trunk.name, 0, 2**63, impairment=Impairment(jitter_ms=40.0))
    session = MediaSession(plain(call), IncidentPlan([incident]))
    list(session.reports())
    assert all(s.jitter_ms_sum / s.reports > 30 for s in session.streams)


def test_strays_are_counted_and_carry_no_call_id():
    truth = Truth()
    reports = stray_reports(DEMO_NETWORK, EXAMPLE_START_NS, 1, truth)
    first = [next(reports) for _ in range(11)]
    assert {s.correlation_id for s in first} == {""}
    assert truth.stray_reports == 10  # the eleventh counts once it is gone
