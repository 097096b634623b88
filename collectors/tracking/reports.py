"""From RTCP and vq reports to what was lost, late and slow in each interval.

A receiver report gives running totals, so the loss of a stretch of time is the difference of two reports of the
same source by the same reporter; the cumulative count is never read as a rate, and the fraction only where the
first report leaves nothing else (rtpengine's own reports put the loss of the whole stream there). A difference
that cannot be is not a loss: it gets a verdict and the totals start again.

What was expected before the first report is what the source's own sender reports say it had sent, or follows from
fraction and loss; where neither tells, that part stays unknown and only later differences count. It is settled
with the second report, or at once where a sender report passed within 250 ms.

Round trip: a tap in the middle sees a sender report pass and later the receiver report that names it (LSR, DLSR);
that is the round trip from the tap to the reporter. With the opposite half of the same call it is the whole.

It reads no clock; all state is bounded and counted.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from collectors.facts import (
    Goodbye,
    ReceptionReport,
    ReferenceDelay,
    ReferenceTime,
    RtcpMessage,
    SenderInfo,
    SequenceRuns,
    StatisticsSummary,
    VoipMetrics,
)
from collectors.tracking.report_intervals import (
    Bucket,
    IntervalBook,
    ReportedInterval,
    SenderKey,
    StreamKey,
    noted,
)
from collectors.tracking.report_streams import COPY_NS, ExtendedFact, ReportedStream, Stream
from collectors.tracking.senders import (
    MAX_FIRST_PACKETS,
    NOMINAL_PACKETS_PER_S,
    SenderActivity,
    Senders,
)
from telephony import burst
from telephony.model import INTERVAL_NS, Endpoint, Observer, Verdict

MAX_RTT_NS = 10_000_000_000
"""Longer is a stale LSR, not a network."""
RTT_TOLERANCE_NS = 2_000_000
"""A reporter beside the tap answers in less than our clocks resolve: that little below zero is zero."""

SR_NEAR_NS = 250_000_000
"""A sender report this near to a first receiver report tells what was sent by then without a known rate."""

MAX_STREAMS_OF_PARTY = 64
"""Streams that one BYE ends at most; more of one SSRC and call is no call."""

MAX_FRACTION_PACKETS = 500
"""Ten seconds of 20 ms packets: as far as the fraction of a lone report is believed."""

_S_NS = 1_000_000_000
_RR, _XR, _VQ = Observer.RTCP_RR.value, Observer.RTCP_XR.value, Observer.VQ_REPORT.value


@dataclass(slots=True)
class ReportStats:
    """What the tracker took and what it did not count, since its start."""

    reports: int = 0
    """Report blocks that were new."""
    duplicates: int = 0
    """The same report seen again at the same hop."""
    forwarded: int = 0
    """The same report seen at another hop of the call."""
    stale: int = 0
    """Older than the one before it."""
    null_ssrc: int = 0
    """Blocks about SSRC 0."""
    self_reports: int = 0
    """Blocks of a reporter about itself."""
    implausible: int = 0
    """Differences that no stream makes."""
    counter_resets: int = 0
    nothing_received: int = 0
    """Reports of a receiver that has not received anything yet."""
    first_unknown: int = 0
    """First reports before which nobody told how much was sent."""
    evicted: int = 0
    """Streams given up because the table was full."""

    def set_aside(self) -> Mapping[str, int]:
        """Return the blocks that add nothing, or whose packets could not be counted, by reason."""
        return {
            "duplicate": self.duplicates,
            "forwarded": self.forwarded,
            "stale": self.stale,
            "null_ssrc": self.null_ssrc,
            "self_report": self.self_reports,
            "nothing_received": self.nothing_received,
            "first_unknown": self.first_unknown,
            "counter_reset": self.counter_resets,
            "implausible": self.implausible,
        }


class ReportTracker:
    """Streams as their receivers report them.

    Feed it `RtcpMessage`s in the order they came; take finished intervals when late ones are no longer awaited.
    """

    def __init__(self, max_streams: int = 200_000, idle_ns: int = 120 * _S_NS) -> None:
        self._limit = max_streams
        self._idle_ns = idle_ns
        self._book = IntervalBook(4 * max_streams)
        self._senders = Senders(self._book, max_streams)
        self._streams: OrderedDict[StreamKey, Stream] = OrderedDict()
        self._pairs: dict[tuple[str, int, int], Stream] = {}
        """By Call-ID, SSRC of the reporter and SSRC of the source."""
        self._parties: dict[SenderKey, list[Stream]] = {}
        """By Call-ID, or the address, and an SSRC that a BYE may name: reporter's and source's."""
        self.stats = ReportStats()

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def shed(self) -> int:
        """Intervals and senders given up because a table was full."""
        return self._book.shed + self._senders.evicted

    @property
    def implausible_senders(self) -> int:
        """Sender reports whose packet count jumped further than any sender sends."""
        return self._senders.implausible

    # --- feeding

    def feed(self, message: RtcpMessage) -> None:
        """Take all facts of a message."""
        goodbye = None
        senders: list[SenderInfo] = []
        has_blocks = False
        for fact in message.facts:
            if isinstance(fact, ReceptionReport):
                has_blocks = True
                self._reception(message, fact)
            elif isinstance(fact, SenderInfo):
                senders.append(fact)
            elif isinstance(fact, VoipMetrics):
                self._metrics(message, fact)
            elif isinstance(fact, StatisticsSummary):
                self._summary(message, fact)
            elif isinstance(fact, SequenceRuns):
                self._runs(message, fact)
            elif isinstance(fact, ReferenceTime):
                self._senders.reference(message, fact.ssrc, fact.ntp)
            elif isinstance(fact, ReferenceDelay):
                self._reference_delay(message, fact)
            elif isinstance(fact, Goodbye):
                goodbye = fact
        for sender in senders:
            self._senders.feed(message, sender, has_blocks)
        if goodbye is not None:  # last, whatever the order in the compound
            self._goodbye(message, goodbye)

    def _reception(self, message: RtcpMessage, report: ReceptionReport) -> None:
        stats = self.stats
        source = report.source_ssrc
        if not source:
            stats.null_ssrc += 1
            return
        if source == report.reporter_ssrc:
            stats.self_reports += 1
            return
        at_ns = message.at_ns
        key = (message.call_id, message.local or message.src, source, _RR)
        stream = self._streams.get(key)
        if stream is None:
            twin = self._pairs.get((message.call_id, report.reporter_ssrc, source))
            if twin is not None and twin.has_seen(report, at_ns):
                stats.forwarded += 1
                return
            stream = self._open(key, message.remote or message.dst, report.reporter_ssrc, message)
        else:
            if stream.has_seen(report, at_ns):
                stats.duplicates += 1
                return
            if at_ns <= stream.last_ns:
                stats.stale += 1
                return
            self._streams.move_to_end(key)
        stats.reports += 1
        stream.reports += 1
        stream.remember(report, at_ns)
        self._round_trip(message, stream, report.lsr, report.dlsr)
        if stream.extended is None:
            self._first_reception(stream, report, at_ns)
        else:
            self._next_reception(stream, report, at_ns)
        stream.last_ns = at_ns

    def _first_reception(self, stream: Stream, report: ReceptionReport, at_ns: int) -> None:
        if not (report.extended_highest_seq or report.cumulative_lost or report.jitter_ticks):
            self._nothing_received(stream, at_ns)
            return
        stream.begin(report)
        stream.pending = (at_ns, report)
        stream.jitter_ticks.add(report.jitter_ticks)
        bucket = self._bucket(stream, at_ns)
        bucket.jitter_ticks = noted(bucket.jitter_ticks, report.jitter_ticks)
        self._settle_first(stream, rate_per_s=None)

    def _next_reception(self, stream: Stream, report: ReceptionReport, at_ns: int) -> None:
        difference = stream.advance(report, at_ns)
        if difference.verdict is not None:
            self._verdict(stream, difference.verdict, at_ns)
            self._settle_first(stream, rate_per_s=NOMINAL_PACKETS_PER_S)
            return
        received, lost = difference.received, difference.lost
        if stream.pending is not None:
            rate = (received + lost) * _S_NS / (at_ns - stream.last_ns)
            self._settle_first(stream, rate_per_s=rate, next_packets=received + lost)
        if not (received or lost):
            return  # nothing was sent in between: hold, or silence suppression
        stream.jitter_ticks.add(report.jitter_ticks)
        self._note_jitter(self._count(stream, stream.last_ns, at_ns, received, lost), report.jitter_ticks)

    def _count(self, stream: Stream, begin_ns: int, end_ns: int, received: int, lost: int) -> list[Bucket]:
        stream.add(received, lost)
        touched = self._book.count(stream.key, stream.far, stream.node_id, (begin_ns, end_ns), received, lost)
        stream.bucket = touched[-1]
        return touched

    @staticmethod
    def _note_jitter(touched: list[Bucket], ticks: float) -> None:
        """Note the jitter in the interval of the report, and in covered ones that have no report of their own."""
        for bucket in touched[:-1]:
            if bucket.jitter_ticks is None:
                bucket.jitter_ticks = noted(bucket.jitter_ticks, ticks)
        touched[-1].jitter_ticks = noted(touched[-1].jitter_ticks, ticks)

    def _nothing_received(self, stream: Stream, at_ns: int) -> None:
        """Count what was sent between two reports of a receiver whom nothing has reached (asterisk#2012)."""
        self.stats.nothing_received += 1
        sent = self._senders.nearest(self._sender_key(stream), at_ns)
        if sent is None:
            return
        before, stream.silent_sent = stream.silent_sent, sent.packets
        if before is not None and 0 < (missing := sent.packets - before) <= MAX_FIRST_PACKETS:
            self._count(stream, stream.last_ns, at_ns, 0, missing)

    def _settle_first(self, stream: Stream, rate_per_s: float | None, next_packets: int = 0) -> None:
        """Count what came before the first report, where it is known (see the module's text).

        Without a rate it waits, unless a sender report passed so near that the rate does not matter. What the
        fraction implies is believed up to twice what the next report covers: beyond that the fraction is of an
        interval and the loss of a life that began before we looked.
        """
        if stream.pending is None:
            return
        at_ns, report = stream.pending
        lost, fraction = report.cumulative_lost, report.fraction_lost
        near = self._senders.nearest(self._sender_key(stream), at_ns)
        expected = None
        if near is not None and abs(near.at_ns - at_ns) <= SR_NEAR_NS:
            expected = near.packets + round((at_ns - near.at_ns) * NOMINAL_PACKETS_PER_S / _S_NS)
        elif rate_per_s is None:
            return
        elif near is not None:
            expected = near.packets + round((at_ns - near.at_ns) * rate_per_s / _S_NS)
        elif fraction and lost > 0:
            implied = round(lost * 256 / (fraction + 0.5))  # fraction = floor(256 lost / expected)
            if implied <= (2 * next_packets or MAX_FRACTION_PACKETS):
                expected = implied
        stream.pending = None
        if expected is not None:
            expected -= stream.silent_sent or 0
        if expected is None or not max(1, lost) <= expected <= MAX_FIRST_PACKETS:
            self.stats.first_unknown += 1
            return
        begin_ns = at_ns - round(expected * _S_NS / (rate_per_s or NOMINAL_PACKETS_PER_S))
        for bucket in self._count(stream, begin_ns, at_ns, expected - lost, lost):
            if bucket.jitter_ticks is None:
                bucket.jitter_ticks = noted(bucket.jitter_ticks, report.jitter_ticks)

    def _verdict(self, stream: Stream, verdict: Verdict, at_ns: int) -> None:
        if verdict is Verdict.COUNTER_RESET:
            self.stats.counter_resets += 1
        else:
            self.stats.implausible += 1
        bucket = self._bucket(stream, at_ns)
        for where in (stream, bucket):
            if verdict not in where.verdicts:
                where.verdicts = (*where.verdicts, verdict)

    # --- round trips

    def _round_trip(self, message: RtcpMessage, stream: Stream, lsr: int, dlsr: int) -> None:
        """Note the round trip from here to the reporter, and the whole one where the opposite half is known."""
        if not lsr:
            return  # it has not seen a sender report yet (RFC 3550 section 6.4.1)
        passed_ns = self._senders.passed_at(self._sender_key(stream), lsr)
        if passed_ns is None:
            return
        half_ns = message.at_ns - passed_ns - dlsr * _S_NS // 65_536
        if not -RTT_TOLERANCE_NS <= half_ns <= MAX_RTT_NS:
            return
        half_ms = max(half_ns, 0) / 1e6
        stream.rtt_half_ms = half_ms
        bucket = self._bucket(stream, message.at_ns)
        bucket.rtt_half_ms = noted(bucket.rtt_half_ms, half_ms)
        opposite = self._pairs.get((stream.key[0], stream.key[2], stream.reporter_ssrc))
        if opposite is not None and opposite.rtt_half_ms is not None:
            stream.rtt_ms = half_ms + opposite.rtt_half_ms
            bucket.rtt_ms = noted(bucket.rtt_ms, stream.rtt_ms)

    def _reference_delay(self, message: RtcpMessage, delay: ReferenceDelay) -> None:
        stream = self._pairs.get((message.call_id, delay.reporter_ssrc, delay.source_ssrc))
        if stream is not None:
            self._round_trip(message, stream, delay.lrr, delay.dlrr)

    @staticmethod
    def _sender_key(stream: Stream) -> SenderKey:
        return (stream.key[0] or stream.far, stream.key[2])

    # --- extended and vq reports

    def _extended(
        self,
        message: RtcpMessage,
        fact: ExtendedFact,
        *,
        by_far_end: bool = False,
    ) -> Stream | None:
        """Return the stream that an extended report speaks of; None where the report is a copy."""
        reporter, far = message.local or message.src, message.remote or message.dst
        if by_far_end:
            reporter, far = far, reporter
        observer = _VQ if message.from_vq else _XR
        if not fact.source_ssrc and not message.from_vq:
            self.stats.null_ssrc += 1
            return None
        key = (message.call_id, reporter, fact.source_ssrc, observer)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._open(key, far, fact.reporter_ssrc, message)
        else:
            if fact in stream.recent_facts and message.at_ns - stream.last_ns <= COPY_NS:
                self.stats.duplicates += 1
                return None
            if message.at_ns > stream.last_ns:
                stream.recent_facts = ()
            self._streams.move_to_end(key)
        stream.remember_fact(fact)
        self.stats.reports += 1
        stream.reports += 1
        return stream

    def _metrics(self, message: RtcpMessage, metrics: VoipMetrics) -> None:
        stream = self._extended(message, metrics, by_far_end=metrics.by_far_end)
        if stream is None:
            return
        at_ns = message.at_ns
        bucket = self._bucket(stream, at_ns)
        if metrics.jitter_ms is not None:
            stream.jitter_ms = noted(stream.jitter_ms, metrics.jitter_ms)
            bucket.jitter_ms = noted(bucket.jitter_ms, metrics.jitter_ms)
        if metrics.round_trip_ms is not None:
            stream.rtt_ms = metrics.round_trip_ms
            bucket.rtt_ms = noted(bucket.rtt_ms, metrics.round_trip_ms)
        if metrics.burst_density is not None and metrics.gap_density is not None:
            stream.burst_ratio = bucket.burst_ratio = burst.from_burst_gap(
                metrics.burst_density, metrics.gap_density, metrics.burst_duration_ms, metrics.gap_duration_ms
            )
        mos = metrics.mos_cq if metrics.mos_cq is not None else metrics.mos_lq
        bucket.mos = mos if mos is not None else bucket.mos
        bucket.r_factor = metrics.r_factor if metrics.r_factor is not None else bucket.r_factor
        bucket.plc = metrics.plc if metrics.plc != "unspecified" else bucket.plc
        bucket.codec = metrics.codec or bucket.codec
        if metrics.expected is not None and metrics.lost is not None:
            self._declared(stream, metrics, at_ns)
        self._discarded(stream, metrics, bucket)
        stream.last_ns = max(stream.last_ns, at_ns)
        if metrics.final:
            self._close(stream)

    def _declared(self, stream: Stream, metrics: VoipMetrics, at_ns: int) -> None:
        """Count the packets that a report names: a final one those of the stream, others of their interval."""
        expected, lost = metrics.expected or 0, metrics.lost or 0
        if metrics.final:
            lost = max(0, lost - (stream.lost or 0))
            expected = max(lost, expected - (stream.expected or 0))
        covers_ns = round((metrics.covers_ms or 0) * 1e6) or INTERVAL_NS
        begin_ns = max(at_ns - covers_ns, stream.last_ns) if stream.expected is not None else at_ns - covers_ns
        self._count(stream, begin_ns, at_ns, expected - lost, lost)

    def _discarded(self, stream: Stream, metrics: VoipMetrics, bucket: Bucket) -> None:
        """Count discards: the ratio is of the stream so far (RFC 3611 section 4.7.1), so its growth is counted."""
        if metrics.discard_ratio is None:
            return
        counts = stream if stream.expected is not None else self._twin(stream)
        if counts is None or counts.expected is None:
            return
        total = round(metrics.discard_ratio * counts.expected)
        bucket.discarded = (bucket.discarded or 0) + max(0, total - stream.discarded)
        stream.discarded = max(total, stream.discarded)

    def _twin(self, stream: Stream) -> Stream | None:
        """Return the receiver reports of the same reporter about the same stream."""
        call_id, reporter, ssrc, _ = stream.key
        return self._streams.get((call_id, reporter, ssrc, _RR))

    def _summary(self, message: RtcpMessage, summary: StatisticsSummary) -> None:
        """Count a statistics summary; one that begins where the last began contains it."""
        stream = self._extended(message, summary)
        if stream is None:
            return
        at_ns = message.at_ns
        bucket = self._bucket(stream, at_ns)
        expected = (summary.end_seq - summary.begin_seq) & 0xFFFF
        lost, duplicates = summary.lost, summary.duplicates or 0
        if summary.jitter_mean_ticks is not None and summary.jitter_max_ticks is not None:
            stream.jitter_ticks.add(summary.jitter_mean_ticks)
            bucket.jitter_ticks = noted(bucket.jitter_ticks, summary.jitter_mean_ticks)
        before = stream.summary
        if before is not None and before.begin_seq == summary.begin_seq:
            expected -= (before.end_seq - before.begin_seq) & 0xFFFF
            duplicates -= before.duplicates or 0
            lost = lost - (before.lost or 0) if lost is not None else None
        stream.summary = summary
        if duplicates > 0:
            bucket.duplicates = (bucket.duplicates or 0) + duplicates
        if lost is not None and not 0 <= lost <= expected:
            self._verdict(stream, Verdict.IMPLAUSIBLE_REPORT, at_ns)
        elif lost is not None and expected:
            begin_ns = at_ns - expected * _S_NS // NOMINAL_PACKETS_PER_S
            begin_ns = max(begin_ns, stream.last_ns) if before is not None else begin_ns
            self._count(stream, begin_ns, at_ns, expected - lost, lost)
        stream.last_ns = max(stream.last_ns, at_ns)

    def _runs(self, message: RtcpMessage, runs: SequenceRuns) -> None:
        """Take the burst ratio of a loss run length block; its counts are in the other reports."""
        if runs.of_duplicates or runs.thinning:
            return
        stream = self._extended(message, runs)
        if stream is None:
            return
        left = span = (runs.end_seq - runs.begin_seq) & 0xFFFF
        lost = lost_runs = 0
        for received, length in runs.runs:
            length = min(length, left)
            left -= length
            if length and not received:
                lost += length
                lost_runs += 1
        if lost:
            self._bucket(stream, message.at_ns).burst_ratio = burst.from_runs(span, lost, lost_runs)
        stream.last_ns = max(stream.last_ns, message.at_ns)

    # --- life of streams

    def _open(self, key: StreamKey, far: Endpoint, reporter_ssrc: int, message: RtcpMessage) -> Stream:
        if len(self._streams) >= self._limit:
            self._forget(next(iter(self._streams.values())))
            self.stats.evicted += 1
        stream = self._streams[key] = Stream(key, far, reporter_ssrc, message)
        if key[3] == _RR:
            self._pairs[key[0], reporter_ssrc, key[2]] = stream
        for party in self._party_keys(stream):
            streams = self._parties.setdefault(party, [])
            if len(streams) < MAX_STREAMS_OF_PARTY:
                streams.append(stream)
        return stream

    @staticmethod
    def _party_keys(stream: Stream) -> tuple[SenderKey, SenderKey]:
        call_id, reporter, source, _ = stream.key
        return (call_id or reporter, stream.opened_by_ssrc), (call_id or stream.far, source)

    def _bucket(self, stream: Stream, at_ns: int) -> Bucket:
        stream.bucket = bucket = self._book.bucket(at_ns, stream.key, stream.far, stream.node_id)
        return bucket

    def _goodbye(self, message: RtcpMessage, goodbye: Goodbye) -> None:
        for ssrc in goodbye.ssrcs:
            for stream in self._parties.get((message.call_id or message.src, ssrc), ()):
                self._close(stream)

    def _close(self, stream: Stream) -> None:
        """Settle what is open and mark the last interval; the stream stays until idle, to recognise copies."""
        if stream.closed:
            return
        stream.closed = True
        self._settle_first(stream, rate_per_s=NOMINAL_PACKETS_PER_S)
        if stream.bucket is not None:
            stream.bucket.final = True

    def _forget(self, stream: Stream) -> None:
        self._close(stream)
        del self._streams[stream.key]
        pair = (stream.key[0], stream.opened_by_ssrc, stream.key[2])
        if self._pairs.get(pair) is stream:
            del self._pairs[pair]
        for party in self._party_keys(stream):
            streams = self._parties.get(party)
            if streams is not None and stream in streams:
                streams.remove(stream)
                if not streams:
                    del self._parties[party]

    def expire(self, now_ns: int) -> None:
        """Forget streams and senders of which nothing came for `idle_ns`."""
        before_ns = now_ns - self._idle_ns
        idle = []
        for stream in self._streams.values():  # longest silent first, but for clocks that are ahead
            if stream.last_ns < before_ns:
                idle.append(stream)
            elif stream.last_ns <= now_ns:
                break
        for stream in idle:
            self._forget(stream)
        self._senders.expire(before_ns, now_ns)

    def finish(self) -> None:
        """Settle all streams as ended, where no more will come (the end of a file)."""
        for stream in self._streams.values():
            self._close(stream)

    # --- taking

    def take_intervals(self, until_ns: int) -> list[ReportedInterval]:
        """Return the intervals that end by `until_ns`, oldest first.

        What is reported later of their time goes into the oldest interval still open.
        """
        return self._book.take(until_ns)

    def streams(self) -> list[ReportedStream]:
        """Return the totals of all streams that are known now, longest silent first."""
        return [stream.view() for stream in self._streams.values()]

    def sender_activity(self, call_id: str) -> list[SenderActivity]:
        """Return what each sender of a call has said of itself; of '', all senders of which no call is known."""
        if call_id:
            return self._senders.activity(call_id)
        return [activity for activity in self._senders.all_activity() if not activity.call_id]
