"""Serves the application with waitress: threads, no debugger, nothing of it exposed that is not a page."""

import logging
from typing import Any

from dash import Dash
from waitress.server import create_server

from dashboards.settings import DashboardSettings

log = logging.getLogger(__name__)

_IDENT = "surgecast"


class WebServer:
    """The application on a socket: bound when made, serving in `run`, ended by `close` from any thread."""

    def __init__(self, app: Dash, settings: DashboardSettings) -> None:
        self._server: Any = create_server(
            app.server,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            ident=_IDENT,
            clear_untrusted_proxy_headers=True,
        )
        self.host = settings.host
        self.port: int = self._server.effective_port
        """The port in use, also where 0 was asked for."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def run(self) -> None:
        """Serve until `close`."""
        log.info("pages at %s", self.url)
        self._server.run()

    def close(self) -> None:
        """End `run` and free the port; requests in work are given a moment."""
        self._server.close()
        self._server.task_dispatcher.shutdown()
