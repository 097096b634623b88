"""What every page that is kept current has in common: its frame, its tick, and what the browser does with it.

A tick reads the snapshot cache and nothing else, and answers with what changed since what the browser says that it
has heard. A page adds its content, what it is asked for, and how the address becomes a key of the cache.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Protocol, TypeVar

from dash import Dash, Input, Output, State, dcc, html
from flask import request

from dashboards.auth import scope_of
from dashboards.components.banner import banner
from dashboards.components.panel import panel_update
from dashboards.components.wiring import in_browser, on_server, unchanged
from dashboards.numbers import date_time
from dashboards.pages.rendered import Rendered, digest_name
from dashboards.services import Services
from dashboards.snapshots import Key, Snapshot, SnapshotCache
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.5
"""How long opening a page or changing what it shows may wait for its first answer."""

Heard = dict[str, Any]
"""What the last tick said of itself, as the browser sends it back: view, version, and a digest per part."""

R = TypeVar("R", bound=Rendered)
Tick = Callable[[Services, Scope, str | None, Heard | None], dict[str, Any]]
"""Answers a tick: the services, who asks, the query string of the address, and what was heard."""

_LOADING = Status(PanelState.LOADING, "Reading the store …")


class Chosen(Protocol):
    """What an address chooses to see."""

    def to_search(self) -> str:
        """Return it as the one query string that everybody who chose the same has."""


class TickingPage:
    """A page that is kept current.

    Args:
        name: prefix of the ids `…-page`, `…-tick`, `…-heard`, `…-charts`, `…-banner` and `…-beat`.
        panels: names of its panels.
        charts: those of its panels that hold a chart.
        areas: what else it fills, each the children of `NAME-AREA`.
        own: outputs that only this page has.
        absent: what the own outputs and the panels get where there is nothing to show; the panels say why if it
            is not given.
    """

    def __init__(
        self,
        name: str,
        *,
        panels: Iterable[str] = (),
        charts: Iterable[str] = (),
        areas: Iterable[str] = (),
        own: Mapping[str, Any] | None = None,
        absent: Callable[[Key, Snapshot[Any]], dict[str, Any]] | None = None,
    ) -> None:
        self.name = name
        self.panels, self.charts, self.areas = tuple(panels), tuple(charts), tuple(areas)
        self._own = dict(own or {})
        self._absent = absent

    def layout(
        self,
        refresh_seconds: float,
        children: Sequence[Any],
        stores: Mapping[str, Any] | None = None,
        kind: str = "",
    ) -> html.Div:
        """Return the page's frame; what it shows comes with the first tick.

        Args:
            refresh_seconds: between two ticks.
            children: the content.
            stores: what the browser keeps besides, each as `NAME-STORE`, with its first value.
            kind: more classes for the style sheet.
        """
        kept = {"heard": None, **({"charts": None} if self.charts else {}), **(stores or {})}
        return html.Div(
            [
                dcc.Interval(id=f"{self.name}-tick", interval=round(refresh_seconds * 1000)),
                *(
                    dcc.Store(id=f"{self.name}-{store}", **({} if data is None else {"data": data}))
                    for store, data in kept.items()
                ),
                html.Span(id=f"{self.name}-beat", hidden=True),
                html.Div(id=f"{self.name}-banner", role="alert"),
                *children,
            ],
            id=f"{self.name}-page",
            className=f"page {kind}".strip(),
        )

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the tick, grouped as `answer` returns them."""
        return {
            "heard": Output(f"{self.name}-heard", "data"),
            "banner": Output(f"{self.name}-banner", "children"),
            **({"charts": Output(f"{self.name}-charts", "data")} if self.charts else {}),
            "panels": {
                panel: {
                    **{part: Output(f"{panel}-{part}", "children") for part in ("note", "chip", "block")},
                    **({"summary": Output(f"{panel}-chart", "aria-label")} if panel in self.charts else {}),
                }
                for panel in self.panels
            },
            "areas": {area: Output(f"{self.name}-{area}", "children") for area in self.areas},
            **self._own,
        }

    def answer(self, services: Services, cache: SnapshotCache[R], key: Key, heard: Heard | None) -> dict[str, Any]:
        """Answer a tick from the cache: everything that changed since what the browser has heard."""
        heard = heard if heard and heard.get("view") == key.subject else None
        now_ns = services.clock()
        snapshot = cache.read(key, now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS)
        said = unchanged(self.outputs())
        said["banner"] = banner(snapshot, now_ns, cache.every_seconds)
        if snapshot.version == 0:
            if heard is None:
                said["panels"] = self.without(_LOADING)
            return said
        if heard and heard.get("version") == snapshot.version:
            said["heard"] = {**heard, "at": now_ns // 1_000_000}
            return said
        if snapshot.value is None:
            said["panels"] = self.without(Status(PanelState.ERROR, snapshot.error or "This view does not exist."))
            said |= self._absent(key, snapshot) if self._absent else {}
        else:
            known = heard.get("digests") if heard else None
            _say(said, snapshot.value, known if isinstance(known, dict) else {})
        read_ns = snapshot.refreshed_ns
        said["heard"] = {
            "view": key.subject,
            "version": snapshot.version,
            "digests": snapshot.value.digests if snapshot.value else {},
            "at": now_ns // 1_000_000,
            "as_of": f"As of {date_time(read_ns, services.settings.time_zone)}" if read_ns else "",
        }
        return said

    def by_address(
        self, chosen: Callable[[str | None], Chosen], cache: Callable[[Services], SnapshotCache[R]]
    ) -> Tick:
        """Return the tick of a page whose address chooses, within the scope, what it shows.

        Args:
            chosen: reads the query string.
            cache: which of the services' caches holds the page.
        """

        def tick(services: Services, scope: Scope, search: str | None, heard: Heard | None) -> dict[str, Any]:
            key = Key.of(scope, self.name, chosen(search).to_search())
            return self.answer(services, cache(services), key, heard)

        return tick

    def without(self, status: Status) -> dict[str, dict[str, Any]]:
        """Return the update of every panel where the view as a whole is not there."""
        return {
            name: panel_update(status, "", status.reason if name in self.charts else None) for name in self.panels
        }

    def register_by_address(self, app: Dash, services: Services, tick: Tick) -> None:
        """Wire the tick of such a page, the charts and the clock."""

        def on_tick(_n: int | None, search: str | None, heard: Heard | None) -> dict[str, Any]:
            return tick(services, scope_of(request), search, heard)

        self.register(app, on_tick, search=Input("url", "search"))

    def register(self, app: Dash, on_tick: Callable[..., dict[str, Any]], **asked: Input) -> None:
        """Wire the tick, the charts and the clock.

        Args:
            app: the application.
            on_tick: called with `_n`, `heard` and what is asked.
            asked: what the browser chooses by.
        """
        on_server(
            app,
            output=self.outputs(),
            inputs={"_n": Input(f"{self.name}-tick", "n_intervals"), **asked},
            state={"heard": State(f"{self.name}-heard", "data")},
        )(_all_at_first(on_tick))
        if self.charts:
            in_browser(
                app,
                "draw",
                [Output(f"{chart}-graph", "figure") for chart in self.charts],
                [Input(f"{self.name}-charts", "data"), State("theme", "data")],
            )
        for chart in self.charts:
            as_table(app, chart, Input(f"{chart}-graph", "figure"))
        in_browser(app, "heard", [Output(f"{self.name}-beat", "children")], [Input(f"{self.name}-heard", "data")])


def as_table(app: Dash, chart: str, redrawn: Input) -> None:
    """Wire the button that turns a chart into its table and back; `redrawn` says that there is other data."""
    in_browser(
        app,
        "asTable",
        [
            Output(f"{chart}-table", "children"),
            Output(f"{chart}-table", "hidden"),
            Output(f"{chart}-as-table", "aria-pressed"),
        ],
        [Input(f"{chart}-as-table", "n_clicks"), redrawn],
    )


def _all_at_first(on_tick: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Let the first tick of a frame bring everything.

    An answer to the frame before, under way while the page was opened anew, lands in this one: what it says was
    heard, this frame never showed.
    """

    @wraps(on_tick)
    def ticked(_n: int | None, heard: Heard | None, **asked: Any) -> dict[str, Any]:
        return on_tick(_n=_n, heard=heard if _n else None, **asked)

    return ticked


def _say(said: dict[str, Any], content: Rendered, known: Mapping[str, Any]) -> None:
    def changed(kind: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        digests = {name: digest_name(kind, name) for name in parts}
        return {
            name: part
            for name, part in parts.items()
            if known.get(digests[name]) != content.digests[digests[name]]
        }

    said["panels"] |= content.panels
    said["areas"] |= changed("areas", content.areas)
    said |= changed("own", content.own)
    if charts := changed("charts", content.charts):
        said["charts"] = charts
