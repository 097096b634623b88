"""The capacity page: what load is coming and how far to trust it; its tick reads the cache and nothing else."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.capacity_views import DEFAULT_REACH, REACHES, Subject
from dashboards.components.banner import banner
from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.numbers import date_time
from dashboards.pages.capacity_state import AREAS, CHARTS, PANELS, failed
from dashboards.services import Services
from dashboards.snapshots import Key, Snapshot
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.5
CONTROLS = ("capacity-of", "capacity-signal", "capacity-reach")


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="capacity-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="capacity-heard"),
            dcc.Store(id="capacity-charts"),
            dcc.Store(id="capacity-chosen"),
            html.Div(id="capacity-banner", role="alert"),
            html.Span(id="capacity-beat", hidden=True),
            html.H1("Capacity", className="visually-hidden"),
            _controls(),
            html.Div(
                [
                    chart_panel(
                        "outlook", "Outlook", "What load is coming, and what did we believe before?", height="high"
                    ),
                    panel(
                        "peaks",
                        "Peaks ahead",
                        "Which load will be highest, and when?",
                        [html.Div(id="capacity-peaks")],
                        height="mid",
                    ),
                    panel(
                        "events",
                        "Events and masks",
                        "What is known to be coming, and what is not learned from?",
                        [html.Div(id="capacity-events")],
                        height="mid",
                    ),
                    chart_panel(
                        "accuracy",
                        "Accuracy by lead",
                        "How far off is the median, and could it be better?",
                        height="mid",
                    ),
                    chart_panel("coverage", "Coverage", "Do the quantiles hold what they promise?", height="mid"),
                    panel(
                        "basis",
                        "What it stands on",
                        "From what was this forecast made?",
                        [html.Div(id="capacity-basis")],
                        height="short",
                    ),
                ],
                className="grid",
            ),
        ],
        id="capacity-page",
        className="page",
    )


def _controls() -> html.Div:
    def select(name: str, words: str) -> dmc.Select:
        return dmc.Select(
            id=name,
            data=[],
            searchable=name == "capacity-of",
            allowDeselect=False,
            nothingFoundMessage="Nothing of that name",
            size="sm",
            className="filter filter-wide",
            attributes={"input": {"aria-label": words}},
        )

    return html.Div(
        [
            select("capacity-of", "Pool, tenant, region or trunk"),
            select("capacity-signal", "What of the load"),
            dmc.SegmentedControl(
                id="capacity-reach",
                data=[{"value": r.key, "label": r.key} for r in REACHES.values()],
                value=DEFAULT_REACH,
                size="sm",
                className="range",
                attributes={"root": {"aria-label": "How far ahead"}},
            ),
        ],
        className="filter-bar",
        role="search",
        **aria(label="What to show"),
    )


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    fields = {
        name: {
            "note": Output(f"{name}-note", "children"),
            "chip": Output(f"{name}-chip", "children"),
            "block": Output(f"{name}-block", "children"),
            **({"summary": Output(f"{name}-chart", "aria-label")} if name in CHARTS else {}),
        }
        for name in PANELS
    }
    return {
        "charts": Output("capacity-charts", "data"),
        "heard": Output("capacity-heard", "data"),
        "banner": Output("capacity-banner", "children"),
        "chosen": Output("capacity-chosen", "data"),
        "targets": Output("capacity-of", "data"),
        "signals": Output("capacity-signal", "data"),
        "panels": fields,
        "areas": {name: Output(f"capacity-{name}", "children") for name in AREAS},
    }


def tick(services: Services, scope: Scope, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: everything that changed since what the browser has heard."""
    subject = Subject.from_search(search).to_search()
    heard = heard if heard and heard.get("view") == subject else None
    now_ns = services.clock()
    key = Key.of(scope, "capacity", subject)
    snapshot = services.capacity.read(key, now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS)
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.capacity.every_seconds)
    if snapshot.version == 0:
        return answer
    if heard and heard.get("version") == snapshot.version:
        answer["heard"] = {**heard, "at": now_ns // 1_000_000}
        return answer
    digests: dict[str, int] = {}
    state = snapshot.value
    if state is None:
        answer["panels"] = failed(Status(PanelState.ERROR, snapshot.error or "This view does not exist."))
    else:
        known = heard.get("digests", {}) if heard else {}
        digests = state.digests
        answer["charts"] = {n: chart for n, chart in state.charts.items() if known.get(n) != digests[n]}
        answer["panels"], answer["areas"] = state.panels, state.areas
        answer["targets"], answer["signals"] = state.targets, state.signals
        answer["chosen"] = list(state.chosen)
    answer["heard"] = _heard(services, snapshot, subject, now_ns, digests)
    return answer


def _heard(
    services: Services, snapshot: Snapshot[Any], subject: str, now_ns: int, digests: dict[str, int]
) -> dict[str, Any]:
    read_ns = snapshot.refreshed_ns
    return {
        "view": subject,
        "version": snapshot.version,
        "digests": digests,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(read_ns, services.settings.time_zone)}" if read_ns else "",
    }


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("capacity-tick", "n_intervals"), "search": Input("url", "search")},
        state={"heard": State("capacity-heard", "data")},
    )
    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), search, heard)

    in_browser(
        app,
        "draw",
        [Output(f"{name}-graph", "figure") for name in CHARTS],
        [Input("capacity-charts", "data"), State("theme", "data")],
    )
    for name in CHARTS:
        in_browser(
            app,
            "asTable",
            [
                Output(f"{name}-table", "children"),
                Output(f"{name}-table", "hidden"),
                Output(f"{name}-as-table", "aria-pressed"),
            ],
            [Input(f"{name}-as-table", "n_clicks"), Input(f"{name}-graph", "figure")],
        )
    in_browser(
        app,
        "syncCapacity",
        [Output(control, "value") for control in CONTROLS],
        [
            Input("url", "search"),
            Input("capacity-chosen", "data"),
            *(Input(control, "value") for control in CONTROLS),
        ],
    )
    in_browser(app, "heard", [Output("capacity-beat", "children")], [Input("capacity-heard", "data")])
