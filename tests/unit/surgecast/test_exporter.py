"""The metrics: each documented, each series once, counters that say what happened."""

import re
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hep_traffic import CALLEE, CALLER, START_NS, HepTraffic, batch_of, pipeline_of, report, run, sip
from ports import free_port
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from collectors.capture.base import SourceStats
from collectors.facts import Payload
from collectors.publish import StoreSink
from collectors.tracking.labels import Labeller, NodeRule, TrunkRule
from storage.embedded.stats import StoreStats
from storage.embedded.status import Sizes, StoreFigures
from storage.seam import WriterHealth
from surgecast.config import MetricsSettings
from surgecast.exporter import CollectorMetrics, ExporterServer, exporting
from telephony.model import Endpoint, Outcome

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"
UNBOUNDED = {"call_id", "ssrc", "ip", "address", "number", "uri", "user_agent"}


class NoWriter:
    """The exporter only reads counters."""

    def write(self, measurement: str, rows: object) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


FIGURES = StoreFigures(
    StoreStats(segments_expired=1, segments_shed=2, damaged_files=3), [Sizes("call", 1, 2, 3, 4, 5)], 6
)


def metrics_of(
    traffic: HepTraffic, stats: SourceStats | None = None, labeller: Labeller | None = None
) -> CollectorMetrics:
    pipeline, _ = run(traffic, labeller=labeller)
    return CollectorMetrics(
        pipeline,
        StoreSink(NoWriter(), lambda: 0.0),
        lambda: stats or SourceStats(),
        store_health=lambda: WriterHealth({"timeout": 1, "written": 5}, {"malformed": 2}, spool_rows=3),
        stored=lambda: FIGURES,
    )


def everything() -> CollectorMetrics:
    """Return metrics of which every family has a sample."""
    traffic = HepTraffic({"node_id": 1}).answered_call(loss=5)
    traffic.send(40, CALLER, CALLEE, b"nonsense", payload_type=Payload.RTCP_JSON)
    traffic.send(40, CALLER, CALLEE, b"neither a request nor a response")
    traffic.rtcp(40, report(250, 0, of=1, by=2), src=Endpoint("10.9.9.9", 4000), dst=Endpoint("10.9.9.8", 4000))
    for start in ("REGISTER sip:a.example SIP/2.0", "SIP/2.0 200 OK"):
        traffic.send(41, CALLER, CALLEE, _register(start))
    return metrics_of(
        traffic,
        SourceStats(
            errors=Counter(bad_magic=2),
            kernel_drops=3,
            connections_refused=1,
            ring_drops=4,
            ring_freezes=1,
            softnet_drops=5,
            interfaces=2,
            interfaces_down=1,
        ),
    )


def _register(start: str) -> bytes:
    return sip(start, "1 REGISTER", call_id="r", headers=["Contact: <sip:a@10.0.0.1>;expires=60"])


def families(metrics: CollectorMetrics) -> dict[str, Metric]:
    return {family.name: family for family in metrics.collect()}


