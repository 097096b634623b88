"""The alert role: judges each slot, keeps incidents in the store, and tells people."""

import threading
import time

import structlog

from alerts.notify import Alertmanager, AppriseRoute, Outbox, Sink
from alerts.service import Service
from alerts.settings import AlertSettings
from storage.open import open_store
from storage.seam import Scope, StoreError
from surgecast.config import Settings
from surgecast.errors import ConfigError

log = structlog.get_logger()

WRITER_NAME = "alerts"
_FLUSH_SECONDS = 5.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Alert until stopped."""
    outbox = Outbox(sinks_of(settings.alerts), settings.alerts.attempts)
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(WRITER_NAME)
        service = Service(store.reader(Scope.everything(WRITER_NAME)), writer, settings.alerts, outbox)
        try:
            while not stop.is_set():
                if time.time() >= service.due_s:
                    _turn(service)
                outbox.flush(time.time())
                stop.wait(_FLUSH_SECONDS)
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


def _turn(service: Service) -> None:
    try:
        service.step(time.time())
    except StoreError as error:
        # The slots are judged at the next turn; nothing of them is lost.
        log.error("cannot judge", error=str(error))
    for one in service.incidents():
        log.info("incident", id=one.id, rule=one.rule, scope=str(one.scope), severity=one.severity.value)
    if service.outbox.last_error:
        log.error("a message was not taken", error=service.outbox.last_error)
        service.outbox.last_error = ""
