"""The capacity page: what load is coming and how far to trust it; its tick reads the cache and nothing else."""

import dash_mantine_components as dmc
from dash import Dash, Input, Output, html

from dashboards.capacity_views import DEFAULT_REACH, REACHES, Subject
from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser
from dashboards.pages.capacity_state import AREAS, CHARTS, PANELS
from dashboards.pages.ticking import TickingPage
from dashboards.services import Services

CONTROLS = ("capacity-of", "capacity-signal", "capacity-reach")
PAGE = TickingPage(
    "capacity",
    panels=PANELS,
    charts=CHARTS,
    areas=AREAS,
    own={
        "chosen": Output("capacity-chosen", "data"),
        "targets": Output("capacity-of", "data"),
        "signals": Output("capacity-signal", "data"),
    },
)
tick = PAGE.by_address(Subject.from_search, lambda services: services.capacity)


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [
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
        stores={"chosen": None},
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


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""
    PAGE.register_by_address(app, services, tick)

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
