"""The web role: serves the pages, and /metrics meanwhile."""

import threading
import time
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from dashboards.access.areas import Actor
from dashboards.app import create_app
from dashboards.server import WebServer
from dashboards.stats import stats_of
from forecast.announce import declared
from storage.open import open_store
from surgecast.config import Settings
from surgecast.exporter import exporting
from surgecast.web_metrics import WebMetrics


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve the pages until stopped."""
    serve(settings, stop)


def serve(settings: Settings, stop: threading.Event, personas: Mapping[str, Actor] | None = None) -> None:
    """Serve the pages until stopped.

    Args:
        settings: of the whole product.
        stop: ends it.
        personas: actors that anybody may become without a password: the demo's, and of no configuration.
    """
    store = open_store(settings.storage.url, settings.storage)
    try:
        try:
            packets = settings.collect.packet_buffer.directory
            known = declared(settings.forecast, ZoneInfo(settings.forecast.zone))
            zone = settings.forecast.tenant_zone
            app = create_app(store, settings.web, time.time_ns, packets, zone, known, personas)
            server = WebServer(app, settings.web)
        except OSError as error:
            address = f"{settings.web.host}:{settings.web.port}"
            raise SystemExit(f"web: cannot listen on {address}: {error.strerror}") from error
        thread = threading.Thread(target=server.run, name="web", daemon=True)
        thread.start()
        try:
            with exporting(
                settings.metrics,
                settings.metrics.web_port,
                WebMetrics(stats_of(app)),
                lambda: "" if thread.is_alive() else "the pages are no longer served",
            ):
                stop.wait()
        finally:
            server.close()
            thread.join(timeout=5.0)
    finally:
        store.close()
