"""The `load_now` rows: what each tenant's calls are at, and what collecting itself took, refused and lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectors.capture.base import SourceStats
from collectors.kernels.frames import COUNTED
from collectors.tracking.agents import COUNTS, Agents
from collectors.tracking.calls import CallTable
from collectors.tracking.labels import Labeller
from collectors.tracking.rollups import MinuteTable, Row
from collectors.tracking.rtp import RtpTracker
from telephony.model import UNASSIGNED, UNKNOWN

_NAMED_INTERFACES = 16
COLLECTOR_NODE = "collector"
"""The node of the collector's own row, beside those of its agents."""
CAPTURE_POOL = "capture"
"""The pool under which agents and the collector stand."""


@dataclass(frozen=True, slots=True)
class WireSetup:
    """What a collector was told to capture from, and whether it may."""

    interfaces: tuple[str, ...] = ()
    may_capture: bool | None = None
    """Whether the process has CAP_NET_RAW; None where nobody has asked."""

    def names(self) -> str:
        """Return the interfaces in words, a bounded number of them."""
        beyond = len(self.interfaces) - _NAMED_INTERFACES
        return ", ".join(self.interfaces[:_NAMED_INTERFACES]) + (f" and {beyond} more" if beyond > 0 else "")


@dataclass(frozen=True, slots=True)
class StoreBacklog:
    """What the store has yet to take, and what it never will."""

    spool_rows: int = 0
    spool_oldest_ns: int | None = None
    rows_shed: int = 0
    """Since the start."""


class LoadRows:
    """Makes the rows; counts in them are since the previous ones."""

    def __init__(self, labeller: Labeller, calls: CallTable, agents: Agents, rtp: RtpTracker) -> None:
        self.capture_totals: Callable[[], SourceStats] = SourceStats
        """What the sources read, refused and lost since start; set by whoever runs them."""
        self.wire = WireSetup()
        """Set by whoever opens the interfaces."""
        self.backlog: Callable[[], StoreBacklog] = StoreBacklog
        """Asked of the writer; set by whoever opens it."""
        self._labeller = labeller
        self._calls = calls
        self._agents = agents
        self._rtp = rtp
        self._rtp_packets = 0
        self._frames_refused = 0
        self._captured = SourceStats()
        self._shed = 0
        self._unmatched = 0
        self._store_shed = 0

    def take(self, now_ns: int, *, shed: int, unmatched: int) -> list[Row]:
        """Return the rows of now; `shed` and `unmatched` are totals since start."""
        return [
            *(
                {"time": now_ns, "tenant": tenant, "pool": pool, "region": region, "node": node, **figures}
                for (tenant, pool, region, node), figures in self._calls.take_load().items()
            ),
            self._collector(now_ns, shed, unmatched),
            *(self._capture(now_ns, *place, figures) for place, figures in self._by_place().items()),
        ]

    def watch(self, minutes: MinuteTable, now_ns: int) -> None:
        """Give the running minute of `load_minute` a row for every agent that is alive, calls or not."""
        for node_id, agent in self._agents.by_id.items():
            if agent.alive(now_ns):
                node, region = self._labeller.node(node_id)
                minutes.row(now_ns, UNASSIGNED, CAPTURE_POOL, region, node)

    def _by_place(self) -> dict[tuple[str, str], dict[str, float]]:
        """Return the figures of agents by node and region: agents of one name share a point, so a row too."""
        places: dict[tuple[str, str], dict[str, float]] = {}
        for node_id, figures in self._agents.take():
            place = self._labeller.node(node_id)
            if (known := places.get(place)) is not None:
                figures |= {name: known[name] + figures[name] for name in COUNTS}
            places[place] = figures
        return places

    def _collector(self, now_ns: int, shed: int, unmatched: int) -> Row:
        before, now = self._captured, self.capture_totals()
        shed_before, unmatched_before = self._shed, self._unmatched
        self._captured, self._shed, self._unmatched = now, shed, unmatched
        return self._capture(
            now_ns,
            COLLECTOR_NODE,
            UNKNOWN,
            {
                "frames": now.frames - before.frames,
                "errors": now.errors.total() - before.errors.total(),
                "drops_kernel": _kernel_drops(now) - _kernel_drops(before),
                "drops_queue": now.connections_refused - before.connections_refused,
                "drops_table": shed - shed_before,
                "unmatched_reports": unmatched - unmatched_before,
                "agents_alive": self._agents.alive(now_ns),
                "drops_ring": now.ring_drops - before.ring_drops,
                "drops_softnet": now.softnet_drops - before.softnet_drops,
                "interfaces_down": now.interfaces_down,
                **self._wire(),
                **self._store(now_ns),
            },
        )

    def _wire(self) -> dict[str, object]:
        kinds = self._rtp.frames_by_kind()
        packets, refused = kinds["rtp"], sum(kinds[kind] for kind in COUNTED)
        packets_before, refused_before = self._rtp_packets, self._frames_refused
        self._rtp_packets, self._frames_refused = packets, refused
        return {
            "rtp_packets": packets - packets_before,
            "rtp_streams": len(self._rtp),
            "frames_refused": refused - refused_before,
            "interfaces": self.wire.names(),
            "may_capture": self.wire.may_capture,
        }

    def _store(self, now_ns: int) -> dict[str, object]:
        backlog = self.backlog()
        shed_before, self._store_shed = self._store_shed, backlog.rows_shed
        oldest_ns = backlog.spool_oldest_ns
        return {
            "spool_rows": backlog.spool_rows,
            "spool_age_s": 0.0 if oldest_ns is None else max(0.0, (now_ns - oldest_ns) / 1e9),
            "store_rows_shed": backlog.rows_shed - shed_before,
        }

    @staticmethod
    def _capture(now_ns: int, node: str, region: str, figures: Mapping[str, object]) -> Row:
        place: Row = {"tenant": UNASSIGNED, "pool": CAPTURE_POOL, "region": region, "node": node}
        return {"time": now_ns, **place, **figures}


def _kernel_drops(stats: SourceStats) -> int:
    """Return what was lost before we could read it: in receive buffers, rings and the backlogs of CPUs."""
    return stats.kernel_drops + stats.ring_drops + stats.softnet_drops
