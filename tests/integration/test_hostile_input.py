"""Whatever comes in: no exception, no hang, no figure that cannot be, no table without bound."""

import dataclasses
import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hep_traffic import CALLEE, CALLER, S_NS, START_NS, HepTraffic, MemorySink, batch_of, report, rtcp_of, sdp, sip
from hostile_mutations import MUTATIONS
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.capture.base import CaptureError
from collectors.facts import DatagramBatch, Payload
from collectors.pipeline import Pipeline, PipelineSettings
from collectors.settings import CollectorSettings
from collectors.tracking.dialog_facts import DialogSettings
from collectors.tracking.labels import Labeller, PoolOf, TenantRule, TrunkRule
from collectors.tracking.tracked_call import CallSettings
from collectors.wire.hep import HepParser
from storage.rows import batch, call_batch, stream_interval_batch
from surgecast.commands.replay import as_contract
from surgecast.replay import ReplayResult, replay_files
from telephony.model import CallRecord, StreamInterval

SEEDS = range(3)
SMALL_PCAPS = ("06_fail_404", "07_fail_486", "09_register_403", "13_abandoned_cancel")
LABELLER = Labeller(
    tenants=[TenantRule("acme", networks=(ip_network("127.0.0.0/8"), ip_network("2001:db8::/32")))],
    trunks=[TrunkRule("lab", networks=(ip_network("127.0.0.12"),), sip_domains=("lab.test",))],
)


# --- what must hold of everything that comes out --------------------------------------------------------


def numbers_in(value: object) -> Iterator[float]:
    """Yield every number in facts, rows and lists of them."""
    if isinstance(value, bool | str | bytes) or value is None:
        return
    if isinstance(value, int | float):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from numbers_in(getattr(value, field.name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, Iterable):
        for item in value:
            yield from numbers_in(item)


def assert_sound(
    intervals: Sequence[StreamInterval], calls: Sequence[CallRecord], rows: dict[str, list[dict[str, object]]]
) -> None:
    """Assert that all figures are possible, and that the store can keep them."""
    assert all(math.isfinite(number) for number in numbers_in([*intervals, *calls, rows]))
    for interval in intervals:
        assert interval.mos is None or 1.0 <= interval.mos <= 4.5
        assert interval.expected is None or (interval.lost or 0) <= interval.expected
        assert interval.jitter_ms is None or interval.jitter_ms >= 0
        assert len(interval.codec) <= 32
    for call in calls:
        assert call.degraded_ratio is None or 0 <= call.degraded_ratio <= 1
        assert call.duration_s is None or call.duration_s >= 0
        assert call.sip_code is None or 100 <= call.sip_code <= 699
    assert len(intervals) == stream_interval_batch(intervals).num_rows
    assert len(calls) == call_batch(calls).num_rows
    for measurement, some in rows.items():
        assert len(some) == batch(measurement, some).num_rows


def assert_replay_sound(result: ReplayResult) -> None:
    assert_sound(result.intervals, result.calls, result.rows)
    assert all(reason.isidentifier() for reason in result.capture.errors), "reasons are a fixed set"
    json.dumps(as_contract(result), allow_nan=False).encode()


# --- captures, mutated ----------------------------------------------------------------------------------


def datagrams_of(path: Path) -> list[bytes]:
    data, at, datagrams = path.read_bytes(), 0, []
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        datagrams.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return datagrams


def hep_file(path: Path, datagrams: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(struct.pack(">I", len(d)) + d for d in datagrams if d))
    return path


@pytest.mark.captures
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutated_hep_files(captures: Path, tmp_path: Path, mutation: str) -> None:
    for name in sorted((captures / "hep").glob("*.hepbin")):
        for seed in SEEDS:
            datagrams = MUTATIONS[mutation](datagrams_of(name), Random(f"{name.name}-{seed}"))
            result = replay_files([hep_file(tmp_path / "hostile.hepbin", datagrams)], CollectorSettings())
            assert_replay_sound(result)
            taken = result.capture.frames - sum(result.capture.errors.values())
            assert taken == result.capture.accepted, "what is not taken is counted by its reason"


@pytest.mark.captures
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutated_datagrams_while_live(captures: Path, mutation: str) -> None:
    """The same through one long-lived pipeline that corrects clocks and knows tenants: nothing may add up."""
    sink, parser = MemorySink(), HepParser()
    pipeline = Pipeline(LABELLER, PoolOf(), sink, PipelineSettings())
    now_ns = START_NS
    for name in sorted((captures / "hep").glob("*.hepbin")):
        datagrams = [d for d in MUTATIONS[mutation](datagrams_of(name), Random(name.name)) if d]
        for first in range(0, len(datagrams), 7):
            now_ns += S_NS // 3
            pipeline.feed(batch_of(datagrams[first : first + 7], parser), now_ns)
            pipeline.tick(now_ns)
    pipeline.finish(now_ns + 3600 * S_NS)
    assert_sound(sink.kept_intervals, sink.kept_calls, sink.kept_rows)
    assert 0 == pipeline.sizes()["calls"]
    horizon_ns = 200 * S_NS
    assert all(abs(call.started_ns - START_NS) < now_ns - START_NS + horizon_ns for call in sink.kept_calls)


@pytest.mark.captures
@pytest.mark.parametrize("name", SMALL_PCAPS)
def test_mutated_packet_captures(captures: Path, tmp_path: Path, name: str) -> None:
    """The file itself is damaged: its header, its records, its packets."""
    whole = (captures / "lab" / f"{name}.pcap").read_bytes()
    path = tmp_path / "hostile.pcap"
    for seed in range(60):
        random = Random(f"{name}-{seed}")
        data = bytearray(whole)
        for _ in range(random.randrange(1, 12)):
            data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0xFF, random.randrange(256)))
        path.write_bytes(data[: random.randrange(1, len(data) + 1)] if seed % 3 == 0 else data)
        try:
            result = replay_files([path], CollectorSettings())
        except CaptureError:
            continue  # its first bytes are of no capture
        assert_replay_sound(result)


