"""The page of one call: header, ladder, quality lanes and why its MOS is what it is; live calls refresh."""

from typing import Any
from urllib.parse import quote

from dash import Dash, Input, Output, html
from flask import Response, abort, request

from dashboards.access import audit
from dashboards.auth import scope_of
from dashboards.components.panel import chart_panel, panel, table_button
from dashboards.components.shell import back_link
from dashboards.components.wiring import in_browser
from dashboards.csv_text import csv_lines
from dashboards.figures.chart import Frame
from dashboards.figures.ladder import ladder_svg, ladder_table
from dashboards.pages.call_dive import dive_panel
from dashboards.pages.call_state import AREAS, CALL_PANELS, LANES
from dashboards.pages.ticking import Heard, TickingPage, as_table
from dashboards.queries.call import find_call
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.trace_views import Missing
from storage.seam import Scope
from telephony.model import Direction

_ALL_MESSAGES = 50_000
_LANE_TITLES = {
    Direction.TO_CALLEE: ("Caller → callee", "What did the callee hear?"),
    Direction.TO_CALLER: ("Callee → caller", "What did the caller hear?"),
    Direction.UNKNOWN: ("Direction unknown", "Which streams could not be given to a party?"),
}


PAGE = TickingPage(
    "call",
    panels=CALL_PANELS,
    charts=LANES.values(),
    areas=AREAS,
    own={
        "missing": Output("call-missing", "children"),
        "hidden": Output("call-body", "hidden"),
        "unknown_lane": Output(f"{LANES[Direction.UNKNOWN]}-panel", "hidden"),
    },
)


def layout(call_id: str, refresh_seconds: float) -> html.Div:
    """Return the frame of a call's page."""
    return PAGE.layout(
        refresh_seconds,
        [
            back_link("Live", "/live"),
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
        stores={"id": call_id},
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


def tick(services: Services, scope: Scope, call_id: str, heard: Heard | None) -> dict[str, Any]:
    """Answer a tick; the Call-ID chooses within the scope."""
    return PAGE.answer(services, services.calls, Key.of(scope, PAGE.name, call_id), heard)


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks and exports."""

    def on_tick(_n: int | None, call_id: str, heard: Heard | None) -> dict[str, Any]:
        return tick(services, scope_of(request), call_id, heard)

    PAGE.register(app, on_tick, call_id=Input("call-id", "data"))
    in_browser(app, "drawLadder", [Output("ladder-drawing", "data-drawn")], [Input("call-charts", "data")])
    as_table(app, "ladder", Input("ladder-drawing", "data-drawn"))
    _exports(app, services)


def _exports(app: Dash, services: Services) -> None:
    frame = Frame(services.settings.time_zone, "")

    def download(call_id: str, kind: str, limit: int) -> Response:
        reader = services.store.reader(scope_of(request))
        view = find_call(reader, call_id, services.clock(), services.settings.time_zone, limit)
        if isinstance(view, Missing) or not view.ladder.messages:
            abort(404)
        audit.exported(request, "ladder", call=call_id, format=kind)
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
