"""`surgecast bench sip`: SIP messages parsed and followed through dialogs, per core.

Calls are written as a proxy with a media relay would mirror them, interleaved in time, in batches as the HEP
receiver hands them over. Writing them is not measured; taking the events and the ladder rows out is.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, CallEnded, DatagramBatch, Payload
from collectors.kernels.sip import scan_messages
from collectors.tracking.dialogs import DialogSettings, DialogTracker
from telephony.model import Endpoint

_START_NS = 1_800_000_000_000_000_000
_CALLER, _PROXY, _CALLEE = (Endpoint(ip, 5060) for ip in ("192.0.2.11", "198.51.100.10", "203.0.113.12"))
_BATCH = 1024
_SDP = (
    "v=0\r\no=ua {version} 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp:{rtcp}\r\n"
)


@dataclass(frozen=True, slots=True)
class SipFigures:
    """What one mix of calls cost."""

    messages: int
    messages_per_call: float
    messages_per_second: float
    """Through parser and dialogs, events and ladder rows taken; on one core."""
    us_per_message: float
    kernel_us_per_message: float
    """The share of the parser."""
    bytes_per_message: float
    calls_ended: int


def run(calls: int = 20_000, calls_per_second: int = 2_000, repeats: int = 3) -> dict[str, object]:
    """Measure calls seen on one hop and on both hops of a proxy; the best of `repeats` counts."""
    one_hop = measure(calls, calls_per_second, hops=1, repeats=repeats)
    two_hops = measure(calls // 2, calls_per_second, hops=2, repeats=repeats)
    return {
        "messages_per_second": min(one_hop.messages_per_second, two_hops.messages_per_second),
        "one_hop": asdict(one_hop),
        "two_hops": asdict(two_hops),
        "goal_messages_per_second": 100_000,
    }


def measure(calls: int, calls_per_second: int, hops: int, repeats: int) -> SipFigures:
    """Measure one mix of calls, in CPU seconds of this process."""
    batches = list(traffic(calls, calls_per_second, hops))
    messages = sum(len(batch.rows) for batch in batches)
    indices = [np.arange(len(batch.rows)) for batch in batches]
    scan_messages(batches[0], indices[0])  # compiles
    seconds, kernel_seconds, ended = float("inf"), float("inf"), 0
    for _ in range(repeats):
        gc.collect()
        started = time.process_time()
        for batch, rows in zip(batches, indices, strict=True):
            scan_messages(batch, rows)
        kernel_seconds = min(kernel_seconds, time.process_time() - started)
        tracker = DialogTracker(DialogSettings())
        ended = 0
        started = time.process_time()
        for batch, rows in zip(batches, indices, strict=True):
            tracker.feed(batch, rows)
            ended += sum(isinstance(event, CallEnded) for event in tracker.take_events())
            tracker.take_sightings()
        seconds = min(seconds, time.process_time() - started)
        tracker.close(int(batches[-1].rows["captured_ns"].max()) + 10_000_000_000)
        ended += sum(isinstance(event, CallEnded) for event in tracker.take_events())
    return SipFigures(
        messages=messages,
        messages_per_call=messages / calls,
        messages_per_second=messages / seconds,
        us_per_message=seconds / messages * 1e6,
        kernel_us_per_message=kernel_seconds / messages * 1e6,
        bytes_per_message=sum(int(batch.rows["payload_len"].sum()) for batch in batches) / messages,
        calls_ended=ended,
    )


class _Sent(NamedTuple):
    """A message on its way."""

    at_ns: int
    src: Endpoint
    dst: Endpoint
    payload: bytes


def traffic(calls: int, calls_per_second: int, hops: int) -> Iterator[DatagramBatch]:
    """Yield the datagrams of calls that start at a steady rate, in order of capture."""
    sent: list[_Sent] = []
    for number in range(calls):
        sent += _call(number, _START_NS + number * 1_000_000_000 // calls_per_second, hops)
    sent.sort(key=attrgetter("at_ns"))
    packed = {endpoint: _mapped(endpoint) for endpoint in (_CALLER, _PROXY, _CALLEE)}
    for first in range(0, len(sent), _BATCH):
        part = sent[first : first + _BATCH]
        rows = np.zeros(len(part), DATAGRAM)
        at = 0
        for row, message in zip(rows, part, strict=True):
            row["captured_ns"] = message.at_ns
            row["src_ip"], row["src_port"] = packed[message.src], message.src.port
            row["dst_ip"], row["dst_port"] = packed[message.dst], message.dst.port
            row["payload_type"], row["node_id"] = Payload.SIP, 2001
            row["payload_at"], row["payload_len"] = at, len(message.payload)
            at += len(message.payload)
        yield DatagramBatch(rows, np.frombuffer(b"".join(m.payload for m in part), np.uint8))


def _mapped(endpoint: Endpoint) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes(10) + b"\xff\xff" + ip_address(endpoint.ip).packed, np.uint8)


def _call(number: int, started_ns: int, hops: int) -> Iterator[_Sent]:
    """Yield the messages of one answered call."""
    port = 10_000 + 4 * (number % 10_000)
    offers = [_sdp(number, "192.0.2.11", port), _sdp(number, "198.51.100.20", port)]
    answers = [_sdp(number, "198.51.100.20", port + 2), _sdp(number, "203.0.113.12", port)]
    path = [(_CALLER, _PROXY), (_PROXY, _CALLEE)][:hops]
    ladder = [
        (0, "INVITE", 0, 1, True),
        (1, "INVITE", 100, 1, False),
        (80, "INVITE", 180, 1, False),
        (4_000, "INVITE", 200, 1, True),
        (4_020, "ACK", 0, 1, False),
        (64_000, "BYE", 0, 2, False),
        (64_020, "BYE", 200, 2, False),
    ]
    for after_ms, method, status, cseq, has_sdp in ladder:
        # A response reaches the far hop first; 100 Trying goes one hop only (RFC 3261 section 16.2).
        order = range(hops) if not status else reversed(range(hops))
        for delay_ms, hop in enumerate(order):
            if status == 100 and hop:
                continue
            src, dst = path[hop] if not status else path[hop][::-1]
            body = (answers if status else offers)[hop] if has_sdp else ""
            at_ns = started_ns + (after_ms + delay_ms) * 1_000_000
            yield _Sent(at_ns, src, dst, _message(number, method, status, cseq, hop, body))


def _sdp(version: int, ip: str, port: int) -> str:
    return _SDP.format(version=version, ip=ip, port=port, rtcp=port + 1)


def _message(number: int, method: str, status: int, cseq: int, hop: int, body: str) -> bytes:
    start = (
        f"SIP/2.0 {status} {({100: 'Trying', 180: 'Ringing', 200: 'OK'})[status]}"
        if status
        else f"{method} sip:+4930{number % 10_000_000:07d}@203.0.113.12:5060;user=phone SIP/2.0"
    )
    vias = [f"Via: SIP/2.0/UDP 192.0.2.11:5060;rport;branch=z9hG4bK-{number:x}-{cseq}-{method}"]
    if hop:
        vias.insert(0, f"Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bK{number:08x}.{method}{cseq}.0")
    to_tag = f";tag=callee-{number:x}" if status > 100 or method != "INVITE" else ""
    lines = [
        start,
        *vias,
        f'From: "Caller" <sip:+49301{number % 100_000:05d}@pbx.example.com>;tag=caller-{number:x}',
        f"To: <sip:+4930{number % 10_000_000:07d}@carrier.example.net>{to_tag}",
        f"Call-ID: {number:08x}-{number * 2654435761 % 2**32:08x}@192.0.2.11",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:+4930100@192.0.2.11:5060;transport=udp>",
        "Max-Forwards: 70",
        "User-Agent: bench-phone/1.0",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO",
        "Supported: timer, replaces",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines += [f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()
