"""The simulated network runs the same for the same seed, starts warm, and says only well-formed things."""

from collections import Counter
from itertools import islice

import pytest

from collectors.facts import Payload
from collectors.wire.rtcp_json import parse_rtcp_json
from collectors.wire.sdp import parse_sdp
from collectors.wire.sip import SipMessage, parse_message
from surgecast.simulator.engine import EXAMPLE_START_NS, Engine, simulate_to_datagrams
from surgecast.simulator.incidents import Incident, IncidentPlan, Place
from surgecast.simulator.messages import Sighting
from surgecast.simulator.truth import Truth
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS, Outcome

START = EXAMPLE_START_NS
SECOND = 10**9


@pytest.fixture(scope="module")
def run() -> tuple[list[tuple[int, Sighting]], Truth]:
    engine = Engine(start_ns=START, calls=150, seed=11, plan=IncidentPlan())
    return list(engine.sightings(START + 120 * SECOND)), engine.truth


@pytest.fixture(scope="module")
def sip(run) -> list[tuple[Sighting, SipMessage]]:
    return [(s, parse_message(s.payload)) for _, s in run[0] if s.kind is Payload.SIP]


def test_the_same_seed_sends_the_same_bytes():
    one, other = (simulate_to_datagrams(5, 4, 30)[0] for _ in range(2))
    assert list(one) == list(other)


def test_the_pace_of_asking_does_not_matter():
    at_once = Engine(start_ns=START, calls=30, seed=4)
    in_steps = Engine(start_ns=START, calls=30, seed=4)
    stepped = [d for ms in range(0, 5001, 10) for d in in_steps.datagrams(START + ms * 10**6)]
    assert list(at_once.datagrams(START + 5 * SECOND)) == stepped


def test_another_seed_sends_other_bytes():
    assert list(islice(simulate_to_datagrams(5, 4, 30)[0], 50)) != list(
        islice(simulate_to_datagrams(5, 5, 30)[0], 50)
    )


def test_sightings_are_sent_in_order_and_never_before_the_start(run):
    sent = [send_ns for send_ns, _ in run[0]]
    assert sent == sorted(sent)
    assert sent[0] == START


def test_what_is_sent_was_captured_then_or_before_the_start(run):
    assert all(s.at_ns == send_ns or s.at_ns < START == send_ns for send_ns, s in run[0])


def test_a_warm_start_reaches_back_a_minute_or_so(run):
    assert min(s.at_ns for _, s in run[0]) >= warm_from_ns(START)


@pytest.mark.parametrize("into_minute_s", [0, 1, 44, 45, 46, 59])
def test_the_warm_minute_is_whole_and_less_than_two_minutes_old(into_minute_s):
    start = START + into_minute_s * SECOND
    assert warm_from_ns(start) % MINUTE_NS == 0
    assert 45 * SECOND <= start - warm_from_ns(start) < 105 * SECOND


@pytest.mark.parametrize(
    ("ended_s_ago", "from_s_ago"),
    [
        pytest.param(20, 20, id="just now"),
        pytest.param(80, 80, id="a while ago"),
        pytest.param(140, 80, id="too long ago for a collector"),
        pytest.param(-40, 80, id="not yet"),
    ],
)
def test_a_warm_start_begins_where_history_ends(ended_s_ago, from_s_ago):
    start = START + 20 * SECOND
    assert warm_from_ns(start, start - ended_s_ago * SECOND) == start - from_s_ago * SECOND


def test_the_wanted_calls_are_up_from_the_first_second():
    engine = Engine(start_ns=START, calls=400, seed=2)
    for _ in engine.sightings(START):
        pass
    assert engine.truth.concurrent(START) == pytest.approx(400, rel=0.2)


def test_old_calls_are_told_within_the_first_seconds_of_a_warm_start():
    """Those, too, that ended before the start: no minute of it seems to have had few calls."""
    engine = Engine(start_ns=START, calls=200, seed=2, history_end_ns=START - 100 * SECOND)
    for _ in engine.sightings(START):
        pass
    up = {s_ago: engine.truth.concurrent(START - s_ago * SECOND) for s_ago in (60, 40, 20)}
    assert {s_ago: calls for s_ago, calls in up.items() if not 150 < calls < 250} == {}


def test_calls_stay_about_as_many(run):
    truth = run[1]
    assert truth.concurrent(START + 120 * SECOND) == pytest.approx(150, rel=0.35)


def test_every_sip_message_can_be_parsed(sip):
    assert all(isinstance(message, SipMessage) for _, message in sip)


def test_every_message_has_what_rfc_3261_demands(sip):
    for sighting, message in sip:
        text = sighting.payload.decode()
        assert message.call_id
        assert message.from_tag
        assert message.branch.startswith("z9hG4bK")
        assert message.cseq > 0
        assert int(text.split("Content-Length: ")[1].split("\r\n")[0]) == len(message.body)


def test_every_body_is_sdp_with_audio(sip):
    bodies = [message.body for _, message in sip if message.body]
    assert bodies
    assert all(parse_sdp(body).media[0].media == "audio" for body in bodies)


def test_every_report_can_be_parsed(run):
    parsed = [parse_rtcp_json(s.payload) for _, s in run[0] if s.kind is Payload.RTCP_JSON]
    assert parsed
    assert not any(p.rejected for p in parsed)


def test_a_response_has_a_request_before_it_on_the_same_hop(sip):
    asked = set()
    for sighting, message in sip:
        if message.status == 0:
            asked.add((sighting.agent, sighting.src, sighting.dst, message.call_id, message.branch))
        else:
            asked_for = (sighting.agent, sighting.dst, sighting.src, message.call_id, message.branch)
            assert asked_for in asked, sighting.payload.decode()


def test_proxies_count_max_forwards_down_and_add_their_via(sip):
    for _, message in sip:
        if message.method == "INVITE" and message.status == 0:
            assert int(message.header("max-forwards")) == 71 - message.vias


def test_every_outcome_happens(run):
    engine = Engine(start_ns=START, calls=600, seed=1, plan=IncidentPlan())
    for _ in engine.sightings(START + 90 * SECOND):
        pass
    assert set(engine.truth.outcomes()) == set(Outcome)


def test_finals_are_counted_once(run):
    truth = run[1]
    final = Counter(c.outcome for c in truth.calls() if c.final_ns < START + 119 * SECOND)
    assert all(final[o] <= n for o, n in truth.outcomes().items())
    assert sum(truth.outcomes().values()) - sum(final.values()) < 20


def test_a_failing_trunk_shows_in_the_outcomes():
    failing = Incident("down", Place.TRUNK, "carrier-c", 0, 2**63, fail_ratio=0.9)
    engine = Engine(start_ns=START, calls=300, seed=1, plan=IncidentPlan([failing]))
    for _ in engine.sightings(START + 30 * SECOND):
        pass
    over = Counter(c.outcome for c in engine.truth.calls() if c.labels.trunk == "carrier-c")
    assert over[Outcome.NO_FACILITY] / over.total() > 0.7


def test_a_long_run_remembers_only_so_many_calls():
    engine = Engine(start_ns=START, calls=200, seed=1, truth=Truth(keep=25))
    for _ in engine.sightings(START + 60 * SECOND):
        pass
    assert len(engine.truth.ended) == 25
    assert len(engine.truth.finals) <= 25


def test_truth_can_be_dumped(run, tmp_path):
    path = tmp_path / "truth.json"
    run[1].dump(path)
    assert path.read_text().startswith("{")
