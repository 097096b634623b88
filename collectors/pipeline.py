"""The collector's middle: batches of datagrams in, rated and rolled-up facts out.

One thread feeds it, so nothing here locks. It reads no clock: `received_ns` and `now_ns` are parameters, and a
replay drives it by the clock of the capture. What it makes goes to a `Sink`; nothing here knows a store.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from collectors.facts import (
    DATAGRAM_DUPLICATE,
    IS_REPORT,
    MAX_PAYLOAD_TYPE,
    DatagramBatch,
    HeartbeatEnded,
    Payload,
    RegistrationEnded,
    RtcpMessage,
    SipSighting,
    format_ip,
)
from collectors.load import COLLECTOR_NODE, LoadRows
from collectors.sink import Sink
from collectors.tracking.agents import Agents
from collectors.tracking.calls import CallTable
from collectors.tracking.counters import Counters
from collectors.tracking.dialog_facts import DialogEvent, DialogSettings, QualityReportBody, RtpStatHeader
from collectors.tracking.dialogs import DialogTracker
from collectors.tracking.findings import Findings
from collectors.tracking.generations import Generations
from collectors.tracking.labels import Labeller, PoolOf
from collectors.tracking.media import MediaIndex, StreamMatch, rtp_of
from collectors.tracking.privacy import mask_uri
from collectors.tracking.ratings import rated, rated_stream
from collectors.tracking.report_intervals import ReportedInterval, StreamKey
from collectors.tracking.report_streams import ReportedStream
from collectors.tracking.reports import ReportTracker
from collectors.tracking.rollups import Rollups
from collectors.tracking.rtp import RtpTracker
from collectors.tracking.silence import SilenceMemory
from collectors.tracking.streams import StreamSettings
from collectors.tracking.tracked_call import CallSettings
from collectors.tracking.two_views import TwoViews
from collectors.wire.hep import DuplicateFilter
from collectors.wire.rtcp import ParsedRtcp, parse_rtcp
from collectors.wire.rtcp_json import parse_rtcp_json
from collectors.wire.rtp_report import parse_rtp_stat
from collectors.wire.vq_report import parse_vq_report
from storage.schema import CAPTURE_BEGAN
from telephony.model import (
    INTERVAL_NS,
    UNKNOWN,
    Endpoint,
    Labels,
    Observer,
    Registration,
    StreamInterval,
)

_S_NS = 1_000_000_000
_FOREVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Timings and bounds of the pipeline."""

    publish_ns: int = 2 * _S_NS
    """How often live figures, intervals and calls go to the sink."""
    rollup_ns: int = 10 * _S_NS
    """How often changed minute rows go to the sink."""
    lateness_ns: int = 2 * _S_NS
    """How long after its end an interval waits for reports still on their way."""
    max_clock_skew_ns: int = 120 * _S_NS
    """A capture time further than this from the receipt is the agent's clock being wrong: the receipt counts."""
    max_streams: int = 200_000
    stream_idle_ns: int = 120 * _S_NS
    """A stream that nobody reports on for this long is forgotten."""
    trust_capture_clock: bool = False
    """Replays: capture times are the only clock there is."""
    calls: CallSettings = field(default_factory=CallSettings)
    dialogs: DialogSettings = field(default_factory=DialogSettings)
    rtp: StreamSettings = field(default_factory=StreamSettings)
    rtp_tables: int = 1
    """One for each ring that feeds RTP, each perhaps from a thread of its own."""


