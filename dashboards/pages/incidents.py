"""The list of incidents and the silences in force; its tick reads the cache and nothing else."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, ctx, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.panel import panel
from dashboards.components.wiring import aria, in_browser, on_server
from dashboards.incident_views import SEVERITIES, Shown, Sought
from dashboards.pages import incident_controls
from dashboards.pages.incidents_state import LIST_AREAS, LIST_PANELS
from dashboards.pages.ticking import TickingPage
from dashboards.services import Services

CONTROLS = ("incidents-state", "incidents-severity", "incidents-scope")
PAGE = TickingPage(
    "incidents",
    panels=LIST_PANELS,
    areas=LIST_AREAS,
    own={"scopes": Output("incidents-scope", "data")},
)
tick = PAGE.by_address(Sought.from_search, lambda services: services.incidents)


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [
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


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""
    PAGE.register_by_address(app, services, tick)

    @on_server(
        app,
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
