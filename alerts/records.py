"""Incidents as they stand in the store: rows of `alert_event`, with who was told of what and who still has to be.

What is owed is written in the same row as the change that it tells of, before anything is sent; that it was taken
is written after. A process that dies between sends again, with the same reference: at least once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from alerts.incidents import Incident, Scope, Severity, State
from forecast.localtime import DAY_S
from storage.seam import Reader, Window

SECOND_NS = 1_000_000_000
KNOWN_DAYS = 14
RESOLVED = "resolved"
_PHASES = ("", *(severity.value for severity in Severity), RESOLVED)
NO_ROUTE = "no: no route wants it"


@dataclass(slots=True)
class Told:
    """What one route was told of an incident. Phases are severities, and `resolved`."""

    told: str = ""
    """Newest phase that it took."""
    owed: str = ""
    """Phase that still has to go out."""
    lost: str = ""
    """Phase that was given up, or for which there was no room."""

    def owe(self, phase: str) -> bool:
        """Owe a phase unless it, or a later one, was told, owed or lost; True where it is owed anew."""
        newest = max(self.told, self.owed, self.lost, key=_PHASES.index)
        if _PHASES.index(phase) <= _PHASES.index(newest):
            return False
        self.owed = phase
        return True

    def take_over(self, other: "Told") -> None:
        """Go on where another incident stopped telling the route: what that one told counts as told."""
        self.told = max(self.told, other.told, key=_PHASES.index)
        self.lost = max(self.lost, other.lost, key=_PHASES.index)
        owed = max(self.owed, other.owed, key=_PHASES.index)
        self.owed = owed if _PHASES.index(owed) > _PHASES.index(self.told) else ""


@dataclass(slots=True)
class Kept:
    """An incident as it was last written, and whom it was sent to."""

    incident: Incident
    routes: dict[str, Told] = field(default_factory=dict)
    quiet: str = ""
    """Why nobody is told."""
    recorded_ns: int = 0

    @property
    def notified(self) -> str:
        """Who was told, and who was not, in words: only what was taken counts as told."""
        names = [name for name, told in self.routes.items() if told.told]
        waiting = [name for name, told in self.routes.items() if told.owed]
        lost = [name for name, told in self.routes.items() if told.lost]
        parts = [", ".join(names)] if names else []
        parts += [f"not yet: {', '.join(waiting)}"] if waiting else []
        parts += [f"gave up: {', '.join(lost)}"] if lost else []
        return "; ".join(parts) or self.quiet

    @property
    def owes(self) -> bool:
        """Whether somebody still has to be told."""
        return any(told.owed for told in self.routes.values())


def row_of(kept: Kept, time_ns: int, links: Mapping[str, str], slot_s: float) -> dict[str, object]:
    """Return the row of an incident as it is now, with its figures per slot of this length."""
    one = kept.incident
    routes = {
        name: {key: value for key, value in (("told", t.told), ("owed", t.owed), ("lost", t.lost)) if value}
        for name, t in kept.routes.items()
    }
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
        "signal": one.signal or one.rule,
        "direction": one.direction,
        "onset_at": one.onset_ns or None,
        "started_at": one.started_ns,
        "ended_at": one.ended_ns,
        "slot_seconds": slot_s,
        "observed": one.observed,
        "expected": one.expected,
        "low": one.low,
        "high": one.high,
        "score": one.score or None,
        "detectable_change": one.detectable_change if one.detectable_change < 1e9 else None,
        "n": round(one.n),
        "impact_calls": abs(one.excess),
        "impact_minutes": ((one.ended_ns or time_ns) - one.started_ns) / (60 * SECOND_NS),
        "cause": one.cause,
        "links": json.dumps(dict(links)),
        "notified": kept.notified,
        "deliveries": json.dumps(routes),
    }


def stored(reader: Reader, until_s: int, incident: str | None = None) -> list[Kept]:
    """Return the incidents of the last two weeks as they stand in the store; only that of an id if given."""
    window = Window((until_s - KNOWN_DAYS * DAY_S) * SECOND_NS, (until_s + DAY_S) * SECOND_NS)
    table = reader.latest("alert_event", window, by=["incident_id"])
    for name in ("time", "onset_at", "started_at", "ended_at"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    return [_kept(row) for row in table.to_pylist() if incident in (None, row["incident_id"])]


def _kept(row: dict[str, object]) -> Kept:
    def number(name: str) -> float:
        value = row[name]
        return float(value) if isinstance(value, int | float) else 0.0

    started, ended, recorded = row["started_at"], row["ended_at"], row["time"]
    onset = row["onset_at"]
    routes = _routes(row["deliveries"])
    return Kept(
        Incident(
            rule=str(row["rule"]),
            signal=str(row["signal"] or ""),
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
            excess=number("impact_calls") * (1 if row["direction"] == "above" else -1),
            state=State(str(row["state"])),
            severity=Severity(str(row["severity"])),
            ended_ns=ended if isinstance(ended, int) else None,
            onset_ns=onset if isinstance(onset, int) else 0,
            parent_id=str(row["parent_id"] or ""),
            cause=str(row["cause"] or ""),
            id=str(row["incident_id"]),
        ),
        routes=routes,
        quiet="" if routes else str(row["notified"] or ""),
        recorded_ns=recorded if isinstance(recorded, int) else 0,
    )


def _routes(text: object) -> dict[str, Told]:
    """Return what was stored of the routes; nothing of what cannot be read."""
    try:
        found = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    routes = {}
    for name, told in found.items() if isinstance(found, dict) else ():
        if isinstance(told, dict) and all(value in _PHASES for value in told.values()):
            routes[str(name)] = Told(**{key: told[key] for key in ("told", "owed", "lost") if key in told})
    return routes
