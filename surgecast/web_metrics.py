"""The metrics of the web role: what the pages refused, who signed in, and how reading the store for them goes."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboards.stats import AppStats
from surgecast.exporter import build_info
from surgecast.metric_families import by_label


class WebMetrics(Collector):
    """The metrics of a process that serves the pages."""

    def __init__(self, stats: AppStats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called at each scrape."""
        yield build_info()
        yield by_label(
            CounterMetricFamily("surgecast_web_refused", "Requests refused, by HTTP status.", labels=["status"]),
            {str(status): count for status, count in self._stats.refused.copy().items()},
        )
        yield by_label(
            CounterMetricFamily("surgecast_web_sign_ins", "Tries to sign in.", labels=["outcome"]),
            self._stats.sign_ins.copy(),
        )
        yield by_label(
            GaugeMetricFamily("surgecast_web_snapshots", "Views kept current now.", labels=["cache"]),
            {name: len(cache) for name, cache in self._stats.caches.items()},
        )
        reads = CounterMetricFamily(
            "surgecast_web_snapshot_reads",
            "Times that the store was read for a view.",
            labels=["cache", "outcome"],
        )
        dropped = CounterMetricFamily(
            "surgecast_web_snapshots_dropped", "Views that were forgotten.", labels=["cache", "reason"]
        )
        for name, cache in sorted(self._stats.caches.items()):
            reads.add_metric([name, "read"], cache.stats.refreshes)
            reads.add_metric([name, "failed"], cache.stats.failures)
            dropped.add_metric([name, "idle"], cache.stats.idle_dropped)
            dropped.add_metric([name, "full"], cache.stats.evicted)
        yield reads
        yield dropped
