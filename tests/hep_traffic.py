"""What tests of the whole path share: HEP datagrams of calls and reports, a sink that keeps everything, a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectors.facts import DatagramBatch, Payload, ReceptionReport, SenderInfo, SipSighting
from collectors.pipeline import Pipeline, PipelineSettings
from collectors.tracking.labels import Labeller, PoolOf
from collectors.tracking.rollups import Row
from collectors.wire.hep import HepParser, encode_hep3
from collectors.wire.rtcp_json import encode_rtpengine_json
from telephony.model import CallRecord, Endpoint, Labels, Registration, StreamInterval

START_NS = 1_800_000_000_000_000_000
"""A multiple of a minute."""
S_NS = 1_000_000_000

CALLER, CALLEE = Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060)
CALLER_RTP, CALLEE_RTP = Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 42000)
CALLER_SSRC, CALLEE_SSRC = 0xA1, 0xB2


def rtcp_of(rtp: Endpoint) -> Endpoint:
    return Endpoint(rtp.ip, rtp.port + 1)


def sdp(rtp: Endpoint, codec: str = "8") -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {rtp.ip}\r\ns=-\r\nc=IN IP4 {rtp.ip}\r\nt=0 0\r\n"
        f"m=audio {rtp.port} RTP/AVP {codec}\r\na=ptime:20\r\n"
    )


def sip(
    start: str, cseq: str, *, call_id: str, to_tag: str = "", headers: Iterable[str] = (), body: str = ""
) -> bytes:
    lines = [
        start,
        f"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-{call_id}-{cseq.replace(' ', '-')}",
        "From: <sip:+493012345678@a.example>;tag=from",
        "To: <sip:+498912345678@b.example>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
        *headers,
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()


def report(received: int, lost: int, *, of: int, by: int, jitter_ticks: int = 40) -> ReceptionReport:
    """Return what a receiver says after so many packets since the start of the stream."""
    expected = received + lost
    fraction = 256 * lost // expected if expected else 0
    return ReceptionReport(by, of, min(fraction, 255), lost, expected, True, jitter_ticks, 0, 0)


@dataclass
class HepTraffic:
    """Datagrams in the order of time; `hep` are fields of every one of them (`node_id`, `auth_key`, …)."""

    hep: dict[str, Any] = field(default_factory=dict)
    datagrams: list[bytes] = field(default_factory=list)

    def send(self, at_s: float, src: Endpoint, dst: Endpoint, payload: bytes, **hep: Any) -> "HepTraffic":
        at_ns = START_NS + round(at_s * 1e9)
        self.datagrams.append(encode_hep3(payload, src=src, dst=dst, captured_ns=at_ns, **(self.hep | hep)))
        return self

    def invite(
        self, at_s: float, call_id: str = "c1", *, codec: str = "8", rtp: Endpoint = CALLER_RTP, **changes: Any
    ) -> "HepTraffic":
        message = sip(
            "INVITE sip:+498912345678@b.example SIP/2.0",
            "1 INVITE",
            call_id=call_id,
            body=sdp(rtp, codec),
            headers=changes.pop("headers", ()),
        )
        return self.send(at_s, CALLER, CALLEE, message, **changes)

    def answer(
        self,
        at_s: float,
        status: int,
        call_id: str = "c1",
        *,
        codec: str = "8",
        rtp: Endpoint = CALLEE_RTP,
        **changes: Any,
    ) -> "HepTraffic":
        body = sdp(rtp, codec) if status == 200 else ""
        message = sip(f"SIP/2.0 {status} X", "1 INVITE", call_id=call_id, to_tag="to", body=body)
        return self.send(at_s, CALLEE, CALLER, message, **changes)

    def bye(self, at_s: float, call_id: str = "c1", **changes: Any) -> "HepTraffic":
        headers = changes.pop("headers", ())
        request = sip("BYE sip:b SIP/2.0", "2 BYE", call_id=call_id, to_tag="to", headers=headers)
        self.send(at_s, CALLER, CALLEE, request, **changes)
        return self.send(
            at_s + 0.01, CALLEE, CALLER, sip("SIP/2.0 200 OK", "2 BYE", call_id=call_id, to_tag="to"), **changes
        )

    def rtcp(
        self,
        at_s: float,
        *reports: ReceptionReport,
        src: Endpoint = CALLEE_RTP,
        dst: Endpoint = CALLER_RTP,
        ssrc: int = CALLEE_SSRC,
        sent: int | None = None,
        **hep: Any,
    ) -> "HepTraffic":
        """Send an SR (where `sent` packets are told) or RR as rtpengine does in JSON."""
        sender = None
        if sent is not None:
            sender = SenderInfo(ssrc, (START_NS // S_NS + 2_208_988_800) << 32 | round(at_s * 1000), 0, sent, sent)
        payload = encode_rtpengine_json(ssrc, sender, reports)
        return self.send(at_s, rtcp_of(src), rtcp_of(dst), payload, payload_type=Payload.RTCP_JSON, **hep)

    def answered_call(
        self, at_s: float = 0.0, *, call_id: str = "c1", seconds: float = 30.0, loss: int = 0
    ) -> "HepTraffic":
        """Send a call whose callee reports every 5 s on the caller's stream, `loss` packets of 250 lost."""
        self.invite(at_s, call_id).answer(at_s + 0.1, 180, call_id).answer(at_s + 1, 200, call_id)
        for i in range(1, int((seconds - 1) // 5) + 1):
            told = report(250 * i - loss * i, loss * i, of=CALLER_SSRC, by=CALLEE_SSRC)
            self.rtcp(at_s + 1 + 5 * i, told, sent=250 * i, correlation_id=call_id)
        return self.bye(at_s + seconds, call_id)


def batch_of(datagrams: Sequence[bytes], parser: HepParser | None = None) -> DatagramBatch:
    """Parse datagrams as the collector does."""
    lengths = np.array([len(d) for d in datagrams], np.uint32)
    offsets = (np.cumsum(lengths, dtype=np.uint32) - lengths).astype(np.uint32)
    buffer = np.frombuffer(b"".join(datagrams) or b"\0", np.uint8)
    return (parser or HepParser()).parse(buffer, offsets, lengths, START_NS)


@dataclass
class MemorySink:
    """Keeps what a pipeline publishes."""

    kept_intervals: list[StreamInterval] = field(default_factory=list)
    kept_calls: list[CallRecord] = field(default_factory=list)
    kept_registrations: list[Registration] = field(default_factory=list)
    kept_messages: list[tuple[SipSighting, Labels]] = field(default_factory=list)
    kept_rows: dict[str, list[Row]] = field(default_factory=dict)
    flushes: int = 0

    def intervals(self, intervals: Sequence[StreamInterval]) -> None:
        self.kept_intervals += intervals

    def calls(self, records: Sequence[CallRecord]) -> None:
        self.kept_calls += records

    def registrations(self, registrations: Sequence[Registration]) -> None:
        self.kept_registrations += registrations

    def messages(self, sightings: Sequence[tuple[SipSighting, Labels]]) -> None:
        self.kept_messages += sightings

    def rows(self, measurement: str, rows: Sequence[Row]) -> None:
        self.kept_rows.setdefault(measurement, []).extend(rows)

    def flush(self) -> None:
        self.flushes += 1

    def newest(self, measurement: str) -> list[Row]:
        """Return the last writing of each row of a minute measurement."""
        points: dict[tuple[object, ...], Row] = {}
        for row in self.kept_rows.get(measurement, []):
            tags = ("time", "tenant", "trunk", "region", "node", "pool", "codec", "direction", "observer")
            points[tuple(row.get(tag) for tag in tags)] = row
        return list(points.values())


def pipeline_of(
    labeller: Labeller | None = None, settings: PipelineSettings | None = None
) -> tuple[Pipeline, MemorySink]:
    """Return a pipeline that trusts capture times, and its sink."""
    sink = MemorySink()
    settings = settings or PipelineSettings(trust_capture_clock=True)
    return Pipeline(labeller or Labeller(), PoolOf(), sink, settings), sink


def run(
    traffic: HepTraffic, *, until_s: float = 120.0, labeller: Labeller | None = None
) -> tuple[Pipeline, MemorySink]:
    """Feed traffic datagram by datagram, let time pass between, and finish."""
    pipeline, sink = pipeline_of(labeller)
    parser = HepParser()
    for datagram in traffic.datagrams:
        batch = batch_of([datagram], parser)
        now_ns = int(batch.rows["captured_ns"].max())
        pipeline.feed(batch, now_ns)
        pipeline.tick(now_ns)
    pipeline.finish(START_NS + round(until_s * 1e9))
    return pipeline, sink
