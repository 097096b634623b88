"""What the cache keeps for a scaling view: everything already rendered, once per refresh."""

from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from dashboards.components.scaling import controls_table, explanation, log_table, tiles
from dashboards.figures.chart import Chart, Frame
from dashboards.figures.scaling import demand_chart, needs_chart, replicas_chart, shortage_words
from dashboards.numbers import SECOND_NS, count, duration
from dashboards.pages.rendered import Rendered, panels_of
from dashboards.queries.scaling import scaling_view
from dashboards.scaling_views import LOG_ROWS, STABILISATION_S, Decision, ScalingSubject, ScalingView
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.views import READY, Status
from forecast.announce import Announcement
from storage.seam import Store

CHARTS = ("demand", "replicas", "needs")
PANELS = (*CHARTS, "now", "log", "decision", "controls")
AREAS = ("now", "log", "decision", "controls")


def load_scaling(
    store: Store, settings: DashboardSettings, declared: Sequence[Announcement]
) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of the scaling cache; a key's subject is the query string of its view."""
    known = tuple(declared)

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        subject = ScalingSubject.from_search(key.subject)
        return render(scaling_view(store, key.scope, subject, now_ns, known), settings)

    return load


def render(view: ScalingView, settings: DashboardSettings) -> Rendered:
    """Draw every panel of a view."""
    subject, zone = view.subject, settings.time_zone
    frame = Frame(zone, f"{subject.pool} {subject.reach_key}")
    charts: dict[str, Chart] = {}
    if view.demand.status.drawn:
        charts["demand"] = demand_chart(view.demand, frame)
    if view.pods.status.drawn and view.pods.starts_ns:
        charts["replicas"] = replicas_chart(view.pods, frame)
        charts["needs"] = needs_chart(view.pods, frame)
    shown = view.chosen.id if isinstance(view.chosen, Decision) else ""
    pools = view.pools if not subject.pool or subject.pool in view.pools else (*view.pools, subject.pool)
    return Rendered.of(
        charts={name: chart.to_json() for name, chart in charts.items()},
        panels=_panels(view, charts),
        areas={
            "now": html.Div(tiles(view), className="tiles") if view.newest else None,
            "log": log_table(view.log, subject, shown, zone) if view.log.rows else None,
            "decision": explanation(view.chosen, zone) if isinstance(view.chosen, Decision) else None,
            "controls": controls_table(view.controls, zone) if view.controls.status.drawn else None,
        },
        own={
            "pools": [{"value": name, "label": f"pool {name}"} for name in pools],
            "chosen": [subject.pool, subject.reach_key],
        },
    )


def _panels(view: ScalingView, charts: dict[str, Chart]) -> dict[str, dict[str, Any]]:
    pods, log, demand = view.pods, view.log, view.demand
    chosen = view.chosen if isinstance(view.chosen, Status) else READY
    n = f"n = {count(pods.decisions)} decisions"
    first = log.page * LOG_ROWS + 1
    alone = f"Alone is HPA's way, {STABILISATION_S // 60} min stabilisation, same lead time"
    compared = shortage_words(pods) if pods.status.drawn and pods.starts_ns else ""
    notes: dict[str, tuple[Status, str]] = {
        "demand": (demand.status, _demand_note(view)),
        "replicas": (pods.status, f"{compared} {alone} · {n}"),
        "needs": (pods.status, f"pods · {n}"),
        "now": (pods.status, ""),
        "log": (log.status, f"n = {count(len(log.rows))}, from {count(first)} on, newest first"),
        "decision": (chosen, "the newest" if not view.subject.decision else ""),
        "controls": (view.controls.status, f"n = {count(len(view.controls.rows))} in force"),
    }
    return panels_of(notes, charts, CHARTS)


def _demand_note(view: ScalingView) -> str:
    demand = view.demand
    measured = sum(value is not None for value in demand.measured)
    note = f"calls in progress, peak · n = {count(measured)} × {duration(demand.step_seconds)}"
    if demand.issued_ns is None:
        return note
    return f"{note} · forecast issued {duration(max(demand.now_ns - demand.issued_ns, 0) // SECOND_NS)} ago"