class Pipeline:
    """Feeds trackers and gives their facts to a sink."""

    def __init__(self, labeller: Labeller, pools: PoolOf, sink: Sink, settings: PipelineSettings) -> None:
        self.settings = settings
        self.labeller = labeller
        self.agents = Agents()
        self.counters = Counters()
        self.duplicates = DuplicateFilter()
        self.findings = Findings()
        self.rollups = Rollups()
        self.media = MediaIndex()
        self.dialogs = DialogTracker(settings.dialogs)
        self.reports = ReportTracker(settings.max_streams, settings.stream_idle_ns)
        self._matches: Generations[StreamKey, StreamMatch] = Generations(
            limit=settings.max_streams, lifetime_ns=settings.stream_idle_ns
        )
        self.calls = CallTable(labeller, self.media, self.rollups, pools, settings.calls)
        self.rtp = RtpTracker(
            settings.rtp,
            lambda to, at: self.calls.match(to, at, ""),
            self._labels_between,
            tables=settings.rtp_tables,
        )
        self._views = TwoViews(settings.max_streams, settings.stream_idle_ns)
        self._silence = SilenceMemory(settings.max_streams, settings.stream_idle_ns)
        self.load = LoadRows(labeller, self.calls, self.agents, self.rtp)
        self._sink = sink
        self._registrations: list[Registration] = []
        self._next_publish_ns = 0
        self._next_rollup_ns = 0
        self._heard_ns = 0
        """Newest capture time since something was last published; 0: nothing was heard."""
        self._began = settings.trust_capture_clock

    # -- in ----------------------------------------------------------------------------------------------

    def feed(self, batch: DatagramBatch, received_ns: int) -> None:
        """Take a batch that was received at about `received_ns`."""
        rows = batch.rows
        if not len(rows):
            return
        if not self._began:
            self._began = True
            text = "Capture began here: calls that were up before are not known, and this minute is not whole"
            self._note(received_ns, CAPTURE_BEGAN, COLLECTOR_NODE, text, Labels(node=COLLECTOR_NODE), "")
        if not self.settings.trust_capture_clock:
            self._correct_clocks(rows, received_ns)
        self._heard_ns = max(self._heard_ns, int(rows["captured_ns"].max()))
        self.duplicates.mark(batch)
        self.agents.count(rows, received_ns)
        types = np.minimum(rows["payload_type"], MAX_PAYLOAD_TYPE)
        counts = np.bincount(types)
        for value in np.flatnonzero(counts).tolist():
            self.counters.payloads[_PAYLOAD_NAMES.get(value, "other")] += int(counts[value])
        fresh = rows["flags"] & DATAGRAM_DUPLICATE == 0
        sip = np.flatnonzero((types == Payload.SIP) & fresh)
        if sip.size:
            self.dialogs.feed(batch, sip)
            self._take_dialog_events()
        reports = np.flatnonzero(IS_REPORT[types] & fresh)
        if reports.size:
            self._feed_reports(batch, rows[reports])

    def _correct_clocks(self, rows: npt.NDArray[np.void], received_ns: int) -> None:
        limit = self.settings.max_clock_skew_ns
        if self.agents.corrected or (np.abs(rows["captured_ns"] - received_ns) > limit).any():
            self.agents.correct_clocks(rows, received_ns, limit)

    def _feed_reports(self, batch: DatagramBatch, rows: npt.NDArray[np.void]) -> None:
        view = batch.buffer.data
        # Columns as lists: a field of a structured row costs a hundred times a list item.
        columns = (rows[name].tolist() for name in _REPORT_COLUMNS)
        sources, targets = (
            [raw.tobytes() for raw in np.ascontiguousarray(rows[name])] for name in ("src_ip", "dst_ip")
        )
        for src_ip, dst_ip, kind, at_ns, node_id, src_port, dst_port, at, length, id_at, id_length in zip(
            sources, targets, *columns, strict=True
        ):
            payload = bytes(view[at : at + length])
            if kind == Payload.RTCP:
                parsed = parse_rtcp(payload)
            elif kind == Payload.VQ_RTCPXR and payload.lstrip()[:1] != b"{":
                parsed = parse_vq_report(payload)
            else:
                parsed = parse_rtcp_json(payload)
            src = Endpoint(format_ip(src_ip), src_port)
            dst = Endpoint(format_ip(dst_ip), dst_port)
            call_id = str(view[id_at : id_at + id_length], "utf-8", "replace")
            self._take_parsed(parsed, at_ns, src, dst, call_id, node_id)

    def _take_parsed(
        self, parsed: ParsedRtcp, at_ns: int, src: Endpoint, dst: Endpoint, call_id: str, node_id: int
    ) -> None:
        for reason in parsed.rejected:
            self.counters.rtcp_rejected[reason] += 1
        if parsed.facts:
            self._take_message(parsed.message(at_ns, src, dst, call_id, node_id))

    def _take_message(self, message: RtcpMessage) -> None:
        self.counters.rtcp_reports += 1
        reporter, far = message.local or message.src, message.remote or message.dst
        match = self.calls.match(reporter, far, message.call_id)
        call_id = match.call_id if match is not None else message.call_id
        call = self.calls.get(call_id) if call_id else None
        if call is None and match is None and not call_id:
            self.counters.reports_unmatched += 1
            labels = self.labeller.addresses(reporter, far, message.node_id)
            text = f"RTCP from {reporter} seen for {far}, in no SDP"
            self._note(message.at_ns, "rtcp_unmatched", str(far), text, labels, "")
        elif call is None:
            self.counters.reports_unmatched += 1
            labels = self.labeller.addresses(reporter, far, message.node_id)
            text = f"RTCP seen for {far}, of a call whose SIP was not seen"
            self._note(message.at_ns, "rtcp_without_call", str(far), text, labels, call_id)
        else:
            call.reports += 1
            self.dialogs.touch(call_id, message.at_ns)
        self.reports.feed(replace(message, call_id=call_id) if call_id != message.call_id else message)

    def _take_dialog_events(self) -> None:
        events = self.dialogs.take_events()
        if not events:
            return
        # Calls first: a report that came with a BYE must find the call it speaks of.
        self.calls.feed(events)
        self.rtp.described(events)
        for event in events:
            self._take_other(event)

    def _take_other(self, event: DialogEvent) -> None:
        """Take what the call table has no use for."""
        if isinstance(event, RegistrationEnded):
            self._registered(event)
        elif isinstance(event, HeartbeatEnded):
            self._heartbeat(event)
        elif isinstance(event, RtpStatHeader):
            self._rtp_stat(event)
        elif isinstance(event, QualityReportBody):
            parsed = parse_vq_report(event.body)
            self._take_parsed(parsed, event.at_ns, event.src, event.dst, event.call_id, event.node_id)

    def _rtp_stat(self, event: RtpStatHeader) -> None:
        """Take what a party says of the media it received; it names no addresses, its SDP does."""
        metrics, call = parse_rtp_stat(event.value), self.calls.get(event.call_id)
        if metrics is None:
            self.counters.rtcp_rejected["rtp_stat"] += 1
            return
        own, far = event.src, event.dst
        if call is not None:
            own = next((s.rtp for s in call.sides if s.from_caller == event.from_caller), own)
            far = next((s.rtp for s in reversed(call.sides) if s.from_caller != event.from_caller), far)
        self._take_message(
            RtcpMessage(event.at_ns, own, far, event.call_id, event.node_id, (metrics,), from_vq=True)
        )

    def _registered(self, event: RegistrationEnded) -> None:
        labels = self.labeller.addresses(event.src, event.dst, event.node_id, event.node_name, event.tenant_key)
        labels = self.labeller.registration(labels, event.aor)
        self.counters.registrations[event.outcome.value] += 1
        row = self.rollups.registrations.row(event.at_ns, labels.tenant, labels.trunk, labels.region, labels.node)
        row.add("attempts")
        row.add(event.outcome.value)
        if event.auth_failed:
            row.add("auth_failures")
        rrd_ms = event.rrd_ns / 1e6 if event.rrd_ns else None
        if rrd_ms is not None:
            row.count("rrd_ms_histogram", rrd_ms)
        self._registrations.append(
            Registration(
                labels, event.at_ns, event.aor, event.outcome, event.sip_code or None, event.challenged, rrd_ms
            )
        )

    def _heartbeat(self, event: HeartbeatEnded) -> None:
        labels = self.labeller.addresses(event.src, event.dst, event.node_id, event.node_name, event.tenant_key)
        row = self.rollups.trunks.row(event.at_ns, labels.tenant, labels.trunk, labels.region, labels.node)
        row.add("options_sent")
        if event.rtt_ns:
            row.add("options_answered")
            row.add("options_rtt_ms_sum", event.rtt_ns / 1e6)
            row.raise_to("options_rtt_ms_max", event.rtt_ns / 1e6)

    # -- out ---------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Let time pass; publishes when it is due. Call it often (each batch, or each tenth of a second)."""
        if 0 < self._next_publish_ns - now_ns <= self.settings.publish_ns:
            return  # further ahead than one period: the clock was set back
        self._next_publish_ns = now_ns + self.settings.publish_ns
        if not self.settings.trust_capture_clock:
            self.rtp.advance(now_ns)
        self._publish(now_ns, closed_until_ns=now_ns - self.settings.lateness_ns, due_until_ns=now_ns)

    def stop(self, now_ns: int) -> None:
        """The process ends though the traffic does not: what waits for late reports waits no longer."""
        self._next_rollup_ns = 0
        self.rtp.finish()
        self._heard_ns = 0
        soon_ns = now_ns + INTERVAL_NS
        self._publish(now_ns, closed_until_ns=soon_ns, due_until_ns=soon_ns + self.settings.calls.linger_ns)

    def finish(self, now_ns: int) -> None:
        """End of the input: whatever is open is closed as of the last datagram, and everything is published."""
        self.rtp.finish()
        self.dialogs.close(now_ns)
        self._take_dialog_events()
        self.reports.finish()
        self._next_rollup_ns = self._heard_ns = 0
        self._publish(now_ns, closed_until_ns=_FOREVER_NS, due_until_ns=_FOREVER_NS)

    def _publish(self, now_ns: int, *, closed_until_ns: int, due_until_ns: int) -> None:
        """Publish intervals that ended by `closed_until_ns` and records that were due by `due_until_ns`."""
        # What comes late, because we or an agent have to catch up, is of its own time and not of now: nothing had
        # timed out then, and it was load then.
        heard_ns, self._heard_ns = min(self._heard_ns or now_ns, now_ns), 0
        self.dialogs.advance(heard_ns)
        self._take_dialog_events()
        self.calls.concurrency.advance(heard_ns)
        self._publish_intervals(closed_until_ns)
        records = list(self.calls.take_records(due_until_ns, self.reports))
        self.rtp.forget(self.media.take_released())
        for found in self.calls.check.take():
            self._note(found.at_ns, found.kind, found.subject, found.text, found.labels, found.call_id)
        if records:
            for record in records:
                self.counters.attempts[record.outcome.value, record.labels.trunk] += 1
            self._sink.calls(records)
        if self._registrations:
            self._sink.registrations(self._registrations)
            self._registrations = []
        sightings = self.dialogs.take_sightings()
        if sightings:
            self._sink.messages([(self._masked(s), self._labels_of(s)) for s in sightings])
        self._sink.rows("call_now", self.calls.take_states(now_ns))
        load = self.load.take(now_ns, shed=sum(self.shed().values()), unmatched=self.counters.reports_unmatched)
        self._sink.rows("load_now", load)
        if not 0 < self._next_rollup_ns - now_ns <= self.settings.rollup_ns:
            self._next_rollup_ns = now_ns + self.settings.rollup_ns
            self.load.watch(self.rollups.load, now_ns)
            self._publish_rollups(now_ns)
        self._sink.flush()

    def _publish_intervals(self, until_ns: int) -> None:
        intervals = self.rtp.take_intervals()
        for interval in intervals:
            self._look_at_rtp(interval)
            self._add_interval(interval)
        for reported in self.reports.take_intervals(until_ns):
            interval = self._rated(reported)
            self._add_interval(interval)
            intervals.append(interval)
        if intervals:
            self._sink.intervals(intervals)

    def _look_at_rtp(self, interval: StreamInterval) -> None:
        """Keep the call of an RTP stream alive; say what no SDP explains."""
        if interval.call_id:
            self.dialogs.touch(interval.call_id, interval.time_ns)
            text = ""
        else:
            text = f"RTP from {interval.src} to {interval.dst}, in no SDP"
        if interval.codec == UNKNOWN:
            types = " ".join(map(str, interval.payload_types))
            text = f"RTP to {interval.dst} has payload types {types} that no SDP explains"
            text += f"; its clock is measured as {interval.clock_rate_hz} Hz"
        if text:
            kind = "rtp_clock_estimated" if interval.codec == UNKNOWN else "rtp_unmatched"
            self._note(interval.time_ns, kind, str(interval.dst), text, interval.labels, interval.call_id)

    def _note(self, at_ns: int, kind: str, subject: str, text: str, labels: Labels, call_id: str) -> None:
        self.findings.note(at_ns, kind, subject, text, tenant=labels.tenant, node=labels.node, call_id=call_id)

    def _rated(self, reported: ReportedInterval) -> StreamInterval:
        """Return a reported interval, rated; jitter that is the sender's silence does not count."""
        match = self.match_of(reported)
        dst = match.dst if match is not None else rtp_of(reported.reporter)
        silent = self._silence.of(reported.ssrc, dst, reported.interval_start_ns)
        return rated(reported, match, self._labels_for(reported), silent=silent)

    def rated_whole(self, stream: ReportedStream) -> StreamInterval:
        """Return the totals of a reported stream, rated."""
        match = self.match_of(stream)
        dst = match.dst if match is not None else rtp_of(stream.reporter)
        return rated_stream(stream, match, Labels(), silent=self._silence.of(stream.ssrc, dst, None))

    def _add_interval(self, interval: StreamInterval) -> None:
        if interval.observer is Observer.RTP:
            self._silence.add(interval)
        disagreement = self._views.add(interval)
        if disagreement is not None:
            kind, text = disagreement
            self._note(interval.time_ns, kind, str(interval.dst), text, interval.labels, interval.call_id)
        self.calls.add_interval(interval)
        self.counters.add_interval(interval)
        self.rollups.add_interval(interval)

    def match_of(self, reported: ReportedInterval | ReportedStream) -> StreamMatch | None:
        """Return what SDP says of a reported stream; remembered, so that it outlives the call's addresses."""
        key = (reported.call_id, reported.reporter, reported.ssrc, reported.observer)
        at_ns = reported.last_ns if isinstance(reported, ReportedStream) else reported.interval_start_ns
        match = self.calls.match(reported.reporter, reported.far, reported.call_id)
        if match is None:
            return self._matches.get(key)
        self._matches.put(key, match, at_ns)
        return match

    def _labels_for(self, reported: ReportedInterval) -> Labels:
        return self._labels_between(reported.call_id, reported.reporter, reported.far, reported.node_id)

    def _labels_between(self, call_id: str, receiver: Endpoint, sender: Endpoint, node_id: int = 0) -> Labels:
        call = self.calls.get(call_id) if call_id else None
        return call.labels if call is not None else self.labeller.addresses(receiver, sender, node_id)

    def _masked(self, sighting: SipSighting) -> SipSighting:
        """Return the sighting without the number that a request's URI holds."""
        if sighting.status:
            return sighting
        calls = self.settings.calls
        return sighting._replace(reason=mask_uri(sighting.reason, calls.privacy, calls.hash_salt))

    def _labels_of(self, sighting: SipSighting) -> Labels:
        call = self.calls.get(sighting.call_id)
        if call is not None:
            return call.labels
        return self.labeller.addresses(sighting.src, sighting.dst, sighting.node_id, sighting.node_name)

    def _publish_rollups(self, now_ns: int) -> None:
        for measurement, rows in self.rollups.take().items():
            self._sink.rows(measurement, rows)
        findings = self.findings.take(now_ns)
        if findings:
            self._sink.rows("finding", findings)
        self.rollups.close(now_ns)
        self.reports.expire(now_ns)

    def shed(self) -> dict[str, int]:
        """Return what each table gave up because it was full, since start."""
        shed = {
            "media_addresses": self.media.evicted,
            "call_links": self.calls.links_evicted,
            "reports": self.reports.shed + self.reports.stats.evicted,
            "findings": self.findings.shed,
            "dialogs": self.dialogs.stats.calls_evicted,
            "registrations": self.dialogs.registrations.evicted,
            "heartbeats": self.dialogs.heartbeats.evicted,
            "calls": self.calls.stats.hurried,
            "dialog_events": self.dialogs.stats.events_shed,
            "sip_sightings": self.dialogs.stats.sightings_shed,
            "agents": self.agents.folded,
            **self.rtp.shed(),
        }
        for table in self.rollups.tables:
            shed[f"{table.measurement.name}_late"] = table.stats.late
            shed[f"{table.measurement.name}_rows"] = table.stats.overflowed
        return shed

    def sizes(self) -> dict[str, int]:
        """Return how many entries each table holds now."""
        return {
            "calls": len(self.calls),
            "media_addresses": len(self.media),
            "report_streams": len(self.reports),
            "rtp_streams": len(self.rtp),
            "rtp_announcements": self.rtp.announcements,
            "sip_names": self.dialogs.names_held,
            "agents": len(self.agents.by_id),
        }


_REPORT_COLUMNS = (
    "payload_type",
    "captured_ns",
    "node_id",
    "src_port",
    "dst_port",
    "payload_at",
    "payload_len",
    "correlation_at",
    "correlation_len",
)
_PAYLOAD_NAMES = {payload.value: payload.name.lower() for payload in Payload}
