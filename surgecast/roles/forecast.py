"""The forecast role: keeps forecasts of every series fresh in the store, and serves /metrics meanwhile."""

import threading
import time

from forecast.pool import Workers
from forecast.service import Service
from storage.open import open_store
from storage.seam import Scope
from surgecast.config import Settings
from surgecast.exporter import ExporterServer
from surgecast.forecast_metrics import ForecastMetrics
from surgecast.forecasting import Loop

WRITER_NAME = "forecast"


def run(settings: Settings, stop: threading.Event) -> None:
    """Forecast until stopped."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(WRITER_NAME)
        with Workers(settings.forecast.workers) as workers:
            reader = store.reader(Scope.everything(WRITER_NAME))
            service = Service(reader, writer, settings.forecast, workers.run)
            loop = Loop(service, time.time)
            exporter = None
            if settings.metrics.enabled:
                metrics = ForecastMetrics(service.stats, loop, workers)
                try:
                    exporter = ExporterServer(
                        settings.metrics.host, settings.metrics.forecast_port, metrics, loop.trouble
                    )
                except OSError as error:
                    address = f"{settings.metrics.host}:{settings.metrics.forecast_port}"
                    raise SystemExit(f"metrics: cannot listen on {address}: {error.strerror}") from error
                exporter.start()
            try:
                loop.run(stop)
            finally:
                if exporter is not None:
                    exporter.close()
                writer.close()
    finally:
        store.close()
