"""The engineer's live page: layout, and the tick that reads the snapshot cache and nothing else."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.banner import banner
from dashboards.components.grids import in_progress_grid, worst_calls_grid
from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.filters import PLACES, RANGES, Filters
from dashboards.numbers import date_time
from dashboards.pages.live_state import AREAS, CHARTS, GRIDS, PANELS, failed
from dashboards.services import Services
from dashboards.snapshots import Key, Snapshot
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 1.5
"""How long opening a page or changing a filter may wait for its first answer."""


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="live-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="live-heard"),
            dcc.Store(id="live-charts"),
            html.Div(id="live-banner", role="alert"),
            html.Span(id="live-beat", hidden=True),
            html.H1("Live", className="visually-hidden"),
            _filter_bar(),
            html.Div(id="live-incidents"),
            html.Div(id="live-guide"),
            html.Div(
                [
                    panel("capture", "Capture health", "Do we see everything?", [html.Div(id="live-capture")]),
                    html.Div(id="live-tiles", className="tiles tiles-top"),
                    chart_panel(
                        "quality",
                        "Quality",
                        "Which share of the media was good, and how bad was the rest?",
                        height="tall",
                    ),
                    _ranking_panel(),
                    _calls_panel(),
                    panel(
                        "findings",
                        "Findings",
                        "What could not be joined or believed, and why?",
                        [html.Div(id="live-findings", className="scroll", tabIndex=0)],
                        height="tall",
                    ),
                    chart_panel("outcomes", "Call outcomes", "How did session attempts end?", height="mid"),
                    chart_panel(
                        "load", "Load", "How many calls are up, and how fast do they arrive?", height="mid"
                    ),
                    chart_panel("loss", "Packet loss", "How much is lost, in which direction?", height="mid"),
                    chart_panel(
                        "jitter", "Jitter", "How unevenly do packets arrive, in which direction?", height="mid"
                    ),
                    chart_panel(
                        "wire",
                        "On the wire",
                        "What do our own interfaces see, and how good is it beside what the parties report?",
                        above=[html.Div(id="live-wire")],
                        beside=[html.Div(id="live-wire-quality", className="wire-quality", tabIndex=0)],
                    ),
                    panel(
                        "media",
                        "Media faults",
                        "Do both parties hear each other?",
                        [html.Div(id="live-media", className="tiles")],
                        height="short",
                    ),
                    panel(
                        "registrations",
                        "Registrations",
                        "Can phones register?",
                        [html.Div(id="live-registrations", className="tiles")],
                        height="short",
                    ),
                ],
                className="grid",
            ),
        ],
        id="live-page",
        className="page",
    )


def _filter_bar() -> html.Div:
    return html.Div(
        [
            dmc.SegmentedControl(
                id="filter-range",
                data=[{"value": r.key, "label": r.key} for r in RANGES.values()],
                value=Filters().range_key,
                size="sm",
                className="range",
                attributes={"root": {"aria-label": "Time range"}},
            ),
            *(
                dmc.MultiSelect(
                    id=f"filter-{place}",
                    data=[],
                    value=[],
                    placeholder=f"All {place}s",
                    searchable=True,
                    clearable=True,
                    hidePickedOptions=True,
                    nothingFoundMessage=f"No {place} in this range",
                    size="sm",
                    className="filter",
                    attributes={"input": {"aria-label": f"Narrow to {place}s"}},
                )
                for place in PLACES
            ),
            html.Button(
                [html.Span(className="icon icon-link"), html.Span("Copy link", id="copy-link-text")],
                id="copy-link",
                className="tool tool-solid",
                n_clicks=0,
                title="Copy a link that opens this view",
            ),
        ],
        className="filter-bar",
        role="search",
        **aria(label="Filters"),
    )


def _ranking_panel() -> html.Section:
    return panel(
        "ranking",
        "Where to look",
        "Which place makes the trouble?",
        [
            dmc.Tabs(
                [
                    dmc.TabsList([dmc.TabsTab(f"{place.capitalize()}s", value=place) for place in _RANKED]),
                    *(dmc.TabsPanel(html.Div(id=f"live-ranking-{place}"), value=place) for place in _RANKED),
                ],
                value="trunk",
                id="ranking-tabs",
                className="tabs",
            )
        ],
        height="tall",
    )


_RANKED = ("trunk", "tenant", "region", "node")


def _calls_panel() -> html.Section:
    def body(name: str, grid: Any) -> html.Div:
        return html.Div(
            [
                html.Div(
                    [html.Span(id=f"{name}-note", className="panel-note"), html.Span(id=f"{name}-chip")],
                    className="grid-head",
                ),
                html.Div([grid, html.Div(id=f"{name}-block")], className="grid-body"),
            ]
        )

    return html.Section(
        [
            html.Header(
                html.Div(
                    [
                        html.H2("Calls", id="calls-title"),
                        html.P(
                            "Which calls are worst? Click one, or press Enter on it, for its trace.",
                            className="panel-question",
                        ),
                    ]
                ),
                className="panel-head",
            ),
            dmc.Tabs(
                [
                    dmc.TabsList(
                        [dmc.TabsTab("Worst of the range", value="worst"), dmc.TabsTab("In progress", value="now")]
                    ),
                    dmc.TabsPanel(body("worst", worst_calls_grid()), value="worst"),
                    dmc.TabsPanel(body("in-progress", in_progress_grid()), value="now"),
                ],
                value="worst",
                id="calls-tabs",
                className="tabs",
            ),
        ],
        className="panel panel-calls",
        **aria(labelledby="calls-title"),
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
        "charts": Output("live-charts", "data"),
        "heard": Output("live-heard", "data"),
        "banner": Output("live-banner", "children"),
        "panels": fields,
        "areas": {name: Output(f"live-{name}", "children") for name in AREAS},
        "grids": {name: Output(f"{name}-grid", "rowData") for name in GRIDS},
        "choices": {place: Output(f"filter-{place}", "data") for place in PLACES},
    }


def tick(services: Services, scope: Scope, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: everything that changed since what the browser has heard.

    `heard` is what the last tick said of itself: view, version, and a digest per chart.
    """
    subject = Filters.from_search(search).to_search()
    heard = heard if heard and heard.get("view") == subject else None
    now_ns = services.clock()
    snapshot = services.live.read(
        Key.of(scope, "live", subject), now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS
    )
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.settings.refresh_seconds)
    if snapshot.version == 0:
        return answer
    if heard and heard.get("version") == snapshot.version:
        answer["heard"] = {**heard, "at": now_ns // 1_000_000}
        return answer
    digests: dict[str, int] = {}
    if snapshot.value is None:
        answer["panels"] = failed(Status(PanelState.ERROR, snapshot.error or "This view does not exist."))
    else:
        rendered = snapshot.value.rendered
        known = heard.get("digests", {}) if heard else {}
        digests = rendered.digests
        answer["charts"] = {
            name: chart for name, chart in rendered.charts.items() if known.get(name) != digests[name]
        }
        answer["panels"] = rendered.panels
        answer["areas"] = rendered.areas
        answer["grids"] = rendered.grids
        answer["choices"] = rendered.choices
    answer["heard"] = _heard(services, snapshot, subject, now_ns, digests)
    return answer


def _heard(
    services: Services, snapshot: Snapshot[Any], subject: str, now_ns: int, digests: dict[str, int]
) -> dict[str, Any]:
    zone = services.settings.time_zone
    return {
        "view": subject,
        "version": snapshot.version,
        "digests": digests,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(snapshot.refreshed_ns, zone)}" if snapshot.refreshed_ns else "",
    }


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("live-tick", "n_intervals"), "search": Input("url", "search")},
        state={"heard": State("live-heard", "data")},
    )
    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), search, heard)

    in_browser(
        app,
        "draw",
        [Output(f"{name}-graph", "figure") for name in CHARTS],
        [
            Input("live-charts", "data"),
            State("theme", "data"),
        ],
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
    controls = ["filter-range", *(f"filter-{place}" for place in PLACES)]
    in_browser(
        app,
        "syncFilters",
        [Output(control, "value") for control in controls],
        [Input("url", "search"), *(Input(control, "value") for control in controls)],
    )
    in_browser(
        app,
        "copyLink",
        [Output("copy-link-text", "children")],
        [Input("copy-link", "n_clicks")],
        at_start=False,
    )
    in_browser(
        app,
        "heard",
        [Output("live-beat", "children")],
        [Input("live-heard", "data")],
    )
