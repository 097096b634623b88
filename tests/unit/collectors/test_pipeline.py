"""The collector's middle: HEP datagrams in, facts for the store out."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hep_traffic import (
    CALLEE,
    CALLEE_RTP,
    CALLEE_SSRC,
    CALLER,
    CALLER_RTP,
    CALLER_SSRC,
    S_NS,
    START_NS,
    HepTraffic,
    MemorySink,
    batch_of,
    pipeline_of,
    report,
    rtcp_of,
    run,
    sip,
)

from collectors.facts import Payload
from collectors.load import CAPTURE_POOL
from collectors.pipeline import Pipeline, PipelineSettings
from collectors.tracking.labels import Labeller, NodeRule, TenantRule, TrunkRule
from collectors.wire.hep import HepParser
from telephony.model import (
    INTERVAL_NS,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    RegistrationOutcome,
    StreamInterval,
)

LABELLER = Labeller(
    tenants=(TenantRule("acme", networks=(ip_network("10.0.0.0/24"),), hep_keys=("k1",)),),
    trunks=(TrunkRule("carrier-a", networks=(ip_network("10.0.0.2"),), region="eu"),),
    nodes=(NodeRule(7, "sbc-7"),),
)
ACME = Labels("acme", "carrier-a", "eu", "sbc-7")


def totals(intervals: list[StreamInterval]) -> tuple[int, int]:
    return sum(i.expected or 0 for i in intervals), sum(i.lost or 0 for i in intervals)


def both_ways(at_s: float, packets: int, lost: int, **hep: str) -> HepTraffic:
    """Return a compound of each party: both send, the callee reports loss of the caller's stream."""
    heard = report(packets - lost, lost, of=CALLER_SSRC, by=CALLEE_SSRC)
    back = report(packets, 0, of=CALLEE_SSRC, by=CALLER_SSRC)
    traffic = HepTraffic()
    traffic.rtcp(at_s, back, src=CALLER_RTP, dst=CALLEE_RTP, ssrc=CALLER_SSRC, sent=packets, **hep)
    return traffic.rtcp(at_s + 0.01, heard, ssrc=CALLEE_SSRC, sent=packets, **hep)


def measured_call(*, lost_per_report: int = 0, correlation: bool = True) -> HepTraffic:
    """Return a call of 30 s whose parties report every 5 s."""
    traffic = HepTraffic({"node_id": 7}).invite(0).answer(0.1, 180).answer(1, 200)
    hep = {"correlation_id": "c1"} if correlation else {}
    for i in range(1, 6):
        traffic.datagrams += both_ways(1 + 5 * i, 250 * i, lost_per_report * i, node_id=7, **hep).datagrams  # type: ignore[arg-type]
    return traffic.bye(30)


def test_a_call_becomes_a_record_intervals_messages_and_minutes() -> None:
    pipeline, sink = run(measured_call(lost_per_report=5), labeller=LABELLER)
    (record,) = sink.kept_calls
    assert (ACME, Outcome.ANSWERED, 29.0, False) == (
        record.labels,
        record.outcome,
        record.duration_s,
        record.one_way,
    )
    to_callee = [i for i in sink.kept_intervals if i.direction is Direction.TO_CALLEE]
    to_caller = [i for i in sink.kept_intervals if i.direction is Direction.TO_CALLER]
    assert ((1250, 25), (1250, 0)) == (totals(to_callee), totals(to_caller))
    assert {(CALLER_RTP, CALLEE_RTP, "PCMA", ACME)} == {(i.src, i.dst, i.codec, i.labels) for i in to_callee}
    assert record.mos_min == min(i.mos for i in sink.kept_intervals if i.mos is not None)
    assert ["INVITE", "INVITE", "INVITE", "BYE", "BYE"] == [s.method for s, _ in sink.kept_messages]
    (session,) = sink.newest("session_minute")
    assert (1, 1, 1) == (session["attempts"], session["answered"], session["completed"])
    quality = sink.newest("quality_minute")
    assert (2500, 25) == tuple(sum(int(str(row[name])) for row in quality) for name in ("expected", "lost"))
    assert (10, 0) == (pipeline.counters.rtcp_reports, pipeline.counters.reports_unmatched)


def test_intervals_are_aligned_and_each_is_given_once() -> None:
    _, sink = run(measured_call())
    starts = [(i.time_ns, i.ssrc) for i in sink.kept_intervals]
    assert all(time_ns % INTERVAL_NS == 0 for time_ns, _ in starts)
    assert len(starts) == len(set(starts))


def test_reports_without_a_correlation_id_find_their_call_by_address() -> None:
    with_id, without = run(measured_call())[1], run(measured_call(correlation=False))[1]
    assert with_id.kept_intervals == without.kept_intervals


