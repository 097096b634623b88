"""The search of calls: filters, a grid of what was found, and its pages; its tick reads the cache alone."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.call_search import DEFAULT_SPAN, SPANS, CallSearch
from dashboards.components.banner import banner
from dashboards.components.grids import found_grid
from dashboards.components.panel import panel, panel_update
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.figures.sip import OUTCOME_WORDS
from dashboards.numbers import date_time
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.5
CONTROLS = ("range", "tenant", "trunk", "outcome", "code", "mos", "number", "to")
"""Names in the query string, each with its control `calls-…`."""


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="calls-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="calls-heard"),
            html.Div(id="calls-banner", role="alert"),
            html.Span(id="calls-beat", hidden=True),
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
        id="calls-page",
        className="page",
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


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    return {
        "heard": Output("calls-heard", "data"),
        "banner": Output("calls-banner", "children"),
        "panel": {part: Output(f"found-{part}", "children") for part in ("note", "chip", "block")},
        "rows": Output("found-grid", "rowData"),
        "pager": Output("calls-pager", "children"),
        "tenants": Output("calls-tenant", "data"),
        "trunks": Output("calls-trunk", "data"),
    }


def tick(services: Services, scope: Scope, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: what was found, where the browser has not heard it yet."""
    subject = CallSearch.from_search(search).to_search()
    heard = heard if heard and heard.get("view") == subject else None
    now_ns = services.clock()
    wait_seconds = 0.0 if heard else FIRST_ANSWER_SECONDS
    snapshot = services.searches.read(Key.of(scope, "calls", subject), now_ns, wait_seconds=wait_seconds)
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.searches.every_seconds)
    if snapshot.version == 0:
        answer["panel"] = panel_update(Status(PanelState.LOADING, "Searching the store …"), "")
        return answer
    read_ns = snapshot.refreshed_ns
    answer["heard"] = {
        "view": subject,
        "version": snapshot.version,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(read_ns, services.settings.time_zone)}" if read_ns else "",
    }
    if heard and heard.get("version") == snapshot.version:
        return answer
    state = snapshot.value
    if state is None:
        answer["panel"] = panel_update(Status(PanelState.ERROR, snapshot.error or "This cannot be searched."), "")
        return answer
    answer["panel"], answer["rows"], answer["pager"] = state.panel, state.rows, state.pager
    answer["tenants"], answer["trunks"] = state.tenants, state.trunks
    return answer


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("calls-tick", "n_intervals"), "search": Input("url", "search")},
        state={"heard": State("calls-heard", "data")},
    )
    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), search, heard)

    in_browser(
        app,
        "syncCalls",
        [Output(f"calls-{name}", "value") for name in CONTROLS],
        [Input("url", "search"), *(Input(f"calls-{name}", "value") for name in CONTROLS)],
    )
    in_browser(app, "heard", [Output("calls-beat", "children")], [Input("calls-heard", "data")])
