"""The pages for client success and executives: `/tenants`, `/tenant/T` and `/executive`.

Each is one block, rendered by the cache; the tick reads it and nothing else.
"""

from typing import Any

from dash import Dash, Input, Output, html
from flask import abort, request

from dashboards.access.areas import Area
from dashboards.auth import actor_of, scope_of
from dashboards.components.panel import state_block
from dashboards.components.shell import not_found
from dashboards.components.wiring import unchanged
from dashboards.pages.body_state import subject_of, tenant_of
from dashboards.pages.ticking import Heard, TickingPage
from dashboards.services import Services
from dashboards.snapshots import Key, Snapshot
from dashboards.views import PanelState, Status
from storage.seam import Scope

PAGES = {"tenants": Area.TENANTS, "tenant": Area.TENANTS, "executive": Area.EXECUTIVE}
_LOADING = Status(PanelState.LOADING, "Reading the store …")


def _block(status: Status) -> html.Div:
    return html.Div(state_block(status), className="body-wait")


def _absent(key: Key, snapshot: Snapshot[Any]) -> dict[str, Any]:
    if snapshot.not_found:
        return {"body": not_found(f"There is no tenant {tenant_of(key.subject)[:60]}.")}
    return {"body": _block(Status(PanelState.ERROR, snapshot.error or "This view does not exist."))}


PAGE = TickingPage("body", own={"body": Output("body", "children")}, absent=_absent)


def layout(page: str, tenant: str, refresh_seconds: float) -> html.Div:
    """Return a page's frame; what it shows comes with the first tick."""
    return PAGE.layout(
        refresh_seconds,
        [html.Div(_block(_LOADING), id="body")],
        stores={"of": {"page": page, "tenant": tenant}},
        kind=f"page-{page}",
    )


def tick(
    services: Services, scope: Scope, of: dict[str, Any] | None, search: str | None, heard: Heard | None
) -> dict[str, Any]:
    """Answer a tick from the cache; `of` and `search` come from the browser and choose only within the scope."""
    page, tenant = str((of or {}).get("page", "")), str((of or {}).get("tenant", ""))
    if page not in PAGES:
        return {**unchanged(PAGE.outputs()), "body": not_found("There is no such page.")}
    return PAGE.answer(services, services.bodies, Key.of(scope, page, subject_of(page, tenant, search)), heard)


def register(app: Dash, services: Services) -> None:
    """Wire the pages' callbacks."""

    def on_tick(
        _n: int | None, search: str | None, of: dict[str, Any] | None, heard: Heard | None
    ) -> dict[str, Any]:
        area = PAGES.get(str((of or {}).get("page", "")))
        if area is not None and not actor_of(request).may(area):
            abort(403)
        return tick(services, scope_of(request), of, search, heard)

    PAGE.register(app, on_tick, search=Input("url", "search"), of=Input("body-of", "data"))
