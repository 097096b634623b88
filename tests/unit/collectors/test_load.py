"""`load_now` rows: calls by tenant, the collector's own figures and its agents', since the rows before."""

from collections import Counter

from hep_traffic import START_NS, HepTraffic, batch_of, pipeline_of
from rtp_frames import ethernet, frames_of, ipv4, rtp, udp
from rtp_reference import Sent

from collectors.capture.base import SourceStats
from collectors.load import CAPTURE_POOL, COLLECTOR_NODE, LoadRows, StoreBacklog, WireSetup
from collectors.tracking.agents import ALIVE_NS
from collectors.tracking.labels import Labeller, NodeRule
from storage.rows import batch


def fed(datagrams: list[bytes], labeller: Labeller | None = None) -> LoadRows:
    pipeline, _ = pipeline_of(labeller)
    pipeline.feed(batch_of(datagrams), START_NS)
    return pipeline.load


def by_node(rows: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {row["node"]: row for row in rows if row["pool"] == CAPTURE_POOL}


def test_the_collectors_figures_are_differences() -> None:
    load = fed([])
    stats = SourceStats(frames=10, errors=Counter(bad=2), kernel_drops=3, connections_refused=1)
    load.capture_totals = lambda: stats
    first = by_node(load.take(START_NS, shed=5, unmatched=7))[COLLECTOR_NODE]
    stats = SourceStats(frames=14, errors=Counter(bad=2, other=1), kernel_drops=3, connections_refused=1)
    second = by_node(load.take(START_NS, shed=5, unmatched=9))[COLLECTOR_NODE]
    names = ("frames", "errors", "drops_kernel", "drops_queue", "drops_table", "unmatched_reports")
    assert (10, 2, 3, 1, 5, 7) == tuple(first[name] for name in names)
    assert (4, 1, 0, 0, 0, 2) == tuple(second[name] for name in names)


def test_what_the_store_has_yet_to_take_is_told() -> None:
    load = fed([])
    load.backlog = lambda: StoreBacklog(spool_rows=7, spool_oldest_ns=START_NS - 4_000_000_000, rows_shed=3)
    first, second = (by_node(load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE] for _ in range(2))
    assert (7, 4.0, 3, 0) == (
        first["spool_rows"], first["spool_age_s"], first["store_rows_shed"], second["store_rows_shed"]
    )  # fmt: skip


def test_agents_are_counted_until_they_fall_silent() -> None:
    load = fed(
        HepTraffic({"node_id": 1}).invite(0).datagrams + HepTraffic({"node_id": 2}).invite(0, "c2").datagrams
    )
    alive = [
        by_node(load.take(now_ns, shed=0, unmatched=0))[COLLECTOR_NODE]["agents_alive"]
        for now_ns in (START_NS, START_NS + ALIVE_NS)
    ]
    assert [2, 0] == alive


def test_each_agent_has_a_row_and_agents_of_one_name_share_it() -> None:
    labeller = Labeller(nodes=(NodeRule(1, "edge", "eu"), NodeRule(2, "edge", "eu")))
    datagrams = [HepTraffic({"node_id": node}).invite(0, f"c{node}").datagrams[0] for node in (1, 2, 3)]
    load = fed(datagrams, labeller)
    rows = load.take(START_NS, shed=0, unmatched=0)
    agents = by_node(rows)
    assert {"edge": (2, 2, "eu"), "agent-3": (1, 1, "unknown")} == {
        node: (row["datagrams"], row["sip_messages"], row["region"])
        for node, row in agents.items()
        if node != COLLECTOR_NODE
    }
    points = [tuple(row[tag] for tag in ("time", "tenant", "pool", "region", "node")) for row in rows]
    assert len(points) == len(set(points))
    assert len(rows) == batch("load_now", rows).num_rows


def test_calls_of_a_tenant_are_counted_in_its_pool() -> None:
    load = fed(HepTraffic({"node_id": 1}).invite(0).answer(1, 200).datagrams)
    (row,) = (row for row in load.take(START_NS, shed=0, unmatched=0) if row["pool"] != CAPTURE_POOL)
    assert ("unassigned", "default", "agent-1", 1, 1, 1) == tuple(
        row[name] for name in ("tenant", "pool", "node", "concurrent", "attempts", "answered")
    )


def test_drops_of_rings_and_backlogs_are_the_kernels_too() -> None:
    load = fed([])
    load.capture_totals = lambda: SourceStats(kernel_drops=1, ring_drops=2, softnet_drops=4)
    assert 7 == by_node(load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE]["drops_kernel"]


def test_drops_of_rings_and_backlogs_are_told_apart_and_are_since_the_rows_before() -> None:
    load = fed([])
    load.capture_totals = lambda: SourceStats(ring_drops=2, softnet_drops=4, interfaces_down=1)
    first = by_node(load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE]
    second = by_node(load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE]
    names = ("drops_ring", "drops_softnet", "interfaces_down")
    assert [(2, 4, 1), (0, 0, 1)] == [tuple(row[name] for name in names) for row in (first, second)]


def test_packets_and_streams_of_our_interfaces_are_in_the_collectors_row() -> None:
    pipeline, _ = pipeline_of()
    packets = [rtp(Sent(seq, 160 * seq, START_NS), 1) for seq in range(20)]
    payloads = [*packets, bytes.fromhex("000100002112a442") + bytes(12)]  # STUN
    memory, frames = frames_of([ethernet(ipv4(udp(payload))) for payload in payloads], [START_NS] * len(payloads))
    pipeline.rtp.take(memory, frames, waiting=False)
    first, second = (by_node(pipeline.load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE] for _ in range(2))
    names = ("rtp_packets", "rtp_streams", "frames_refused")
    assert [(20, 1, 1), (0, 1, 0)] == [tuple(row[name] for name in names) for row in (first, second)]


def test_the_collector_says_what_it_captures_from_and_whether_it_may() -> None:
    load = fed([])
    load.wire = WireSetup(("eth0", "eth1"), may_capture=False)
    row = by_node(load.take(START_NS, shed=0, unmatched=0))[COLLECTOR_NODE]
    assert ("eth0, eth1", False) == (row["interfaces"], row["may_capture"])


def test_names_of_interfaces_are_bounded() -> None:
    names = WireSetup(tuple(f"eth{i}" for i in range(100))).names()
    assert names.endswith("eth15 and 84 more")
