"""The web application: layout, routes, callbacks and security headers, over a store.

Serves everything itself: no script, style or font comes from another host.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from dash import Dash, Input, Output, State
from flask import Flask, Response, jsonify

from dashboards import api_events
from dashboards.components.shell import not_found, shell
from dashboards.components.wiring import in_browser
from dashboards.pages import call, call_dive, capacity, incident, incidents, live, tenant_pages
from dashboards.reports import exports
from dashboards.services import REFRESHERS, Services
from dashboards.settings import DashboardSettings
from dashboards.theme import stylesheet
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
INCIDENT_PREFIX = "/incidents/"
TENANT_PREFIX = "/tenant/"


def create_app(
    store: Store,
    settings: DashboardSettings,
    clock: Callable[[], int],
    packets: Path | None = None,
    tenant_zone: Callable[[str], ZoneInfo] | None = None,
) -> Dash:
    """Return the application with its background refreshers running; `server.WebServer.close` stops them.

    Args:
        store: opened; it stays the caller's to close.
        settings: of the web role.
        clock: UTC nanoseconds.
        packets: directory of the packet buffer, where packets are kept on this machine.
        tenant_zone: the zone in which a tenant's days are counted; that of the pages where it is not given.
    """
    services = Services.of(store, settings, clock, packets, tenant_zone)
    app = build_app(services)
    refreshers = services.refreshers()
    for refresher in refreshers:
        refresher.start()
    app.server.extensions[REFRESHERS] = refreshers
    return app


def build_app(services: Services) -> Dash:
    """Return the application over these services, refreshing left to the caller."""
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
    app.layout = shell()
    _register_routes(app, services)
    live.register(app, services)
    capacity.register(app, services)
    incidents.register(app, services)
    incident.register(app, services)
    call.register(app, services)
    call_dive.register(app, services)
    tenant_pages.register(app, services)
    exports.register(app.server, services)
    _serve_extras(app)
    api_events.register(app.server, services)
    _secure(app)
    return app


def route(pathname: str | None, refresh_seconds: float) -> Any:
    """Return the page of an address."""
    path = pathname or "/"
    if path in ("/", "/live", "/live/"):
        return live.layout(refresh_seconds)
    if path.rstrip("/") == "/capacity":
        return capacity.layout(refresh_seconds)
    if path.rstrip("/") == "/incidents":
        return incidents.layout(refresh_seconds)
    if path.startswith(INCIDENT_PREFIX) and (incident_id := unquote(path.removeprefix(INCIDENT_PREFIX))):
        return incident.layout(incident_id, refresh_seconds)
    if path.rstrip("/") in ("/tenants", "/executive"):
        return tenant_pages.layout(path.strip("/"), "", refresh_seconds)
    if path.startswith(TENANT_PREFIX) and (tenant := unquote(path.removeprefix(TENANT_PREFIX))):
        return tenant_pages.layout("tenant", tenant, refresh_seconds)
    if path.startswith(CALL_PREFIX) and (call_id := unquote(path.removeprefix(CALL_PREFIX))):
        return call.layout(call_id, refresh_seconds)
    return not_found(f"There is no page {path}.")


def _register_routes(app: Dash, services: Services) -> None:
    @app.callback(Output("page", "children"), Input("url", "pathname"))
    def on_path(pathname: str | None) -> Any:
        return route(pathname, services.settings.refresh_seconds)

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
