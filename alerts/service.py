"""The alert service: reads the slots that are new, judges them, keeps incidents in the store and fills the outbox.

State is in the store: the newest `alert_event` of an incident is how it stands, and says who is still owed a
message. A service that starts takes up what lasted, judges the last day of the rest again and finds the incidents
it had, by what they are about and when. `now` is a parameter; waiting and the clock are the role's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from alerts.affected import affected, explains, part_of
from alerts.archive import Archive
from alerts.catalog import STARTER, Watched, watched
from alerts.detectors import Window as Seen
from alerts.incidents import (
    PLACES,
    TOGETHER_NS,
    Incident,
    Scope,
    Severity,
    State,
    acknowledged,
    grouped,
    severity,
    silenced,
)
from alerts.judging import Judge
from alerts.known import Known
from alerts.limits import BUILT_IN, Limit, runbook_of
from alerts.notify import Message, message_of
from alerts.outbox import Delivery, Fate, Outbox
from alerts.records import NO_ROUTE, RESOLVED, SECOND_NS, Kept, Told, row_of, stored
from alerts.settings import AlertSettings
from alerts.watch import Status
from forecast.events import Event
from forecast.localtime import DAY_S
from storage.actions import Action, actions
from storage.rows import batch
from storage.schema import ActionKind
from storage.seam import Reader, Writer

_REMEMBERED_NS = 2 * DAY_S * SECOND_NS
"""How long the end of an incident is remembered here; the store keeps it."""
_QUIET_NS = 600 * SECOND_NS
"""An incident is over when it was quiet for this long: what comes back before is the same one, and no news."""
_HELD_SLOT_S = 60
"""Slots up to this length are worth waiting one for the cause to show, before anybody is told."""


@dataclass(slots=True)
class ServiceStats:
    """Counters for the exporter."""

    signals: int = 0
    learning: int = 0
    no_data: int = 0
    pending: int = 0
    shed: int = 0
    """Scopes for which there was no room."""
    evaluations: int = 0
    opened: Counter[str] = field(default_factory=Counter)
    """Incidents by severity at their beginning."""
    resolved: int = 0
    judged_until_s: int = 0
    judged_at_s: float = 0.0
    detected: int = 0
    detection_lag_s: float = 0.0
    """Sum over the detected, from the beginning of what was unusual to the incident."""
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Incidents that are not over, by severity and state."""


