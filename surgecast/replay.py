"""Capture files through the real path: what `surgecast replay` does, and what tests compare with the truth."""

from collections import Counter
from dataclasses import dataclass, field

from telephony.model import CallRecord, Registration, StreamInterval


@dataclass(slots=True)
class StreamSummary:
    """A media stream over the whole capture, as one observer reported it."""

    interval: StreamInterval
    """Totals; `time_ns` is its first report."""
    jitter_mean_ms: float | None


@dataclass(slots=True)
class ReplayResult:
    """Everything a replay found."""

    streams: list[StreamSummary] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    intervals: list[StreamInterval] = field(default_factory=list)
    rtcp_reports: int = 0
    rtcp_rejected: int = 0
    frames: int = 0
    bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