def test_a_correlation_id_that_is_a_channel_name_does_not_hide_the_call() -> None:
    traffic = measured_call(correlation=False)
    traffic.datagrams.insert(-2, both_ways(28, 1350, 0, correlation_id="PJSIP/alice-0000002a").datagrams[1])
    pipeline, sink = run(traffic)
    assert 0 == pipeline.counters.reports_unmatched
    assert {"c1"} == {interval.call_id for interval in sink.kept_intervals}


@pytest.mark.parametrize(
    ("kind", "text", "hep"),
    [
        pytest.param(
            "rtcp_unmatched", "RTCP from 10.0.0.2:42001 seen for 10.0.0.1:40001, in no SDP", {}, id="no SDP"
        ),
        pytest.param(
            "rtcp_without_call",
            "RTCP seen for 10.0.0.1:40001, of a call whose SIP was not seen",
            {"correlation_id": "elsewhere"},
            id="no SIP",
        ),
    ],
)
def test_rtcp_of_no_known_call_is_found_and_said(kind: str, text: str, hep: dict[str, str]) -> None:
    traffic = HepTraffic({"node_id": 7})
    for i in range(1, 4):
        traffic.rtcp(5 * i, report(250 * i, 0, of=CALLER_SSRC, by=CALLEE_SSRC), sent=250 * i, **hep)
    pipeline, sink = run(traffic, labeller=LABELLER)
    assert 3 == pipeline.counters.reports_unmatched
    (finding,) = sink.kept_rows["finding"][-1:]
    assert (kind, text, 3, "acme", "sbc-7") == tuple(
        finding[name] for name in ("kind", "text", "count", "tenant", "node")
    )
    assert {(Direction.UNKNOWN, "unknown")} == {(i.direction, i.codec) for i in sink.kept_intervals}


def test_the_same_message_from_two_agents_is_one() -> None:
    traffic = measured_call()
    twice = HepTraffic(datagrams=[datagram for datagram in traffic.datagrams for _ in range(2)])
    pipeline, sink = run(twice)
    _, once = run(traffic)
    assert once.kept_intervals == sink.kept_intervals
    assert [r.attempts for r in once.kept_calls] == [r.attempts for r in sink.kept_calls]
    assert len(traffic.datagrams) == pipeline.duplicates.duplicates


def test_registrations_are_told_and_counted() -> None:
    traffic = HepTraffic({"node_id": 7})
    for call_id, status, at_s in (("r1", 200, 0.0), ("r2", 403, 5.0)):
        for start, after_s in (("REGISTER sip:a.example SIP/2.0", 0.0), (f"SIP/2.0 {status} X", 0.05)):
            ends = (CALLER, CALLEE) if start.startswith("REG") else (CALLEE, CALLER)
            headers = ["Contact: <sip:alice@10.0.0.1>;expires=600", 'Authorization: Digest username="a"']
            message = sip(start, "1 REGISTER", call_id=call_id, headers=headers).replace(
                b"To: <sip:+498912345678@b", b"To: <sip:alice@a"
            )
            traffic.send(at_s + after_s, *ends, message)
    pipeline, sink = run(traffic, labeller=LABELLER)
    assert [(RegistrationOutcome.REGISTERED, 200), (RegistrationOutcome.REJECTED, 403)] == [
        (r.outcome, r.sip_code) for r in sink.kept_registrations
    ]
    assert {"acme"} == {r.labels.tenant for r in sink.kept_registrations}
    (row,) = sink.newest("registration_minute")
    assert (2, 1, 1, 1) == tuple(row[n] for n in ("attempts", "registered", "rejected", "auth_failures"))
    assert {"registered": 1, "rejected": 1} == dict(pipeline.counters.registrations)


def test_heartbeats_of_a_trunk_are_counted_with_their_round_trip() -> None:
    traffic = HepTraffic()
    for i, answered in enumerate((True, True, False)):
        call_id = f"ping-{i}"
        request = sip("OPTIONS sip:b SIP/2.0", "1 OPTIONS", call_id=call_id)
        traffic.send(10 * i, CALLER, CALLEE, request)
        if answered:
            response = sip("SIP/2.0 200 OK", "1 OPTIONS", call_id=call_id)
            traffic.send(10 * i + 0.02 * (i + 1), CALLEE, CALLER, response)
    _, sink = run(traffic, labeller=LABELLER)
    (row,) = sink.newest("trunk_minute")
    assert ("carrier-a", 3, 2) == (row["trunk"], row["options_sent"], row["options_answered"])
    assert (60.0, 40.0) == (
        pytest.approx(row["options_rtt_ms_sum"]),
        pytest.approx(row["options_rtt_ms_max"]),
    )


