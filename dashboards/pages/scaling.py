"""The scaling page: who asks for how many pods and why, and what operators told; ticks read the cache."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, html, no_update
from flask import request

from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser, on_server
from dashboards.pages.scaling_controls import PERIODS, WHATS, Asked, release, tell
from dashboards.pages.scaling_state import AREAS, CHARTS, PANELS
from dashboards.pages.ticking import TickingPage
from dashboards.scaling_views import DEFAULT_REACH, REACHES, ScalingSubject
from dashboards.services import Services

CONTROLS = ("scaling-pool", "scaling-reach")
PAGE = TickingPage(
    "scaling",
    panels=PANELS,
    charts=CHARTS,
    areas=AREAS,
    own={
        "chosen": Output("scaling-chosen", "data"),
        "pools": Output("scaling-pool", "data"),
    },
)
tick = PAGE.by_address(ScalingSubject.from_search, lambda services: services.scaling)


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [
            html.H1("Scaling", className="visually-hidden"),
            _filters(),
            html.Div(
                [
                    _area_panel("now", "Now", "What holds of this pool?"),
                    chart_panel("replicas", "Pods", "Were pods ready before the load?", height="tall"),
                    chart_panel("demand", "Demand", "What load is there, and what is coming?", height="tall"),
                    chart_panel("needs", "Need by source", "Who asks for how many pods?", height="tall"),
                    _area_panel("log", "Decisions", "What was decided, and because of what?", "high"),
                    _area_panel("decision", "Decision explained", "Why did it come out so?", "high"),
                    panel(
                        "controls",
                        "Controls",
                        "What did operators tell, and until when?",
                        [html.Div(id="scaling-controls"), _form()],
                    ),
                ],
                className="grid",
            ),
        ],
        stores={"chosen": None},
    )  # fmt: skip


def _area_panel(name: str, title: str, question: str, height: str = "") -> html.Section:
    return panel(name, title, question, [html.Div(id=f"scaling-{name}")], height=height)


def _filters() -> html.Div:
    return html.Div(
        [
            dmc.Select(
                id="scaling-pool",
                data=[],
                searchable=True,
                allowDeselect=False,
                nothingFoundMessage="No pool of that name",
                size="sm",
                className="filter filter-wide",
                attributes={"input": {"aria-label": "Pool"}},
            ),
            dmc.SegmentedControl(
                id="scaling-reach",
                data=[{"value": key, "label": key} for key in REACHES],
                value=DEFAULT_REACH,
                size="sm",
                className="range",
                attributes={"root": {"aria-label": "How far back"}},
            ),
        ],
        className="filter-bar",
        role="search",
        **aria(label="What to show"),
    )


def _form() -> html.Div:
    def select(name: str, label: str, options: dict[str, str], value: str) -> dmc.Select:
        return dmc.Select(
            id=name, label=label, value=value, allowDeselect=False, size="sm", className="filter",
            data=[{"value": key, "label": words} for key, words in options.items()],
        )  # fmt: skip

    return html.Div(
        [
            select("tell-what", "Tell", {key: what.words for key, what in WHATS.items()}, "freeze"),
            select("tell-whom", "Of", {"pool": "this pool", "*": "all pools"}, "pool"),
            dmc.NumberInput(
                id="tell-pods", label="Pods, to set them by hand", value="", min=0, allowDecimal=False, size="sm",
                className="filter",
            ),
            select("tell-for", "For", {key: period.words for key, period in PERIODS.items()}, "1h"),
            dmc.TextInput(id="tell-reason", label="Why", value="", size="sm", className="why"),
            html.Button("Tell the scaler", id="tell", n_clicks=0, className="tool tool-solid"),
            html.Div(id="told", role="status", className="told"),
        ],
        className="tell-scaler",
        role="group",
        **aria(label="Tell the scaler"),
    )  # fmt: skip


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""
    PAGE.register_by_address(app, services, tick)

    @on_server(
        app,
        Output("told", "children"),
        Output("tell-reason", "value"),
        Input("tell", "n_clicks"),
        State("tell-what", "value"),
        State("tell-whom", "value"),
        State("tell-pods", "value"),
        State("tell-for", "value"),
        State("tell-reason", "value"),
        State("scaling-pool", "value"),
        prevent_initial_call=True,
    )
    def on_tell(
        _n: int | None,
        what: str | None,
        whom: str | None,
        pods: float | str | None,
        period: str | None,
        reason: str | None,
        pool: str | None,
    ) -> tuple[str, str | None]:
        asked = Asked.of(what=what, target=whom if whom == "*" else pool, pods=pods, period=period, reason=reason)
        said, done = tell(services, request, asked)
        return said, "" if done else reason

    @on_server(
        app,
        Output("told", "children", allow_duplicate=True),
        Input({"type": "scaling-release", "id": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def on_release(clicks: list[int | None]) -> Any:
        # Buttons that appear call this too, without a click.
        if not any(clicks) or not ctx.triggered_id or not any(each["value"] for each in ctx.triggered):
            return no_update
        return release(services, request, str(ctx.triggered_id["id"]))

    in_browser(
        app,
        "syncScaling",
        [Output(control, "value") for control in CONTROLS],
        [Input("url", "search"), Input("scaling-chosen", "data"), *(Input(each, "value") for each in CONTROLS)],
    )
