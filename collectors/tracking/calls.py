"""Calls: dialogs joined with their media and their quality, from first INVITE to the record at the end.

Dialog events and stream intervals come in; call records, session rollups and findings go out. A record is
made only once the intervals of its last seconds are in, so that `mos_min` covers the whole call.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from collectors.facts import (
    CallAnswered,
    CallEnded,
    CallStarted,
    MediaDescription,
    SipCall,
)
from collectors.tracking.call_links import CallLinks
from collectors.tracking.call_records import record_of, state_row
from collectors.tracking.concurrency import Concurrency, LoadKey
from collectors.tracking.labels import Labeller, PoolOf
from collectors.tracking.media import MediaIndex, StreamMatch
from collectors.tracking.media_check import MediaCheck
from collectors.tracking.one_way import one_way
from collectors.tracking.reports import ReportTracker
from collectors.tracking.rollups import Rollups, Row
from collectors.tracking.tracked_call import MAX_SIDES, CallSettings, TrackedCall
from telephony.kpis import INEFFECTIVE, SEER_EFFECTIVE
from telephony.model import UNKNOWN, CallRecord, Endpoint, Outcome, StreamInterval
from telephony.outcomes import classify

SHORT_CALL_S = 10.0
RESTATE_NS = 30_000_000_000
"""How often a call that does not change is stated again."""


@dataclass(slots=True)
class CallStats:
    """Counters of the call table."""

    started: int = 0
    answered: int = 0
    ended: int = 0
    hurried: int = 0
    """Records made before the last intervals were in, because too many calls waited for theirs."""


class CallTable:
    """All calls that live or wait for their record."""

    def __init__(
        self, labeller: Labeller, media: MediaIndex, rollups: Rollups, pools: PoolOf, settings: CallSettings
    ) -> None:
        self.stats = CallStats()
        self.concurrency = Concurrency(rollups.load)
        self.check = MediaCheck()
        self._labeller = labeller
        self._media = media
        self._rollups = rollups
        self._pools = pools
        self._settings = settings
        self._calls: dict[str, TrackedCall] = {}
        self._links = CallLinks(settings.max_links)
        self._due: list[TrackedCall] = []
        self._recent: dict[LoadKey, list[int]] = {}
        """Attempts and answers since the last look at the load."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def links_evicted(self) -> int:
        """Joins of legs given up because there were too many."""
        return self._links.evicted

    def get(self, call_id: str) -> TrackedCall | None:
        """Return the call of this Call-ID, if it lives or waits for its record."""
        return self._calls.get(call_id)

    def match(self, reporter: Endpoint, far: Endpoint, call_id: str) -> StreamMatch | None:
        """Return the stream that `reporter` receives from `far`, as SDP knows it; None where it does not."""
        call = self._calls.get(call_id)
        if call is None:
            # Not every correlation id is a Call-ID (Asterisk may give a channel's name): both ends must tell.
            return self._media.match_both(reporter, far) if call_id else self._media.match(reporter, far)
        match = call.matches.get((reporter, far))
        if match is None:
            match = self._media.match(reporter, far, call_id)
            if match is not None and len(call.matches) < MAX_SIDES:
                call.matches[reporter, far] = match
        return match

    def feed(self, events: Iterable[object]) -> None:
        """Take dialog events in order; those that concern no call are left to others."""
        for event in events:
            if isinstance(event, CallStarted):
                self._started(event.call)
            elif isinstance(event, MediaDescription):
                self._described(event)
            elif isinstance(event, CallAnswered):
                self._answered(event.call)
            elif isinstance(event, CallEnded):
                self._ended(event.call)

    def _started(self, sip: SipCall) -> None:
        labels = self._labeller.call(sip)
        call = TrackedCall(sip, labels, self._pools.of(labels))
        previous = self._calls.get(sip.call_id)
        if previous is not None and previous.outcome is None:
            # A second From-tag under one Call-ID: another attempt; the first keeps waiting in `_due` if it ended.
            self._finish(previous, sip.started_ns)
        self._calls[sip.call_id] = call
        self.stats.started += 1
        call.is_egress = any(leg in self._calls for leg in self._links.add(sip))
        key = call.key
        self.concurrency.arrival(key, sip.started_ns)
        self._recent.setdefault(key, [0, 0])[0] += 1

    def _described(self, description: MediaDescription) -> None:
        call = self._calls.get(description.call_id)
        if call is None:
            return
        given_up = call.announce(self._media.announce(description))
        if given_up is not None:
            self._media.forget(given_up)
        if call.outcome is None:
            self._count_transcode(call, call.sip.last_seen_ns)

    def _count_transcode(self, call: TrackedCall, at_ns: int) -> None:
        """Count an answered call whose answers, seen on either side of a relay, chose different codecs."""
        if call.load_key is not None and not call.counted_transcode and len(call.codecs) > 1:
            call.counted_transcode = True
            self.concurrency.change(call.load_key, at_ns, 0, transcodes=+1)

    def _answered(self, sip: SipCall) -> None:
        call = self._calls.get(sip.call_id)
        if call is None or call.sip is not sip or call.answered:
            return
        call.answered = call.changed = True
        self.stats.answered += 1
        self._relabel(call)
        self._count_attempt(call, Outcome.ANSWERED, sip.answered_ns)
        self._recent.setdefault(call.key, [0, 0])[1] += 1
        if not call.is_egress:
            ptime = next((s.ptime_ms for s in call.sides if s.is_answer and s.ptime_ms), 20)
            call.packets_per_second = 2 * 1000 / ptime
            call.load_key = call.key
            self.concurrency.change(call.load_key, sip.answered_ns, +1, call.packets_per_second)
            self._count_transcode(call, sip.answered_ns)

    def _ended(self, sip: SipCall) -> None:
        call = self._calls.get(sip.call_id)
        if call is None or call.sip is not sip:
            return
        self._finish(call, sip.ended_ns or sip.last_seen_ns)

    def _finish(self, call: TrackedCall, at_ns: int) -> None:
        if call.outcome is not None:
            return
        sip = call.sip
        call.changed = True
        call.ended_ns = at_ns
        call.due_ns = at_ns + self._settings.linger_ns
        self.stats.ended += 1
        if call.answered:
            call.outcome = Outcome.ANSWERED
            if call.load_key is not None:
                transcodes = -int(call.counted_transcode)
                self.concurrency.change(call.load_key, at_ns, -1, -call.packets_per_second, transcodes)
                holding_s = max(at_ns - sip.answered_ns, 0) / 1e9
                self._rollups.load.row(at_ns, *call.load_key).count("holding_time_histogram", holding_s)
        else:
            call.outcome = classify(
                sip.sip_code or None,
                ringing=bool(sip.ringing_ns),
                cancelled=sip.cancelled,
                reject_403=self._settings.reject_403,
            )
            self._relabel(call)
            self._count_attempt(call, call.outcome, at_ns)
        self._due.append(call)

    def _count_attempt(self, call: TrackedCall, outcome: Outcome, at_ns: int) -> None:
        if call.is_egress:
            return
        sip = call.sip
        row = self._rollups.sessions.row(at_ns, *call.place)
        row.add("attempts")
        row.add(outcome.value)
        if outcome is Outcome.ANSWERED or sip.sip_code in SEER_EFFECTIVE:
            row.add("seer_effective")
        if sip.sip_code in INEFFECTIVE:
            row.add("ineffective")
        if sip.first_response_ns:
            row.count("pdd_ms_histogram", (sip.first_response_ns - sip.started_ns) / 1e6)

    def _relabel(self, call: TrackedCall) -> None:
        """Look again once more hops are known: the trunk of an outbound call is the hop behind the proxy."""
        if call.labels.trunk == UNKNOWN and len(call.sip.hops) > 1:
            call.labels = self._labeller.call(call.sip, further=_hop_endpoints(call.sip.hops))
            call.pool = self._pools.of(call.labels)

    def take_load(self) -> dict[LoadKey, dict[str, object]]:
        """Return the load per key now: calls up and in setup, and attempts and answers since the last take."""
        setup: dict[LoadKey, int] = {}
        streams: dict[LoadKey, int] = {}
        for call in self._calls.values():
            if call.outcome is None:
                key = call.key
                if not call.answered:
                    setup[key] = setup.get(key, 0) + 1
                elif call.has_media:
                    streams[key] = streams.get(key, 0) + 1
        recent, self._recent = self._recent, {}
        up = self.concurrency.current()
        return {
            key: {
                "concurrent": up.get(key, 0),
                "setup_in_progress": setup.get(key, 0),
                "measured_calls": streams.get(key, 0),
                "attempts": recent.get(key, [0, 0])[0],
                "answered": recent.get(key, [0, 0])[1],
            }
            for key in up | setup | recent
        }

    def take_states(self, now_ns: int) -> list[Row]:
        """Return the `call_now` rows of the calls that changed, or were last stated `RESTATE_NS` ago."""
        rows: list[Row] = []
        for call in self._calls.values():
            if call.changed or now_ns - call.stated_ns >= RESTATE_NS:
                call.changed, call.stated_ns = False, now_ns
                rows.append(state_row(call, now_ns, self._settings))
        return rows

    def add_interval(self, interval: StreamInterval) -> None:
        """Take the closed interval of one stream into the quality of its call."""
        call = self._calls.get(interval.call_id)
        if call is not None:
            call.add_interval(interval)
        self.check.add(interval, call)

    def take_records(self, now_ns: int, reports: ReportTracker) -> Iterator[CallRecord]:
        """Return the records of the calls whose last intervals are in; they are then forgotten."""
        waiting: list[TrackedCall] = []
        too_many = len(self._due) - self._settings.max_waiting
        for i, call in enumerate(self._due):
            if call.due_ns > now_ns:
                if i >= too_many:
                    waiting.append(call)
                    continue
                self.stats.hurried += 1
            if call.answered:
                activity = reports.sender_activity(call.sip.call_id)
                call.one_way = one_way(activity, self._media, call.sides, call.heard)
                self.check.call_over(call, activity)
            self._count_end(call)
            yield record_of(call, self._settings, self._links.of(call.sip))
            for side in call.sides:
                self._media.forget(side)
            if self._calls.get(call.sip.call_id) is call:
                del self._calls[call.sip.call_id]
            self._links.forget(call.sip, self._calls.__contains__)
        self._due = waiting

    def _count_end(self, call: TrackedCall) -> None:
        """Count what is only known at the end of an answered call."""
        if call.duration_s is None or call.is_egress:
            return
        row = self._rollups.sessions.row(call.ended_ns, *call.place)
        row.add("minutes", call.duration_s / 60)
        if call.sip.clean_end:
            row.add("completed")
        if call.duration_s < SHORT_CALL_S:
            row.add("short_calls")
        if call.one_way:
            row.add("one_way")
        if not call.has_media:
            row.add("no_media")


def _hop_endpoints(hops: Iterable[str]) -> Iterator[Endpoint]:
    for hop in hops:
        for side in hop.split(" > "):
            ip, _, port = side.rpartition(":")
            if port.isdigit():
                yield Endpoint(ip.strip("[]"), int(port))