@pytest.mark.captures
def test_mutated_rtp_and_rtcp_packets(captures: Path, tmp_path: Path) -> None:
    """A capture of media whose packets are damaged behind their lengths, so that all of them are read."""
    whole = (captures / "lab" / "01_clean.pcap").read_bytes()
    path = tmp_path / "hostile.pcap"
    for seed in range(12):
        random, data, at = Random(seed), bytearray(whole), 24
        while at + 16 <= len(data):
            (size,) = struct.unpack_from("<I", data, at + 8)
            for _ in range(random.randrange(3)):
                data[at + 16 + random.randrange(min(size, 60))] = random.randrange(256)
            at += 16 + size
        path.write_bytes(data)
        assert_replay_sound(replay_files([path], CollectorSettings()))


def test_a_file_of_nothing_but_noise(tmp_path: Path) -> None:
    for seed in range(40):
        random = Random(seed)
        start = random.choice((b"\0\0\x01\x00", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"\xa1\xb2\xc3\xd4"))
        path = tmp_path / "noise"
        path.write_bytes(start + random.randbytes(random.randrange(5000)))
        try:
            result = replay_files([path], CollectorSettings())
        except CaptureError:
            continue  # what cannot be read at all is said so
        assert_replay_sound(result)


# --- single fields --------------------------------------------------------------------------------------


def live(traffic: HepTraffic) -> tuple[Pipeline, MemorySink]:
    """Run traffic through a collector that labels by address, and check all that comes out."""
    sink, parser = MemorySink(), HepParser()
    pipeline = Pipeline(LABELLER, PoolOf(), sink, PipelineSettings())
    for i, datagram in enumerate(traffic.datagrams):
        pipeline.feed(batch_of([datagram], parser), START_NS + i * S_NS)
        pipeline.tick(START_NS + i * S_NS)
    pipeline.finish(START_NS + 3600 * S_NS)
    assert_sound(sink.kept_intervals, sink.kept_calls, sink.kept_rows)
    return pipeline, sink


def call_with(*datagrams: tuple[float, bytes, int]) -> HepTraffic:
    """Return an answered call during which a party sends these payloads."""
    traffic = HepTraffic().invite(0).answer(1, 200)
    for at_s, payload, payload_type in datagrams:
        src, dst = rtcp_of(CALLEE._replace(port=42000)), rtcp_of(CALLER._replace(port=40000))
        traffic.send(at_s, src, dst, payload, payload_type=payload_type, correlation_id="c1")
    return traffic.bye(60)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "-1e999", "-1", "9" * 400, '"nan"', '"inf"'])
