"""The page of one incident: evidence, what it explains, its history, and what people tell of it."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.banner import banner
from dashboards.components.panel import chart_panel, panel
from dashboards.components.shell import not_found
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.numbers import date_time
from dashboards.pages import incident_controls
from dashboards.pages.incident_controls import SPANS
from dashboards.pages.incidents_state import INCIDENT_PANELS, failed
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.0
AREAS = ("head", "grouped", "changes", "told")


def layout(incident_id: str, refresh_seconds: float) -> html.Div:
    """Return the frame of an incident's page."""
    return html.Div(
        [
            dcc.Interval(id="incident-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="incident-id", data=incident_id),
            dcc.Store(id="incident-heard"),
            dcc.Store(id="incident-charts"),
            html.Span(id="incident-beat", hidden=True),
            html.Div(
                dcc.Link(
                    [html.Span(className="icon icon-back"), html.Span("Incidents")],
                    href="/incidents",
                    className="tool tool-solid back",
                ),
                className="filter-bar",
            ),
            html.Div(id="incident-banner", role="alert"),
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
        id="incident-page",
        className="page",
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


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    return {
        "charts": Output("incident-charts", "data"),
        "heard": Output("incident-heard", "data"),
        "banner": Output("incident-banner", "children"),
        "missing": Output("incident-missing", "children"),
        "hidden": Output("incident-body", "hidden"),
        "targets": Output("incident-target", "data"),
        "panels": {
            name: {
                **{part: Output(f"{name}-{part}", "children") for part in ("note", "chip", "block")},
                **({"summary": Output("evidence-chart", "aria-label")} if name == "evidence" else {}),
            }
            for name in INCIDENT_PANELS
        },
        "areas": {name: Output(f"incident-{name}", "children") for name in AREAS},
    }


def tick(services: Services, scope: Scope, id_: str, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: everything that changed since what the browser has heard."""
    heard = heard if heard and heard.get("view") == id_ else None
    now_ns = services.clock()
    snapshot = services.incident.read(
        Key.of(scope, "incident", id_), now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS
    )
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.incident.every_seconds)
    if snapshot.version == 0:
        return answer
    if heard and heard.get("version") == snapshot.version:
        answer["heard"] = {**heard, "at": now_ns // 1_000_000}
        return answer
    state, digests = snapshot.value, {}
    answer["hidden"], answer["missing"] = snapshot.not_found, None
    if snapshot.not_found:
        # The same answer for one that never was and one of somebody else.
        answer["missing"] = not_found(f"There is no incident {id_[:60]} in what you may see.")
    elif state is None:
        why = Status(PanelState.ERROR, snapshot.error or "This view does not exist.")
        answer["panels"] = failed(INCIDENT_PANELS, why)
    else:
        known, digests = (heard or {}).get("digests", {}), state.digests
        answer["panels"], answer["targets"], answer["charts"] = state.panels, state.targets, state.charts
        for name in AREAS:
            if known.get(name) != digests[name]:
                answer["areas"][name] = state.areas[name]
    zone, read_ns = services.settings.time_zone, snapshot.refreshed_ns
    answer["heard"] = {
        "view": id_,
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
        inputs={"_n": Input("incident-tick", "n_intervals"), "id_": Input("incident-id", "data")},
        state={"heard": State("incident-heard", "data")},
    )
    def on_tick(_n: int | None, id_: str, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), str(id_), heard)

    @app.callback(
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
        id_: Any,
        reason: Any,
        span: Any,
        target: Any,
    ) -> Any:
        scope, asked_for = scope_of(request), ctx.triggered_id
        if isinstance(asked_for, dict):
            said = incident_controls.released(services, scope, request, asked_for, ctx.triggered)
            return said, reason
        return incident_controls.told(
            services, scope, request, asked_for, str(id_), reason=reason, span=span, target=target
        )

    in_browser(
        app,
        "draw",
        [Output("evidence-graph", "figure")],
        [Input("incident-charts", "data"), State("theme", "data")],
    )
    in_browser(
        app,
        "asTable",
        [
            Output("evidence-table", "children"),
            Output("evidence-table", "hidden"),
            Output("evidence-as-table", "aria-pressed"),
        ],
        [Input("evidence-as-table", "n_clicks"), Input("evidence-graph", "figure")],
    )
    in_browser(app, "heard", [Output("incident-beat", "children")], [Input("incident-heard", "data")])
