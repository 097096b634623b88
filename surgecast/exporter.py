"""The Prometheus exporter: plain stats of the lower layers as metrics, the only place that knows metric names.

Nothing is updated per packet; each scrape reads the totals. No label is unbounded: trunks and nodes come from
the configuration or are capped, Call-IDs, addresses and numbers are never labels.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from platform import python_version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from collectors.capture.base import PacketBufferStats, SourceStats
from collectors.kernels.frames import KINDS
from collectors.pipeline import Pipeline
from collectors.publish import StoreSink
from collectors.tracking.agents import Agent
from collectors.tracking.counters import JITTER_EDGES_MS
from storage.embedded.status import StoreFigures
from storage.seam import WriterHealth
from surgecast import __version__
from surgecast.config import MetricsSettings
from surgecast.metric_families import by_label
from surgecast.store_metrics import server_metrics, store_metrics
from telephony.model import UNKNOWN, Outcome

OTHER = "other"
"""The trunk of what belongs to no configured one."""


def build_info() -> Metric:
    """Return what runs in this process."""
    return InfoMetricFamily(
        "surgecast_build", "Version of this process.", value={"version": __version__, "python": python_version()}
    )


class CollectorMetrics(Collector):
    """The metrics of a collector process."""

    def __init__(
        self,
        pipeline: Pipeline,
        sink: StoreSink,
        capture: Callable[[], SourceStats],
        kept: Callable[[], PacketBufferStats] = PacketBufferStats,
        store_health: Callable[[], WriterHealth] = WriterHealth,
        stored: Callable[[], StoreFigures] = StoreFigures,
    ) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._capture = capture
        self._kept = kept
        self._stored = stored
        self._store_health = store_health

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called at each scrape."""
        yield build_info()
        yield from self._sip()
        yield from self._media()
        yield from self._hep()
        yield from self._bounds()
        yield from self._packet_buffer()
        yield from self._store()
        yield from store_metrics(self._stored())

    def _sip(self) -> Iterator[Metric]:
        counters = self._pipeline.counters
        attempts = CounterMetricFamily(
            "surgecast_sip_session_attempts",
            "Session attempts by final outcome, authentication challenges folded.",
            labels=["outcome", "trunk"],
        )
        known = {(outcome.value, UNKNOWN): 0 for outcome in Outcome}
        for labels, count in _by_trunk((known | dict(counters.attempts)).items()):
            attempts.add_metric(labels, count)
        yield attempts
        yield by_label(
            CounterMetricFamily(
                "surgecast_sip_registrations", "REGISTER attempts by final outcome.", labels=["outcome"]
            ),
            dict(counters.registrations),
        )
        stats = self._pipeline.dialogs.stats
        calls = self._pipeline.calls.stats
        yield by_label(
            CounterMetricFamily("surgecast_calls", "Calls that began, were answered and ended.", labels=["event"]),
            {"began": calls.started, "answered": calls.answered, "ended": calls.ended},
        )
        yield CounterMetricFamily("surgecast_sip_messages", "SIP messages taken.", value=stats.messages)
        yield by_label(
            CounterMetricFamily("surgecast_sip_requests", "SIP requests taken.", labels=["method"]),
            stats.requests_by_method(),
        )
        yield by_label(
            CounterMetricFamily("surgecast_sip_responses", "SIP responses taken.", labels=["status_class"]),
            stats.responses_by_class(),
        )
        yield CounterMetricFamily(
            "surgecast_sdp_bad_lines", "Lines of SDP bodies that cannot be read.", value=stats.bad_sdp_lines
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_sip_rejected", "Messages that are not SIP we can read.", labels=["reason"]
            ),
            stats.rejected_by_reason(),
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_sip_set_aside", "SIP messages that count for no new event.", labels=["reason"]
            ),
            {
                "retransmission": stats.retransmissions,
                "duplicate": stats.duplicates,
                "late": stats.late,
                "without_invite": stats.without_invite,
            },
        )
        by_node: dict[str, int] = {}
        for (_, _, _, node), up in list(self._pipeline.calls.concurrency.current().items()):
            by_node[node] = by_node.get(node, 0) + up
        yield by_label(
            GaugeMetricFamily("surgecast_active_calls", "Answered calls up now.", labels=["node"]), by_node
        )

    def _media(self) -> Iterator[Metric]:
        counters = self._pipeline.counters
        intervals = CounterMetricFamily(
            "surgecast_stream_intervals",
            "Stream intervals of 10 s by quality band (A best).",
            labels=["band", "direction", "trunk"],
        )
        for labels, count in _by_trunk(dict(counters.intervals).items()):
            intervals.add_metric(labels, count)
        yield intervals
        jitter = HistogramMetricFamily(
            "surgecast_stream_jitter_seconds", "Interarrival jitter (RFC 3550) per interval."
        )
        edges = [*(str(edge / 1000) for edge in JITTER_EDGES_MS), "+Inf"]
        buckets = list(zip(edges, map(float, accumulate(counters.jitter_histogram)), strict=True))
        jitter.add_metric([], buckets, counters.jitter_ms_sum / 1000)
        yield jitter
        yield GaugeMetricFamily(
            "surgecast_last_interval_timestamp_seconds",
            "Start of the newest stream interval.",
            value=counters.last_interval_ns / 1e9,
        )
        yield CounterMetricFamily("surgecast_rtcp_messages", "RTCP messages taken.", value=counters.rtcp_reports)
        yield by_label(
            CounterMetricFamily(
                "surgecast_rtcp_rejected", "RTCP and quality reports not believed.", labels=["reason"]
            ),
            dict(counters.rtcp_rejected),
        )
        reports = self._pipeline.reports
        yield CounterMetricFamily(
            "surgecast_rtcp_report_blocks", "Report blocks that were new.", value=reports.stats.reports
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_rtcp_set_aside", "Report blocks whose packets count for nothing.", labels=["reason"]
            ),
            {**reports.stats.set_aside(), "wild_sender": reports.implausible_senders},
        )
        yield CounterMetricFamily(
            "surgecast_reports_unmatched", "Reports that no call was found for.", value=counters.reports_unmatched
        )

    def _hep(self) -> Iterator[Metric]:
        pipeline, capture = self._pipeline, self._capture()
        yield by_label(
            CounterMetricFamily("surgecast_hep_packets", "Datagrams taken, by what they carry.", labels=["proto"]),
            dict(pipeline.counters.payloads),
        )
        yield by_label(
            CounterMetricFamily("surgecast_hep_parse_errors", "Datagrams refused.", labels=["reason"]),
            dict(capture.errors),
        )
        yield CounterMetricFamily(
            "surgecast_hep_duplicates",
            "Messages seen again by another agent.",
            value=pipeline.duplicates.duplicates,
        )
        yield CounterMetricFamily(
            "surgecast_received_bytes", "Bytes of datagrams and frames.", value=capture.bytes
        )
        yield CounterMetricFamily(
            "surgecast_receive_stalls", "Times that receiving waited for the consumer.", value=capture.stalls
        )
        yield GaugeMetricFamily(
            "surgecast_receive_buffer_bytes", "What the kernel granted.", value=capture.receive_buffer_bytes
        )
        yield GaugeMetricFamily(
            "surgecast_connections", "Connections of agents that are open.", value=capture.connections_open
        )
        yield CounterMetricFamily(
            "surgecast_connections_accepted", "Connections of agents.", value=capture.connections_accepted
        )
        yield by_label(
            CounterMetricFamily("surgecast_queue_dropped", "What was shed, by queue.", labels=["queue"]),
            {
                "kernel": capture.kernel_drops,
                "connections": capture.connections_refused,
                "ring": capture.ring_drops,
                "softnet": capture.softnet_drops,
            },
        )
        yield from self._wire(capture)
        newest: dict[str, Agent] = {}
        """Of the agents that share a name, the one heard last: a series must not come twice."""
        for node_id, agent in sorted(pipeline.agents.by_id.copy().items()):
            name = pipeline.labeller.node(node_id)[0]
            if name not in newest or newest[name].last_seen_ns < agent.last_seen_ns:
                newest[name] = agent
        seen = GaugeMetricFamily(
            "surgecast_agent_last_seen_timestamp_seconds", "When a capture agent was last heard.", labels=["node"]
        )
        offset = GaugeMetricFamily(
            "surgecast_agent_clock_offset_seconds", "Receipt minus capture time, newest datagram.", labels=["node"]
        )
        skewed = CounterMetricFamily(
            "surgecast_agent_clock_skewed", "Datagrams whose capture time was not believed.", labels=["node"]
        )
        for name, agent in sorted(newest.items()):
            seen.add_metric([name], agent.last_seen_ns / 1e9)
            offset.add_metric([name], agent.clock_offset_ms / 1e3)
            skewed.add_metric([name], agent.clock_skewed)
        yield seen
        yield offset
        yield skewed

    def _wire(self, capture: SourceStats) -> Iterator[Metric]:
        interfaces = GaugeMetricFamily(
            "surgecast_capture_interfaces", "Interfaces that are captured from, by state.", labels=["state"]
        )
        interfaces.add_metric(["up"], capture.interfaces - capture.interfaces_down)
        interfaces.add_metric(["down"], capture.interfaces_down)
        yield interfaces
        yield CounterMetricFamily(
            "surgecast_ring_freezes", "Times that a ring was full and dropped.", value=capture.ring_freezes
        )
        frames = CounterMetricFamily("surgecast_frames", "Captured frames, by what they are.", labels=["kind"])
        counted = self._pipeline.rtp.frames_by_kind()
        for kind in KINDS:
            frames.add_metric([kind], counted[kind])
        yield frames

    def _bounds(self) -> Iterator[Metric]:
        yield by_label(
            CounterMetricFamily(
                "surgecast_table_shed", "Entries given up because a table was full.", labels=["table"]
            ),
            self._pipeline.shed(),
        )
        yield by_label(
            GaugeMetricFamily("surgecast_table_entries", "Entries in a table now.", labels=["table"]),
            self._pipeline.sizes(),
        )
        yield by_label(
            CounterMetricFamily(
                "surgecast_findings",
                "What could not be joined or believed, or is wrong with media.",
                labels=["kind"],
            ),
            self._pipeline.findings.totals.copy(),
        )

    def _packet_buffer(self) -> Iterator[Metric]:
        kept = self._kept()
        yield CounterMetricFamily(
            "surgecast_packet_buffer_packets", "Packets written to the packet buffer.", value=kept.packets
        )
        yield CounterMetricFamily(
            "surgecast_packet_buffer_dropped",
            "Packets left out of the packet buffer because the disk was too slow or full.",
            value=kept.dropped,
        )
        yield CounterMetricFamily(
            "surgecast_packet_buffer_write_failures", "Writes that the disk refused.", value=kept.write_failures
        )
        yield GaugeMetricFamily(
            "surgecast_packet_buffer_bytes", "Bytes of kept packets on disk.", value=kept.bytes
        )
        yield GaugeMetricFamily(
            "surgecast_packet_buffer_oldest_timestamp_seconds",
            "Capture time of the oldest kept packet.",
            value=kept.oldest_ns / 1e9,
        )

    def _store(self) -> Iterator[Metric]:
        sink = self._sink
        yield CounterMetricFamily("surgecast_store_rows", "Rows written to the store.", value=sink.rows_written)
        yield CounterMetricFamily(
            "surgecast_store_rows_shed", "Rows lost because the store was unavailable.", value=sink.rows_shed
        )
        yield CounterMetricFamily(
            "surgecast_store_write_failures",
            "Batches that could not be made durable yet.",
            value=sink.flushes_failed,
        )
        write = HistogramMetricFamily("surgecast_store_write_seconds", "Time to make a batch durable.")
        write.add_metric([], [("+Inf", float(sink.flushes))], sink.flush_seconds_sum)
        yield write
        yield from server_metrics(self._store_health())