@pytest.mark.parametrize(
    "key", ["ia_jitter", "packets_lost", "fraction_lost", "highest_seq_no", "lsr", "dlsr", "packets"]
)
def test_json_numbers_that_are_none_do_not_reach_the_e_model(key: str, number: str) -> None:
    """Python's json takes NaN and Infinity, though JSON has neither."""
    values: dict[str, Any] = {
        "source_ssrc": 161, "fraction_lost": 5, "packets_lost": 10, "highest_seq_no": 500, "ia_jitter": 40,
        "lsr": 1, "dlsr": 1,
    }  # fmt: skip
    told = []
    for i in (1, 2, 3):
        block = ",".join(f'"{k}":{number if k == key else v * i}' for k, v in values.items())
        packets = number if key == "packets" else str(250 * i)
        told.append(
            f'{{"sender_information":{{"ntp_timestamp_sec":1,"ntp_timestamp_usec":1,"packets":{packets}}},'
            f'"ssrc":178,"type":200,"report_count":1,"report_blocks":[{block}]}}'.encode()
        )
    _, sink = live(call_with(*((5.0 * i, payload, Payload.RTCP_JSON) for i, payload in enumerate(told, 1))))
    assert ["c1"] == [call.call_id for call in sink.kept_calls]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1", "9" * 400, '"x"'])
@pytest.mark.parametrize("key", ["JITTER", "MOS", "RFACTOR", "PACKET_LOSS", "EXPECTED_PK", "MEAN_JITTER", "CLOCK"])
def test_rtp_agent_reports_with_numbers_that_are_none(key: str, number: str) -> None:
    values = {"JITTER": 5, "MOS": 4.1, "RFACTOR": 90, "PACKET_LOSS": 3, "EXPECTED_PK": 500, "TOTAL_PK": 497,
              "MEAN_JITTER": 4, "CLOCK": 8000, "CODEC_PT": 8}  # fmt: skip
    body = ",".join(f'"{k}":{number if k == key else v}' for k, v in values.items())
    addresses = '"SRC_IP":"10.0.0.1","SRC_PORT":40000,"DST_IP":"10.0.0.2","DST_PORT":42000'
    text = f'{{"CORRELATION_ID":"c1",{addresses},"TYPE":"PERIODIC",{body}}}'
    live(call_with((10, text.encode(), Payload.RTP_REPORT_JSON)))


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e999", "9" * 300, "", "%", "50;"])
@pytest.mark.parametrize("field", ["NLR", "JDR", "RTD", "IAJ", "MOSLQ", "PPS", "BLD", "BD"])
def test_vq_reports_with_numbers_that_are_none(field: str, number: str) -> None:
    values = {
        "NLR": "2.0",
        "JDR": "1.0",
        "RTD": "40",
        "IAJ": "5",
        "MOSLQ": "4.1",
        "PPS": "50",
        "BLD": "2",
        "BD": "9",
    }
    v = values | {field: number}
    text = (
        "VQSessionReport: CallTerm\r\nCallID: c1\r\nLocalAddr: IP=10.0.0.2 PORT=42000 SSRC=B2\r\n"
        "RemoteAddr: IP=10.0.0.1 PORT=40000 SSRC=A1\r\nLocalMetrics:\r\n"
        "Timestamps: START=2027-01-15T08:00:01Z STOP=2027-01-15T08:00:29Z\r\n"
        f"SessionDesc: PT=8 PD=PCMA PPS={v['PPS']}\r\nPacketLoss: NLR={v['NLR']} JDR={v['JDR']}\r\n"
        f"BurstGapLoss: BLD={v['BLD']} BD={v['BD']} GLD=1 GD=9\r\nDelay: RTD={v['RTD']} IAJ={v['IAJ']}\r\n"
        f"QualityEst: MOSLQ={v['MOSLQ']}\r\n"
    )
    live(call_with((30, text.encode(), Payload.VQ_RTCPXR)))


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\x00", "𝕊ürge".encode(), b"a" * 3000, b"%00", b"'\";--"]
)
@pytest.mark.parametrize("where", ["call_id", "user", "domain", "branch", "codec", "user_agent", "reason"])
def test_any_bytes_where_sip_has_text(where: str, text: bytes) -> None:
    text = text.replace(b"\r", b"").replace(b"\n", b"")
    marks = {"call_id": b"c1", "user": b"+498912345678", "domain": b"b.example", "branch": b"z9hG4bK-c1-1-INVITE"}
    invite = sip(
        "INVITE sip:+498912345678@b.example SIP/2.0", "1 INVITE", call_id="c1",
        headers=["User-Agent: user_agent", "Reason: reason"],
        body=sdp(CALLER, "97") + "a=rtpmap:97 codec/8000\r\n",
    )  # fmt: skip
    hostile = invite.replace(marks.get(where, where.encode()), text)
    traffic = HepTraffic().send(0, CALLER, CALLEE, hostile).answer(1, 200)
    traffic.bye(30)
    traffic.rtcp(20, report(500, 5, of=1, by=2), correlation_id="c1")
    live(traffic)


