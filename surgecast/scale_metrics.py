"""The metrics of the scale role: plain stats of the scaler as Prometheus families."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scaler.decision import Mode, ReplicaDecision
from scaler.service import ScalerStats
from surgecast.exporter import build_info
from surgecast.metric_families import by_label


@dataclass(slots=True)
class LoopFigures:
    """What the role knows beside the scaler."""

    leading: bool = False
    store_failures: int = 0


class ScaleMetrics(Collector):
    """The metrics of a scale process."""

    def __init__(self, stats: ScalerStats, figures: LoopFigures) -> None:
        self._stats = stats
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called at each scrape."""
        stats, figures = self._stats, self._figures
        yield build_info()
        yield CounterMetricFamily(
            "surgecast_scale_decisions", "Decisions, one a pool and round.", value=stats.decisions
        )
        yield CounterMetricFamily(
            "surgecast_scale_scalings", "Times that replicas were written.", value=stats.scalings
        )
        yield CounterMetricFamily(
            "surgecast_scale_conflicts",
            "Times that a target had changed since it was read.",
            value=stats.conflicts,
        )
        yield by_label(
            CounterMetricFamily("surgecast_scale_errors", "Troubles with targets, by kind.", labels=["kind"]),
            # There from the start, for it is the one to be told of when it first happens.
            {"wrong_victim": 0} | stats.errors,
        )
        yield from _pools(stats.last.copy(), stats.draining.copy())
        yield from self._drains()
        yield GaugeMetricFamily(
            "surgecast_scale_leading", "1 while this instance may act.", value=float(figures.leading)
        )
        yield CounterMetricFamily(
            "surgecast_scale_store_failures", "Rounds the store did not allow.", value=figures.store_failures
        )

    def _drains(self) -> Iterator[Metric]:
        drains = CounterMetricFamily(
            "surgecast_scale_drains", "Pods by what became of their emptying.", labels=["pool", "event"]
        )
        given_up = CounterMetricFamily(
            "surgecast_scale_calls_given_up", "Calls up on pods that went at their deadline.", labels=["pool"]
        )
        unanswered = CounterMetricFamily(
            "surgecast_scale_relay_errors", "Relays that did not answer, or refused.", labels=["pool"]
        )
        for pool, stats in sorted(self._stats.drains.items()):
            drains.add_metric([pool, "begun"], stats.begun)
            drains.add_metric([pool, "undone"], stats.undone)
            drains.add_metric([pool, "removed"], stats.removed)
            given_up.add_metric([pool], stats.given_up_calls)
            unanswered.add_metric([pool], stats.relay_errors)
        yield from (drains, given_up, unanswered)


def _pools(last: dict[str, ReplicaDecision], draining: dict[str, int]) -> Iterator[Metric]:
    pods = GaugeMetricFamily("surgecast_scale_pods", "Pods as of the last decision.", labels=["pool", "state"])
    held = GaugeMetricFamily("surgecast_scale_held", "1 while doubt keeps every pod.", labels=["pool"])
    lead = GaugeMetricFamily(
        "surgecast_scale_lead_time_seconds", "From a new pod to a ready one.", labels=["pool"]
    )
    mode = GaugeMetricFamily("surgecast_scale_mode", "1 for the mode in force.", labels=["pool", "mode"])
    at = GaugeMetricFamily(
        "surgecast_scale_last_decision_timestamp_seconds", "When it was last decided about.", labels=["pool"]
    )
    for pool, decision in sorted(last.items()):
        states = {
            "current": decision.current,
            "ready": decision.ready,
            "wanted": decision.wanted,
            "final": decision.final,
            "draining": draining.get(pool, 0),
        }
        for state, count in states.items():
            pods.add_metric([pool, state], count)
        held.add_metric([pool], float(bool(decision.holds)))
        lead.add_metric([pool], decision.lead_time_s)
        for each in Mode:
            mode.add_metric([pool, each.value], float(each is decision.mode))
        at.add_metric([pool], decision.at_s)
    yield from (pods, held, lead, mode, at)
