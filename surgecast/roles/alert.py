"""The alert role: judges each slot, keeps incidents in the store, tells people, and serves /metrics meanwhile."""

import threading
import time
from zoneinfo import ZoneInfo

from threadpoolctl import threadpool_limits

from alerts.notify import Alertmanager, AppriseRoute, Sink
from alerts.outbox import Outbox
from alerts.service import Service
from alerts.settings import AlertSettings
from forecast.events import Event, event_of
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
            reader = store.reader(Scope.everything(WRITER_NAME))
            service = Service(
                reader, writer, settings.alerts, outbox, events=events_of(settings), zones=zones_of(settings)
            )
            loop = Loop(service, time.time)
            metrics = AlertMetrics(service, loop)
            # Its matrices are small: more threads than one only wait for each other.
            with (
                threadpool_limits(1),
                exporting(settings.metrics, settings.metrics.alert_port, metrics, loop.trouble),
            ):
                loop.run(stop)
        finally:
            writer.close()
    finally:
        store.close()


def events_of(settings: Settings) -> tuple[Event, ...]:
    """Return the events of the configuration; those without an offset are of the forecast's zone."""
    zone = ZoneInfo(settings.forecast.zone)
    return tuple(event_of(each, zone) for each in settings.forecast.events)


def zones_of(settings: Settings) -> dict[tuple[str, str], ZoneInfo]:
    """Return whose clock each scope follows, by kind and name: the forecast's; nodes that of their region."""
    zones = {(c.kind.value, c.name): ZoneInfo(c.zone) for c in settings.forecast.clocks if c.zone}
    nodes = {("node", node.name): zones.get(("region", node.region)) for node in settings.collect.nodes}
    return zones | {node: zone for node, zone in nodes.items() if zone is not None}


def sinks_of(settings: AlertSettings) -> list[Sink]:
    """Return everything that is told; raises ConfigError for an address that nothing knows."""
    try:
        sinks: list[Sink] = [AppriseRoute(route) for route in settings.routes]
    except ValueError as error:
        raise ConfigError(f"alerts.routes: {error}") from error
    if settings.alertmanager_url:
        sinks.append(Alertmanager(settings.alertmanager_url))
    return sinks
