"""From alerts of many scopes to incidents that people handle: what belongs together, how bad, who is told.

Pure: alerts, what operators said and `now` go in, incidents come out. An incident's id is made of what it is about
and when it began, so that a restart finds the one it had. Nothing here sends or stores.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from storage.actions import Action
from storage.schema import ActionKind
from telephony.model import UNASSIGNED

EXPLAINS = 0.6
"""Share of the whole excess from which one trunk, node, region, tenant or codec is the cause of it."""
TOGETHER_NS = 30 * 60 * 1_000_000_000
"""Alerts that began within this time of each other may have one cause."""
_WHOLE = "platform"
PLACES = ("trunk", "node", "region")
"""Kinds of scope that nothing more specific can explain."""
_CERTAIN = 30.0
"""Surprise beyond which more says nothing: what had never been seen before has any score."""
MOST_SPECIFIC = ("trunk", "node", "region", "tenant", "codec", "pool", _WHOLE)
"""Order in which equally good explanations are taken: what one can repair comes first."""


class Severity(StrEnum):
    """How many are hurt, and for how long."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class State(StrEnum):
    """Where an incident stands."""

    FIRING = "firing"
    NO_DATA = "no_data"
    """What should be measured is not: nothing can be said about the rest."""
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an alert is about."""

    kind: str
    """pool, tenant, trunk, node, region, codec or platform."""
    name: str
    tenant: str = UNASSIGNED
    """Who may see it; engineers only unless a tenant's own."""

    def __str__(self) -> str:
        return self.name if self.kind == "platform" else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as it is now; times are UTC nanoseconds."""

    rule: str
    scope: Scope
    direction: str
    """above or below."""
    started_ns: int
    observed: float
    expected: float
    low: float
    high: float
    score: float
    detectable_change: float
    n: float
    excess: float
    """Calls, or what a ratio is counted in, beyond (negative: short of) the expected so far."""
    state: State = State.FIRING
    severity: Severity = Severity.INFO
    ended_ns: int | None = None
    onset_ns: int = 0
    """First slot of the pool that raised it."""
    parent_id: str = ""
    cause: str = ""
    id: str = ""
    signal: str = ""
    """What is measured; empty where the rule has its name."""


def incident_id(rule: str, scope: Scope, started_ns: int) -> str:
    """Return the id of an incident: the same for the same beginning.

    >>> incident_id("asr", Scope("trunk", "carrier-a"), 0)
    'i-c1ff8eab90'
    """
    text = "\0".join((rule, scope.kind, scope.name, scope.tenant, str(started_ns)))
    return f"i-{blake2b(text.encode('utf-8', 'replace'), digest_size=5).hexdigest()}"


def severity(excess: float, minutes: float, *, warning: float, critical: float) -> Severity:
    """Return how bad it is by the calls affected; what goes on for an hour counts for one step more.

    >>> severity(-40, 10, warning=25, critical=250), severity(-40, 90, warning=25, critical=250)
    (<Severity.WARNING: 'warning'>, <Severity.CRITICAL: 'critical'>)
    """
    calls = abs(excess)
    step = (calls >= warning) + (calls >= critical)
    if step and minutes >= 60:
        step += 1
    return (Severity.INFO, Severity.WARNING, Severity.CRITICAL)[min(step, 2)]


def _own_excess(one: Incident, since_ns: int) -> float:
    return one.excess


def grouped(
    incidents: Sequence[Incident],
    leading: Collection[str] = (),
    excess_since: Callable[[Incident, int], float] = _own_excess,
) -> list[Incident]:
    """Return the open incidents, each with the one that explains it as `parent_id`, and the causes named.

    Of incidents of one rule that began together the widest excess is the whole. What alone makes most of it is the
    cause and stays without a parent; all others, the whole too, are inhibited by it. If nothing does, the whole
    inhibits its parts: a pool its tenants. Of several rules with one cause the worst leads, then the one that
    surprises most; one that led before (its id is in `leading`) goes on to lead.

    `excess_since` returns the excess of an incident from an instant (UTC nanoseconds) on: those of one rule are
    compared over the same slots, whatever the pools were that raised them.
    """
    left = sorted(incidents, key=lambda i: (i.started_ns, i.id))
    done: dict[str, Incident] = {}
    while left:
        first = left[0]
        cluster = [i for i in left if i.started_ns - first.started_ns <= TOGETHER_NS]
        left = [i for i in left if i not in cluster]
        for one in _with_cause(cluster, leading, excess_since):
            done[one.id] = one
    return [done[i.id] for i in incidents]


def _with_cause(
    cluster: Sequence[Incident], leading: Collection[str], excess_since: Callable[[Incident, int], float]
) -> Iterable[Incident]:
    by_rule: dict[str, list[Incident]] = {}
    for one in cluster:
        by_rule.setdefault(one.rule, []).append(one)
    roots = {rule: _root(group, excess_since) for rule, group in by_rule.items()}
    # Who suffers from a cause by one rule suffers from it by the others, too: a tenant whose trunk is down.
    causes = {
        one.scope: roots[one.rule].scope
        for one in cluster
        if one is not roots[one.rule] and one.scope.kind != _WHOLE and roots[one.rule].scope != one.scope
    }
    scopes = {rule: _followed(causes, root.scope) for rule, root in roots.items()}
    # A codec breaks nothing by itself: what it shows is of a place that fails at least as badly.
    places = [root for rule, root in roots.items() if scopes[rule].kind in PLACES]
    worst = max(places, key=lambda i: (_rank(i), abs(i.excess)), default=None)
    for rule, root in roots.items():
        if worst is not None and scopes[rule].kind == "codec" and _rank(worst) >= _rank(root):
            scopes[rule] = scopes[worst.rule]

    def first(one: Incident) -> tuple[bool, bool, int, float, int]:
        own = one.scope == scopes[one.rule]
        return own, one.id in leading, _rank(one), min(one.score, _CERTAIN), -one.started_ns

    leads = {
        scope: max((root for rule, root in roots.items() if scopes[rule] == scope), key=first)
        for scope in scopes.values()
    }
    for one in cluster:
        root, lead = roots[one.rule], leads[scopes[one.rule]]
        parent = root if one is not root else lead if root is not lead else None
        yield replace(one, parent_id="" if parent is None else parent.id, cause=str(scopes[one.rule]))


def _rank(one: Incident) -> int:
    return list(Severity).index(one.severity)


def _followed(causes: Mapping[Scope, Scope], scope: Scope) -> Scope:
    """Return the cause of the cause of a scope, as far as there is one; two that explain each other are none."""
    seen = [scope]
    while (cause := causes.get(seen[-1])) is not None and cause not in seen:
        seen.append(cause)
    return scope if cause is not None else seen[-1]


def _root(group: Sequence[Incident], excess_since: Callable[[Incident, int], float]) -> Incident:
    since_ns = min(one.onset_ns or one.started_ns for one in group)
    excess = {one.id: excess_since(one, since_ns) for one in group}
    whole = max(excess.values(), key=abs)

    def order(one: Incident) -> tuple[int, float]:
        place = MOST_SPECIFIC.index(one.scope.kind) if one.scope.kind in MOST_SPECIFIC else len(MOST_SPECIFIC)
        return place, -abs(excess[one.id])

    explaining = [
        one for one in group if excess[one.id] * whole >= 0 and abs(excess[one.id]) >= EXPLAINS * abs(whole)
    ]
    return min(explaining, key=order)


def acknowledged(incident: Incident, told: Sequence[Action], now_ns: int) -> Action | None:
    """Return the action by which somebody took the incident, if any."""
    return next(
        (a for a in told if a.kind is ActionKind.ACKNOWLEDGE and a.target == incident.id and a.holds(now_ns)), None
    )


def silenced(incident: Incident, told: Sequence[Action], now_ns: int) -> Action | None:
    """Return the silence or maintenance window that covers the incident, if any.

    A silence of a tenant covers that tenant's incidents alone: it was recorded within its author's scope.
    """
    return next(
        (a for a in told if a.kind is ActionKind.SILENCE and a.holds(now_ns) and _covers(a, incident)), None
    )


def _covers(action: Action, incident: Incident) -> bool:
    names = {"incident": incident.id, "rule": incident.rule, incident.scope.kind: incident.scope.name}
    return action.concerns(names, incident.scope.tenant)
