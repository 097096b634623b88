"""What the incident pages ask the store: incidents as they stand, one with its history, and what people told.

All of it is read within the viewer's scope. An incident of a tenant may be grouped under one that the tenant
cannot see: then neither its parent nor its cause is named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dashboards.incident_views import (
    SEVERITIES,
    Change,
    IncidentRow,
    IncidentsView,
    IncidentView,
    Sought,
    Told,
)
from dashboards.numbers import SECOND_NS
from dashboards.queries.asking import asked
from dashboards.queries.evidence import evidence
from dashboards.queries.signals import counted_in, quantity_of, title_of
from dashboards.views import READY, OpenIncidents, PanelState, Status
from storage.actions import EVERY_TARGET, Action, actions
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Scope, Store, Window

LOOK_BACK_DAYS = 35
TOLD_KINDS = (ActionKind.SILENCE, ActionKind.ACKNOWLEDGE)
_DAY_NS = 86_400 * SECOND_NS
_MOST_ROWS = 200
_MOST_CHANGES = 2_000
_TIMES = ("time", "onset_at", "started_at", "ended_at")
_USUAL_SLOT_S = 300
"""Slot of an incident that does not say (written before it was stored): the default of the alert role."""
NONE_RECORDED = (
    f"No incident is on record in the last {LOOK_BACK_DAYS} days: no alert role has written to this store "
    "(surgecast up --roles alert), or nothing was unusual since it started."
)


def _window(now_ns: int) -> Window:
    # A step writes its rows some nanoseconds apart, from its own now on.
    return Window(now_ns - LOOK_BACK_DAYS * _DAY_NS, now_ns + 60 * SECOND_NS)


def newest_rows(reader: Reader, now_ns: int) -> pa.Table:
    """Return the newest `alert_event` of every incident in the scope."""
    return reader.latest("alert_event", _window(now_ns), by=["incident_id"])


def incidents_view(store: Store, scope: Scope, sought: Sought, now_ns: int) -> IncidentsView:
    """Return the list that is sought."""
    reader = store.reader(scope)
    table = asked(lambda: newest_rows(reader, now_ns))
    told = asked(lambda: actions(reader, TOLD_KINDS, now_ns))
    known: Sequence[Action] = () if isinstance(told, Status) else told
    may_act = scope.tenants is None
    silences = tuple(
        _told(a, now_ns) for a in known if a.kind is ActionKind.SILENCE and not a.withdrawn and a.until_ns > now_ns
    )
    if isinstance(told, Status):
        silences_status = told
    elif not may_act:
        silences_status = Status(PanelState.NOT_ALLOWED, "Silences are for engineers and operators.")
    else:
        silences_status = READY if silences else Status(PanelState.EMPTY, "No silence is in force.")
    if isinstance(table, Status):
        return IncidentsView(now_ns, sought, table, silences_status, may_act, silences=silences if may_act else ())
    every = incident_rows(table, known, scope, now_ns)
    rows = _listed(every, sought)
    return IncidentsView(
        at_ns=now_ns,
        sought=sought,
        status=_list_status(every, rows, sought, isinstance(told, Status)),
        silences_status=silences_status,
        may_act=may_act,
        rows=tuple(rows[:_MOST_ROWS]),
        hidden=max(len(rows) - _MOST_ROWS, 0),
        open_total=sum(one.is_open for one in _roots(every)),
        scopes=tuple(sorted({one.where for one in every} | set(sought.scope))),
        silences=silences if may_act else (),
    )


def _list_status(
    every: Sequence[IncidentRow], rows: Sequence[IncidentRow], sought: Sought, untold: bool
) -> Status:
    if not every:
        return Status(PanelState.EMPTY, NONE_RECORDED)
    if not rows:
        narrowed = " Severity and scope are narrowed." if sought.severity or sought.scope else ""
        words = "" if sought.shown.value == "all" else f" {sought.shown.value}"
        return Status(PanelState.EMPTY, f"None of the {len(every)} incidents on record is{words} here.{narrowed}")
    if untold:
        return Status(PanelState.PARTIAL, "acknowledgements could not be read")
    return READY


def _listed(every: Sequence[IncidentRow], sought: Sought) -> list[IncidentRow]:
    rows = [
        one
        for one in every
        if sought.shown.takes(one.state)
        and (not sought.severity or one.severity in sought.severity)
        and (not sought.scope or one.where in sought.scope)
    ]
    return sorted(_roots(rows), key=_worst_first)


def _roots(rows: Sequence[IncidentRow]) -> list[IncidentRow]:
    """Return the rows that belong to no other of them."""
    ids = {one.id for one in rows}
    return [one for one in rows if one.parent_id not in ids]


def _worst_first(one: IncidentRow) -> tuple[bool, int, int]:
    severity = SEVERITIES.index(one.severity) if one.severity in SEVERITIES else len(SEVERITIES)
    return (not one.is_open, severity if one.is_open else 0, -(one.ended_ns or one.raised_ns))


def incident_view(store: Store, scope: Scope, id_: str, now_ns: int) -> IncidentView:
    """Return the page of an incident. Raises OutOfScope where the scope has none of this id, StoreError."""
    reader = store.reader(scope)
    told = asked(lambda: actions(reader, TOLD_KINDS, now_ns))
    known: Sequence[Action] = () if isinstance(told, Status) else told
    every = incident_rows(newest_rows(reader, now_ns), known, scope, now_ns)
    one = next((each for each in every if each.id == id_), None)
    if one is None:
        raise OutOfScope(f"no incident {id_[:60]!r}")
    changes = _changes(reader, one, known, scope, now_ns)
    names = {"incident": one.id, "rule": one.rule, one.scope_kind: one.scope}
    mine = tuple(
        _told(a, now_ns)
        for a in reversed(known)
        if (a.target == one.id if a.kind is ActionKind.ACKNOWLEDGE else a.concerns(names, one.tenant))
    )
    return IncidentView(
        at_ns=now_ns,
        one=one,
        evidence=evidence(reader, one, changes, now_ns),
        may_act=scope.tenants is None,
        parent=next((each for each in every if each.id == one.parent_id), None),
        children=tuple(sorted(_below(one.id, every), key=_worst_first)),
        history=tuple(
            Change(c.changed_ns, c.state, c.severity, c.observed, c.expected, c.n, c.notified) for c in changes
        ),
        told_status=told if isinstance(told, Status) else READY,
        told=mine,
    )


def _below(id_: str, every: Sequence[IncidentRow]) -> list[IncidentRow]:
    found: list[IncidentRow] = []
    seen, above = {id_}, {id_}
    while above:
        below = [one for one in every if one.parent_id in above and one.id not in seen]
        found += below
        above = {one.id for one in below}
        seen |= above
    return found


def _changes(
    reader: Reader, one: IncidentRow, told: Sequence[Action], scope: Scope, now_ns: int
) -> list[IncidentRow]:
    """Return the rows of an incident, oldest first."""
    where = {
        "rule": (one.rule,), "scope_kind": (one.scope_kind,), "scope": (one.scope,), "tenant": (one.tenant,),
    }  # fmt: skip
    table = reader.select("alert_event", _window(now_ns), where=where, limit=_MOST_CHANGES, newest_first=True)
    rows = incident_rows(table, (), scope, now_ns)
    return sorted((each for each in rows if each.id == one.id), key=lambda each: each.changed_ns)


def incident_rows(table: pa.Table, told: Sequence[Action], scope: Scope, now_ns: int) -> list[IncidentRow]:
    """Return incidents from `alert_event` rows; what the viewer must not know of is left out."""
    for name in _TIMES:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    taken = {a.target for a in told if a.kind is ActionKind.ACKNOWLEDGE and a.holds(now_ns)}
    rows = [_row(values, taken, now_ns) for values in table.to_pylist()]
    ids = {one.id for one in rows}
    if scope.tenants is not None:
        rows = [_for_a_tenant(one, ids) for one in rows]
    return [replace(one, children=len(_below(one.id, rows))) for one in rows]


def cause_for_tenant(cause: str, where: str) -> str:
    """Return the cause of an incident at `where` as its tenant may know it: what is shared is not named.

    >>> cause_for_tenant("trunk t1", "trunk t1"), cause_for_tenant("trunk t1", "tenant acme")
    ('trunk t1', 'something that is shared with others')
    """
    return cause if cause in ("", where) else "something that is shared with others"


def _for_a_tenant(one: IncidentRow, ids: set[str]) -> IncidentRow:
    return replace(
        one,
        cause=cause_for_tenant(one.cause, one.where),
        parent_id=one.parent_id if one.parent_id in ids else "",
        notified="",
    )


def _row(values: Mapping[str, Any], taken: set[str], now_ns: int) -> IncidentRow:
    rule, id_ = values["rule"], values["incident_id"] or ""
    raised_ns = values["started_at"] or values["time"]
    began_ns = values["onset_at"] or raised_ns
    ended_ns, state = values["ended_at"], values["state"]
    signal = values["signal"] or rule
    return IncidentRow(
        id=id_,
        rule=rule,
        signal=signal,
        title=title_of(rule),
        quantity=quantity_of(signal),
        direction=values["direction"] or "",
        scope_kind=values["scope_kind"],
        scope=values["scope"],
        tenant=values["tenant"],
        severity=values["severity"],
        state="acknowledged" if state == "firing" and id_ in taken else state,
        began_ns=began_ns,
        raised_ns=raised_ns,
        ended_ns=ended_ns,
        changed_ns=values["time"],
        slot_seconds=round(values["slot_seconds"] or _USUAL_SLOT_S),
        observed=values["observed"],
        expected=values["expected"],
        low=values["low"],
        high=values["high"],
        score=values["score"],
        detectable_change=values["detectable_change"],
        n=values["n"],
        impact_calls=values["impact_calls"],
        counts=counted_in(signal),
        minutes=max((ended_ns or now_ns) - raised_ns, 0) / (60 * SECOND_NS),
        cause=values["cause"] or "",
        notified=values["notified"] or "",
        message=values["message"] or "",
        runbook=_runbook(values["links"]),
        parent_id=values["parent_id"] or "",
    )


def _runbook(links: str | None) -> str:
    """Return where the runbook is: an address, or the file in the documentation."""
    try:
        found = json.loads(links or "{}")
    except ValueError:
        return ""
    address = found.get("runbook") if isinstance(found, dict) else None
    return address if isinstance(address, str) else ""


def _told(action: Action, now_ns: int) -> Told:
    if action.target == EVERY_TARGET:
        target = f"every {action.target_kind}"
    elif action.target_kind == "rule":
        target = title_of(action.target)
    elif action.target_kind == "platform":
        target = "platform"
    else:
        target = f"{action.target_kind} {action.target}"
    return Told(
        action.id, action.kind is ActionKind.SILENCE, target, action.author, action.reason, action.recorded_ns,
        action.until_ns, action.withdrawn, action.holds(now_ns),
    )  # fmt: skip


def open_incidents(table: pa.Table | None, status: Status | None, scope: Scope, now_ns: int) -> OpenIncidents:
    """Return the line of the live page from the newest rows, or why there is none."""
    if table is None:
        return OpenIncidents(status or Status(PanelState.LOADING, "Reading the store …"))
    every = incident_rows(table, (), scope, now_ns)
    if not every:
        return OpenIncidents(Status(PanelState.EMPTY, NONE_RECORDED))
    now_open = [one for one in _roots(every) if one.is_open]
    ends = [one.ended_ns for one in every if one.ended_ns is not None]
    counted = [(name, sum(one.severity == name for one in now_open)) for name in SEVERITIES]
    return OpenIncidents(
        status or READY, tuple((name, n) for name, n in counted if n), len(every), max(ends, default=None)
    )
