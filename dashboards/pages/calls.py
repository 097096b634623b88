"""The search of calls: filters, a grid of what was found, and its pages; its tick reads the cache alone."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, html

from dashboards.call_search import DEFAULT_SPAN, SPANS, CallSearch
from dashboards.components.grids import found_grid
from dashboards.components.panel import panel
from dashboards.components.wiring import aria, in_browser
from dashboards.figures.sip import OUTCOME_WORDS
from dashboards.pages.calls_state import AREAS, PANELS
from dashboards.pages.ticking import TickingPage
from dashboards.services import Services

CONTROLS = ("range", "tenant", "trunk", "outcome", "code", "mos", "number", "to")
"""Names in the query string, each with its control `calls-…`."""
PAGE = TickingPage(
    "calls",
    panels=PANELS,
    areas=AREAS,
    own={
        "rows": Output("found-grid", "rowData"),
        "tenants": Output("calls-tenant", "data"),
        "trunks": Output("calls-trunk", "data"),
    },
)
tick = PAGE.by_address(CallSearch.from_search, lambda services: services.searches)


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [
            html.H1("Calls", className="visually-hidden"),
            _controls(),
            panel(
                "found",
                "Calls",
                "Which calls were like that? Click one, or press Enter on it, for its trace.",
                [found_grid()],
            ),
            html.Div(id="calls-pager"),
        ],
    )


def _controls() -> html.Div:
    def several(name: str, words: str, data: list[Any]) -> dmc.MultiSelect:
        return dmc.MultiSelect(
            id=f"calls-{name}",
            data=data,
            value=[],
            placeholder=words,
            searchable=True,
            clearable=True,
            hidePickedOptions=True,
            nothingFoundMessage="Nothing of that name",
            size="sm",
            className="filter",
            attributes={"input": {"aria-label": f"Narrow to {name}s"}},
        )

    def text(name: str, words: str, label: str) -> dmc.TextInput:
        return dmc.TextInput(
            id=f"calls-{name}",
            placeholder=words,
            value="",
            debounce=True,
            size="sm",
            className="filter filter-narrow",
            attributes={"input": {"aria-label": label}},
        )

    outcomes = [{"value": outcome.value, "label": words} for outcome, words in OUTCOME_WORDS.items()]
    return html.Div(
        [
            dmc.SegmentedControl(
                id="calls-range",
                data=[{"value": span.key, "label": span.key} for span in SPANS.values()],
                value=DEFAULT_SPAN,
                size="sm",
                className="range",
                attributes={"root": {"aria-label": "Time range"}},
            ),
            several("tenant", "All tenants", []),
            several("trunk", "All trunks", []),
            several("outcome", "All outcomes", outcomes),
            text("code", "486, 5xx", "Final SIP codes or classes, separated by commas"),
            text("mos", "MOS below", "Lowest MOS below"),
            text("number", "Number", "Part of the caller's or callee's number, as masked"),
            text("to", "Destination", "Part of the destination"),
        ],
        className="filter-bar",
        role="search",
        **aria(label="What calls to find"),
    )


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""
    PAGE.register_by_address(app, services, tick)
    in_browser(
        app,
        "syncCalls",
        [Output(f"calls-{name}", "value") for name in CONTROLS],
        [Input("url", "search"), *(Input(f"calls-{name}", "value") for name in CONTROLS)],
    )
