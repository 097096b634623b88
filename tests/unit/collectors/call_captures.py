"""Captures of made calls: SIP, RTP and RTCP of known content, written as pcap and replayed."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from packet_support import ethernet, ipv4, udp

from collectors.facts import ReceptionReport, SenderInfo
from collectors.settings import CollectorSettings
from collectors.wire.rtcp import build_receiver_report, build_sender_report
from surgecast.replay import ReplayResult, replay_files
from telephony.model import Endpoint, Observer, StreamInterval

S_NS = 1_000_000_000
START_NS = 1_700_000_000 * S_NS
"""The start of an interval of 10 s."""
CALLER, CALLEE = Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000)
SIP_CALLER, SIP_CALLEE = Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060)
CALLER_SSRC, CALLEE_SSRC = 0xA1, 0xB2
PCMA = ((8, "PCMA/8000"),)


class Packet(NamedTuple):
    """An RTP packet; `at_ms` counts from the start of the capture."""

    at_ms: float
    seq: int
    timestamp: int
    payload_type: int = 8
    marker: bool = False
    payload: bytes = bytes(160)


def voice(
    begin_ms: float,
    end_ms: float,
    *,
    seq: int = 100,
    timestamp: int = 5000,
    payload_type: int = 8,
    step_ms: int = 20,
    ticks_per_ms: int = 8,
    payload_bytes: int = 160,
) -> list[Packet]:
    """Return evenly spaced packets."""
    count = round((end_ms - begin_ms) / step_ms)
    return [
        Packet(
            begin_ms + i * step_ms,
            seq + i,
            timestamp + i * step_ms * ticks_per_ms,
            payload_type,
            i == 0,
            bytes(payload_bytes),
        )
        for i in range(count)
    ]


def continued(
    before: Sequence[Packet], begin_ms: float, end_ms: float, *, skip: int = 0, ticks: int = -1, **how: int
) -> list[Packet]:
    """Return packets that go on behind others: `skip` sequence numbers, `ticks` later (by the clock without)."""
    last = before[-1]
    ticks = round((begin_ms - last.at_ms) * 8) if ticks < 0 else ticks
    return voice(begin_ms, end_ms, seq=last.seq + 1 + skip, timestamp=last.timestamp + ticks, **how)


def sdp(
    address: Endpoint,
    codecs: Iterable[tuple[int, str]] = PCMA,
    *extra: str,
    media: str = "audio",
    profile: str = "RTP/AVP",
) -> bytes:
    """Return a session description of one m-line."""
    codecs = list(codecs)
    formats = " ".join(str(number) for number, _ in codecs) or "t38"
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {address.ip}",
        "s=-",
        f"c=IN IP4 {address.ip}",
        "t=0 0",
        f"m={media} {address.port} {profile} {formats}",
        *(f"a=rtpmap:{number} {name}" for number, name in codecs),
        *extra,
    ]
    return "\r\n".join([*lines, ""]).encode()


class Capture:
    """Frames in the making."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._cseq = 0

    def datagram(self, at_ms: float, src: Endpoint, dst: Endpoint, payload: bytes) -> "Capture":
        self.frames.append((at_ms, ethernet(ipv4(udp(payload, src.port, dst.port), src=src.ip, dst=dst.ip))))
        return self

    def frame(self, at_ms: float, frame: bytes) -> "Capture":
        self.frames.append((at_ms, frame))
        return self

    def _message(self, first: str, call_id: str, cseq: str, to_tag: bool, body: bytes) -> bytes:
        head = [
            first,
            f"Via: SIP/2.0/UDP {SIP_CALLER};branch=z9hG4bK{call_id}{self._cseq}{cseq[-3:]}",
            f"From: <sip:alice@a.example>;tag=f{call_id}",
            "To: <sip:bob@b.example>" + (f";tag=t{call_id}" if to_tag else ""),
            f"Call-ID: {call_id}",
            f"CSeq: {cseq}",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body

    def invite(
        self,
        at_ms: float,
        offer: bytes,
        answer: bytes,
        *,
        call_id: str = "call",
        early: bytes = b"",
        answer_ms: float | None = None,
        again: bool = False,
    ) -> "Capture":
        """Write an INVITE with its 200 and ACK; `early` is the SDP of a 183, `again` makes it a re-INVITE."""
        self._cseq += 1
        cseq = f"{self._cseq} INVITE"
        ok_ms = at_ms + 40 if answer_ms is None else answer_ms
        uri = "INVITE sip:bob@b.example SIP/2.0"
        self.datagram(at_ms, SIP_CALLER, SIP_CALLEE, self._message(uri, call_id, cseq, again, offer))
        if early:
            ringing = self._message("SIP/2.0 183 Session Progress", call_id, cseq, True, early)
            self.datagram(at_ms + 20, SIP_CALLEE, SIP_CALLER, ringing)
        ok = self._message("SIP/2.0 200 OK", call_id, cseq, True, answer)
        self.datagram(ok_ms, SIP_CALLEE, SIP_CALLER, ok)
        ack = self._message("ACK sip:bob@b.example SIP/2.0", call_id, f"{self._cseq} ACK", True, b"")
        return self.datagram(ok_ms + 1, SIP_CALLER, SIP_CALLEE, ack)

    def bye(self, at_ms: float, call_id: str = "call") -> "Capture":
        self._cseq += 1
        cseq = f"{self._cseq} BYE"
        bye = self._message("BYE sip:bob@b.example SIP/2.0", call_id, cseq, True, b"")
        self.datagram(at_ms, SIP_CALLER, SIP_CALLEE, bye)
        ok = self._message("SIP/2.0 200 OK", call_id, cseq, True, b"")
        return self.datagram(at_ms + 1, SIP_CALLEE, SIP_CALLER, ok)

    def call(
        self,
        until_ms: float,
        call_id: str = "call",
        caller: Endpoint = CALLER,
        callee: Endpoint = CALLEE,
        codecs: Iterable[tuple[int, str]] = PCMA,
        *extra: str,
    ) -> "Capture":
        """Write the signalling of a plain call."""
        codecs = list(codecs)
        offer, answer = sdp(caller, codecs, *extra), sdp(callee, codecs, *extra)
        return self.invite(0, offer, answer, call_id=call_id).bye(until_ms, call_id)

    def rtp(
        self,
        packets: Iterable[Packet],
        *,
        src: Endpoint = CALLER,
        dst: Endpoint = CALLEE,
        ssrc: int = CALLER_SSRC,
    ) -> "Capture":
        for p in packets:
            first = 0x80 << 24 | (p.marker << 7 | p.payload_type) << 16 | p.seq & 0xFFFF
            head = struct.pack("!III", first, p.timestamp & 0xFFFFFFFF, ssrc)
            self.datagram(p.at_ms, src, dst, head + p.payload)
        return self

    def back(self, packets: Iterable[Packet], ssrc: int = CALLEE_SSRC) -> "Capture":
        """Write RTP from callee to caller."""
        return self.rtp(packets, src=CALLEE, dst=CALLER, ssrc=ssrc)

    def receiver_report(
        self, at_ms: float, lost: int, highest: int, *, jitter: int = 5, ssrc: int = CALLER_SSRC
    ) -> "Capture":
        """Write what the callee reports of the caller's stream."""
        report = ReceptionReport(CALLEE_SSRC, ssrc, 0, lost, highest, False, jitter, 0, 0)
        rtcp = build_receiver_report(CALLEE_SSRC, [report])
        return self.datagram(at_ms, _rtcp(CALLEE), _rtcp(CALLER), rtcp)

    def sender_report(self, at_ms: float, packets: int, *, ssrc: int = CALLER_SSRC) -> "Capture":
        """Write what the caller says it sent."""
        ntp = round((2_208_988_800 + 1_700_000_000 + at_ms / 1000) * 2**32)
        rtcp = build_sender_report(SenderInfo(ssrc, ntp, 0, packets, packets * 160))
        return self.datagram(at_ms, _rtcp(CALLER), _rtcp(CALLEE), rtcp)

    def write(self, path: Path) -> Path:
        """Write the frames in order of time."""
        records = []
        for at_ms, frame in sorted(self.frames, key=lambda entry: entry[0]):
            seconds, rest = divmod(START_NS + round(at_ms * 1e6), S_NS)
            records.append(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)
        path.write_bytes(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + b"".join(records))
        return path

    def replay(self, folder: Path) -> ReplayResult:
        """Return what a replay finds."""
        return replay_files([self.write(folder / "made.pcap")], CollectorSettings())


def _rtcp(rtp: Endpoint) -> Endpoint:
    return Endpoint(rtp.ip, rtp.port + 1)


def findings_of(result: ReplayResult) -> dict[str, str]:
    """Return the newest text of each kind of finding."""
    return {str(row["kind"]): str(row["text"]) for row in result.rows.get("finding", ())}


def measured(result: ReplayResult, ssrc: int = CALLER_SSRC) -> list[StreamInterval]:
    """Return the totals of the streams of an SSRC that we saw ourselves."""
    return [s for s in result.streams if s.observer is Observer.RTP and s.ssrc == ssrc]
