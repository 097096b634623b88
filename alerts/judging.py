"""Every signal as its watch sees it, and the alerts of all of them as incidents, each under the id it had.

What was stored of incidents comes in, incidents come out; who is told of them, and what explains which, is not
known here. A start takes up what lasted where it began, and judges the last day of the rest again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerts.archive import Archive, SignalId
from alerts.catalog import Watched, watched
from alerts.detectors import Window
from alerts.episode import Alert
from alerts.incidents import Incident, Scope, Severity, State, incident_id
from alerts.limits import Limit, LimitWatch
from alerts.past import new_watch
from alerts.records import SECOND_NS
from alerts.settings import AlertSettings
from alerts.signals import Direction, Kind, Signal
from alerts.watch import ADOPTED_AFTER_DAYS, Status, Watch
from forecast.localtime import DAY_S
from forecast.states import mark_closed

REPLAYED_S = DAY_S
"""What a start judges again."""
_FORGOTTEN_S = 7 * DAY_S
_LIMITS_REPLAYED_S = (ADOPTED_AFTER_DAYS + 1) * DAY_S
_EVER_NS = 2**63 - 1
_SIDES = {Direction.UP: "above", Direction.DOWN: "below"}
_DIRECTIONS = {side: direction for direction, side in _SIDES.items()}


@dataclass(frozen=True)
class _Known:
    """Incidents that were kept, by what they are about."""

    by_subject: Mapping[tuple[str, Scope, str], Sequence[Incident]]

    @classmethod
    def of(cls, incidents: Iterable[Incident]) -> "_Known":
        found: dict[tuple[str, Scope, str], list[Incident]] = {}
        for one in incidents:
            found.setdefault((one.rule, one.scope, one.direction), []).append(one)
        return cls(found)

    def same(self, rule: str, scope: Scope, side: str, started_ns: int, ended_ns: int | None) -> Incident | None:
        """Return the incident that an alert is: judged again it may begin and end a little earlier or later."""
        sharing = [
            one
            for one in self.by_subject.get((rule, scope, side), ())
            if (one.ended_ns or _EVER_NS) > started_ns and one.started_ns < (ended_ns or _EVER_NS)
        ]
        return min(sharing, key=lambda one: abs(one.started_ns - started_ns), default=None)

    def lasting(self, rule: str, scope: Scope) -> list[Incident]:
        """Return what was learned to be unusual, and not over."""
        return [
            one
            for side in _DIRECTIONS
            for one in self.by_subject.get((rule, scope, side), ())
            if one.state is not State.RESOLVED and one.score > 0
        ]


@dataclass(slots=True)
class Judge:
    """Watches all signals of an archive; `judge` after each read of it."""

    settings: AlertSettings
    archive: Archive
    limits: Mapping[str, Limit]
    """By name."""
    counts: Counter[Status] = field(default_factory=Counter)
    """Signals judged against their own past, as of the last time."""
    _watches: dict[SignalId, Watch] = field(default_factory=dict)
    _limit_watches: dict[tuple[str, SignalId], LimitWatch] = field(default_factory=dict)

    @property
    def signals(self) -> int:
        """How many signals are judged against their own past."""
        return len(self._watches)

    def slot(self, at_ns: int) -> int:
        """Return the slot of an instant."""
        return (at_ns // SECOND_NS - self.archive.start_s) // self.archive.slot_s

    def forget(self, start_s: float) -> None:
        """Let go of what was before an instant (UTC seconds) once that is a week: each time all is made anew."""
        # Who slept for longer than all of it keeps what was judged last, to go on from.
        weeks = int(min(start_s, self.archive.until_s) - self.archive.start_s) // _FORGOTTEN_S
        slots = weeks * _FORGOTTEN_S // self.archive.slot_s
        if slots <= 0:
            return
        self.archive.forget(slots)
        kept = set(self.archive.ids())
        self._watches = {key: watch for key, watch in self._watches.items() if key in kept}
        self._limit_watches = {name: watch for name, watch in self._limit_watches.items() if name[1] in kept}
        for watch in self._watches.values():
            watch.forget(slots)
        for limit_watch in self._limit_watches.values():
            limit_watch.forget(slots)

    def judge(self, incidents: Iterable[Incident]) -> dict[str, Incident]:
        """Return by id the incident of every alert, open or of late; `incidents` are those that were kept."""
        known, found = _Known.of(incidents), dict[str, Incident]()
        self.counts.clear()
        for key in self.archive.ids():
            rule = watched(key.rule)
            if rule is None:
                continue
            signal = self.archive.signal(key, rule)
            if rule.learned:
                watch = self._watches.get(key) or self._watch(key, rule, signal, known)
                watch.advance(signal)
                self.counts[watch.status] += 1
                self._add(rule.rule, key, watch.alerts, known, found)
            for limit in self.limits.values():
                if (limit.signal, limit.scope_kind) != (key.rule, key.scope.kind):
                    continue
                if limit.scope_name in ("", key.scope.name):
                    self._add(limit.name, key, self._limit_alerts(limit, key, signal), known, found)
        return found

    def excess_since(self, one: Incident, since_ns: int) -> float:
        """Return the units beyond (negative: short of) the expected of an incident from an instant on."""
        seen = self._seen(one.rule, one.scope)
        return one.excess if seen is None else seen[0].excess_since(self.slot(since_ns), seen[1])

    def seen_since(self, rule: str, scope: Scope, since_ns: int) -> Window | None:
        """Return what was observed and expected from an instant on; None where it is not watched, or unknown."""
        seen = self._seen(rule, scope)
        return None if seen is None else seen[0].seen_since(self.slot(since_ns), seen[1])

    def detectable_change(self, rule: str, scope: Scope) -> float:
        """Return the smallest lasting change that would be noticed now; infinity where it is not watched."""
        seen = self._seen(rule, scope)
        return float("inf") if seen is None else seen[0].detectable_change(seen[1])

    def _seen(self, rule: str, scope: Scope) -> tuple[Watch, Signal] | None:
        key, measured = SignalId(rule, scope), watched(rule)
        if measured is None or key not in self._watches:
            return None
        return self._watches[key], self.archive.signal(key, measured)

    def _add(
        self, rule: str, key: SignalId, alerts: Sequence[Alert], known: _Known, found: dict[str, Incident]
    ) -> None:
        for alert in reversed(alerts):
            one = self._incident(rule, key, alert, known)
            if one.ended_ns is not None and one.ended_ns < (self.archive.until_s - REPLAYED_S) * SECOND_NS:
                break
            found.setdefault(one.id, one)  # the newest of an incident that was judged to be two

    def _limit_alerts(self, limit: Limit, key: SignalId, signal: Signal) -> list[Alert]:
        watch = self._limit_watches.get((limit.name, key))
        if watch is None:
            watch = self._limit_watches[limit.name, key] = LimitWatch(limit)
            if limit.forget_s is not None or not limit.no_data:
                watch.skip_to(max(0, len(signal) - _LIMITS_REPLAYED_S // signal.series.slot_s))
        watch.advance(signal)
        return watch.alerts

    def _watch(self, key: SignalId, rule: Watched, signal: Signal, known: _Known) -> Watch:
        """Return a new watch: of what lasts from its beginning, else of the last day."""

        def history(slot: int) -> Signal:
            return replace(signal, series=mark_closed(signal.series, history=slot))

        watch = new_watch(self.settings, rule, self.archive, key)
        for one in known.lasting(rule.rule, key.scope):
            slot = self.slot(one.started_ns)
            if 0 < slot < len(signal) and watch.resume(history(slot + 1), _alert(one, slot)):
                break
            watch = new_watch(self.settings, rule, self.archive, key)
        else:
            before = max(0, len(signal) - REPLAYED_S // self.archive.slot_s)
            watch.skip_to(before, history(before))
        self._watches[key] = watch
        return watch

    def _incident(self, rule: str, key: SignalId, alert: Alert, known: _Known) -> Incident:
        def at(slot: int) -> int:
            return (self.archive.start_s + slot * self.archive.slot_s) * SECOND_NS

        excess = alert.excess
        if (measured := watched(key.rule)) and measured.kind is Kind.MEAN and alert.expected > 0:
            excess /= alert.expected  # a sum of seconds, in the calls that it would have taken
        started_ns, side = at(alert.start), _SIDES[alert.direction]
        ended_ns = None if alert.end is None else at(alert.end)
        same = known.same(rule, key.scope, side, started_ns, ended_ns)
        limit = self.limits.get(rule)
        open_state = State.NO_DATA if limit and limit.no_data else State.FIRING
        return Incident(
            rule=rule,
            signal=key.rule,
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
            excess=excess,
            state=open_state if alert.end is None else State.RESOLVED,
            severity=limit.severity if limit else Severity.INFO,
            ended_ns=ended_ns,
            onset_ns=(same.onset_ns if same else 0) or at(alert.onset),
            id=same.id if same else incident_id(rule, key.scope, started_ns),
            cause=str(key.scope),
        )


def _alert(one: Incident, slot: int) -> Alert:
    """Return a stored incident as the alert that it was raised by."""
    return Alert(
        start=slot, onset=slot, end=None, direction=_DIRECTIONS[one.direction], observed=one.observed,
        expected=one.expected, low=one.low, high=one.high, score=one.score,
        detectable_change=one.detectable_change, n=one.n, pool=1, excess=one.excess,
    )  # fmt: skip
