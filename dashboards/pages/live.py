"""The engineer's live page: layout, and the tick that reads the snapshot cache and nothing else."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, html

from dashboards.components.grids import in_progress_grid, worst_calls_grid
from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser
from dashboards.filters import PLACES, RANGES, Filters
from dashboards.pages.live_state import AREAS, CHARTS, GRIDS, PANELS
from dashboards.pages.ticking import TickingPage
from dashboards.services import Services

PAGE = TickingPage(
    "live",
    panels=PANELS,
    charts=CHARTS,
    areas=AREAS,
    own={
        "grids": {name: Output(f"{name}-grid", "rowData") for name in GRIDS},
        "choices": {place: Output(f"filter-{place}", "data") for place in PLACES},
    },
)
tick = PAGE.by_address(Filters.from_search, lambda services: services.live)


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [
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


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""
    PAGE.register_by_address(app, services, tick)
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