def test_a_vq_report_in_a_publish_rates_its_call() -> None:
    body = (
        "VQSessionReport: CallTerm\r\nCallID: c1\r\nLocalAddr: IP=10.0.0.2 PORT=42000 SSRC=0xB2\r\n"
        "RemoteAddr: IP=10.0.0.1 PORT=40000 SSRC=0xA1\r\nLocalMetrics:\r\n"
        "Timestamps: START=2027-01-15T08:00:01Z STOP=2027-01-15T08:00:29Z\r\n"
        "SessionDesc: PT=8 PD=PCMA PPS=50\r\nPacketLoss: NLR=2.0 JDR=1.0\r\nDelay: RTD=40 IAJ=5\r\n"
    )
    traffic = HepTraffic().invite(0).answer(1, 200).bye(29)
    publish = sip("PUBLISH sip:c SIP/2.0", "1 PUBLISH", call_id="p1", headers=["Event: vq-rtcpxr"], body=body)
    traffic.send(29.5, CALLEE, CALLER, publish.replace(b"application/sdp", b"application/vq-rtcpxr"))
    _, sink = run(traffic)
    assert (1400, 28) == totals(sink.kept_intervals)
    assert {(Observer.VQ_REPORT, Direction.TO_CALLEE, "c1")} == {
        (i.observer, i.direction, i.call_id) for i in sink.kept_intervals
    }
    assert sink.kept_calls[0].mos_min is not None


def test_an_rtp_stat_header_of_the_bye_rates_what_its_sender_received() -> None:
    stat = "X-RTP-Stat: CS=29;PS=1400;OS=224000;PR=1372;OR=219520;PL=28,0;JI=3,2;DL=40,20"
    _, sink = run(HepTraffic().invite(0).answer(1, 200).bye(29, headers=[stat]))
    assert {Direction.TO_CALLER} == {i.direction for i in sink.kept_intervals}
    assert 28 == totals(sink.kept_intervals)[1]


def test_rejected_reports_are_counted_by_reason_and_the_rest_goes_on() -> None:
    traffic = HepTraffic()
    for payload_type in (Payload.RTCP_JSON, Payload.VQ_RTCPXR, Payload.RTP_REPORT_JSON):
        traffic.send(1, CALLER_RTP, CALLEE_RTP, b"nonsense", payload_type=payload_type)
    traffic.datagrams += measured_call().datagrams
    pipeline, sink = run(traffic)
    assert 3 == sum(pipeline.counters.rtcp_rejected.values())
    assert 1 == len(sink.kept_calls)


def test_payloads_are_counted_by_kind() -> None:
    traffic = HepTraffic().invite(0).send(0, CALLER, CALLEE, b"log line", payload_type=Payload.LOG)
    traffic.send(0, CALLER, CALLEE, b"whatever", payload_type=61)
    pipeline, _ = run(traffic)
    assert {"sip": 1, "log": 1, "other": 1} == dict(pipeline.counters.payloads)


@pytest.mark.parametrize(("expected", "mask"), [("sip:+4989******78@b.example", b"+498912345678")])
def test_numbers_are_masked_before_they_leave(expected: str, mask: bytes) -> None:
    _, sink = run(measured_call())
    assert expected == next(s.reason for s, _ in sink.kept_messages if s.method == "INVITE" and not s.status)
    written = repr((sink.kept_calls, sink.kept_messages, sink.kept_rows))
    assert mask.decode() not in written


