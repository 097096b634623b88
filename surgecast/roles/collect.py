"""The collect role: receives, tracks, rolls up and stores, and serves /metrics meanwhile."""

import threading
import time

from collectors.capture.base import CaptureError
from surgecast.collecting import collecting
from surgecast.config import Settings
from surgecast.exporter import CollectorMetrics, ExporterServer


def run(settings: Settings, stop: threading.Event) -> None:
    """Collect until stopped."""
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
