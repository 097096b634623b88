"""RTP that is sent is what the truth says of it, agrees with the call's reports, and reaches sockets."""

import socket
import struct
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from ports import free_port

from collectors.facts import Payload, ReceptionReport
from collectors.wire.rtcp_json import parse_rtcp_json
from collectors.wire.sdp import parse_sdp
from collectors.wire.sip import SipMessage, parse_message
from surgecast.simulator.engine import EXAMPLE_START_NS, Engine
from surgecast.simulator.incidents import Impairment, Incident, IncidentPlan, Place
from surgecast.simulator.media_rtp import PORTS, RtpPacket
from surgecast.simulator.messages import CLOCK_RATE_HZ, PAYLOAD_TYPES
from surgecast.simulator.run import RtpSender
from telephony.jitter import JitterEstimator
from telephony.model import Endpoint

START = EXAMPLE_START_NS
SECOND = 10**9
SECONDS = 120
LIMIT = 12
LOSSY = [
    Incident("loss", Place.REGION, region, 0, 2**63, impairment=Impairment(0.04, 2.5, 5.0, 8.0))
    for region in ("eu-west", "us-east", "ap-south")
]


class Run:
    """A simulated run in steps, as the sender takes it."""

    def __init__(self, seconds: int = SECONDS, stalled_ms: int = 0, **changes) -> None:
        options = {"start_ns": START, "calls": 150, "seed": 11, "plan": IncidentPlan(LOSSY), "rtp_calls": LIMIT}
        self.engine = Engine(**(options | changes))
        self.truth = self.engine.truth
        self.sightings, self.packets, self.at_once = [], [], 0
        for ms in range(0, seconds * 1000, 50):
            if ms % 1000 < stalled_ms:
                continue
            until_ns = START + ms * 10**6
            self.sightings += (s for _, s in self.engine.sightings(until_ns))
            self.packets += self.engine.packets(until_ns, until_ns - 50_000_000 if stalled_ms else 0)
            up = sum(c.rtp_sent and c.final_ns <= until_ns < c.end_ns for c in self.truth.live.values())
            self.at_once = max(self.at_once, up)
        self.ended = [(call, rtp) for call in self.truth.ended for rtp in call.rtp]
        self.sent: dict[tuple[Endpoint, Endpoint], list[tuple[int, bytes]]] = defaultdict(list)
        for due_ns, src, dst, data in self.packets:
            self.sent[src, dst].append((due_ns, data))


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def sequence(data: bytes) -> int:
    return struct.unpack_from("!H", data, 2)[0]


def test_calls_send_rtp_as_many_as_asked_for(run):
    assert len(run.ended) > 12
    assert run.at_once == LIMIT


def test_without_being_asked_nothing_is_sent():
    engine = Engine(start_ns=START, calls=50, seed=1)
    for _ in engine.sightings(START + 30 * SECOND):
        pass
    assert list(engine.packets(START + 30 * SECOND)) == []


def test_addresses_are_of_the_loopback_and_in_the_sdp(run):
    announced = set()
    for sighting in run.sightings:
        message = parse_message(sighting.payload) if sighting.kind is Payload.SIP else None
        if isinstance(message, SipMessage) and message.body:
            announced.update(m.endpoint for m in parse_sdp(message.body).media)
    for _, rtp in run.ended:
        assert {rtp.src, rtp.dst} <= announced
        assert all(e.ip.startswith("127.0.0.") and PORTS[0] <= e.port <= PORTS[1] + 1 for e in (rtp.src, rtp.dst))


def test_no_two_streams_share_an_address(run):
    assert max(Counter(rtp.dst for _, rtp in run.ended).values()) == 1


def test_packets_are_rtp_of_the_call(run):
    for call, rtp in run.ended:
        for _, data in run.sent[rtp.src, rtp.dst]:
            first, kind, _, _, ssrc = struct.unpack_from("!BBHII", data)
            assert (first, kind & 0x7F, ssrc) == (0x80, PAYLOAD_TYPES[call.codec], rtp.ssrc)


@pytest.fixture(scope="module")
def held_up():
    """A run whose sender gets no time for a third of a second, again and again."""
    return Run(seconds=60, stalled_ms=350)


@pytest.mark.parametrize("which", ["run", "held_up"])
def test_the_truth_counts_what_was_sent(which, request):
    run = request.getfixturevalue(which)
    for _, rtp in run.ended:
        sent = run.sent[rtp.src, rtp.dst]
        highest, seen = None, set()
        duplicates = reordered = 0
        for _, data in sent:
            seq = sequence(data)
            if highest is not None:
                seq = highest + (seq - highest + 0x8000) % 0x10000 - 0x8000
            if seq in seen:
                duplicates += 1
            elif highest is not None and seq < highest:
                reordered += 1
            seen.add(seq)
            highest = seq if highest is None else max(highest, seq)
        expected = max(seen) - min(seen) + 1
        assert (rtp.packets, rtp.duplicates, rtp.reordered) == (len(sent), duplicates, reordered)
        assert (rtp.expected, rtp.received, rtp.lost) == (expected, len(seen), expected - len(seen))
        assert (rtp.first_ns, rtp.last_ns) == (sent[0][0], sent[-1][0])