class TestClock:
    """Live collectors do not believe every capture time."""

    def live(self) -> tuple[Pipeline, MemorySink]:
        return pipeline_of(settings=PipelineSettings())

    def test_an_agent_whose_clock_is_an_hour_off_is_moved_to_ours(self) -> None:
        pipeline, sink = self.live()
        for at_s, datagram in zip((0, 0.1, 1), HepTraffic().invite(0).answer(0.1, 180).answer(1, 200).datagrams):
            pipeline.feed(batch_of([datagram]), START_NS + 3600 * S_NS + round(at_s * 1e9))
        pipeline.finish(START_NS + 3610 * S_NS)
        (record,) = sink.kept_calls
        assert (START_NS + 3600 * S_NS, 100.0) == (record.started_ns, record.pdd_ms)
        assert 3_600_000.0 == pytest.approx(pipeline.agents.by_id[0].clock_offset_ms)

    def test_what_is_heard_late_is_of_its_own_time(self) -> None:
        """A collector that catches up publishes meanwhile; its calls of half a minute are no less."""
        pipeline, sink = self.live()
        start_ns = START_NS - START_NS % (60 * S_NS) + 60 * S_NS
        at_s = (start_ns - START_NS) / S_NS
        for late_s, datagram in enumerate(
            HepTraffic().invite(at_s).answer(at_s + 1, 200).bye(at_s + 31).datagrams, start=80
        ):
            pipeline.feed(batch_of([datagram]), start_ns + late_s * S_NS)
            pipeline.tick(start_ns + late_s * S_NS)
        pipeline.finish(start_ns + 400 * S_NS)
        means = {
            row["time"]: row["concurrent_mean"]
            for row in sink.kept_rows["load_minute"]
            if row["pool"] != CAPTURE_POOL
        }
        assert means[start_ns] == pytest.approx(0.5, abs=0.01)
        assert sum(means.values()) == means[start_ns]
        assert [Outcome.ANSWERED] == [record.outcome for record in sink.kept_calls]

    def test_publishing_goes_on_after_the_clock_was_set_back(self) -> None:
        pipeline, sink = self.live()
        pipeline.tick(START_NS)
        pipeline.tick(START_NS + S_NS)
        pipeline.tick(START_NS - 3600 * S_NS)
        assert 2 == sink.flushes

    def test_publishing_is_as_often_as_set_and_rollups_less_often(self) -> None:
        pipeline, sink = self.live()
        pipeline.feed(batch_of(HepTraffic().invite(0).answer(0.001, 200).datagrams), START_NS)
        for tenth in range(300):
            pipeline.tick(START_NS + tenth * S_NS // 10)
        assert 15 == sink.flushes
        assert 3 == sum(row["pool"] != CAPTURE_POOL for row in sink.kept_rows["load_minute"])


class TestBounds:
    """What is full gives up its oldest, and says so."""

    def test_shed_and_sizes_name_every_table(self) -> None:
        pipeline, _ = pipeline_of()
        tables = {"dialogs", "registrations", "heartbeats", "calls", "reports", "media_addresses", "findings"}
        assert tables < set(pipeline.shed())
        assert not any(pipeline.shed().values())
        sizes = {"calls", "media_addresses", "report_streams", "rtp_streams", "rtp_announcements", "sip_names"}
        assert sizes | {"agents"} == set(pipeline.sizes())

    def test_an_empty_batch_is_nothing(self) -> None:
        pipeline, sink = pipeline_of()
        pipeline.feed(batch_of([]), START_NS)
        pipeline.finish(START_NS)
        assert [] == sink.kept_calls

    def test_nothing_of_a_batch_is_kept_once_it_was_fed(self) -> None:
        pipeline, sink = pipeline_of()
        for datagram in measured_call().datagrams:
            batch = batch_of([datagram])
            buffer = batch.buffer.copy()
            pipeline.feed(replace(batch, buffer=buffer), START_NS)
            buffer[:] = 0xFF  # its source reuses it
        pipeline.finish(START_NS + 60 * S_NS)
        assert ["c1"] == [record.call_id for record in sink.kept_calls]
        assert {"c1"} == {sighting.call_id for sighting, _ in sink.kept_messages}


def test_an_address_that_is_no_address_in_a_quality_report_is_no_reason_to_stop() -> None:
    body = (
        "VQIntervalReport\r\nCallID: nobody\r\nLocalAddr: IP=not-an-address PORT=42000 SSRC=0xB2\r\n"
        "RemoteAddr: IP=\u20ac PORT=40000 SSRC=0xA1\r\nLocalMetrics:\r\nPacketLoss: NLR=2.0 JDR=1.0\r\n"
    )
    traffic = HepTraffic().send(0, CALLER, CALLEE, body.encode(), payload_type=Payload.VQ_RTCPXR)
    pipeline, _ = run(traffic, labeller=LABELLER)
    assert 1 == pipeline.counters.reports_unmatched


def test_an_agent_is_known_by_the_name_that_it_gave_itself() -> None:
    pipeline, sink = run(HepTraffic({"node_id": 9, "node_name": "edge-9"}).answered_call())
    assert {"edge-9"} == {record.labels.node for record in sink.kept_calls}
    assert {"edge-9", "collector"} == {
        str(row["node"]) for row in sink.kept_rows["load_now"] if row["pool"] == "capture"
    }
    assert ("edge-9", "unknown") == pipeline.labeller.node(9)


def test_matches_outlive_the_addresses_of_their_call() -> None:
    pipeline, sink = run(measured_call(), until_s=60)
    (stream, other) = sorted(pipeline.reports.streams(), key=lambda s: s.ssrc)
    match = pipeline.match_of(stream)
    assert match is not None
    assert (CALLEE_RTP, rtcp_of(CALLER_RTP)) == (match.dst, stream.far)
    assert 0 == len(pipeline.media)
    assert Endpoint("10.0.0.1", 40001) == other.reporter
    assert 2 == len({(i.src, i.dst) for i in sink.kept_intervals})


def test_the_parser_of_hep_is_the_one_that_counts_bad_datagrams() -> None:
    parser = HepParser()
    batch = batch_of([b"HEP3\x00", b"", b"\xff" * 40], parser)
    pipeline, _ = pipeline_of()
    pipeline.feed(batch, START_NS)
    assert (0, 3) == (len(batch.rows), sum(parser.errors.values()))