@dataclass(slots=True)
class Service:
    """One service; `step` after each slot, `deliver` in between."""

    reader: Reader
    writer: Writer
    settings: AlertSettings
    outbox: Outbox
    catalog: Sequence[Watched] = STARTER
    events: Sequence[Event] = ()
    """Announced in the configuration; those that were recorded come from the store."""
    stats: ServiceStats = field(default_factory=ServiceStats)
    zones: Mapping[tuple[str, str], ZoneInfo] = field(default_factory=dict)
    """By kind and name of a scope: whose days it follows, where not those of the settings."""
    _judge: Judge | None = None
    _limits: dict[str, Limit] = field(default_factory=dict)
    _incidents: dict[str, Kept] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)
    """Ids of incidents that began, or came under another cause, in the last step."""
    _unsaved: dict[str, None] = field(default_factory=dict)
    """Ids of incidents whose last change is not in the store yet, in order."""
    _row_ns: int = 0

    def __post_init__(self) -> None:
        self._limits = {limit.name: limit for limit in (*BUILT_IN, *(rule.limit for rule in self.settings.rules))}

    @property
    def due_s(self) -> float:
        """When the next slot is whole and its late rows are in, UTC seconds."""
        return self.stats.judged_until_s + self.settings.slot + self.settings.delay

    def step(self, now_s: float) -> None:
        """Judge what is whole by now, write what changed, and send."""
        slot_s = int(self.settings.slot)
        until_s = int(now_s - self.settings.delay) // slot_s * slot_s
        judge = self._judge = self._judge or self._start(until_s, slot_s)
        judge.forget(until_s - self.settings.history)
        judge.archive.read(self.reader, until_s)
        current = judge.judge(kept.incident for kept in self._incidents.values())
        told = actions(self.reader, (ActionKind.SILENCE, ActionKind.ACKNOWLEDGE), int(now_s * SECOND_NS))
        self._update(judge, current, told, now_s)
        self.stats.signals, self.stats.pending = judge.signals, judge.counts[Status.PENDING]
        self.stats.learning, self.stats.no_data = judge.counts[Status.LEARNING], judge.counts[Status.NO_DATA]
        self.stats.evaluations += 1
        self.stats.shed = judge.archive.shed
        self.stats.judged_until_s, self.stats.judged_at_s = until_s, now_s
        self.deliver(now_s)

    def deliver(self, now_s: float) -> None:
        """Send what is due, and write down the fate of each message before the next one goes out."""
        self._save(now_s)
        for kept in self._incidents.values():
            for route, told in kept.routes.items():
                self._queue(kept, route, told, now_s)
        for delivery, fate in self.outbox.flush(now_s):
            told = self._incidents[delivery.incident].routes[delivery.route]
            if told.owed == delivery.phase:
                told.owed = ""
            if fate is Fate.SENT:
                told.told, told.lost = delivery.phase, ""
            else:
                told.lost = delivery.phase
            self._unsaved[delivery.incident] = None
            self._save(now_s)
        self._save(now_s)

    def incidents(self) -> list[Incident]:
        """Return the incidents that are not resolved."""
        return [kept.incident for kept in self.kept()]

    def kept(self) -> list[Kept]:
        """Return the incidents that are not resolved, with who was told."""
        return [k for k in self._incidents.values() if k.incident.state is not State.RESOLVED]

    def _start(self, until_s: int, slot_s: int) -> Judge:
        start_s = int(until_s - self.settings.history) // DAY_S * DAY_S
        zone = ZoneInfo(self.settings.zone)
        for kept in stored(self.reader, until_s):
            self._row_ns = max(self._row_ns, kept.recorded_ns)
            if kept.owes or kept.incident.state is not State.RESOLVED or _recent(kept, until_s):
                self._incidents[kept.incident.id] = kept
        archive = Archive(
            self.catalog, start_s, slot_s, zone, self.settings.most_scopes, self.zones, known=Known(self.events)
        )
        return Judge(self.settings, archive, self._limits)

    def _update(self, judge: Judge, current: dict[str, Incident], told: Sequence[Action], now_s: float) -> None:
        now_ns = int(now_s * SECOND_NS)
        rated = self._lasting([self._rated(one, told, now_ns) for one in current.values()], now_ns)
        still = [one for one in rated if one.state is not State.RESOLVED]
        leading = {kept.incident.id for kept in self.kept() if not kept.incident.parent_id}
        grouping = grouped([one for one in still if not self._explicit(one)], leading, judge.excess_since)
        alone = [one for one in still if self._explicit(one)]
        hurt = [self._rated(one, told, now_ns) for one in self._hurt(judge, grouping, current)]
        # What its place explained ends with it. Judged again after a start and not found: nobody watched its end.
        lasting, ends = {one.id for one in hurt}, {one.id: one.ended_ns for one in rated}
        gone = [
            self._rated(
                replace(kept.incident, state=State.RESOLVED, ended_ns=ends.get(kept.incident.parent_id) or now_ns),
                told,
                now_ns,
            )
            for kept in self.kept()
            if kept.incident.id not in current and kept.incident.id not in lasting
        ]
        over = [*(one for one in rated if one.state is State.RESOLVED), *gone]
        self._unsettled.clear()
        for one in (*grouping, *hurt, *alone, *over):
            self._take(one, now_s)
        for one in grouping:
            self._hand_over(one)
        for one in (*grouping, *hurt, *alone, *over):
            if self._owe(self._incidents[one.id], told, now_ns):
                self._unsaved[one.id] = None
        self._forget(now_ns)
        self.stats.open = Counter(
            (kept.incident.severity.value, kept.incident.state.value)
            for kept in self._incidents.values()
            if kept.incident.state is not State.RESOLVED
        )

    def _hurt(self, judge: Judge, grouping: Sequence[Incident], current: Mapping[str, Incident]) -> list[Incident]:
        """Return the parts of tenants that a lasting incident of a shared place hurts, and no alert of their own
        tells so.
        """
        parts = [kept.incident for kept in self.kept() if kept.incident.id not in current]
        found: list[Incident] = []
        for one in grouping:
            known = {part.scope.name: part for part in parts if part.parent_id == one.id}
            rule = explains(one) if known or not one.parent_id else None
            if rule is None:
                continue
            heard = {
                kept.incident.scope.name
                for kept in self._incidents.values()
                if kept.incident.scope.kind == "tenant" and self._root_id(kept.incident.id) == one.id
            }
            heard |= {each.scope.name for each in grouping if each.scope.kind == "tenant" and each.parent_id}
            since_ns = one.onset_ns or one.started_ns

            def own(tenant: str, since_ns: int = since_ns, rule: Watched = rule) -> Seen | None:
                return judge.seen_since(rule.rule, Scope("tenant", tenant, tenant), since_ns)

            for tenant, hurt in affected(self.reader, judge.archive, one, rule, own).items():
                if tenant in known or (not one.parent_id and tenant not in heard):
                    change = judge.detectable_change(rule.rule, Scope("tenant", tenant, tenant))
                    found.append(part_of(one, hurt, known.pop(tenant, None), change))
            found += known.values()  # hurt before, and not found to be since: as it was
        return found

    def _lasting(self, rated: Sequence[Incident], now_ns: int) -> list[Incident]:
        """Return the incidents with those open still that may come back, or explain others that last.

        What it explains may outlast a cause by the time in which both might have begun; then it is another one.
        """
        ended = {
            one.id: one.ended_ns
            for one in rated
            if one.ended_ns is not None
            and one.rule not in self._limits
            and one.id in self._incidents
            and self._incidents[one.id].incident.state is not State.RESOLVED
        }
        held = {id_ for id_, ended_ns in ended.items() if now_ns < ended_ns + _QUIET_NS}
        going_on = [one.id for one in rated if one.ended_ns is None or one.id in held]
        # Every link of the chain: a part whose own explanation went would be told of as an incident of its own.
        causes = {cause for id_ in going_on for cause in self._explained_by(id_)}
        held |= {id_ for id_ in causes if id_ in ended and now_ns < ended[id_] + TOGETHER_NS}
        return [
            replace(one, state=self._incidents[one.id].incident.state, ended_ns=None) if one.id in held else one
            for one in rated
        ]

    def _explained_by(self, id_: str) -> list[str]:
        """Return the ids of an incident, of the one that explains it, of the one that explains that, and so on."""
        chain = [id_]
        while (kept := self._incidents.get(chain[-1])) and kept.incident.parent_id not in ("", *chain):
            chain.append(kept.incident.parent_id)
        return chain

    def _root_id(self, id_: str) -> str:
        """Return the id of the incident that explains one, at whatever remove; its own where none does."""
        return self._explained_by(id_)[-1]

    def _hand_over(self, part: Incident) -> None:
        """Let the incident that explains a part go on with who was told of the part: no second message of it.

        A route that would not be told of the cause (a tenant's own) stays with the part.
        """
        root_id = self._root_id(part.id)
        if not part.parent_id or root_id not in self._incidents:
            return
        kept, root = self._incidents[part.id], self._incidents[root_id]
        for name in self.outbox.routes_for(root.incident):
            told = kept.routes.get(name)
            if told is None or RESOLVED in (told.told, told.owed, told.lost):
                continue
            del kept.routes[name]
            self.outbox.withdraw(part.id, name)
            root.routes.setdefault(name, Told()).take_over(told)
            self._unsaved[part.id] = self._unsaved[root_id] = None

    def _explicit(self, one: Incident) -> bool:
        limit = self._limits.get(one.rule)
        return limit is not None and limit.explicit

    def _rated(self, one: Incident, told: Sequence[Action], now_ns: int) -> Incident:
        if one.rule in self._limits:
            bad = self._limits[one.rule].severity
        else:
            minutes = ((one.ended_ns or now_ns) - one.started_ns) / (60 * SECOND_NS)
            warning, critical = self.settings.warning_calls, self.settings.critical_calls
            bad = severity(one.excess, minutes, warning=warning, critical=critical)
        if one.state is not State.RESOLVED and acknowledged(one, told, now_ns):
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

    def _take(self, one: Incident, now_s: float) -> None:
        """Keep an incident as it is now."""
        kept = self._incidents.get(one.id)
        if kept is None or (kept.incident.parent_id and not one.parent_id):
            self._unsettled.add(one.id)
        changed = kept is None
        if kept is None:
            kept = self._incidents[one.id] = Kept(one)
            self.stats.opened[one.severity.value] += 1
            if one.state is not State.RESOLVED:
                self.stats.detected += 1
                self.stats.detection_lag_s += max(0.0, now_s - one.started_ns / SECOND_NS)
        old = kept.incident
        if one.state is State.RESOLVED and old.state is not State.RESOLVED:
            self.stats.resolved += 1
        changed |= (one.state, one.severity, one.parent_id) != (old.state, old.severity, old.parent_id)
        kept.incident = one
        if changed:
            self._unsaved[one.id] = None

    def _owe(self, kept: Kept, told: Sequence[Action], now_ns: int) -> bool:
        """Note who has to be told of an incident as it stands; True where that changed."""
        one, was = kept.incident, kept.quiet
        quiet = silenced(one, told, now_ns)
        kept.quiet = ""
        if one.state is State.RESOLVED:
            # Only who heard of it, or should have, hears of its end.
            heard = [entry for entry in kept.routes.values() if entry.told or entry.owed]
            kept.quiet = was
            owed = [entry.owe(RESOLVED) for entry in heard]
            return any(owed)
        if one.parent_id:
            kept.quiet = f"no: part of {one.parent_id}"
        elif quiet is not None:
            kept.quiet = f"no: silenced by {quiet.author}"
        elif one.state is State.ACKNOWLEDGED:
            kept.quiet = was
        elif not kept.routes and self._awaits_cause(one):
            kept.quiet = "not yet: its cause may show"
        else:
            routes = self.outbox.routes_for(one)
            kept.quiet = "" if routes else NO_ROUTE
            owed = [kept.routes.setdefault(name, Told()).owe(one.severity.value) for name in routes]
            return any(owed) or kept.quiet != was
        return kept.quiet != was

    def _awaits_cause(self, one: Incident) -> bool:
        """Tell whether a place may turn out in the next slot to explain it: who suffers may be seen first."""
        return (
            self.settings.slot <= _HELD_SLOT_S
            and one.id in self._unsettled
            and one.scope.kind not in PLACES
            and one.rule not in self._limits
        )

    def _queue(self, kept: Kept, route: str, told: Told, now_s: float) -> None:
        if not told.owed:
            return
        delivery = Delivery(kept.incident.id, route, told.owed)
        if delivery not in self.outbox and not self.outbox.put(delivery, self.message(kept.incident), now_s):
            told.owed, told.lost = "", told.owed
            self._unsaved[kept.incident.id] = None

    def message(self, one: Incident) -> Message:
        """Return what is sent of an incident."""
        rule, limit = watched(one.signal or one.rule), self._limits.get(one.rule)
        title = limit.title if limit and not limit.explicit else rule.counted.title if rule else one.rule
        if limit and limit.explicit:
            title = f"{limit.title} ({title})"
        tenants = sorted(
            part.scope.name
            for part in self.incidents()
            if part.scope.kind == "tenant" and self._part_of(part, one)
        )
        return message_of(
            one, title, self._links(one), limit=limit is not None, tenants=tenants, slot_s=self.settings.slot
        )

    def _part_of(self, part: Incident, whole: Incident) -> bool:
        """Tell whether an incident is explained by another one, at whatever remove."""
        seen = {part.id}
        while part.parent_id in self._incidents and part.parent_id not in seen:
            if part.parent_id == whole.id:
                return True
            part = self._incidents[part.parent_id].incident
            seen.add(part.id)
        return False

    def _links(self, one: Incident) -> dict[str, str]:
        page = self.settings.page_url.rstrip("/")
        base = self.settings.runbook_url.rstrip("/") or "docs/runbooks"
        links = {"page": f"{page}/incidents/{one.id}"} if page else {}
        return {**links, "runbook": f"{base}/{runbook_of(one.rule, one.signal)}.md"}

    def _save(self, now_s: float) -> None:
        """Write what changed; what the store does not take is written the next time."""
        if not self._unsaved:
            return
        rows = []
        for id_ in self._unsaved:
            self._row_ns = max(int(now_s * SECOND_NS), self._row_ns + 1)
            kept = self._incidents[id_]
            rows.append(row_of(kept, self._row_ns, self._links(kept.incident), self.settings.slot))
        self.writer.write("alert_event", batch("alert_event", rows))
        self.writer.flush()
        self._unsaved.clear()

    def _forget(self, now_ns: int) -> None:
        over = [
            id_
            for id_, kept in self._incidents.items()
            if kept.incident.state is State.RESOLVED
            and not kept.owes
            and id_ not in self._unsaved
            and (kept.incident.ended_ns or 0) < now_ns - _REMEMBERED_NS
        ]
        for id_ in over:
            del self._incidents[id_]


def _recent(kept: Kept, until_s: int) -> bool:
    return (kept.incident.ended_ns or 0) >= until_s * SECOND_NS - _REMEMBERED_NS
