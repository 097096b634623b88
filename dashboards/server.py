"""Serves the application with waitress: threads, no debugger, nothing of it exposed that is not a page."""

import logging
import threading
from typing import Any

from dash import Dash
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

from dashboards.services import REFRESHERS
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Refresher

log = logging.getLogger(__name__)

_IDENT = "surgecast"
_LOOK_SECONDS = 0.25
_END_SECONDS = 10.0


class WebServer:
    """The application on a socket: bound when made, serving in `run`, ended by `close` from any thread."""

    def __init__(self, app: Dash, settings: DashboardSettings) -> None:
        self._map: dict[int, Any] = {}
        self._server: Any = create_server(
            app.server,
            map=self._map,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            ident=_IDENT,
            # What the proxy tells is read in dashboards.access.identity, and believed of its networks alone.
            clear_untrusted_proxy_headers=not settings.proxy.networks,
        )
        self.host = settings.host
        self.port: int = self._server.effective_port
        """The port in use, also where 0 was asked for."""
        self._refreshers: tuple[Refresher, ...] = app.server.extensions.get(REFRESHERS, ())
        self._closing = threading.Event()
        self._serving = threading.Lock()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def run(self) -> None:
        """Serve until `close`."""
        log.info("pages at %s", self.url)
        with self._serving:
            while not self._closing.is_set():
                wasyncore.loop(timeout=_LOOK_SECONDS, map=self._map, count=1)

    def close(self) -> None:
        """End `run`, free the port and stop reading the store; idempotent, the store may be closed afterwards."""
        self._closing.set()
        for refresher in self._refreshers:
            refresher.stop()
        if self._serving.acquire(timeout=_END_SECONDS):
            self._server.task_dispatcher.shutdown()
            for connection in list(self._map.values()):
                if isinstance(connection, HTTPChannel):
                    connection.handle_close()  # unlike close, also of what a slow browser has yet to take
            wasyncore.close_all(self._map)
            self._serving.release()
