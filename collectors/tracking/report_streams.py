"""What is known of a stream from the reports about it, and the difference between two of them.

Running totals become differences here and nowhere else; every way in which a difference cannot be true has a name.
"""

from dataclasses import dataclass
from typing import NamedTuple

from collectors.facts import ReceptionReport, RtcpMessage, SequenceRuns, StatisticsSummary, VoipMetrics
from collectors.tracking.report_intervals import Bucket, Gauge, StreamKey
from collectors.tracking.senders import MAX_PACKETS_PER_S, SLACK_PACKETS
from telephony.model import Endpoint, Observer, Verdict
from telephony.serial import delta16

_S_NS = 1_000_000_000

COPY_NS = _S_NS
"""Within this an equal report is a copy (second tap, relay's other side); later it says that nothing came."""

MAX_UNWRAP_NS = 300 * _S_NS
"""After this long a 16-bit sequence number may have gone round more than once."""

RECENT = 2
"""Reports remembered to recognise copies: they come seconds apart, and a copy within one."""


ExtendedFact = VoipMetrics | StatisticsSummary | SequenceRuns


class Difference(NamedTuple):
    """Packets between two reports; where `verdict` is set they are not known and the totals start again."""

    received: int
    lost: int
    verdict: Verdict | None = None


_RESET = Difference(0, 0, Verdict.COUNTER_RESET)
_IMPLAUSIBLE = Difference(0, 0, Verdict.IMPLAUSIBLE_REPORT)


@dataclass(frozen=True, slots=True)
class ReportedStream:
    """Totals of one stream as one reporter said them so far."""

    call_id: str
    observer: Observer
    reporter: Endpoint
    far: Endpoint
    ssrc: int
    expected: int | None
    received: int | None
    lost: int | None
    jitter_ticks_mean: float | None
    """Mean of the reports."""
    jitter_ticks_max: float | None
    jitter_ms: float | None
    jitter_max_ms: float | None
    rtt_half_ms: float | None
    """The last one."""
    rtt_ms: float | None
    reports: int
    verdicts: tuple[Verdict, ...]
    first_ns: int
    last_ns: int
    discarded: int | None = None
    """By the receiver's jitter buffer."""
    burst_ratio: float | None = None
    """Of the whole stream, as far as an XR or vq report said it."""


class Stream:
    """A stream as one reporter tells of it, while it lives."""

    __slots__ = (
        "bucket",
        "burst_ratio",
        "closed",
        "cumulative",
        "discarded",
        "expected",
        "extended",
        "far",
        "first_ns",
        "jitter_ms",
        "jitter_ticks",
        "key",
        "last_ns",
        "lost",
        "node_id",
        "opened_by_ssrc",
        "pending",
        "recent",
        "recent_facts",
        "reporter_ssrc",
        "reports",
        "rtt_half_ms",
        "rtt_ms",
        "silent_sent",
        "summary",
        "verdicts",
        "wide",
    )

    def __init__(self, key: StreamKey, far: Endpoint, reporter_ssrc: int, message: RtcpMessage) -> None:
        self.key = key
        self.far = far
        self.reporter_ssrc = self.opened_by_ssrc = reporter_ssrc
        self.node_id = message.node_id
        self.first_ns = self.last_ns = message.at_ns
        self.extended: int | None = None
        self.wide = False
        """A sequence number with cycles was seen, so a short one is not cut off."""
        self.cumulative = 0
        self.recent: list[tuple[int, ReceptionReport]] = []
        self.pending: tuple[int, ReceptionReport] | None = None
        """First report, while it is open how much was expected before it."""
        self.silent_sent: int | None = None
        """Packets sent by the source when the reporter last said that nothing had come."""
        self.expected: int | None = None
        self.lost: int | None = None
        self.discarded = 0
        self.burst_ratio: float | None = None
        self.jitter_ticks = Gauge()
        self.jitter_ms: Gauge | None = None
        self.rtt_half_ms: float | None = None
        self.rtt_ms: float | None = None
        self.reports = 0
        self.verdicts: tuple[Verdict, ...] = ()
        self.recent_facts: tuple[ExtendedFact, ...] = ()
        """Extended facts of the newest message."""
        self.summary: StatisticsSummary | None = None
        self.bucket: Bucket | None = None
        self.closed = False

    def has_seen(self, report: ReceptionReport, at_ns: int) -> bool:
        """Tell whether an equal report came within `COPY_NS`."""
        for seen_ns, seen in reversed(self.recent):
            if at_ns - seen_ns > COPY_NS:
                break
            if report == seen:
                return True
        return False

    def remember(self, report: ReceptionReport, at_ns: int) -> None:
        """Keep a report to recognise its copies."""
        if len(self.recent) >= RECENT:
            del self.recent[0]
        self.recent.append((at_ns, report))

    def remember_fact(self, fact: ExtendedFact) -> None:
        """Keep an extended fact to recognise its copies."""
        self.recent_facts = (*self.recent_facts[-RECENT:], fact)

    def begin(self, report: ReceptionReport) -> None:
        """Let totals count from this report on."""
        self.extended = report.extended_highest_seq
        self.wide = not report.seq_is_16_bit
        self.cumulative = report.cumulative_lost
        self.reporter_ssrc = report.reporter_ssrc

    def advance(self, report: ReceptionReport, at_ns: int) -> Difference:
        """Return the difference to the report before, which this one replaces."""
        assert self.extended is not None
        elapsed_ns = at_ns - self.last_ns
        highest = report.extended_highest_seq
        if report.seq_is_16_bit and not self.wide:
            if elapsed_ns > MAX_UNWRAP_NS:
                self.begin(report)
                return _RESET
            ahead = delta16(highest, self.extended & 0xFFFF)
        else:
            ahead = highest - self.extended
            self.wide = True
        lost = report.cumulative_lost - self.cumulative
        difference = Difference(ahead - lost, lost)
        limit = elapsed_ns * MAX_PACKETS_PER_S // _S_NS + SLACK_PACKETS
        if ahead < 0 or report.reporter_ssrc != self.reporter_ssrc or lost < -ahead - SLACK_PACKETS:
            difference = _RESET
        elif ahead > limit or lost > ahead:
            difference = _IMPLAUSIBLE
        if difference.verdict is not None:
            self.begin(report)
        else:
            self.extended += ahead
            self.cumulative = report.cumulative_lost
        return difference

    def add(self, received: int, lost: int) -> None:
        """Add to the totals."""
        self.expected = (self.expected or 0) + received + lost
        self.lost = (self.lost or 0) + lost

    def view(self) -> ReportedStream:
        """Return the totals."""
        call_id, reporter, ssrc, observer = self.key
        counted = self.expected is not None and self.lost is not None
        return ReportedStream(
            call_id=call_id,
            observer=Observer(observer),
            reporter=reporter,
            far=self.far,
            ssrc=ssrc,
            expected=self.expected,
            received=(self.expected or 0) - (self.lost or 0) if counted else None,
            lost=self.lost,
            jitter_ticks_mean=self.jitter_ticks.mean,
            jitter_ticks_max=self.jitter_ticks.maximum,
            jitter_ms=self.jitter_ms.mean if self.jitter_ms is not None else None,
            jitter_max_ms=self.jitter_ms.maximum if self.jitter_ms is not None else None,
            rtt_half_ms=self.rtt_half_ms,
            rtt_ms=self.rtt_ms,
            reports=self.reports,
            verdicts=self.verdicts,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            discarded=self.discarded or None,
            burst_ratio=self.burst_ratio,
        )
