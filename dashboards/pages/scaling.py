"""The scaling page: who asks for how many pods and why, and what operators told; ticks read the cache."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.banner import banner
from dashboards.components.panel import chart_panel, panel
from dashboards.components.wiring import aria, in_browser, unchanged
from dashboards.numbers import date_time
from dashboards.pages.scaling_controls import PERIODS, WHATS, Asked, release, tell
from dashboards.pages.scaling_state import AREAS, CHARTS, NOT_THERE, PANELS, failed
from dashboards.scaling_views import DEFAULT_REACH, REACHES, ScalingSubject
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.5
CONTROLS = ("scaling-pool", "scaling-reach")


def layout(refresh_seconds: float) -> html.Div:
    """Return the page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="scaling-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="scaling-heard"),
            dcc.Store(id="scaling-charts"),
            dcc.Store(id="scaling-chosen"),
            html.Div(id="scaling-banner", role="alert"),
            html.Span(id="scaling-beat", hidden=True),
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
        id="scaling-page",
        className="page",
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
        className="tell-form",
        role="group",
        **aria(label="Tell the scaler"),
    )  # fmt: skip


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
        "charts": Output("scaling-charts", "data"),
        "heard": Output("scaling-heard", "data"),
        "banner": Output("scaling-banner", "children"),
        "chosen": Output("scaling-chosen", "data"),
        "pools": Output("scaling-pool", "data"),
        "panels": fields,
        "areas": {name: Output(f"scaling-{name}", "children") for name in AREAS},
    }


def tick(services: Services, scope: Scope, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
    """Answer a tick from the cache: everything that changed since what the browser has heard."""
    subject = ScalingSubject.from_search(search).to_search()
    heard = heard if heard and heard.get("view") == subject else None
    now_ns = services.clock()
    snapshot = services.scaling.read(
        Key.of(scope, "scaling", subject), now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS
    )
    answer = unchanged(outputs())
    answer["banner"] = banner(snapshot, now_ns, services.scaling.every_seconds)
    if snapshot.version == 0:
        return answer
    if heard and heard.get("version") == snapshot.version:
        answer["heard"] = {**heard, "at": now_ns // 1_000_000}
        return answer
    digests: dict[str, int] = {}
    state = snapshot.value
    if state is None:
        answer["panels"] = failed(Status(PanelState.ERROR, snapshot.error) if snapshot.error else NOT_THERE)
    else:
        known = heard.get("digests", {}) if heard else {}
        digests = state.digests
        answer["charts"] = {n: chart for n, chart in state.charts.items() if known.get(n) != digests[n]}
        answer["panels"], answer["areas"] = state.panels, state.areas
        answer["pools"], answer["chosen"] = state.pools, list(state.chosen)
    read_ns = snapshot.refreshed_ns
    answer["heard"] = {
        "view": subject,
        "version": snapshot.version,
        "digests": digests,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(read_ns, services.settings.time_zone)}" if read_ns else "",
    }
    return answer


def register(app: Dash, services: Services) -> None:
    """Wire the page's callbacks."""

    @app.callback(
        output=outputs(),
        inputs={"_n": Input("scaling-tick", "n_intervals"), "search": Input("url", "search")},
        state={"heard": State("scaling-heard", "data")},
    )
    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return tick(services, scope_of(request), search, heard)

    @app.callback(
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
    def on_tell(_n: int, what: Any, whom: Any, pods: Any, period: Any, reason: Any, pool: Any) -> tuple[str, Any]:
        asked = Asked.of(what=what, target=whom if whom == "*" else pool, pods=pods, period=period, reason=reason)
        said, done = tell(services, request, asked)
        return said, "" if done else reason

    @app.callback(
        Output("told", "children", allow_duplicate=True),
        Input({"type": "scaling-release", "id": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def on_release(clicks: list[int]) -> Any:
        # Buttons that appear call this too, without a click.
        if not any(clicks) or not ctx.triggered_id or not any(each["value"] for each in ctx.triggered):
            return unchanged({"told": Output("told", "children")})["told"]
        return release(services, request, str(ctx.triggered_id["id"]))

    in_browser(
        app,
        "draw",
        [Output(f"{name}-graph", "figure") for name in CHARTS],
        [Input("scaling-charts", "data"), State("theme", "data")],
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
    in_browser(
        app,
        "syncScaling",
        [Output(control, "value") for control in CONTROLS],
        [Input("url", "search"), Input("scaling-chosen", "data"), *(Input(each, "value") for each in CONTROLS)],
    )
    in_browser(app, "heard", [Output("scaling-beat", "children")], [Input("scaling-heard", "data")])
