"""The list of incidents and the silences in force; its tick reads the cache and nothing else."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.banner import banner
from dashboards.components.panel import panel
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.incident_views import SEVERITIES, Shown, Sought
from dashboards.numbers import date_time
from dashboards.pages import incident_controls
from dashboards.pages.incidents_state import LIST_PANELS, failed
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 1.5
AREAS = ("list", "silences")
CONTROLS = ("incidents-state", "incidents-severity", "incidents-scope")


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="incidents-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="incidents-heard"),
            html.Div(id="incidents-banner", role="alert"),
            html.Span(id="incidents-beat", hidden=True),
            html.H1("Incidents", className="visually-hidden"),
            _controls(),
            html.Div(
                [
                    panel(
                        "incidents-list",
                        "Incidents",
                        "What is unusual, how bad is it, and who was told?",
                        [html.Div(id="incidents-list")],
                        height="mid",
                    ),
                    panel(
                        "silences",
                        "Silences in force",
                        "About what is nothing sent, by whom and until when?",
                        [html.Div(id="incidents-silences"), html.P(id="incidents-said", className="said")],
                        height="short",
                    ),
                ],
                className="grid",
            ),
        ],
        id="incidents-page",
        className="page",
    )


def _controls() -> html.Div:
    def several(name: str, data: list[str], words: str) -> dmc.MultiSelect:
        return dmc.MultiSelect(
            id=name,
            data=data,
            value=[],
            placeholder=f"All {words}",
            searchable=True,
            clearable=True,
            hidePickedOptions=True,
            nothingFoundMessage="Nothing of that name",
            size="sm",
            className="filter filter-wide",
            attributes={"input": {"aria-label": f"Narrow to {words}"}},
        )

    return html.Div(
        [
            dmc.SegmentedControl(
                id="incidents-state",
                data=[{"value": shown.value, "label": shown.value.capitalize()} for shown in Shown],
                value=Shown.OPEN.value,
                size="sm",
                className="range",
                attributes={"root": {"aria-label": "State"}},
            ),
            several("incidents-severity", list(SEVERITIES), "severities"),
            several("incidents-scope", [], "scopes"),
        ],
        className="filter-bar",
        role="search",
        **aria(label="Filters"),
    )


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    return {
        "heard": Output("incidents-heard", "data"),
        "banner": Output("incidents-banner", "children"),
        "scopes": Output("incidents-scope", "data"),
        "panels": {
            name: {part: Output(f"{name}-{part}", "children") for part in ("note", "chip", "block")}
            for name in LIST_PANELS
        },
        "areas": {name: Output(f"incidents-{name}", "children") for name in AREAS},
    }


def tick(services: Services, scope: Scope, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: everything that changed since what the browser has heard."""
    subject = Sought.from_search(search).to_search()
    heard = heard if heard and heard.get("view") == subject else None
    now_ns = services.clock()
    key = Key.of(scope, "incidents", subject)
    snapshot = services.incidents.read(key, now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS)
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.incidents.every_seconds)
    if snapshot.version == 0:
        return answer
    if heard and heard.get("version") == snapshot.version:
        answer["heard"] = {**heard, "at": now_ns // 1_000_000}
        return answer
    state, digests = snapshot.value, {}
    if state is None:
        why = Status(PanelState.ERROR, snapshot.error or "This view does not exist.")
        answer["panels"] = failed(LIST_PANELS, why)
    else:
        known, digests = (heard or {}).get("digests", {}), state.digests
        answer["panels"], answer["scopes"] = state.panels, state.scopes
        for name in AREAS:
            if known.get(name) != digests[name]:
                answer["areas"][name] = state.areas[name]
    zone, read_ns = services.settings.time_zone, snapshot.refreshed_ns
    answer["heard"] = {
        "view": subject,
        "version": snapshot.version,
        "digests": digests,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(read_ns, zone)}" if read_ns else "",
    }
    return answer


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("incidents-tick", "n_intervals"), "search": Input("url", "search")},
        state={"heard": State("incidents-heard", "data")},
    )
    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), search, heard)

    @app.callback(
        Output("incidents-said", "children"),
        Input({"type": "incidents-release", "id": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def on_release(_clicks: list[int | None]) -> Any:
        return incident_controls.released(services, scope_of(request), request, ctx.triggered_id, ctx.triggered)

    in_browser(
        app,
        "syncIncidents",
        [Output(control, "value") for control in CONTROLS],
        [Input("url", "search"), *(Input(control, "value") for control in CONTROLS)],
    )
    in_browser(app, "heard", [Output("incidents-beat", "children")], [Input("incidents-heard", "data")])
