"""The alert service: reads the slots that are new, judges them, keeps incidents in the store and fills the outbox.

State is in the store: the newest `alert_event` of an incident is how it stands. A service that starts judges the
last day again and finds the incidents it had, by what they are about and when; what was sent is not sent again.
`now` is a parameter; waiting and the clock are the role's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import pyarrow as pa

from alerts.archive import SECOND_NS, Archive, SignalId
from alerts.catalog import STARTER, Watched, watched
from alerts.incidents import (
    Incident,
    Scope,
    Severity,
    State,
    acknowledged,
    grouped,
    incident_id,
    severity,
    silenced,
)
from alerts.notify import Outbox, message_of
from alerts.settings import AlertSettings
from alerts.signals import Direction
from alerts.watch import Alert, Sensitivity, Status, Watch
from forecast.calendar import holiday_days
from forecast.localtime import DAY_S
from forecast.states import mark_closed
from storage.actions import Action, actions
from storage.rows import batch
from storage.schema import ActionKind
from storage.seam import Reader, Window, Writer

REPLAYED_S = DAY_S
"""What a start judges again."""
_KNOWN_DAYS = 14
_SAME_NS = 3 * 3600 * SECOND_NS
"""An alert judged again may begin this much earlier or later than the incident it is."""
_SIDES = {Direction.UP: "above", Direction.DOWN: "below"}


@dataclass(slots=True)
class ServiceStats:
    """Counters for the exporter."""

    signals: int = 0
    learning: int = 0
    no_data: int = 0
    opened: int = 0
    resolved: int = 0
    judged_until_s: int = 0


@dataclass(slots=True)
class _Kept:
    """An incident as it was last written, and whom it was sent to."""

    incident: Incident
    notified: str = ""
    told: Severity | None = None


@dataclass(slots=True)
class Service:
    """One service; `step` after each slot."""

    reader: Reader
    writer: Writer
    settings: AlertSettings
    outbox: Outbox
    catalog: Sequence[Watched] = STARTER
    stats: ServiceStats = field(default_factory=ServiceStats)
    _archive: Archive | None = None
    _watches: dict[SignalId, Watch] = field(default_factory=dict)
    _incidents: dict[str, _Kept] = field(default_factory=dict)

    @property
    def due_s(self) -> float:
        """When the next slot is whole and its late rows are in, UTC seconds."""
        return self.stats.judged_until_s + self.settings.slot + self.settings.delay

    def step(self, now_s: float) -> None:
        """Judge what is whole by now, write what changed, and send."""
        slot_s = int(self.settings.slot)
        until_s = int(now_s - self.settings.delay) // slot_s * slot_s
        if self._archive is None:
            self._start(until_s, slot_s)
        assert self._archive is not None
        self._archive.read(self.reader, until_s)
        current = self._judge(self._archive)
        told = actions(self.reader, (ActionKind.SILENCE, ActionKind.ACKNOWLEDGE), int(now_s * SECOND_NS))
        self._update(current, told, now_s)
        self.stats.judged_until_s = until_s
        self.outbox.flush(now_s)

    def incidents(self) -> list[Incident]:
        """Return the incidents that are not resolved."""
        return [k.incident for k in self._incidents.values() if k.incident.state is not State.RESOLVED]

    def _start(self, until_s: int, slot_s: int) -> None:
        start_s = int(until_s - self.settings.history) // DAY_S * DAY_S
        zone = ZoneInfo(self.settings.zone)
        self._archive = Archive(self.catalog, start_s, slot_s, zone, self.settings.most_scopes)
        for kept in stored(self.reader, until_s):
            self._incidents[kept.incident.id] = kept

    def _judge(self, archive: Archive) -> dict[str, Incident]:
        """Return the incident of every alert, open or ended, that the watches know of."""
        found: dict[str, Incident] = {}
        days = archive.start_s // DAY_S
        ahead = days + int(self.settings.history // DAY_S) + 400
        holiday = holiday_days(self.settings.country, days, ahead) if self.settings.country else frozenset()
        counts = {Status.LEARNING: 0, Status.NO_DATA: 0}
        for key in archive.ids():
            rule = watched(key.rule)
            if rule is None:
                continue
            signal = archive.signal(key, rule)
            watch = self._watches.get(key)
            if watch is None:
                watch = self._watches[key] = Watch(
                    Sensitivity(
                        self.settings.budget_per_week, least_volume=rule.least_volume, directions=rule.directions
                    ),
                    holiday,
                )
                before = max(0, len(signal) - REPLAYED_S // archive.slot_s)
                watch.skip_to(before, replace(signal, series=mark_closed(signal.series, history=before)))
            watch.advance(signal)
            counts[watch.status] = counts.get(watch.status, 0) + 1
            for alert in watch.alerts:
                one = self._incident(key, alert, archive)
                found[one.id] = one
        self.stats.signals = len(self._watches)
        self.stats.learning, self.stats.no_data = counts[Status.LEARNING], counts[Status.NO_DATA]
        return found

    def _incident(self, key: SignalId, alert: Alert, archive: Archive) -> Incident:
        def at(slot: int) -> int:
            return (archive.start_s + slot * archive.slot_s) * SECOND_NS

        started_ns, side = at(alert.start), _SIDES[alert.direction]
        same = next(
            (
                k.incident
                for k in self._incidents.values()
                if k.incident.rule == key.rule
                and k.incident.scope == key.scope
                and k.incident.direction == side
                and abs(k.incident.started_ns - started_ns) <= _SAME_NS
            ),
            None,
        )
        return Incident(
            rule=key.rule,
            scope=key.scope,
            direction=side,
            started_ns=same.started_ns if same else started_ns,
            observed=alert.observed,
            expected=alert.expected,
            low=alert.low,
            high=alert.high,
            score=alert.score,
            detectable_change=alert.detectable_change,
            n=alert.n,
            excess=alert.excess,
            state=State.FIRING if alert.end is None else State.RESOLVED,
            ended_ns=None if alert.end is None else at(alert.end),
            onset_ns=(same.onset_ns if same else 0) or at(alert.onset),
            id=same.id if same else incident_id(key.rule, key.scope, started_ns),
        )

    def _update(self, current: dict[str, Incident], told: Sequence[Action], now_s: float) -> None:
        now_ns = int(now_s * SECOND_NS)
        for kept in self._incidents.values():
            # Judged again after a start and not found: it ended while nobody watched.
            if kept.incident.state is not State.RESOLVED and kept.incident.id not in current:
                current[kept.incident.id] = replace(kept.incident, state=State.RESOLVED, ended_ns=now_ns)
        rated = [self._rated(one, told, now_ns) for one in current.values()]
        still = grouped([i for i in rated if i.state is not State.RESOLVED])
        over = [i for i in rated if i.state is State.RESOLVED]
        changed = [one for one in (*still, *over) if self._changed(one)]
        for one in changed:
            self._take(one, told, now_s)
        if changed:
            slot_s = self.settings.slot
            rows = [_row(self._incidents[one.id], now_ns + place, slot_s) for place, one in enumerate(changed)]
            self.writer.write("alert_event", batch("alert_event", rows))
            self.writer.flush()

    def _rated(self, one: Incident, told: Sequence[Action], now_ns: int) -> Incident:
        minutes = ((one.ended_ns or now_ns) - one.started_ns) / (60 * SECOND_NS)
        bad = severity(
            one.excess, minutes, warning=self.settings.warning_calls, critical=self.settings.critical_calls
        )
        if one.state is State.FIRING and acknowledged(one, told, now_ns):
            one = replace(one, state=State.ACKNOWLEDGED)
        kept = self._incidents.get(one.id)
        if kept is None:
            return replace(one, severity=bad)
        # It does not get milder while it lasts, and what explained it still does at its end.
        worst = max(bad, kept.incident.severity, key=list(Severity).index)
        over = one.state is State.RESOLVED
        return replace(
            one, severity=worst,
            parent_id=kept.incident.parent_id if over else one.parent_id,
            cause=kept.incident.cause if over else one.cause,
        )  # fmt: skip

    def _changed(self, one: Incident) -> bool:
        kept = self._incidents.get(one.id)
        if kept is None:
            return True
        old = kept.incident
        return (one.state, one.severity, one.parent_id) != (old.state, old.severity, old.parent_id)

    def _take(self, one: Incident, told: Sequence[Action], now_s: float) -> None:
        kept = self._incidents.get(one.id)
        if kept is None:
            kept = self._incidents[one.id] = _Kept(one)
            self.stats.opened += 1
        if one.state is State.RESOLVED and kept.incident.state is not State.RESOLVED:
            self.stats.resolved += 1
        kept.incident = one
        quiet = silenced(one, told, int(now_s * SECOND_NS))
        if one.parent_id:
            kept.notified = kept.notified or f"no: part of {one.parent_id}"
        elif quiet is not None:
            kept.notified = kept.notified or f"no: silenced by {quiet.author}"
        elif one.state is State.RESOLVED:
            if kept.told is not None:
                self._send(kept, now_s)
        elif one.state is State.FIRING and kept.told is not one.severity:
            kept.told = one.severity
            kept.notified = self._send(kept, now_s) or "no: no route wants it"

    def _send(self, kept: _Kept, now_s: float) -> str:
        rule = watched(kept.incident.rule)
        title = rule.title if rule else kept.incident.rule
        return ", ".join(self.outbox.put(message_of(kept.incident, title, self.settings.page_url), now_s))


def _row(kept: _Kept, time_ns: int, slot_s: float) -> dict[str, object]:
    one = kept.incident
    return {
        "time": time_ns,
        "tenant": one.scope.tenant,
        "rule": one.rule,
        "severity": one.severity.value,
        "state": one.state.value,
        "scope_kind": one.scope.kind,
        "scope": one.scope.name,
        "incident_id": one.id,
        "parent_id": one.parent_id,
        "signal": one.rule,
        "direction": one.direction,
        "onset_at": one.onset_ns or None,
        "started_at": one.started_ns,
        "ended_at": one.ended_ns,
        "slot_seconds": slot_s,
        "observed": one.observed,
        "expected": one.expected,
        "low": one.low,
        "high": one.high,
        "score": one.score,
        "detectable_change": one.detectable_change if one.detectable_change < 1e9 else None,
        "n": round(one.n),
        "impact_calls": abs(one.excess),
        "impact_minutes": ((one.ended_ns or time_ns) - one.started_ns) / (60 * SECOND_NS),
        "cause": one.cause,
        "notified": kept.notified,
    }


def stored(reader: Reader, until_s: int, incident: str | None = None) -> list[_Kept]:
    """Return the incidents of the last two weeks as they stand in the store; only that of an id if given."""
    window = Window((until_s - _KNOWN_DAYS * DAY_S) * SECOND_NS, (until_s + DAY_S) * SECOND_NS)
    table = reader.latest("alert_event", window, by=["incident_id"])
    for name in ("onset_at", "started_at", "ended_at"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    return [_kept(row) for row in table.to_pylist() if incident in (None, row["incident_id"])]


def _kept(row: dict[str, object]) -> _Kept:
    def number(name: str) -> float:
        value = row[name]
        return float(value) if isinstance(value, int | float) else 0.0

    onset, started, ended = row["onset_at"], row["started_at"], row["ended_at"]
    excess = number("impact_calls") * (1 if row["direction"] == "above" else -1)
    notified = str(row["notified"] or "")
    bad = Severity(str(row["severity"]))
    return _Kept(
        Incident(
            rule=str(row["rule"]),
            scope=Scope(str(row["scope_kind"]), str(row["scope"]), str(row["tenant"])),
            direction=str(row["direction"]),
            started_ns=started if isinstance(started, int) else 0,
            observed=number("observed"),
            expected=number("expected"),
            low=number("low"),
            high=number("high"),
            score=number("score"),
            detectable_change=number("detectable_change"),
            n=number("n"),
            excess=excess,
            state=State(str(row["state"])),
            severity=bad,
            ended_ns=ended if isinstance(ended, int) else None,
            onset_ns=onset if isinstance(onset, int) else 0,
            parent_id=str(row["parent_id"] or ""),
            cause=str(row["cause"] or ""),
            id=str(row["incident_id"]),
        ),
        notified=notified,
        told=bad if notified and not notified.startswith("no:") else None,
    )