def _by_trunk(counts: Iterable[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], int]]:
    """Return counts by labels of which the last is a trunk; an unknown one counts as `other`, sorted."""
    totals: Counter[tuple[str, ...]] = Counter()
    for (*labels, trunk), count in counts:
        totals[*labels, OTHER if trunk == UNKNOWN else trunk] += count
    return sorted(totals.items())


class ExporterServer:
    """Serves `/metrics` and `/healthz` on a port of its own, in a thread of its own."""

    def __init__(self, host: str, port: int, collector: Collector, healthy: Callable[[], str]) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        self._server = ThreadingHTTPServer((host, port), _handler(registry, healthy))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="exporter", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def exporting(
    settings: MetricsSettings, port: int, collector: Collector, healthy: Callable[[], str]
) -> Iterator[None]:
    """Serve a role's metrics on one of the configured ports while the block runs, where they are enabled.

    `healthy` says what is wrong, empty where nothing is. Raises SystemExit where the port cannot be had.
    """
    if not settings.enabled:
        yield
        return
    try:
        server = ExporterServer(settings.host, port, collector, healthy)
    except OSError as error:
        raise SystemExit(f"metrics: cannot listen on {settings.host}:{port}: {error.strerror}") from error
    server.start()
    try:
        yield
    finally:
        server.close()


def _handler(registry: CollectorRegistry, healthy: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers the two paths; anything else is not found."""

        def do_GET(self) -> None:
            """Serve a scrape or a probe."""
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path == "/healthz":
                trouble = healthy()
                self._answer(503 if trouble else 200, "text/plain; charset=utf-8", (trouble or "ok").encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"not found: /metrics and /healthz are here")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
            """Keep scrapes out of the log."""

    return Handler
