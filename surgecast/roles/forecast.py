"""The forecast role: keeps forecasts of every series fresh in the store, and serves /metrics meanwhile."""

import threading
import time
from pathlib import Path

from forecast.kept import Shelf
from forecast.pool import Workers
from forecast.service import Service
from storage.embedded.giveback import share_one_arena
from storage.open import open_store
from storage.seam import Scope
from storage.settings import StorageSettings
from storage.urls import directory_of, is_server
from surgecast.config import Settings
from surgecast.exporter import exporting
from surgecast.forecast_metrics import ForecastMetrics
from surgecast.forecasting import Loop

WRITER_NAME = "forecast"
_KEPT = "forecast-kept"
"""A cache: it may be deleted at any time."""


def kept_directory(settings: StorageSettings) -> Path:
    """Return where nightly fits keep what they learned: beside the store, or beside the spool of a server's."""
    beside = settings.spool.directory if is_server(settings.url) else directory_of(settings.url)
    return Path(beside) / _KEPT


def run(settings: Settings, stop: threading.Event) -> None:
    """Forecast until stopped."""
    share_one_arena()
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(WRITER_NAME)
        try:
            with Workers(settings.forecast.workers) as workers:
                reader = store.reader(Scope.everything(WRITER_NAME))
                service = Service(
                    reader, writer, settings.forecast, workers.run, Shelf(kept_directory(settings.storage))
                )
                loop = Loop(service, time.time)
                metrics = ForecastMetrics(service.stats, loop, workers)
                with exporting(settings.metrics, settings.metrics.forecast_port, metrics, loop.trouble):
                    loop.run(stop)
        finally:
            writer.close()
    finally:
        store.close()
