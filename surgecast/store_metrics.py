"""The metrics of the embedded store's files; part of the exporter's (see `surgecast.exporter`)."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from storage.embedded.status import StoreFigures


def store_metrics(figures: StoreFigures) -> Iterator[Metric]:
    """Yield what the files take, what was deleted, and what could not be read."""
    taken = GaugeMetricFamily(
        "surgecast_store_bytes", "Bytes on disk, by measurement and kind of file.", labels=["measurement", "kind"]
    )
    segments = GaugeMetricFamily("surgecast_store_segments", "Sealed files.", labels=["measurement"])
    aside = GaugeMetricFamily(
        "surgecast_store_quarantined_files",
        "Damaged files that were put aside and wait for somebody to look at them.",
        labels=["measurement"],
    )
    for sizes in figures.sizes:
        name = sizes.measurement
        taken.add_metric([name, "segments"], sizes.segment_bytes)
        taken.add_metric([name, "logs"], sizes.log_bytes)
        taken.add_metric([name, "quarantine"], sizes.quarantined_bytes)
        segments.add_metric([name], sizes.segments)
        aside.add_metric([name], sizes.quarantined)
    yield from (taken, segments, aside)
    yield GaugeMetricFamily(
        "surgecast_store_free_bytes", "Free space of the store's disk.", value=figures.free_bytes
    )
    stats = figures.stats
    deleted = CounterMetricFamily(
        "surgecast_store_segments_deleted", "Sealed files deleted, by reason.", labels=["reason"]
    )
    deleted.add_metric(["retention"], stats.segments_expired)
    deleted.add_metric(["disk_full"], stats.segments_shed)
    yield deleted
    yield CounterMetricFamily(
        "surgecast_store_damaged_files", "Files found damaged by this process.", value=stats.damaged_files
    )
    yield CounterMetricFamily(
        "surgecast_store_seal_failures",
        "Logs that could not be sealed and wait to be tried again.",
        value=stats.seal_failures,
    )
