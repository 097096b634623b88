"""The alert role: judges each slot, keeps incidents in the store, tells people, and serves /metrics meanwhile."""

import threading
import time

from alerts.notify import Alertmanager, AppriseRoute, Sink
from alerts.outbox import Outbox
from alerts.service import Service
from alerts.settings import AlertSettings
from storage.open import open_store
from storage.seam import Scope
from surgecast.alert_metrics import AlertMetrics
from surgecast.alerting import Loop
from surgecast.config import Settings
from surgecast.errors import ConfigError
from surgecast.exporter import exporting

WRITER_NAME = "alerts"


def run(settings: Settings, stop: threading.Event) -> None:
    """Alert until stopped."""
    outbox = Outbox(sinks_of(settings.alerts), settings.alerts.attempts)
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(WRITER_NAME)
        try:
            service = Service(store.reader(Scope.everything(WRITER_NAME)), writer, settings.alerts, outbox)
            loop = Loop(service, time.time)
            with exporting(
                settings.metrics, settings.metrics.alert_port, AlertMetrics(service, loop), loop.trouble
            ):
                loop.run(stop)
        finally:
            writer.close()
    finally:
        store.close()


def sinks_of(settings: AlertSettings) -> list[Sink]:
    """Return everything that is told; raises ConfigError for an address that nothing knows."""
    try:
        sinks: list[Sink] = [AppriseRoute(route) for route in settings.routes]
    except ValueError as error:
        raise ConfigError(f"alerts.routes: {error}") from error
    if settings.alertmanager_url:
        sinks.append(Alertmanager(settings.alertmanager_url))
    return sinks