def test_everything_that_can_happen_to_a_packet_happens(run):
    assert sum(rtp.lost for _, rtp in run.ended) > 500
    assert sum(rtp.reordered for _, rtp in run.ended) > 20
    assert sum(rtp.duplicates for _, rtp in run.ended) > 5


def test_what_is_asked_for_too_late_is_no_loss_and_no_jitter(run, held_up):
    """It is a pause of the speaker: numbers go on without a gap, the clock runs."""
    assert held_up.engine.rtp_withheld > 1000
    found = []
    for each in (run, held_up):
        lost, expected = (sum(getattr(rtp, name) for _, rtp in each.ended) for name in ("lost", "expected"))
        found.append(
            (lost / expected, max(jitter_ms(call, each.sent[rtp.src, rtp.dst]) for call, rtp in each.ended))
        )
    (loss, jitter), (loss_then, jitter_then) = found
    assert loss_then == pytest.approx(loss, abs=0.012)
    assert jitter_then < 1.3 * jitter


def jitter_ms(call, sent) -> float:
    """Return the highest J of packets that arrive when they are due."""
    jitter, highest = JitterEstimator(CLOCK_RATE_HZ[call.codec]), 0.0
    for due_ns, data in sent:
        jitter.add(struct.unpack_from("!I", data, 4)[0], due_ns)
        highest = max(highest, jitter.ms)
    return highest


def test_loss_has_the_ratio_of_the_incident(run):
    lost, expected = (sum(getattr(rtp, name) for _, rtp in run.ended) for name in ("lost", "expected"))
    assert lost / expected == pytest.approx(0.045, abs=0.012)


def test_reports_and_packets_agree(run):
    """A report's count up to its highest sequence number is that of the packets up to it."""
    reports = defaultdict(list)
    for sighting in run.sightings:
        if sighting.kind is Payload.RTCP_JSON:
            for fact in parse_rtcp_json(sighting.payload).facts:
                if isinstance(fact, ReceptionReport):
                    reports[fact.source_ssrc].append(fact)
    checked = 0
    for _, rtp in run.ended:
        sent = run.sent[rtp.src, rtp.dst]
        first = sequence(sent[0][1])
        came = {(sequence(data) - first) % 0x10000 for _, data in sent}
        for report in reports[rtp.ssrc]:
            expected = (report.extended_highest_seq - first) % 0x10000 + 1
            missing = sum(n not in came for n in range(expected))
            assert report.cumulative_lost == missing
            checked += 1
    assert checked > 50


def test_jitter_of_reports_and_packets_agrees(run):
    checked = 0
    for call, rtp in run.ended:
        told = next((s for s in call.streams if s.ssrc == rtp.ssrc), None)
        if told is None or told.reports < 3:
            continue
        jitter, values = JitterEstimator(CLOCK_RATE_HZ[call.codec]), []
        for due_ns, data in run.sent[rtp.src, rtp.dst]:
            jitter.add(struct.unpack_from("!I", data, 4)[0], due_ns)
            values.append(jitter.ms)
        assert told.jitter_ms_sum / told.reports == pytest.approx(sum(values) / len(values), rel=0.35)
        checked += 1
    assert checked > 10


def test_timestamps_follow_the_clock_of_the_codec(run):
    for call, rtp in run.ended[:10]:
        sent = sorted({(sequence(d), struct.unpack_from("!I", d, 4)[0]) for _, d in run.sent[rtp.src, rtp.dst]})
        steps = {(b - a) % 2**32 / ((m - n) % 2**16) for (n, a), (m, b) in pairwise(sent) if m == n + 1}
        assert CLOCK_RATE_HZ[call.codec] / 50 in steps


def test_a_silent_side_sends_nothing(run):
    silent = {call.call_id: call for call in run.truth.ended if call.one_way and call.rtp}
    assert all(len(call.rtp) == 1 for call in silent.values())


@pytest.fixture(scope="module")
def call(run):
    return max((rtp for _, rtp in run.ended), key=lambda rtp: rtp.packets)


@pytest.fixture
def packets(run, call):
    """The packets of a call, between addresses that no other process of the machine has."""
    src, dst = (end._replace(port=free_port(socket.SOCK_DGRAM, end.ip)) for end in (call.src, call.dst))
    return [RtpPacket(due_ns, src, dst, data) for due_ns, data in run.sent[call.src, call.dst]]


def test_what_is_sent_arrives_at_a_plain_socket(packets, call):
    sender, found = RtpSender(), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as received:
        received.bind(packets[0].dst)
        received.settimeout(60)
        for packet in packets:
            sender.send([packet])
            found.append(received.recvfrom(2000))
    sender.close()
    assert found == [(packet.data, packet.src) for packet in packets]
    assert (sender.stats.datagrams, sender.stats.octets, sender.stats.refused) == (call.packets, call.octets, 0)


def test_who_sends_receives_too_so_that_nothing_is_refused(packets):
    sender = RtpSender()
    sender.send(packets)
    sender.close()
    assert (sender.stats.datagrams, sender.stats.refused) == (len(packets), 0)


def test_a_taken_source_address_is_counted_and_borne(packets):
    sender = RtpSender()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(packets[0].src)
        sender.send(packets[:3])
    sender.close()
    assert (sender.stats.datagrams, sender.stats.refused) == (0, 3)
