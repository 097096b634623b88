"""The page of one incident: evidence, what it explains, its history, and what people tell of it."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.panel import chart_panel, panel
from dashboards.components.shell import back_link, not_found
from dashboards.components.wiring import aria, on_server
from dashboards.pages import incident_controls
from dashboards.pages.incident_controls import SPANS
from dashboards.pages.incidents_state import INCIDENT_AREAS, INCIDENT_CHARTS, INCIDENT_PANELS
from dashboards.pages.ticking import Heard, TickingPage
from dashboards.services import Services
from dashboards.snapshots import Key, Snapshot
from storage.seam import Scope


def _absent(key: Key, snapshot: Snapshot[Any]) -> dict[str, Any]:
    # The same answer for one that never was and one of somebody else.
    missing = not_found(f"There is no incident {key.subject[:60]} in what you may see.")
    return {"hidden": snapshot.not_found, "missing": missing if snapshot.not_found else None}


PAGE = TickingPage(
    "incident",
    panels=INCIDENT_PANELS,
    charts=INCIDENT_CHARTS,
    areas=INCIDENT_AREAS,
    own={
        "missing": Output("incident-missing", "children"),
        "hidden": Output("incident-body", "hidden"),
        "targets": Output("incident-target", "data"),
    },
    absent=_absent,
)


def layout(incident_id: str, refresh_seconds: float) -> html.Div:
    """Return the frame of an incident's page."""
    return PAGE.layout(
        refresh_seconds,
        [
            back_link("Incidents", "/incidents"),
            html.Div(id="incident-missing"),
            html.Div(
                [
                    html.Section(html.Div(id="incident-head"), className="panel call-head"),
                    chart_panel(
                        "evidence",
                        "Evidence",
                        "What was observed, and what would have been normal?",
                        height="tall",
                    ),
                    panel(
                        "tell",
                        "Acknowledge or silence",
                        "Who takes it, and shall nothing more be sent?",
                        [_form()],
                        height="short",
                    ),
                    panel(
                        "told",
                        "Told by people",
                        "Who acknowledged or silenced it, why, and until when?",
                        [html.Div(id="incident-told")],
                        height="short",
                    ),
                    panel(
                        "grouped",
                        "Grouped under it",
                        "What else does it explain?",
                        [html.Div(id="incident-grouped")],
                        height="short",
                    ),
                    panel(
                        "changes",
                        "History of states",
                        "How did it come to this?",
                        [html.Div(id="incident-changes")],
                        height="short",
                    ),
                ],
                id="incident-body",
                className="grid",
            ),
        ],
        stores={"id": incident_id},
    )


def _form() -> html.Div:
    def choice(name: str, words: str, data: list[dict[str, str]], value: str) -> dmc.Select:
        return dmc.Select(id=name, label=words, data=data, value=value, allowDeselect=False, size="sm")

    return html.Div(
        [
            dmc.TextInput(
                id="incident-reason",
                label="Reason",
                placeholder="What is known, what is being done",
                value="",
                required=True,
                size="sm",
                className="tell-reason",
            ),
            choice(
                "incident-span",
                "Holds for",
                [{"value": k, "label": v} for k, v in SPANS.items()],
                next(iter(SPANS)),
            ),
            choice("incident-target", "A silence covers", [], "incident"),
            html.Div(
                [
                    html.Button("Acknowledge", id="incident-acknowledge", n_clicks=0, className="button"),
                    html.Button("Silence", id="incident-silence", n_clicks=0, className="tool tool-solid"),
                ],
                className="tell-buttons",
            ),
            html.P(id="incident-said", className="said", role="status", **aria(live="polite")),
        ],
        className="tell-form",
    )


def tick(services: Services, scope: Scope, id_: str, heard: Heard | None) -> dict[str, Any]:
    """Answer a tick; the id chooses within the scope."""
    return PAGE.answer(services, services.incident, Key.of(scope, PAGE.name, id_), heard)


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    def on_tick(_n: int | None, id_: str, heard: Heard | None) -> dict[str, Any]:
        return tick(services, scope_of(request), id_, heard)

    PAGE.register(app, on_tick, id_=Input("incident-id", "data"))

    @on_server(
        app,
        Output("incident-said", "children"),
        Output("incident-reason", "value"),
        Input("incident-acknowledge", "n_clicks"),
        Input("incident-silence", "n_clicks"),
        Input({"type": "incident-release", "id": ALL}, "n_clicks"),
        State("incident-id", "data"),
        State("incident-reason", "value"),
        State("incident-span", "value"),
        State("incident-target", "value"),
        prevent_initial_call=True,
    )
    def on_tell(
        _acknowledge: int | None,
        _silence: int | None,
        _release: list[int | None],
        id_: str,
        reason: str | None,
        span: str | None,
        target: str | None,
    ) -> Any:
        scope, asked_for = scope_of(request), ctx.triggered_id
        if isinstance(asked_for, dict):
            said = incident_controls.released(services, scope, request, asked_for, ctx.triggered)
            return said, reason
        return incident_controls.told(
            services, scope, request, asked_for, id_, reason=reason, span=span, target=target
        )
