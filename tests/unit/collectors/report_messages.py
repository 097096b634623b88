"""Reports between two parties, and a tracker that was fed them."""

from collections.abc import Iterable
from dataclasses import replace

from collectors.facts import (
    ReceptionReport,
    RtcpFact,
    RtcpMessage,
    SenderInfo,
)
from collectors.tracking.report_intervals import ReportedInterval
from collectors.tracking.reports import ReportedStream, ReportTracker
from telephony.model import Endpoint

S = 1_000_000_000
T0 = 1_800_000_000 * S
END = 1 << 62
A, B = Endpoint("192.0.2.1", 5001), Endpoint("192.0.2.2", 6001)
RELAY_A, RELAY_B = Endpoint("198.51.100.1", 30_001), Endpoint("198.51.100.1", 30_003)
SSRC_A, SSRC_B = 0xA, 0xB


def report(**changes: object) -> ReceptionReport:
    """Return B's report about A's stream."""
    usual = ReceptionReport(SSRC_B, SSRC_A, 0, 0, 1000, False, 24, 0, 0)
    return replace(usual, **changes)  # type: ignore[arg-type]


def message(
    at_s: float, *facts: RtcpFact, src: Endpoint = B, dst: Endpoint = A, call_id: str = "c"
) -> RtcpMessage:
    return RtcpMessage(T0 + round(at_s * S), src, dst, call_id, 1, facts)


def sender(packets: int, *, ssrc: int = SSRC_A, ntp: int = 0) -> SenderInfo:
    return SenderInfo(ssrc, ntp, 0, packets, packets * 160)


def fed(messages: Iterable[RtcpMessage]) -> ReportTracker:
    tracker = ReportTracker()
    for each in messages:
        tracker.feed(each)
    return tracker


def finished(tracker: ReportTracker) -> list[ReportedInterval]:
    tracker.finish()
    return tracker.take_intervals(END)


def only(tracker: ReportTracker) -> ReportedStream:
    (stream,) = tracker.streams()
    return stream


def totals(intervals: Iterable[ReportedInterval]) -> tuple[int, int, int]:
    """Return expected, received and lost, summed."""
    counted = [(i.expected or 0, i.received or 0, i.lost or 0) for i in intervals]
    return tuple(map(sum, zip(*counted, strict=True)))  # type: ignore[return-value]


# --- loss is a difference --------------------------------------------------------------------------------------
