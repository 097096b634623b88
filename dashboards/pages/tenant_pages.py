"""The pages for client success and executives: `/tenants`, `/tenant/T` and `/executive`.

Each is one block, rendered by the cache; the tick reads it and nothing else.
"""

from typing import Any

from dash import Dash, Input, Output, State, dcc, html
from flask import abort, request

from dashboards.access.areas import Area
from dashboards.auth import actor_of, scope_of
from dashboards.components.banner import banner
from dashboards.components.panel import state_block
from dashboards.components.shell import not_found
from dashboards.components.wiring import in_browser, unchanged
from dashboards.numbers import date_time
from dashboards.pages.body_state import subject_of
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from storage.seam import Scope

FIRST_ANSWER_SECONDS = 2.5
PAGES = {"tenants": Area.TENANTS, "tenant": Area.TENANTS, "executive": Area.EXECUTIVE}
_LOADING = Status(PanelState.LOADING, "Reading the store …")


def layout(page: str, tenant: str, refresh_seconds: float) -> html.Div:
    """Return a page's frame; what it shows comes with the first tick."""
    return html.Div(
        [
            dcc.Interval(id="body-tick", interval=round(refresh_seconds * 1000)),
            dcc.Store(id="body-of", data={"page": page, "tenant": tenant}),
            dcc.Store(id="body-heard"),
            html.Div(id="body-banner", role="alert"),
            html.Span(id="body-beat", hidden=True),
            html.Div(html.Div(state_block(_LOADING), className="body-wait"), id="body"),
        ],
        id="body-page",
        className=f"page page-{page}",
    )


def outputs() -> dict[str, Any]:
    """Return the outputs of the tick, grouped as `tick` returns them."""
    return {
        "body": Output("body", "children"),
        "banner": Output("body-banner", "children"),
        "heard": Output("body-heard", "data"),
    }


def tick(
    services: Services, scope: Scope, of: dict[str, Any] | None, search: str | None, heard: dict[str, Any] | None
) -> dict[str, Any]:
    """Answer a tick from the cache; `of` and `search` come from the browser and choose only within the scope."""
    answer = unchanged(outputs())
    page, tenant = str((of or {}).get("page", "")), str((of or {}).get("tenant", ""))
    if page not in PAGES:
        answer["body"] = not_found("There is no such page.")
        return answer
    subject = subject_of(page, tenant, search)
    view = f"{page}?{subject}"
    heard = heard if heard and heard.get("view") == view else None
    now_ns = services.clock()
    snapshot = services.bodies.read(
        Key.of(scope, page, subject), now_ns, wait_seconds=0.0 if heard else FIRST_ANSWER_SECONDS
    )
    answer["banner"] = banner(snapshot, now_ns, services.bodies.every_seconds)
    if snapshot.version == 0:
        return answer
    if not heard or heard.get("version") != snapshot.version:
        if snapshot.not_found:
            answer["body"] = not_found(f"There is no tenant {tenant[:60]}.")
        elif snapshot.value is not None:
            answer["body"] = snapshot.value.children
        else:
            status = Status(PanelState.ERROR, snapshot.error or "This view does not exist.")
            answer["body"] = html.Div(state_block(status), className="body-wait")
    read_ns = snapshot.refreshed_ns
    answer["heard"] = {
        "view": view,
        "version": snapshot.version,
        "at": now_ns // 1_000_000,
        "as_of": f"As of {date_time(read_ns, services.settings.time_zone)}" if read_ns else "",
    }
    return answer


def register(app: Dash, services: Services) -> None:
    """Wire the pages' callbacks."""

    @app.callback(
        output=outputs(),
        inputs={
            "_n": Input("body-tick", "n_intervals"),
            "search": Input("url", "search"),
            "of": Input("body-of", "data"),
        },
        state={"heard": State("body-heard", "data")},
    )
    def on_tick(
        _n: int | None, search: str | None, of: dict[str, Any] | None, heard: dict[str, Any] | None
    ) -> dict[str, Any]:
        area = PAGES.get(str((of or {}).get("page", "")))
        if area is not None and not actor_of(request).may(area):
            abort(403)
        return tick(services, scope_of(request), of, search, heard)

    in_browser(app, "heard", [Output("body-beat", "children")], [Input("body-heard", "data")])
