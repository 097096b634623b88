"""The metrics of the alert role: plain stats of the service and its outbox as Prometheus families."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from alerts.incidents import Severity, State
from alerts.service import Service
from surgecast.alerting import Loop
from surgecast.exporter import build_info


class AlertMetrics(Collector):
    """The metrics of an alert process."""

    def __init__(self, service: Service, loop: Loop) -> None:
        self._service = service
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called at each scrape."""
        stats = self._service.stats
        yield build_info()
        opened = stats.open.copy()
        incidents = GaugeMetricFamily(
            "surgecast_alert_incidents", "Incidents that are not over.", labels=["severity", "state"]
        )
        begun = CounterMetricFamily(
            "surgecast_alert_incidents_begun", "Incidents by their first severity.", labels=["severity"]
        )
        for severity in Severity:
            for state in State:
                if state is not State.RESOLVED:
                    incidents.add_metric([severity.value, state.value], opened[severity.value, state.value])
            begun.add_metric([severity.value], stats.opened[severity.value])
        yield incidents
        yield begun
        yield CounterMetricFamily(
            "surgecast_alert_incidents_resolved", "Incidents that ended.", value=stats.resolved
        )
        series = GaugeMetricFamily(
            "surgecast_alert_series", "Series judged against their past.", labels=["status"]
        )
        series.add_metric(["learning"], stats.learning)
        series.add_metric(["no_data"], stats.no_data)
        series.add_metric(["pending"], stats.pending)
        series.add_metric(["judged"], stats.signals - stats.learning - stats.no_data - stats.pending)
        yield series
        yield CounterMetricFamily(
            "surgecast_alert_series_shed", "Scopes for which there was no room.", value=stats.shed
        )
        yield CounterMetricFamily(
            "surgecast_alert_evaluations", "Times that the newest slots were judged.", value=stats.evaluations
        )
        yield GaugeMetricFamily(
            "surgecast_alert_last_evaluation_timestamp_seconds",
            "When the newest slots were judged.",
            value=stats.judged_at_s,
        )
        yield GaugeMetricFamily(
            "surgecast_alert_watermark_timestamp_seconds",
            "End of the newest slot that was judged.",
            value=stats.judged_until_s,
        )
        lag = HistogramMetricFamily(
            "surgecast_alert_detection_lag_seconds", "From the slot that raised an incident to its being recorded."
        )
        lag.add_metric([], [("+Inf", float(stats.detected))], stats.detection_lag_s)
        yield lag
        yield from self._messages()
        yield CounterMetricFamily(
            "surgecast_alert_store_failures", "Turns the store did not allow.", value=self._loop.failures
        )

    def _messages(self) -> Iterator[Metric]:
        outbox = self._service.outbox
        yield GaugeMetricFamily("surgecast_alert_messages_waiting", "Messages not taken yet.", value=len(outbox))
        messages = CounterMetricFamily(
            "surgecast_alert_messages", "Messages by what became of them.", labels=["route", "outcome"]
        )
        for route, stats in outbox.stats.items():
            messages.add_metric([route, "sent"], stats.sent)
            messages.add_metric([route, "failed"], stats.failed)
            messages.add_metric([route, "dead"], stats.dead)
            messages.add_metric([route, "shed"], stats.shed)
        yield messages
