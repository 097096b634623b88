"""The page of one call: header, ladder, quality lanes and why its MOS is what it is; live calls refresh."""

from typing import Any
from urllib.parse import quote

from dash import Dash, Input, Output, State, dcc, html
from flask import Response, abort, request

from dashboards.auth import scope_of
from dashboards.components.panel import chart_panel, panel, table_button
from dashboards.components.wiring import in_browser, unchanged
from dashboards.csv_text import csv_lines
from dashboards.figures.chart import Frame
from dashboards.figures.ladder import ladder_svg, ladder_table
from dashboards.numbers import date_time
from dashboards.pages.call_dive import dive_panel
from dashboards.pages.call_state import CALL_PANELS, LANES, failed
from dashboards.queries.call import find_call
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.trace_views import Missing
from dashboards.views import PanelState, Status
from storage.seam import Scope
from telephony.model import Direction

FIRST_ANSWER_SECONDS = 2.0
_ALL_MESSAGES = 50_000
_LANE_TITLES = {
    Direction.TO_CALLEE: ("Caller → callee", "What did the callee hear?"),
    Direction.TO_CALLER: ("Callee → caller", "What did the caller hear?"),
    Direction.UNKNOWN: ("Direction unknown", "Which streams could not be given to a party?"),
}


def layout(call_id: str, refresh_seconds: float) -> html.Div:
    """Return the frame of a call's page."""
    return html.Div(
        [
            dcc.Interval(id="call-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="call-id", data=call_id),
            dcc.Store(id="call-heard"),
            dcc.Store(id="call-charts"),
            html.Span(id="call-beat", hidden=True),
            html.Div(
                [
                    dcc.Link(
                        [html.Span(className="icon icon-back"), html.Span("Live")],
                        href="/live",
                        className="tool tool-solid back",
                    ),
                ],
                className="filter-bar",
            ),
            html.Div(id="call-banner", role="alert"),
            html.Div(id="call-missing"),
            html.Div(
                [
                    html.Section(html.Div(id="call-head"), className="panel call-head"),
                    _ladder_panel(call_id),
                    *(
                        chart_panel(name, *_LANE_TITLES[direction], height="lane")
                        for direction, name in LANES.items()
                    ),
                    panel(
                        "why",
                        "Why this MOS",
                        "What took R down, and by how much?",
                        [html.Div(id="call-why")],
                        height="mid",
                    ),
                    panel(
                        "call-findings",
                        "Findings",
                        "What could not be joined or believed, and why is a figure missing?",
                        [html.Div(id="call-found")],
                        height="short",
                    ),
                    dive_panel(),
                ],
                id="call-body",
                className="grid",
            ),
        ],
        id="call-page",
        className="page",
    )


def _ladder_panel(call_id: str) -> html.Section:
    base = f"/export/call/{quote(call_id, safe='')}"
    return panel(
        "ladder",
        "Ladder",
        "Which message went where, and when?",
        [
            html.Div(id="ladder-drawing", className="ladder", tabIndex=0),
            html.Div(id="ladder-table", className="chart-table", hidden=True, tabIndex=0),
        ],
        tools=[
            html.A(
                [html.Span(className="icon icon-download"), "SVG"],
                href=f"{base}/ladder.svg",
                className="tool",
                title="Download the drawing",
            ),
            html.A(
                [html.Span(className="icon icon-download"), "CSV"],
                href=f"{base}/ladder.csv",
                className="tool",
                title="Download all messages as a table",
            ),
            table_button("ladder", "Ladder"),
        ],
        height="tall",
    )


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    return {
        "charts": Output("call-charts", "data"),
        "heard": Output("call-heard", "data"),
        "banner": Output("call-banner", "children"),
        "missing": Output("call-missing", "children"),
        "hidden": Output("call-body", "hidden"),
        "head": Output("call-head", "children"),
        "why": Output("call-why", "children"),
        "findings": Output("call-found", "children"),
        "unknown_lane": Output(f"{LANES[Direction.UNKNOWN]}-panel", "hidden"),
        "panels": {
            name: {
                "note": Output(f"{name}-note", "children"),
                "chip": Output(f"{name}-chip", "children"),
                "block": Output(f"{name}-block", "children"),
                **({"summary": Output(f"{name}-chart", "aria-label")} if name in LANES.values() else {}),
            }
            for name in CALL_PANELS
        },
    }


def tick(services: Services, scope: Scope, call_id: str, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache."""
    now_ns = services.clock()
    snapshot = services.calls.read(
        Key.of(scope, "call", call_id), now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS
    )
    answer = unchanged(outputs())
    if snapshot.version == 0:
        return answer
    answer["heard"] = {
        "version": snapshot.version,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(snapshot.refreshed_ns or None, services.settings.time_zone)}",
    }
    state = snapshot.value
    shown_already = state is not None and heard is not None and heard.get("read") == state.read_ns
    answer["heard"]["read"] = state.read_ns if state is not None else 0
    answer["banner"] = (
        html.Div(f"The store cannot be read: {snapshot.error}.", className="banner banner-bad")
        if snapshot.error
        else None
    )
    if shown_already:
        return answer
    if state is None:
        answer["panels"] = failed(Status(PanelState.ERROR, snapshot.error or "This call cannot be read."))
        return answer
    rendered = state.rendered
    answer["missing"], answer["hidden"] = rendered.missing, rendered.missing is not None
    if rendered.missing is None:
        answer["head"], answer["why"], answer["findings"] = rendered.head, rendered.why, rendered.findings
        answer["charts"], answer["panels"] = rendered.charts, rendered.panels
        answer["unknown_lane"] = LANES[Direction.UNKNOWN] not in rendered.charts
    return answer


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks and exports."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("call-tick", "n_intervals"), "call_id": Input("call-id", "data")},
        state={"heard": State("call-heard", "data")},
    )
    def on_tick(_n: int | None, call_id: str, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), call_id, heard)

    in_browser(
        app,
        "draw",
        [Output(f"{name}-graph", "figure") for name in LANES.values()],
        [Input("call-charts", "data"), State("theme", "data")],
    )
    in_browser(app, "drawLadder", [Output("ladder-drawing", "data-drawn")], [Input("call-charts", "data")])
    for name in ("ladder", *LANES.values()):
        in_browser(
            app,
            "asTable",
            [
                Output(f"{name}-table", "children"),
                Output(f"{name}-table", "hidden"),
                Output(f"{name}-as-table", "aria-pressed"),
            ],
            [
                Input(f"{name}-as-table", "n_clicks"),
                Input("ladder-drawing", "data-drawn") if name == "ladder" else Input(f"{name}-graph", "figure"),
            ],
        )
    in_browser(app, "heard", [Output("call-beat", "children")], [Input("call-heard", "data")])
    _exports(app, services)


def _exports(app: Dash, services: Services) -> None:
    frame = Frame(services.settings.time_zone, "")

    def download(call_id: str, kind: str, limit: int) -> Response:
        reader = services.store.reader(scope_of(request))
        view = find_call(reader, call_id, services.clock(), services.settings.time_zone, limit)
        if isinstance(view, Missing) or not view.ladder.messages:
            abort(404)
        body = (
            ladder_svg(view.ladder, frame, standalone=True)
            if kind == "svg"
            else csv_lines(*ladder_table(view.ladder, frame))
        )
        return Response(
            body,
            mimetype="image/svg+xml" if kind == "svg" else "text/csv",
            headers={"Content-Disposition": f'attachment; filename="ladder.{kind}"', "Cache-Control": "no-store"},
        )

    @app.server.get("/export/call/<path:call_id>/ladder.svg")
    def ladder_as_svg(call_id: str) -> Response:
        return download(call_id, "svg", services.settings.ladder_messages)

    @app.server.get("/export/call/<path:call_id>/ladder.csv")
    def ladder_as_csv(call_id: str) -> Response:
        return download(call_id, "csv", _ALL_MESSAGES)