def value(metrics: CollectorMetrics, sample: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(sample, labels)


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return type and labels by metric, as the table of the reference says them."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCUMENTED.read_text(encoding="utf-8"), re.M)
    return {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in rows
        if not name.startswith(
            ("surgecast_forecast_", "surgecast_scale_", "surgecast_alert_", "surgecast_web_")
        )  # of the roles' own tests
    }


def exposed_name(family: Metric) -> str:
    return {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)


def test_the_reference_lists_every_metric_with_its_type_and_labels() -> None:
    yielded = {}
    for family in everything().collect():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        kind = "gauge" if family.type == "info" else family.type
        yielded[exposed_name(family)] = (kind, tuple(sorted(labels)))
    assert {name: (kind, tuple(sorted(labels))) for name, (kind, labels) in documented().items()} == yielded


def test_the_files_of_the_store_are_shown() -> None:
    metrics = everything()
    kinds = ("segments", "logs", "quarantine")
    assert [2, 3, 5] == [value(metrics, "surgecast_store_bytes", measurement="call", kind=k) for k in kinds]
    assert 4 == value(metrics, "surgecast_store_quarantined_files", measurement="call")
    assert 2 == value(metrics, "surgecast_store_segments_deleted_total", reason="disk_full")


def test_every_family_follows_the_conventions() -> None:
    for family in everything().collect():
        assert re.fullmatch(r"surgecast_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert family.samples, f"{family.name} has no sample"
        assert not UNBOUNDED & {label for sample in family.samples for label in sample.labels}
        assert not re.search(r"_(ms|ns|minutes|percent)$", family.name), "base units only"


def test_no_series_comes_twice() -> None:
    labeller = Labeller(
        nodes=(NodeRule(1, "edge"), NodeRule(2, "edge")), trunks=(TrunkRule("other", sip_domains=("b.example",)),)
    )
    traffic = HepTraffic()
    for node_id in (1, 2):
        traffic.hep = {"node_id": node_id}
        traffic.answered_call(60 * node_id, call_id=f"c{node_id}")
    traffic.invite(200, "elsewhere")
    traffic.datagrams[-1] = traffic.datagrams[-1].replace(b"b.example", b"c.example")
    metrics = metrics_of(traffic, labeller=labeller)
    series = Counter(
        (sample.name, tuple(sorted(sample.labels.items()))) for f in metrics.collect() for sample in f.samples
    )
    assert [] == [name for name, times in series.items() if times > 1]
    openmetrics(_registered(metrics))


def _registered(metrics: CollectorMetrics) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry


def test_of_agents_that_share_a_name_the_one_heard_last_is_shown() -> None:
    labeller = Labeller(nodes=(NodeRule(1, "edge"), NodeRule(2, "edge")))
    traffic = HepTraffic().invite(0, "a", node_id=2).invite(50, "b", node_id=1)
    metrics = metrics_of(traffic, labeller=labeller)
    first, last = (agent.last_seen_ns / 1e9 for agent in metrics._pipeline.agents.by_id.values())
    assert max(first, last) == value(metrics, "surgecast_agent_last_seen_timestamp_seconds", node="edge")


def test_attempts_start_at_zero_for_every_outcome() -> None:
    metrics = metrics_of(HepTraffic())
    assert [0.0] * len(Outcome) == [
        value(metrics, "surgecast_sip_session_attempts_total", outcome=outcome.value, trunk="other")
        for outcome in Outcome
    ]


def test_counters_say_what_happened() -> None:
    metrics = everything()
    assert 1.0 == value(metrics, "surgecast_sip_session_attempts_total", outcome="answered", trunk="other")
    assert 1.0 == value(metrics, "surgecast_sip_registrations_total", outcome="registered")
    assert 1.0 == value(metrics, "surgecast_rtcp_rejected_total", reason="not_json")
    assert 6.0 == value(metrics, "surgecast_rtcp_messages_total")
    assert 2.0 == value(metrics, "surgecast_hep_parse_errors_total", reason="bad_magic")
    assert 3.0 == value(metrics, "surgecast_queue_dropped_total", queue="kernel")
    assert 4.0 == value(metrics, "surgecast_queue_dropped_total", queue="ring")
    assert 5.0 == value(metrics, "surgecast_queue_dropped_total", queue="softnet")
    assert 1.0 == value(metrics, "surgecast_ring_freezes_total")
    assert [1.0, 1.0] == [value(metrics, "surgecast_capture_interfaces", state=s) for s in ("up", "down")]
    assert 0.0 == value(metrics, "surgecast_frames_total", kind="rtp")


def test_active_calls_are_those_up_now() -> None:
    pipeline, _ = pipeline_of()
    pipeline.feed(batch_of(HepTraffic({"node_id": 4}).invite(0).answer(1, 200).datagrams), START_NS)
    metrics = CollectorMetrics(pipeline, StoreSink(NoWriter(), lambda: 0.0), SourceStats)
    assert 1.0 == value(metrics, "surgecast_active_calls", node="agent-4")


def test_sip_that_cannot_be_read_is_counted_by_reason() -> None:
    assert 1.0 == value(everything(), "surgecast_sip_rejected_total", reason="not_sip")


def test_a_retransmitted_request_is_set_aside() -> None:
    traffic = HepTraffic()
    for at_s in (0, 0.5):
        traffic.send(at_s, CALLER, CALLEE, sip("INVITE sip:b.example SIP/2.0", "1 INVITE", call_id="i"))
    metrics = metrics_of(traffic)
    assert [2.0, 1.0] == [
        value(metrics, "surgecast_sip_messages_total"),
        value(metrics, "surgecast_sip_set_aside_total", reason="retransmission"),
    ]


def test_the_jitter_histogram_is_cumulative_and_ends_with_all() -> None:
    metrics = metrics_of(HepTraffic())
    metrics._pipeline.counters.jitter_histogram[:] = [1, 0, 1, 0, 0, 0, 1, 0, 1, 1]
    family = families(metrics)["surgecast_stream_jitter_seconds"]
    buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
    assert [
        ("0.001", 1), ("0.002", 1), ("0.005", 2), ("0.01", 2), ("0.02", 2), ("0.03", 2), ("0.05", 3), ("0.1", 3),
        ("0.2", 4), ("+Inf", 5),
    ] == buckets  # fmt: skip
    assert 5.0 == value(metrics, "surgecast_stream_jitter_seconds_count")


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    trouble: list[str] = []
    server = ExporterServer("127.0.0.1", 0, everything(), lambda: " ".join(trouble))
    server.start()
    yield f"http://127.0.0.1:{server.port}", trouble
    server.close()


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_scrape_is_prometheus_text(served: tuple[str, list[str]]) -> None:
    status, content_type, text = get(f"{served[0]}/metrics?x=1")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert (200, True) == (status, content_type.startswith("text/plain; version="))
    assert {"surgecast_active_calls", "surgecast_hep_packets"} < names


def test_health_says_what_is_wrong(served: tuple[str, list[str]]) -> None:
    url, trouble = served
    assert (200, "ok") == get(f"{url}/healthz")[::2]
    trouble.append("stopped reading: udp://127.0.0.1:9060")
    assert (503, "stopped reading: udp://127.0.0.1:9060") == get(f"{url}/healthz")[::2]


def test_other_paths_are_not_found(served: tuple[str, list[str]]) -> None:
    assert [404, 404] == [get(f"{served[0]}/{path}")[0] for path in ("", "metrics/../etc")]


def test_a_scrape_reads_while_the_collector_writes() -> None:
    """Scrapes come from another thread; no dict may change under them."""
    metrics = everything()
    pipeline, stop = metrics._pipeline, threading.Event()

    def write() -> None:
        node = 0
        while not stop.is_set():
            node += 1
            pipeline.calls.concurrency.change(("t", "p", "r", f"n{node % 997}"), node, +1)
            pipeline.counters.attempts["answered", f"trunk-{node % 997}"] += 1
            pipeline.counters.payloads[f"p{node % 997}"] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(50):
            assert len(list(metrics.collect())) > 10
    finally:
        stop.set()
        thread.join()


def test_reports_that_count_for_nothing_are_told_by_reason() -> None:
    traffic = HepTraffic().answered_call()
    told = report(250, 0, of=0xA1, by=0xB2)
    traffic.rtcp(40, told, correlation_id="c1").rtcp(40.2, told, correlation_id="c1")
    traffic.rtcp(41, report(250, 0, of=0, by=0xB2), correlation_id="c1")
    traffic.rtcp(42, report(250, 0, of=0xB2, by=0xB2), correlation_id="c1")
    metrics = metrics_of(traffic)
    assert (1.0, 1.0, 1.0, 0.0) == tuple(
        value(metrics, "surgecast_rtcp_set_aside_total", reason=reason)
        for reason in ("duplicate", "null_ssrc", "self_report", "implausible")
    )


def test_lines_of_sdp_that_cannot_be_read_are_counted() -> None:
    body = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\nnonsense\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
    message = sip("INVITE sip:b SIP/2.0", "1 INVITE", call_id="c1", body=body)
    metrics = metrics_of(HepTraffic().send(0, CALLER, CALLEE, message))
    assert 1.0 == value(metrics, "surgecast_sdp_bad_lines_total")


def test_requests_and_responses_are_told_by_what_they_are() -> None:
    metrics = metrics_of(HepTraffic().answered_call())
    told = [value(metrics, "surgecast_sip_requests_total", method=method) for method in ("INVITE", "BYE")]
    told += [value(metrics, "surgecast_sip_responses_total", status_class=c) for c in ("1xx", "2xx")]
    assert [1.0, 1.0, 1.0, 2.0] == told


def test_a_taken_port_ends_the_role_with_its_address(served: tuple[str, list[str]]) -> None:
    port = int(served[0].rpartition(":")[2])
    with (
        pytest.raises(
            SystemExit, match=rf"^metrics: cannot listen on 127\.0\.0\.1:{port}: Address already in use$"
        ),
        exporting(MetricsSettings(), port, everything(), str),
    ):
        pass


def test_a_port_is_free_again_when_the_block_ends() -> None:
    port = free_port()
    for _ in range(2):
        with exporting(MetricsSettings(), port, everything(), str):
            assert (200, "ok") == get(f"http://127.0.0.1:{port}/healthz")[::2]


def test_nothing_listens_where_metrics_are_off(served: tuple[str, list[str]]) -> None:
    port = int(served[0].rpartition(":")[2])
    with exporting(MetricsSettings(enabled=False), port, everything(), str):
        pass
