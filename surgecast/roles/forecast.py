"""The forecast role: keeps forecasts of every series fresh in the store, and serves /metrics meanwhile."""

import threading
import time

from forecast.pool import Workers
from forecast.service import Service
from storage.open import open_store
from storage.seam import Scope
from surgecast.config import Settings
from surgecast.exporter import exporting
from surgecast.forecast_metrics import ForecastMetrics
from surgecast.forecasting import Loop

WRITER_NAME = "forecast"


def run(settings: Settings, stop: threading.Event) -> None:
    """Forecast until stopped."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(WRITER_NAME)
        try:
            with Workers(settings.forecast.workers) as workers:
                reader = store.reader(Scope.everything(WRITER_NAME))
                service = Service(reader, writer, settings.forecast, workers.run)
                loop = Loop(service, time.time)
                metrics = ForecastMetrics(service.stats, loop, workers)
                with exporting(settings.metrics, settings.metrics.forecast_port, metrics, loop.trouble):
                    loop.run(stop)
        finally:
            writer.close()
    finally:
        store.close()
