"""The web application: layout, routes, callbacks and security headers, over a store.

Serves everything itself: no script, style or font comes from another host.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from dash import Dash, Input, Output, State, html
from flask import Flask, Response, jsonify, request

from dashboards import api_events
from dashboards.access.areas import Actor, Area
from dashboards.access.guard import Guard
from dashboards.access.hosts import is_loopback
from dashboards.access.identity import Identity
from dashboards.access.sessions import Sessions
from dashboards.access.sign_in import SignIn
from dashboards.auth import actor_of, found_actor
from dashboards.components.shell import not_allowed, not_found, shell
from dashboards.components.wiring import in_browser, on_server
from dashboards.pages import call, call_dive, calls, capacity, incident, incidents, live, scaling, tenant_pages
from dashboards.reports import exports
from dashboards.services import REFRESHERS, Services
from dashboards.settings import DashboardSettings
from dashboards.stats import AppStats, keep_stats
from dashboards.theme import stylesheet
from forecast.announce import Announcement
from storage.seam import Store

_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<script src="/assets/boot.js"></script>
<link rel="stylesheet" href="/tokens.css">
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""
CALL_PREFIX = "/call/"
GUARD = "surgecast-guard"
"""Where the application keeps its guard (Flask's `extensions`)."""
INCIDENT_PREFIX = "/incidents/"
TENANT_PREFIX = "/tenant/"


def create_app(
    store: Store,
    settings: DashboardSettings,
    clock: Callable[[], int],
    packets: Path | None = None,
    tenant_zone: Callable[[str], ZoneInfo] | None = None,
    declared: Sequence[Announcement] = (),
    personas: Mapping[str, Actor] | None = None,
) -> Dash:
    """Return the application with its background refreshers running; `server.WebServer.close` stops them.

    Args:
        store: opened; it stays the caller's to close.
        settings: of the web role.
        clock: UTC nanoseconds.
        packets: directory of the packet buffer, where packets are kept on this machine.
        tenant_zone: the zone in which a tenant's days are counted; that of the pages where it is not given.
        declared: events and masks of the configuration, shown beside those of the store.
        personas: actors that anybody may become without a password; the demo's alone.
    """
    services = Services.of(store, settings, clock, packets, tenant_zone, declared)
    app = build_app(services, personas)
    refreshers = services.refreshers()
    for refresher in refreshers:
        refresher.start()
    app.server.extensions[REFRESHERS] = refreshers
    return app


def build_app(services: Services, personas: Mapping[str, Actor] | None = None) -> Dash:
    """Return the application over these services, refreshing left to the caller."""
    settings, clock = services.settings, services.clock
    if personas and (settings.sign_in or not is_loopback(settings.host)):
        raise ValueError("personas are for a demo on loopback without sign-in")
    sessions = Sessions(settings.session_secret.get_secret_value(), settings.session_lifetime)
    identity = Identity(settings, sessions, personas or {})
    app = Dash(
        "surgecast",
        assets_folder=str(Path(__file__).parent / "assets"),
        assets_ignore=r"boot\.js",
        use_pages=False,
        include_pages_meta=False,
        index_string=_INDEX,
        title="Surgecast",
        update_title="",
        suppress_callback_exceptions=True,
        serve_locally=True,
        compress=False,
        add_log_handler=False,
        enable_mcp=False,
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
            {"name": "description", "content": "VoIP quality and capacity"},
        ],
    )
    app.layout = lambda: _frame(may_switch=bool(personas))
    guard = Guard(app, identity, clock)
    with guard.area(Area.SHELL):
        _register_routes(app, services)
    with guard.area(Area.LIVE):
        live.register(app, services)
    with guard.area(Area.CAPACITY):
        capacity.register(app, services)
    with guard.area(Area.SCALING):
        scaling.register(app, services)
    with guard.area(Area.INCIDENTS):
        incidents.register(app, services)
        incident.register(app, services)
    with guard.area(Area.CALLS):
        calls.register(app, services)
    with guard.area(Area.CALL):
        call.register(app, services)
        call_dive.register(app, services)
    with guard.area(Area.BODY):
        tenant_pages.register(app, services)
    with guard.area(Area.TENANTS):
        exports.register(app.server, services)
    with guard.area(Area.EVENTS):
        api_events.register(app.server, services)
    with guard.public():
        _serve_extras(app)
        sign_in = SignIn(settings, identity, sessions, clock)
        sign_in.register(app.server)
    guard.check_complete()
    keep_stats(app, AppStats(guard.refused, sign_in.tries, services.caches()))
    app.server.extensions[GUARD] = guard
    _secure(app)
    return app


