"""Tells people: messages of incidents, and where they go, by severity, tenant and rule.

Sending is behind a Protocol; apprise and Alertmanager are two of it; retries are the outbox's. A message that no
service took is an error, also where apprise says `None` (nothing matched). Secrets of URLs never stand in a log or
a result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import apprise
import httpx

from alerts.incidents import Incident, Severity, State
from alerts.settings import RouteSettings

_TIMEOUT_S = 10.0
_SECOND_NS = 1_000_000_000
_OPEN_NS = 30 * 86_400 * _SECOND_NS
"""An Alertmanager ends what has no end after some minutes, unless it is told again and again."""
_ORDER = tuple(Severity)
_TYPES = {
    Severity.INFO: apprise.NotifyType.INFO,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.CRITICAL: apprise.NotifyType.FAILURE,
}


class NotSent(Exception):
    """A message was not taken; the message says by whom and why, without secrets."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent of an incident."""

    title: str
    body: str
    incident: Incident


class Sink(Protocol):
    """Somewhere to send to."""

    name: str

    def wants(self, incident: Incident) -> bool:
        """Tell whether this incident is for it."""

    def send(self, message: Message) -> None:
        """Deliver; raises NotSent."""


def message_of(
    incident: Incident,
    what: str,
    links: Mapping[str, str],
    *,
    counts: str = "calls",
    limit: bool = False,
    tenants: Sequence[str] = (),
    slot_s: float = 0,
) -> Message:
    """Return the text of an incident: what, where, since when, observed, expected, n, impact, cause, links.

    `n` and the impact are so many of what it `counts`. A `limit` was set by somebody, nothing was learned;
    `tenants` feel it too; a slot of `slot_s` seconds had ended when it was raised. The reference is the same when
    a message is sent again.
    """
    over = incident.state is State.RESOLVED
    head = "RESOLVED" if over else incident.severity.value.upper()
    normal = "its limit" if limit else "normal"
    title = f"[{head}] {what}: {incident.scope} {incident.direction} {normal}"
    band = f"{_shown(incident.low)} to {_shown(incident.high)} would be normal"
    due = f"limit {_shown(incident.expected)}" if limit else f"expected {_shown(incident.expected)} ({band})"
    seen = f"is {_shown(incident.observed)}, {due}, n = {incident.n:.0f} {counts}"
    side = f"{counts} {'more' if incident.excess > 0 else 'fewer'}"
    lines = [
        f"{what} of {incident.scope} {seen}.",
        _since(incident, over, slot_s),
        f"Impact so far: about {abs(incident.excess):.0f} {side} than {'the limit' if limit else 'expected'}.",
    ]
    if incident.cause and incident.cause != str(incident.scope):
        lines.append(f"Likely cause: {incident.cause}.")
    if tenants:
        lines.append(f"Tenants that feel it: {', '.join(tenants)}.")
    lines += [f"{name.capitalize()}: {link}" for name, link in links.items()]
    lines.append(f"Reference: {incident.id}/{'resolved' if over else incident.severity.value}")
    return Message(title, "\n".join(lines), incident)


def _since(incident: Incident, over: bool, slot_s: float) -> str:
    onset = _time(incident.onset_ns or incident.started_ns)
    raised = _time(incident.started_ns + round(slot_s * _SECOND_NS))
    text = f"Since {onset}" + (f" (raised {raised})" if raised != onset else "")
    return f"{text} until {_time(incident.ended_ns)}." if over else f"{text}."


def _shown(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _time(ns: int | None) -> str:
    return f"{datetime.fromtimestamp((ns or 0) // 1_000_000_000, UTC):%Y-%m-%d %H:%M} UTC"


class AppriseRoute:
    """A route of the configuration: one or more apprise URLs."""

    def __init__(self, route: RouteSettings) -> None:
        """Take a route. Raises ValueError for a URL that apprise does not know, without showing it."""
        self.name = route.name
        self._route = route
        self._apprise = apprise.Apprise()
        for number, url in enumerate(route.urls, 1):
            if not self._apprise.add(url.get_secret_value()):
                raise ValueError(f"route {route.name}: URL {number} is none that apprise knows")

    def wants(self, incident: Incident) -> bool:
        """Match severity, tenant and rule."""
        route = self._route
        return (
            _ORDER.index(incident.severity) >= _ORDER.index(route.least_severity)
            and (not route.tenants or incident.scope.tenant in route.tenants)
            and (not route.rules or incident.rule in route.rules)
        )

    def send(self, message: Message) -> None:
        """Send to every URL of the route."""
        kind = _TYPES[message.incident.severity]
        if message.incident.state is State.RESOLVED:
            kind = apprise.NotifyType.SUCCESS
        taken = self._apprise.notify(title=message.title, body=message.body, notify_type=kind)
        if taken is None:
            raise NotSent(f"route {self.name}: no service matched")
        if not taken:
            raise NotSent(f"route {self.name}: a service did not take it")


class Alertmanager:
    """A Prometheus Alertmanager, told by its API v2; it groups, silences and routes by itself."""

    name = "alertmanager"

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT_S, transport=transport)

    def wants(self, incident: Incident) -> bool:
        """Take every incident."""
        return True

    def send(self, message: Message) -> None:
        """Post the alert; the same labels at its end resolve it.

        What was sent as milder before is over with it: a severity is a label, and other labels are another alert.
        """
        one = message.incident
        until_ns = one.started_ns + _OPEN_NS if one.ended_ns is None else one.ended_ns
        alerts = [
            {
                "labels": {
                    "alertname": one.rule,
                    "severity": severity.value,
                    "scope_kind": one.scope.kind,
                    "scope": one.scope.name,
                    "tenant": one.scope.tenant,
                    "incident": one.id,
                },
                "annotations": {"summary": message.title, "description": message.body},
                "startsAt": _rfc3339(one.started_ns),
                "endsAt": _rfc3339(until_ns if severity is one.severity else one.started_ns + _SECOND_NS),
            }
            for severity in _ORDER[: _ORDER.index(one.severity) + 1]
        ]
        try:
            answer = self._client.post("/api/v2/alerts", json=alerts)
        except httpx.HTTPError as error:
            raise NotSent(f"alertmanager: {type(error).__name__}") from error
        if answer.status_code >= 300:
            raise NotSent(f"alertmanager: HTTP {answer.status_code} {answer.text[:120]}")

    def close(self) -> None:
        """Release the connection."""
        self._client.close()


def _rfc3339(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
