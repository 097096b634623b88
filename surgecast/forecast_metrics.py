"""The metrics of the forecast role: plain stats of the service as Prometheus families."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from forecast.horizons import Horizon
from forecast.pool import Workers
from forecast.service import ServiceStats
from surgecast.exporter import build_info
from surgecast.forecasting import Loop
from surgecast.metric_families import by_label


class ForecastMetrics(Collector):
    """The metrics of a forecast process."""

    def __init__(self, stats: ServiceStats, loop: Loop, workers: Workers) -> None:
        self._stats = stats
        self._loop = loop
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called at each scrape."""
        stats = self._stats
        yield build_info()
        yield GaugeMetricFamily("surgecast_forecast_series", "Series with history.", value=stats.series)
        yield CounterMetricFamily(
            "surgecast_forecast_series_shed", "Series for which there was no room.", value=stats.shed
        )
        yield by_label(
            GaugeMetricFamily(
                "surgecast_forecast_model_series", "Series by the model that forecasts them.", labels=["model"]
            ),
            Counter(stats.models.copy().values()),
        )
        yield GaugeMetricFamily(
            "surgecast_forecast_benched_series",
            "Series whose model lost to the weekly profile over two weeks at some leads.",
            value=sum(1 for bins in stats.benched.copy().values() if bins),
        )
        fits = HistogramMetricFamily("surgecast_forecast_fit_seconds", "Processor time of a nightly fit.")
        fits.add_metric([], [("+Inf", float(stats.fits))], stats.fit_seconds)
        yield fits
        yield by_label(
            CounterMetricFamily(
                "surgecast_forecast_learned",
                "Nightly fits that went on from the night before, or why all was learned anew.",
                labels=["result"],
            ),
            stats.learned.copy(),
        )
        issues = CounterMetricFamily(
            "surgecast_forecast_issues", "Forecasts issued, by horizon.", labels=["horizon"]
        )
        last = GaugeMetricFamily(
            "surgecast_forecast_last_issue_timestamp_seconds",
            "When a horizon was last issued.",
            labels=["horizon"],
        )
        for horizon in Horizon:
            issues.add_metric([horizon.value], stats.issues[horizon.value])
            if horizon.value in stats.last_issue_s:
                last.add_metric([horizon.value], stats.last_issue_s[horizon.value])
        yield issues
        yield last
        yield GaugeMetricFamily(
            "surgecast_forecast_watermark_timestamp_seconds",
            "End of the newest slot that was measured.",
            value=stats.watermark_s,
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_forecast_passed_over", "Series not forecast when due, by reason.", labels=["reason"]
            ),
            stats.troubles.copy(),
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_forecast_live_calls",
                "Forecasts of calls in progress up to an hour ahead: carried on from live calls, or why not.",
                labels=["result"],
            ),
            stats.carried.copy(),
        )
        yield from self._accuracy()
        yield CounterMetricFamily(
            "surgecast_forecast_masked_slots",
            "Slots masked because capture lost too much.",
            value=stats.masked_slots,
        )
        yield CounterMetricFamily("surgecast_forecast_rows", "Rows written to the store.", value=stats.rows)
        yield CounterMetricFamily(
            "surgecast_forecast_store_failures", "Steps the store did not allow.", value=self._loop.failures
        )
        yield CounterMetricFamily(
            "surgecast_forecast_workers_lost", "Times worker processes died.", value=self._workers.broken
        )

    def _accuracy(self) -> Iterator[Metric]:
        compared = CounterMetricFamily(
            "surgecast_forecast_compared", "Issued forecasts compared with what came, by lead.", labels=["lead"]
        )
        covered = CounterMetricFamily(
            "surgecast_forecast_covered",
            "Of these, those where what came lay at or under the quantile.",
            labels=["lead", "quantile"],
        )
        for lead, count in sorted(self._stats.compared.copy().items()):
            compared.add_metric([lead], count)
        for (lead, quantile), count in sorted(self._stats.covered.copy().items()):
            covered.add_metric([lead, quantile], count)
        yield compared
        yield covered
        yield GaugeMetricFamily(
            "surgecast_forecast_drifting_series",
            "Series whose error has grown over the last week.",
            value=self._stats.drifting,
        )
