"""The metrics of stores, part of the exporter's: files of the embedded one, requests and spool of a server's."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from storage.embedded.status import StoreFigures
from storage.seam import WriterHealth
from surgecast.metric_families import by_label


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
    for name, meaning, count in (
        ("segments_sealed", "Sealed files made of logs.", stats.segments_sealed),
        ("segments_compacted", "Sealed files that were merged into larger ones.", stats.segments_compacted),
        ("rollups_made", "Hours and days whose sums were made, or made anew.", stats.rollups_made),
        ("rows_recovered", "Rows found in the logs of a writer that died.", stats.rows_recovered),
        ("torn_logs", "Logs whose last batch a crash cut.", stats.torn_logs),
    ):
        yield CounterMetricFamily(f"surgecast_store_{name}", meaning, value=count)
    yield by_label(
        CounterMetricFamily(
            "surgecast_store_segments_deleted", "Sealed files deleted, by reason.", labels=["reason"]
        ),
        {"retention": stats.segments_expired, "disk_full": stats.segments_shed},
    )
    yield CounterMetricFamily(
        "surgecast_store_damaged_files", "Files found damaged by this process.", value=stats.damaged_files
    )
    yield CounterMetricFamily(
        "surgecast_store_seal_failures",
        "Logs that could not be sealed and wait to be tried again.",
        value=stats.seal_failures,
    )


def server_metrics(health: WriterHealth) -> Iterator[Metric]:
    """Yield what became of requests, and what waits in memory and on disk."""
    yield by_label(
        CounterMetricFamily(
            "surgecast_store_requests", "Write requests to the store's server, by outcome.", labels=["outcome"]
        ),
        health.requests,
    )
    yield by_label(
        CounterMetricFamily(
            "surgecast_store_rows_rejected", "Rows that the server will never take.", labels=["outcome"]
        ),
        health.rows_rejected,
    )
    yield CounterMetricFamily("surgecast_store_rows_sent", "Rows that the server took.", value=health.rows_sent)
    yield CounterMetricFamily(
        "surgecast_store_bytes_sent", "Bytes that the server took, compressed.", value=health.bytes_sent
    )
    yield CounterMetricFamily(
        "surgecast_store_values_not_finite", "NaN and infinite values.", value=health.values_not_finite
    )
    yield GaugeMetricFamily(
        "surgecast_store_held_bytes", "What waits in memory for server or spool.", value=health.held_bytes
    )
    yield GaugeMetricFamily("surgecast_spool_rows", "Rows waiting on disk.", value=health.spool_rows)
    yield GaugeMetricFamily("surgecast_spool_bytes", "Bytes of the spool on disk.", value=health.spool_bytes)
    yield GaugeMetricFamily(
        "surgecast_spool_oldest_timestamp_seconds",
        "When the oldest row waiting on disk was taken.",
        value=(health.spool_oldest_ns or 0) / 1e9,
    )
    yield CounterMetricFamily(
        "surgecast_spool_rows_taken", "Rows that went to the spool.", value=health.rows_spooled
    )
    yield CounterMetricFamily(
        "surgecast_spool_rows_replayed", "Rows of the spool that the server took.", value=health.rows_replayed
    )
    yield CounterMetricFamily(
        "surgecast_spool_rows_shed",
        "Rows refused because server, spool and memory were all full.",
        value=health.rows_shed,
    )
    yield CounterMetricFamily(
        "surgecast_spool_damaged", "Records of the spool that could not be read.", value=health.spool_damaged
    )
    yield CounterMetricFamily(
        "surgecast_spool_torn", "Records found cut short, never acknowledged.", value=health.spool_torn
    )
    yield CounterMetricFamily(
        "surgecast_spool_refused", "Records that the spool had no room for.", value=health.spool_refused
    )
    yield CounterMetricFamily(
        "surgecast_spool_fsyncs", "Times that the spool was forced to the disk.", value=health.spool_fsyncs
    )
