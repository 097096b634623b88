"""What the collector measures of simulated traffic is what was true of it: bytes in, facts out, no store."""

import struct
from collections import Counter

import pytest

from collectors.settings import CollectorSettings
from surgecast.replay import ReplayResult, replay_files
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import simulate_to_datagrams
from surgecast.simulator.incidents import Impairment, Incident, IncidentPlan, Place
from surgecast.simulator.network import collector_config
from surgecast.simulator.truth import CallTruth, StreamTruth, Truth
from telephony.model import Outcome, RegistrationOutcome, ReleasedBy, StreamInterval

SECONDS = 200
LOSSY = Incident("loss", Place.REGION, "eu-west", 0, 2**63, impairment=Impairment(0.03, 2.5, 6.0, 10.0))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Truth, ReplayResult]:
    datagrams, truth = simulate_to_datagrams(SECONDS, 21, 250, plan=IncidentPlan([LOSSY]))
    path = tmp_path_factory.mktemp("simulated") / "network.hepbin"
    with path.open("wb") as file:
        for _, data in datagrams:
            file.write(struct.pack("!I", len(data)) + data)
    return truth, replay_files([path], CollectorSettings(**collector_config(DEMO_NETWORK)))


@pytest.fixture(scope="module")
def pairs(run):
    truth, measured = run
    found = {call.call_id: call for call in measured.calls}
    assert len(truth.ended) > 500
    return [(call, found[call.call_id]) for call in truth.ended]


def test_nothing_was_rejected_or_shed(run):
    truth, measured = run
    assert measured.capture.frames == measured.capture.accepted == truth.sightings.total()
    assert not measured.capture.errors
    assert measured.rtcp_rejected == 0


@pytest.mark.parametrize("field", ["outcome", "sip_code", "attempts", "labels", "released_by", "codec"])
def test_calls_are_measured_exactly(pairs, field):
    wrong = [
        (getattr(truth, field), getattr(call, field), truth.call_id)
        for truth, call in pairs
        if getattr(truth, field) != getattr(call, field)
        # The codec of a call is the answer's; nobody answered the others.
        and (field != "codec" or truth.outcome is Outcome.ANSWERED)
    ]
    assert wrong == []


@pytest.mark.parametrize(("field", "tolerance"), [("pdd_ms", 0.01), ("setup_ms", 0.01), ("duration_s", 0.1)])
def test_timings_are_measured(pairs, field, tolerance):
    wrong = [
        (getattr(truth, field), getattr(call, field), truth.call_id)
        for truth, call in pairs
        if getattr(truth, field) is not None
        and getattr(call, field) != pytest.approx(getattr(truth, field), abs=tolerance)
    ]
    assert wrong == []


def test_one_way_audio_is_found_and_nowhere_else(pairs):
    def told(call: CallTruth) -> bool:
        return call.one_way and bool(call.streams) and sum(s.reports for s in call.streams) >= 2

    missed = [truth.call_id for truth, call in pairs if told(truth) and not call.one_way]
    invented = [truth.call_id for truth, call in pairs if call.one_way and not truth.one_way]
    assert (missed, invented) == ([], [])


def test_calls_whose_bye_is_never_seen_time_out(pairs):
    vanished = [call.released_by for truth, call in pairs if truth.vanished]
    assert set(vanished) <= {ReleasedBy.TIMEOUT}


def test_minutes_hold_every_final_outcome(run, pairs):
    truth, measured = run
    rows = {
        (r["time"], r["tenant"], r["trunk"], r["region"], r["node"]): r for r in measured.rows["session_minute"]
    }
    for (minute, labels), outcomes in truth.finals.items():
        row = rows[minute, labels.tenant, labels.trunk, labels.region, labels.node]
        # At the end of the capture, attempts without a final are closed as timeouts: not in the truth.
        assert {o: row[o.value] for o in Outcome if o is not Outcome.TIMEOUT} == {
            o: outcomes[o] for o in Outcome if o is not Outcome.TIMEOUT
        }


def test_registrations_and_heartbeats_are_counted(run):
    truth, measured = run
    outcomes = Counter(r.outcome for r in measured.registrations)
    for outcome in RegistrationOutcome:  # an attempt that the end of the capture cuts may count as something else
        assert outcomes[outcome] == pytest.approx(truth.registrations[outcome], abs=2)
    assert truth.registrations[RegistrationOutcome.REGISTERED] > 300
    rows = {(r["time"], r["trunk"], r["node"]): r for r in measured.rows["trunk_minute"]}
    assert sum(r["options_sent"] for r in rows.values()) == pytest.approx(truth.heartbeats, abs=2)
    assert sum(r["options_answered"] for r in rows.values()) == pytest.approx(truth.heartbeats_answered, abs=2)


@pytest.fixture(scope="module")
def streams(run, pairs) -> list[tuple[StreamTruth, StreamInterval]]:
    measured = {(s.call_id, s.ssrc): s for s in run[1].streams}
    found = [
        (stream, measured[truth.call_id, stream.ssrc])
        for truth, _ in pairs
        for stream in truth.streams
        if stream.reports >= 3
    ]
    assert len(found) > 200
    return found


def test_streams_are_measured(streams):
    for truth, stream in streams:
        assert truth.direction == stream.direction
        # Where a stream began is not in its reports: the first one's share is estimated, or left out.
        assert stream.lost in (truth.lost, truth.lost - truth.first_lost)
        assert stream.expected == pytest.approx(truth.expected, abs=truth.first_expected + 15)
        assert stream.jitter_ms == pytest.approx(truth.jitter_ms_sum / truth.reports, abs=1.0)


def test_round_trips_are_measured_between_the_ends(streams):
    both = [
        (truth, stream)
        for truth, stream in streams
        if stream.rtt_ms is not None and truth.rtt_reports == truth.reports
    ]
    assert all(
        stream.rtt_ms == pytest.approx(truth.rtt_ms_sum / truth.rtt_reports, rel=0.3) for truth, stream in both
    )


def test_rtcp_of_no_call_becomes_a_finding(run):
    truth, measured = run
    texts = {row["text"] for row in measured.rows["finding"] if row["kind"] == "rtcp_unmatched"}
    assert truth.stray_reports > 0
    assert any("in no SDP" in text for text in texts)