def test_addresses_that_are_none_in_reports_are_labelled_all_the_same() -> None:
    for ip in ("not-an-address", "", "127.0.0.12/8", "::ffff:127.0.0.12", "1.2.3.4.5", "\ud800"):
        text = json.dumps(
            {"SRC_IP": ip, "SRC_PORT": 1, "DST_IP": ip, "DST_PORT": 2, "JITTER": 1, "MOS": 4, "TYPE": "FINAL",
             "PACKET_LOSS": 1, "EXPECTED_PK": 100, "TOTAL_PK": 99, "CORRELATION_ID": ip}
        )  # fmt: skip
        live(HepTraffic().send(0, CALLER, CALLEE, text.encode(), payload_type=Payload.RTP_REPORT_JSON))


# --- anything at all ------------------------------------------------------------------------------------

_PAYLOAD_TYPES = [Payload.SIP, Payload.RTCP_JSON, Payload.RTP_REPORT_JSON, Payload.VQ_RTCPXR, Payload.LOG, 0, 255]
_FRAGMENTS = st.sampled_from(
    [b"INVITE sip:a SIP/2.0\r\n", b"SIP/2.0 200 OK\r\n", b"Call-ID: c1\r\n", b"CSeq: 1 INVITE\r\n", b"v=0\r\n",
     b"m=audio 4000 RTP/AVP 8\r\n", b"\r\n", b"From: <sip:a>;tag=x\r\n", b"To: <sip:b>;tag=y\r\n", b'{"ssrc":1,',
     b'"type":200,', b'"report_blocks":[{"source_ssrc":2,"packets_lost":-1}]', b"}", b"VQSessionReport\r\n",
     b"LocalMetrics:\r\n", b"PacketLoss: NLR=1\r\n", b"CallID: c1\r\n"]
)  # fmt: skip
_PAYLOADS = st.one_of(
    st.binary(max_size=400), st.lists(st.one_of(_FRAGMENTS, st.binary(max_size=20))).map(b"".join)
)


@given(st.lists(st.tuples(_PAYLOADS, st.sampled_from(_PAYLOAD_TYPES)), max_size=12))
@settings(max_examples=120, deadline=None)
def test_any_payload_in_good_hep(payloads: list[tuple[bytes, int]]) -> None:
    traffic = HepTraffic().invite(0)
    for payload, payload_type in payloads:
        traffic.send(1, CALLER, CALLEE, payload, payload_type=payload_type, correlation_id="c1")
    live(traffic.answer(2, 200).bye(30))


@given(st.lists(st.binary(max_size=300), max_size=12))
@settings(max_examples=120, deadline=None)
def test_any_datagram(datagrams: list[bytes]) -> None:
    parser = HepParser()
    parsed = batch_of([b"HEP3" + d if i % 2 else d for i, d in enumerate(datagrams)], parser)
    sink = MemorySink()
    pipeline = Pipeline(LABELLER, PoolOf(), sink, PipelineSettings())
    pipeline.feed(parsed, START_NS)
    pipeline.finish(START_NS)
    assert_sound(sink.kept_intervals, sink.kept_calls, sink.kept_rows)
    assert len(datagrams) == len(parsed.rows) + sum(parser.errors.values())


# --- floods ---------------------------------------------------------------------------------------------

