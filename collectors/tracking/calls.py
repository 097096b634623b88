"""Calls: dialogs joined with their media and their quality, from first INVITE to the record at the end.

Dialog events and stream intervals come in; call records, session rollups and findings go out. A record is
made only once the intervals of its last seconds are in, so that `mos_min` covers the whole call.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from collectors.facts import (
    CallAnswered,
    CallEnded,
    CallStarted,
    MediaDescription,
    SipCall,
)
from collectors.tracking.concurrency import Concurrency, LoadKey
from collectors.tracking.labels import Labeller, PoolOf
from collectors.tracking.media import MediaIndex, MediaSide
from collectors.tracking.one_way import DirectionsHeard, one_way
from collectors.tracking.privacy import NumberPrivacy, destination_of, mask_user
from collectors.tracking.reports import ReportTracker
from collectors.tracking.rollups import Rollups, Row
from storage.schema import SHARDS
from telephony.bands import R_DIVISOR
from telephony.kpis import INEFFECTIVE, SEER_EFFECTIVE
from telephony.model import (
    INTERVAL_NS,
    UNKNOWN,
    CallRecord,
    Endpoint,
    Labels,
    Outcome,
    ReleasedBy,
    Scale,
    StreamInterval,
)
from telephony.outcomes import classify

DEGRADED_R = 70.0
"""Below this R (narrowband equivalent) an interval counts as degraded."""
SHORT_CALL_S = 10.0
RESTATE_NS = 30_000_000_000
"""How often a call that does not change is stated again."""
_MAX_SIDES = 16
"""Media addresses kept per call; a call that announces more is re-routed in a loop."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Bounds and choices of the call table."""

    privacy: NumberPrivacy = NumberPrivacy.MASK
    hash_salt: bytes = b""
    reject_403: bool = False
    """Count 403 as a rejection by the called party (NER) and not as a client error."""
    linger_ns: int = INTERVAL_NS + 2_000_000_000
    """How long after its end a call waits for the intervals of its last seconds."""
    max_links: int = 100_000


@dataclass(slots=True)
class TrackedCall:
    """A call while it lives, and until its record is made."""

    sip: SipCall
    labels: Labels
    pool: str
    sides: list[MediaSide] = field(default_factory=list)
    answered: bool = False
    counted_up: bool = False
    load_key: LoadKey | None = None
    packets_per_second: float = 0.0
    outcome: Outcome | None = None
    ended_ns: int = 0
    due_ns: int = 0
    intervals: int = 0
    degraded: int = 0
    heard: DirectionsHeard = field(default_factory=DirectionsHeard)
    mos_sum: dict[Scale, float] = field(default_factory=dict)
    mos_n: dict[Scale, int] = field(default_factory=dict)
    mos_min: dict[Scale, float] = field(default_factory=dict)
    reports: int = 0
    """RTCP messages that were joined to the call."""
    one_way: bool | None = None
    r_last: float | None = None
    r_min: float | None = None
    changed: bool = True
    """Since its state was last given to `take_states`."""
    stated_ns: int = 0
    is_egress: bool = False
    """The far leg of a back-to-back user agent: linked to an earlier call, counted there."""

    @property
    def codec(self) -> str:
        """The negotiated voice codec, as far as SDP has said it."""
        for side in reversed(self.sides):
            if side.is_answer and side.voice_codec is not None:
                return side.voice_codec.name.upper()
        return next((s.voice_codec.name.upper() for s in self.sides if s.voice_codec is not None), UNKNOWN)

    @property
    def codecs(self) -> tuple[str, ...]:
        """Every voice codec that an answer chose, in order; of the offer where nothing was answered."""
        answers = [s for s in self.sides if s.is_answer] or self.sides[:1]
        return tuple(dict.fromkeys(s.voice_codec.name.upper() for s in answers if s.voice_codec is not None))


@dataclass(slots=True)
class CallStats:
    """Counters of the call table."""

    started: int = 0
    answered: int = 0
    ended: int = 0
    links_evicted: int = 0


