"""What the cache keeps for the incident pages: everything already rendered, once per refresh."""

from collections.abc import Callable

from dashboards.components.incidents import history_table, incident_head, incidents_table, told_table
from dashboards.components.panel import panel_update
from dashboards.figures.chart import Frame
from dashboards.figures.evidence import evidence_chart
from dashboards.incident_views import IncidentsView, IncidentView, Sought
from dashboards.numbers import count
from dashboards.pages.rendered import Rendered
from dashboards.queries.incidents import LOOK_BACK_DAYS, incident_view, incidents_view
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.views import READY, PanelState, Status
from storage.seam import Store
from telephony.durations import format_duration

LIST_PANELS = ("incidents-list", "silences")
LIST_AREAS = ("list", "silences")
INCIDENT_PANELS = ("evidence", "grouped", "changes", "told", "tell")


INCIDENT_CHARTS = ("evidence",)
INCIDENT_AREAS = ("head", "grouped", "changes", "told")


def load_incidents(store: Store, settings: DashboardSettings) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of the lists; a key's subject is the query string of its filters."""

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        return _list(incidents_view(store, key.scope, Sought.from_search(key.subject), now_ns), settings)

    return load


def load_incident(store: Store, settings: DashboardSettings) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of single incidents; a key's subject is its id."""

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        return _incident(incident_view(store, key.scope, key.subject, now_ns), settings)

    return load


def _list(view: IncidentsView, settings: DashboardSettings) -> Rendered:
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
    return Rendered.of(
        panels={
            "incidents-list": panel_update(view.status, note),
            "silences": panel_update(view.silences_status, f"n = {count(len(view.silences))} · {settings.zone}"),
        },
        areas=areas,
        own={"scopes": list(view.scopes)},
    )


def _incident(view: IncidentView, settings: DashboardSettings) -> Rendered:
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
    return Rendered.of(
        panels={
            "evidence": panel_update(seen.status, note, chart.summary if chart else seen.status.reason),
            "grouped": panel_update(grouped, f"n = {count(len(view.children))} · {settings.zone}"),
            "changes": panel_update(READY, f"n = {count(len(view.history))} · {settings.zone}"),
            "told": panel_update(told_status, f"n = {count(len(view.told))} · {settings.zone}"),
            "tell": panel_update(READY if view.may_act else barred, ""),
        },
        areas=areas,
        charts={"evidence": chart.to_json()} if chart else {},
        own={
            "hidden": False,
            "missing": None,
            "targets": [{"value": key, "label": words} for key, words in view.one.silence_targets().items()],
        },
    )