FLOOD = 60_000
MAX_CALLS, MAX_WAITING = 4_000, 2_000


class CountingSink(MemorySink):
    """Counts records by outcome and keeps nothing."""

    records = 0
    messages_seen = 0

    def calls(self, records: Sequence[CallRecord]) -> None:
        self.records += len(records)

    def messages(self, sightings: Sequence[Any]) -> None:
        self.messages_seen += len(sightings)

    def rows(self, measurement: str, rows: Sequence[Any]) -> None:
        """Keep nothing."""


def invites(first: int, count: int) -> DatagramBatch:
    """Return INVITEs that differ in Call-ID and branch, written over copies of one datagram."""
    mark = b"%09d"
    message = sip("INVITE sip:b@b.example SIP/2.0", "1 INVITE", call_id="call-000000000")
    template = HepTraffic().send(0, CALLER, CALLEE, message).datagrams[0]
    lengths = np.full(count, len(template), np.uint32)
    buffer = np.tile(np.frombuffer(template, np.uint8), count).reshape(count, -1)
    digits = np.frombuffer(b"".join(mark % (first + i) for i in range(count)), np.uint8).reshape(count, 9)
    at = template.find(b"000000000")
    while at >= 0:
        buffer[:, at : at + 9] = digits
        at = template.find(b"000000000", at + 1)
    return HepParser().parse(
        buffer.reshape(-1), (np.cumsum(lengths, dtype=np.uint32) - lengths).astype(np.uint32), lengths, START_NS
    )


def test_a_flood_of_unique_call_ids_is_bounded_and_counted() -> None:
    sink = CountingSink()
    pipeline = Pipeline(
        Labeller(),
        PoolOf(),
        sink,
        PipelineSettings(
            dialogs=DialogSettings(max_calls=MAX_CALLS, max_pending=20_000),
            calls=CallSettings(max_waiting=MAX_WAITING, max_links=1_000),
        ),
    )
    size, largest = 1_000, 0
    for i in range(FLOOD // size):
        now_ns = START_NS + i * S_NS // 10
        pipeline.feed(invites(i * size, size), now_ns)
        pipeline.tick(now_ns)
        largest = max(largest, *pipeline.sizes().values())
    shed = pipeline.shed()
    assert FLOOD - MAX_CALLS == shed["dialogs"]
    assert FLOOD - 1_000 == shed["call_links"]
    assert shed["calls"] > 0
    between_two_publishes = 20 * size
    assert largest <= MAX_CALLS + MAX_WAITING + between_two_publishes
    pipeline.finish(now_ns + 3600 * S_NS)
    assert FLOOD == sink.records, "every attempt is told of, also those that had to go"
    assert 0 == pipeline.sizes()["calls"]


def test_a_flood_of_reports_about_unknown_streams_is_bounded_and_counted() -> None:
    pipeline = Pipeline(LABELLER, PoolOf(), CountingSink(), PipelineSettings(max_streams=500))
    for i in range(4_000):
        at_ns = START_NS + i * S_NS // 100
        told = report(100, 1, of=10_000 + i, by=90_000 + i)
        traffic = HepTraffic().rtcp(i / 100, told, ssrc=90_000 + i, sent=100, correlation_id=f"nobody-{i}")
        pipeline.feed(batch_of(traffic.datagrams), at_ns)
        pipeline.tick(at_ns)
    assert 500 == pipeline.sizes()["report_streams"]
    assert pipeline.shed()["reports"] >= 3_500
    assert pipeline.shed()["findings"] == 0 or pipeline.shed()["findings"] < 4_000


def test_agents_without_number_share_what_is_left() -> None:
    pipeline = Pipeline(Labeller(), PoolOf(), CountingSink(), PipelineSettings())
    for first in range(0, 6_000, 500):
        traffic = HepTraffic()
        for node_id in range(first, first + 500):
            traffic.invite(0, f"c{node_id}", node_id=node_id, node_name=f"spoofed-{node_id}")
        pipeline.feed(batch_of(traffic.datagrams), START_NS)
    assert pipeline.sizes()["agents"] <= 4_001
    assert pipeline.shed()["agents"] > 0
    names = {pipeline.labeller.node(node_id)[0] for node_id in range(6_000)}
    assert len(names) <= 1_001