class CallTable:
    """All calls that live or wait for their record."""

    def __init__(
        self, labeller: Labeller, media: MediaIndex, rollups: Rollups, pools: PoolOf, settings: CallSettings
    ) -> None:
        self.stats = CallStats()
        self.concurrency = Concurrency(rollups.load)
        self._labeller = labeller
        self._media = media
        self._rollups = rollups
        self._pools = pools
        self._settings = settings
        self._calls: dict[str, TrackedCall] = {}
        self._links: OrderedDict[str, list[str]] = OrderedDict()
        self._due: list[TrackedCall] = []
        self._recent: dict[LoadKey, list[int]] = {}
        """Attempts and answers since the last look at the load."""

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: str) -> TrackedCall | None:
        """Return the call of this Call-ID, if it lives or waits for its record."""
        return self._calls.get(call_id)

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
        self._link(call)
        key = self._key(call)
        self.concurrency.arrival(key, sip.started_ns)
        self._recent.setdefault(key, [0, 0])[0] += 1

    def _link(self, call: TrackedCall) -> None:
        """Join legs by X-CID (the other leg's Call-ID) and Session-ID (RFC 7989: one value in every leg)."""
        keys = []
        if x_cid := call.sip.headers.get("x-cid"):
            keys.append(f"cid:{x_cid.strip()}")
        if session := call.sip.headers.get("session-id"):
            uuid = session.split(";", 1)[0].strip().lower()
            if uuid.strip("0"):
                keys.append(f"sid:{uuid}")
        keys.append(f"cid:{call.sip.call_id}")
        for key in keys:
            members = self._links.setdefault(key, [])
            self._links.move_to_end(key)
            if members and call.sip.call_id not in members:
                first = self._calls.get(members[0])
                call.is_egress = call.is_egress or first is not None
            if call.sip.call_id not in members and len(members) < _MAX_SIDES:
                members.append(call.sip.call_id)
        while len(self._links) > self._settings.max_links:
            self._links.popitem(last=False)
            self.stats.links_evicted += 1

    def linked(self, call: TrackedCall) -> tuple[str, ...]:
        """Return the Call-IDs of the other legs of this call."""
        keys = [f"cid:{call.sip.call_id}"]
        if x_cid := call.sip.headers.get("x-cid"):
            keys.append(f"cid:{x_cid.strip()}")
        if session := call.sip.headers.get("session-id"):
            keys.append(f"sid:{session.split(';', 1)[0].strip().lower()}")
        found: dict[str, None] = {}
        for key in keys:
            for member in self._links.get(key, ()):
                if member != call.sip.call_id:
                    found[member] = None
        return tuple(found)

    def _described(self, description: MediaDescription) -> None:
        call = self._calls.get(description.call_id)
        side = self._media.announce(description)
        if call is None:
            return
        for i, known in enumerate(call.sides):
            if known.rtp == side.rtp and known.from_caller == side.from_caller:
                call.sides[i] = side
                return
        if len(call.sides) < _MAX_SIDES:
            call.sides.append(side)

    def _answered(self, sip: SipCall) -> None:
        call = self._calls.get(sip.call_id)
        if call is None or call.sip is not sip or call.answered:
            return
        call.answered = call.changed = True
        self.stats.answered += 1
        self._relabel(call)
        self._count_attempt(call, Outcome.ANSWERED, sip.answered_ns)
        self._recent.setdefault(self._key(call), [0, 0])[1] += 1
        if not call.is_egress:
            ptime = next((s.ptime_ms for s in call.sides if s.is_answer and s.ptime_ms), 20)
            call.packets_per_second = 2 * 1000 / ptime
            call.load_key = self._key(call)
            call.counted_up = True
            self.concurrency.change(call.load_key, sip.answered_ns, +1, call.packets_per_second)

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
            if call.counted_up and call.load_key is not None:
                self.concurrency.change(call.load_key, at_ns, -1, -call.packets_per_second)
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
        row = self._rollups.sessions.row(at_ns, *_place(call.labels))
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
                key = self._key(call)
                if not call.answered:
                    setup[key] = setup.get(key, 0) + 1
                elif call.reports:
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
                rows.append(self._state(call, now_ns))
        return rows

    def _state(self, call: TrackedCall, now_ns: int) -> Row:
        sip, settings = call.sip, self._settings
        shard = crc32(sip.call_id.encode())
        return {
            "time": now_ns + shard % 1_000_000,  # no two calls of a shard on one point
            **dict(zip(("tenant", "trunk", "region", "node"), _place(call.labels), strict=True)),
            "shard": str(shard % SHARDS),
            "call_id": sip.call_id,
            "state": _state_of(call),
            "started_at": sip.started_ns,
            "answered_at": sip.answered_ns or None,
            "from_masked": mask_user(sip.from_user, settings.privacy, settings.hash_salt),
            "to_masked": mask_user(sip.to_user, settings.privacy, settings.hash_salt),
            "destination": destination_of(sip.to_user, sip.to_domain),
            "codec": call.codec,
            "outcome": call.outcome.value if call.outcome is not None else None,
            "sip_code": sip.sip_code or None,
            "r_last": call.r_last,
            "r_min": call.r_min,
            "reports": call.reports,
            "quality_reason": "" if call.intervals else _why_no_quality(call),
        }

    def _key(self, call: TrackedCall) -> LoadKey:
        return (call.labels.tenant, call.pool, call.labels.region, call.labels.node)

    def add_interval(self, interval: StreamInterval) -> None:
        """Take the closed interval of one stream of a call into the call's quality."""
        call = self._calls.get(interval.call_id)
        if call is not None:
            call.heard.add(interval)
        if call is None or interval.r_factor is None or interval.mos is None or interval.mos_scale is None:
            return
        scale, r = interval.mos_scale, interval.r_factor / R_DIVISOR[interval.mos_scale]
        call.intervals += 1
        call.r_last = r
        call.r_min = r if call.r_min is None else min(call.r_min, r)
        call.changed = True
        if r < DEGRADED_R:
            call.degraded += 1
        call.mos_sum[scale] = call.mos_sum.get(scale, 0.0) + interval.mos
        call.mos_n[scale] = call.mos_n.get(scale, 0) + 1
        call.mos_min[scale] = min(call.mos_min.get(scale, interval.mos), interval.mos)

    def take_records(self, now_ns: int, reports: ReportTracker) -> Iterator[CallRecord]:
        """Return the records of the calls whose last intervals are in; they are then forgotten."""
        waiting = []
        for call in self._due:
            if call.due_ns > now_ns:
                waiting.append(call)
                continue
            if call.answered:
                activity = reports.sender_activity(call.sip.call_id)
                call.one_way = one_way(activity, self._media, call.sides, call.heard)
            yield self._record(call)
            for side in call.sides:
                self._media.forget(side)
            if self._calls.get(call.sip.call_id) is call:
                del self._calls[call.sip.call_id]
        self._due = waiting

    def _record(self, call: TrackedCall) -> CallRecord:
        sip, settings = call.sip, self._settings
        assert call.outcome is not None
        duration_s = max(call.ended_ns - sip.answered_ns, 0) / 1e9 if call.answered else None
        if call.answered and duration_s is not None and not call.is_egress:
            row = self._rollups.sessions.row(call.ended_ns, *_place(call.labels))
            row.add("minutes", duration_s / 60)
            if sip.clean_end:
                row.add("completed")
            if duration_s < SHORT_CALL_S:
                row.add("short_calls")
            if call.one_way:
                row.add("one_way")
            if not call.reports:
                row.add("no_media")
        scale = max(call.mos_n, key=lambda s: call.mos_n[s], default=None)
        return CallRecord(
            labels=call.labels,
            call_id=sip.call_id,
            outcome=call.outcome,
            started_ns=sip.started_ns,
            ended_ns=call.ended_ns,
            codec=call.codec,
            sip_code=sip.sip_code or None,
            q850=sip.q850 or None,
            released_by=ReleasedBy(sip.released_by) if sip.released_by else None,
            attempts=sip.attempts,
            pdd_ms=(sip.first_response_ns - sip.started_ns) / 1e6 if sip.first_response_ns else None,
            setup_ms=(sip.answered_ns - sip.started_ns) / 1e6 if sip.answered_ns else None,
            duration_s=duration_s,
            from_masked=mask_user(sip.from_user, settings.privacy, settings.hash_salt),
            to_masked=mask_user(sip.to_user, settings.privacy, settings.hash_salt),
            destination=destination_of(sip.to_user, sip.to_domain),
            legs=max(sip.legs, 1),
            hops=tuple(sip.hops),
            codecs=call.codecs,
            one_way=call.one_way,
            mos_min=call.mos_min[scale] if scale else None,
            mos_avg=call.mos_sum[scale] / call.mos_n[scale] if scale else None,
            degraded_ratio=call.degraded / call.intervals if call.intervals else None,
            quality_reason="" if call.intervals else _why_no_quality(call),
            correlated=self.linked(call),
        )


def _state_of(call: TrackedCall) -> str:
    if call.outcome is not None:
        return "ended"
    if call.answered:
        return "answered"
    return "ringing" if call.sip.ringing_ns else "setup"


def _place(labels: Labels) -> tuple[str, str, str, str]:
    return (labels.tenant, labels.trunk, labels.region, labels.node)


def _hop_endpoints(hops: Iterable[str]) -> Iterator[Endpoint]:
    for hop in hops:
        for side in hop.split(" > "):
            ip, _, port = side.rpartition(":")
            if port.isdigit():
                yield Endpoint(ip.strip("[]"), int(port))


def _why_no_quality(call: TrackedCall) -> str:
    if not call.answered:
        return "not answered: no media to rate"
    if not call.sides:
        return "no SDP seen: its media cannot be told apart"
    if not call.reports:
        return "no RTCP seen for its media addresses"
    return "RTCP seen, but no receiver reports with a measurable interval"
