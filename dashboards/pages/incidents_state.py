"""What the cache keeps for the incident pages: everything already rendered, once per refresh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import msgspec

from dashboards.components.incidents import history_table, incident_head, incidents_table, told_table
from dashboards.components.panel import panel_update
from dashboards.figures.chart import Frame, Json
from dashboards.figures.evidence import evidence_chart
from dashboards.incident_views import IncidentsView, IncidentView, Sought
from dashboards.numbers import count
from dashboards.queries.incidents import LOOK_BACK_DAYS, incident_view, incidents_view
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.views import READY, PanelState, Status
from storage.seam import Store
from telephony.durations import format_duration

LIST_PANELS = ("incidents-list", "silences")
INCIDENT_PANELS = ("evidence", "grouped", "changes", "told", "tell")


@dataclass(frozen=True, slots=True)
class ListState:
    """A list of incidents as the browser gets it."""

    panels: dict[str, dict[str, Any]]
    areas: dict[str, Any]
    digests: dict[str, int]
    """Of each area, so that what did not change keeps the focus of whoever reads it."""
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class IncidentState:
    """An incident as the browser gets it."""

    panels: dict[str, dict[str, Any]]
    areas: dict[str, Any]
    digests: dict[str, int]
    charts: dict[str, Json]
    targets: list[dict[str, str]]


def load_incidents(store: Store, settings: DashboardSettings) -> Callable[[Key, ListState | None, int], ListState]:
    """Return the loader of the lists; a key's subject is the query string of its filters."""

    def load(key: Key, before: ListState | None, now_ns: int) -> ListState:
        return _list(incidents_view(store, key.scope, Sought.from_search(key.subject), now_ns), settings)

    return load


def load_incident(
    store: Store, settings: DashboardSettings
) -> Callable[[Key, IncidentState | None, int], IncidentState]:
    """Return the loader of single incidents; a key's subject is its id."""

    def load(key: Key, before: IncidentState | None, now_ns: int) -> IncidentState:
        return _incident(incident_view(store, key.scope, key.subject, now_ns), settings)

    return load


def _list(view: IncidentsView, settings: DashboardSettings) -> ListState:
    zone = settings.time_zone
    beyond = f", first {count(len(view.rows))} shown" if view.hidden else ""
    grouped = sum(one.children for one in view.rows)
    note = (
        f"n = {count(len(view.rows) + view.hidden)}{beyond} · {count(grouped)} grouped · "
        f"{count(view.open_total)} open · last {LOOK_BACK_DAYS} days · {settings.zone}"
    )
    areas = {
        "list": incidents_table(view.rows, zone, "Incidents, open ones first") if view.rows else None,
        "silences": (
            told_table(view.silences, zone, view.at_ns, may_act=view.may_act, page="incidents")
            if view.silences
            else None
        ),
    }
    return ListState(
        panels={
            "incidents-list": panel_update(view.status, note),
            "silences": panel_update(view.silences_status, f"n = {count(len(view.silences))}"),
        },
        areas=areas,
        digests=_digests(areas),
        scopes=list(view.scopes),
    )


def _incident(view: IncidentView, settings: DashboardSettings) -> IncidentState:
    zone, seen = settings.time_zone, view.evidence
    drawn = seen.status.drawn and bool(seen.starts_ns)
    chart = evidence_chart(seen, Frame(zone, view.one.id)) if drawn else None
    slots = sum(value is not None for value in seen.observed)
    note = f"n = {count(slots)} slots of {format_duration(view.one.slot_seconds)} · {settings.zone}"
    told_status = view.told_status
    if told_status is READY and not view.told:
        told_status = Status(PanelState.EMPTY, "Nobody has acknowledged or silenced it.")
        if not view.may_act:
            told_status = Status(PanelState.NOT_ALLOWED, "Who took it is for engineers and operators.")
    barred = Status(PanelState.NOT_ALLOWED, "Engineers and operators acknowledge and silence.")
    grouped = READY if view.children else Status(PanelState.EMPTY, "It explains no other incident.")
    areas = {
        "head": incident_head(view, zone),
        "grouped": incidents_table(view.children, zone, "Grouped under this one") if view.children else None,
        "changes": history_table(view.history, view.one.quantity, zone),
        "told": (
            told_table(view.told, zone, view.at_ns, may_act=view.may_act, page="incident") if view.told else None
        ),
    }
    return IncidentState(
        panels={
            "evidence": panel_update(seen.status, note, chart.summary if chart else seen.status.reason),
            "grouped": panel_update(grouped, f"n = {count(len(view.children))}"),
            "changes": panel_update(READY, f"n = {count(len(view.history))} · {settings.zone}"),
            "told": panel_update(told_status, f"n = {count(len(view.told))} · {settings.zone}"),
            "tell": panel_update(READY if view.may_act else barred, ""),
        },
        areas=areas,
        digests=_digests(areas),
        charts={"evidence": chart.to_json()} if chart else {},
        targets=[{"value": key, "label": words} for key, words in view.one.silence_targets().items()],
    )


def _digests(areas: dict[str, Any]) -> dict[str, int]:
    return {name: crc32(msgspec.json.encode(area, enc_hook=_component)) for name, area in areas.items()}


def _component(value: Any) -> Any:
    return value.to_plotly_json()


def failed(names: tuple[str, ...], status: Status) -> dict[str, dict[str, Any]]:
    """Return the update of every panel where the view as a whole could not be read."""
    return {name: panel_update(status, "", status.reason if name == "evidence" else None) for name in names}
