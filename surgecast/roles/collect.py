"""The collect role: receives, tracks, rolls up and stores, and serves /metrics meanwhile."""

import gc
import threading
import time

import structlog

from collectors.capture.base import CaptureError
from collectors.kernels.ready import prepare
from storage.embedded.giveback import share_one_arena
from surgecast.collecting import collecting
from surgecast.config import Settings
from surgecast.exporter import CollectorMetrics, exporting

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event) -> None:
    """Collect until stopped."""
    # Live calls are many small objects without cycles: walking them at the default pace costs a fifth of the core.
    gc.set_threshold(50_000, 20, 50)
    share_one_arena()
    prepare(log.info)
    try:
        with collecting(settings.collect, settings.storage) as collector:
            metrics = CollectorMetrics(
                collector.pipeline,
                collector.sink,
                collector.totals,
                collector.kept,
                collector.store_health,
                collector.stored,
            )
            with exporting(settings.metrics, settings.metrics.port, metrics, collector.trouble):
                collector.run(stop, time.time_ns)
    except CaptureError as error:
        raise SystemExit(f"collect: {error}") from error
