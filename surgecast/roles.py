"""The roles a process can have: each runs until its stop event is set; each can be spawned by its name."""

import threading
import time

import structlog

from collectors.capture.base import CaptureError
from dashboards.app import create_app
from dashboards.server import WebServer
from storage.open import open_store
from surgecast.collecting import collecting
from surgecast.config import Settings
from surgecast.exporter import CollectorMetrics, ExporterServer
from surgecast.logs import configure_logs

log = structlog.get_logger()


def collect(settings: Settings, stop: threading.Event) -> None:
    """Receive, track, roll up and store until stopped; serve /metrics meanwhile."""
    configure_logs()
    try:
        with collecting(settings.collect, settings.storage) as collector:
            exporter = None
            if settings.metrics.enabled:
                metrics = CollectorMetrics(collector.pipeline, collector.sink, collector.totals)
                try:
                    exporter = ExporterServer(
                        settings.metrics.host, settings.metrics.port, metrics, collector.trouble
                    )
                except OSError as error:
                    address = f"{settings.metrics.host}:{settings.metrics.port}"
                    raise SystemExit(f"metrics: cannot listen on {address}: {error.strerror}") from error
                exporter.start()
            try:
                collector.run(stop, time.time_ns)
            finally:
                if exporter is not None:
                    exporter.close()
    except CaptureError as error:
        raise SystemExit(f"collect: {error}") from error


def web(settings: Settings, stop: threading.Event) -> None:
    """Serve the pages until stopped."""
    configure_logs()
    store = open_store(settings.storage.url, settings.storage)
    try:
        try:
            server = WebServer(create_app(store, settings.web, time.time_ns), settings.web)
        except OSError as error:
            address = f"{settings.web.host}:{settings.web.port}"
            raise SystemExit(f"web: cannot listen on {address}: {error.strerror}") from error
        thread = threading.Thread(target=server.run, name="web", daemon=True)
        thread.start()
        stop.wait()
        server.close()
        thread.join(timeout=5.0)
    finally:
        store.close()
