"""What people tell the alert role from the incident pages: acknowledge, silence, release.

Everything is a record in the store with its author (the signed-in actor, never what the browser says), its reason
and its end; the alert role obeys with its next slot. Whoever is limited to tenants may tell nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import html, no_update
from flask import Request

from dashboards.incident_views import IncidentRow
from dashboards.numbers import date_time
from dashboards.queries.incidents import TOLD_KINDS, incident_rows, newest_rows
from dashboards.services import Services
from dashboards.writes import Refused, check_may_write, recorded
from storage.actions import Action, actions, record, withdraw
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Scope, StoreError
from telephony.durations import parse_duration

SPANS: Mapping[str, str] = {
    "1h": "1 hour", "4h": "4 hours", "12h": "12 hours", "1d": "1 day", "7d": "7 days", "28d": "28 days",
}  # fmt: skip
"""How long an acknowledgement or a silence may hold: there is none without an end."""
_LONGEST_REASON = 500


def acknowledge(
    services: Services, scope: Scope, request: Request, id_: str, *, reason: str | None, span: str | None
) -> Action:
    """Record that the actor works on an incident. Raises Refused, OutOfScope, StoreError."""
    check_may_write(scope, request, "acknowledge incidents")
    now_ns = services.clock()
    one = _find(services.store.reader(scope), scope, id_, now_ns)
    told = _action(ActionKind.ACKNOWLEDGE, ("incident", one.id), scope, reason, span, now_ns)
    return recorded(services.store, scope, lambda _, writer: record(writer, told, now_ns))


def silence(
    services: Services,
    scope: Scope,
    request: Request,
    id_: str,
    *,
    target: str | None,
    reason: str | None,
    span: str | None,
) -> Action:
    """Record that nothing is sent about an incident, its scope or its rule. Raises as `acknowledge`."""
    check_may_write(scope, request, "silence incidents")
    now_ns = services.clock()
    one = _find(services.store.reader(scope), scope, id_, now_ns)
    about = {"incident": ("incident", one.id), "scope": (one.scope_kind, one.scope), "rule": ("rule", one.rule)}
    if target not in about:
        raise Refused(400, "choose what to silence")
    told = _action(ActionKind.SILENCE, about[target], scope, reason, span, now_ns)
    return recorded(services.store, scope, lambda _, writer: record(writer, told, now_ns))


def release(services: Services, scope: Scope, request: Request, action_id: str) -> Action:
    """End an acknowledgement or a silence before its time. Raises as `acknowledge`."""
    check_may_write(scope, request, "release silences")
    now_ns = services.clock()
    reader = services.store.reader(scope)
    # Freezes and events are records too, but not for these pages to end.
    if action_id not in {a.id for a in actions(reader, TOLD_KINDS, now_ns)}:
        raise OutOfScope(f"no silence {action_id[:60]!r}")
    return recorded(services.store, scope, lambda r, writer: withdraw(r, writer, action_id, scope.actor, now_ns))


def _find(reader: Reader, scope: Scope, id_: str, now_ns: int) -> IncidentRow:
    for one in incident_rows(newest_rows(reader, now_ns), (), scope, now_ns):
        if one.id == id_:
            return one
    raise OutOfScope(f"no incident {id_[:60]!r}")


def _action(
    kind: ActionKind, about: tuple[str, str], scope: Scope, reason: str | None, span: str | None, now_ns: int
) -> Action:
    said = (reason or "").strip()
    if not said:
        raise Refused(400, "give a reason: who reads it later was not there")
    if len(said) > _LONGEST_REASON:
        raise Refused(400, f"a reason has at most {_LONGEST_REASON} characters")
    if span is None or span not in SPANS:
        raise Refused(400, "choose how long it holds")
    until_ns = now_ns + round(parse_duration(span) * 1e9)
    return Action(kind, *about, author=scope.actor, reason=said, starts_ns=now_ns, until_ns=until_ns)


def told(
    services: Services,
    scope: Scope,
    request: Request,
    button: Any,
    id_: str,
    *,
    reason: str | None,
    span: str | None,
    target: str | None,
) -> tuple[Any, Any]:
    """Answer a press of Acknowledge or Silence: what came of it, and what stays in the reason's field."""

    def work() -> str:
        if button == "incident-acknowledge":
            done = acknowledge(services, scope, request, id_, reason=reason, span=span)
            what = "Acknowledged"
        elif button == "incident-silence":
            done = silence(services, scope, request, id_, target=target, reason=reason, span=span)
            what = "Silenced"
        else:
            raise Refused(400, "nothing was asked for")
        until = date_time(done.until_ns, services.settings.time_zone)
        return f"{what} by {done.author} until {until}. The alert role takes it with its next slot."

    said, well = _answered(work)
    return said, "" if well else reason


def released(services: Services, scope: Scope, request: Request, button: Any, triggered: Sequence[Any]) -> Any:
    """Answer a press of Release; buttons that only appeared were not pressed."""
    if not any(each.get("value") for each in triggered):
        return no_update

    def work() -> str:
        if not isinstance(button, dict):
            raise Refused(400, "nothing was asked for")
        done = release(services, scope, request, str(button.get("id", "")))
        return f"Released by {done.author}. The alert role takes it with its next slot."

    return _answered(work)[0]


def _answered(work: Callable[[], str]) -> tuple[Any, bool]:
    try:
        return html.Span(work(), className="said-well"), True
    except OutOfScope:
        why = "There is no such thing in what you may see."
    except Refused as refused:
        why = f"Not done: {refused}."
    except StoreError as error:
        why = f"Not done, the store does not answer: {error}."
    return html.Span(why, className="said-badly"), False