def _frame(*, may_switch: bool) -> Any:
    """Return the layout for whoever asks; Dash asks too, once, at the first request of anybody at all."""
    actor = found_actor(request)
    return html.Div() if actor is None else shell(actor, may_switch=may_switch)


def route(pathname: str | None, refresh_seconds: float, actor: Actor) -> Any:
    """Return the page of an address, or that it is not for this actor; whether it exists or not is no secret."""
    path = pathname or "/"
    if path == "/":
        path = actor.pages[0].href
    found = _page_of(path, refresh_seconds)
    if found is None:
        return not_found(f"There is no page {path}.")
    area, layout = found
    return layout() if actor.may(area) else not_allowed(actor, area)


def _page_of(path: str, refresh_seconds: float) -> tuple[Area, Callable[[], Any]] | None:
    """Return the area of an address and its page, not made yet: what is not allowed is not even begun."""
    whole: dict[str, tuple[Area, Callable[[], Any]]] = {
        "/live": (Area.LIVE, lambda: live.layout(refresh_seconds)),
        "/incidents": (Area.INCIDENTS, lambda: incidents.layout(refresh_seconds)),
        "/calls": (Area.CALLS, lambda: calls.layout(refresh_seconds)),
        "/tenants": (Area.TENANTS, lambda: tenant_pages.layout("tenants", "", refresh_seconds)),
        "/executive": (Area.EXECUTIVE, lambda: tenant_pages.layout("executive", "", refresh_seconds)),
        "/capacity": (Area.CAPACITY, lambda: capacity.layout(refresh_seconds)),
        "/scaling": (Area.SCALING, lambda: scaling.layout(refresh_seconds)),
    }
    if path.rstrip("/") in whole:
        return whole[path.rstrip("/")]
    of_one: dict[str, tuple[Area, Callable[[str], Any]]] = {
        INCIDENT_PREFIX: (Area.INCIDENTS, lambda id_: incident.layout(id_, refresh_seconds)),
        TENANT_PREFIX: (Area.TENANTS, lambda tenant: tenant_pages.layout("tenant", tenant, refresh_seconds)),
        CALL_PREFIX: (Area.CALL, lambda call_id: call.layout(call_id, refresh_seconds)),
    }
    for prefix, (area, layout) in of_one.items():
        if path.startswith(prefix) and (name := unquote(path.removeprefix(prefix))):
            return area, lambda layout=layout, name=name: layout(name)
    return None


def _register_routes(app: Dash, services: Services) -> None:
    @on_server(app, Output("page", "children"), Input("url", "pathname"))
    def on_path(pathname: str | None) -> Any:
        return route(pathname, services.settings.refresh_seconds, actor_of(request))

    in_browser(app, "markPage", [Output("nav", "data-here")], [Input("url", "pathname")])
    in_browser(
        app,
        "openCall",
        [Output("url", "pathname")],
        [Input("call-search", "n_submit"), State("call-search", "value")],
        at_start=False,
    )


def _serve_extras(app: Dash) -> None:
    server: Flask = app.server

    @server.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @server.get("/tokens.css")
    def tokens() -> Response:
        return Response(stylesheet(), mimetype="text/css", headers={"Cache-Control": "max-age=300"})


def _secure(app: Dash) -> None:
    # Dash's own inline start script is allowed by its hash. Styles stay inline: Mantine, AG Grid and Plotly write
    # style elements at run time and take no nonce from Dash.
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {' '.join(app.csp_hashes())}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )

    @app.server.after_request
    def headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response
