"""Runs the simulated network through simulated time: a heap of scripts, each telling its next sighting.

No clock is read and no socket opened here. The engine starts warm: what was said in the minute or so before the
start (`warm.warm_from_ns`) comes out at once with capture times of then. Calls that are older, and were up there,
are told as if they had begun in its first seconds, so that a collector which just came up sees a network in full
swing without being sent hours of the past; when they end is not changed by it.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush, merge
from itertools import count
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from collectors.wire.hep import encode_hep3
from surgecast.simulator.arrivals import Arrivals
from surgecast.simulator.calls import CallPlanner, PlannedCall
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.incidents import IncidentPlan, live_incidents
from surgecast.simulator.media import MediaSession, stray_reports
from surgecast.simulator.media_rtp import RtpCalls, RtpPacket
from surgecast.simulator.messages import Sighting
from surgecast.simulator.network import Network
from surgecast.simulator.profile import generator
from surgecast.simulator.scripts import sip_script
from surgecast.simulator.signalling import heartbeat, registration
from surgecast.simulator.truth import Truth
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS

WARM_WINDOW_MINUTES = 120
"""How far back a call may have begun to be still up: the longest conversation there is."""
HEARTBEAT_S = 10
EXAMPLE_START_NS = 1_795_428_000_000_000_000
"""A Monday morning: 2026-11-23 10:00 UTC."""
REGISTRATIONS_PER_CALL_S = 1 / 125
_SECOND_NS = 1_000_000_000
_RETOLD_NS = 10 * _SECOND_NS
"""Within so long after its first moment, a warm start tells the calls that are older."""
_AT = itemgetter(0)

_Event = tuple[int, int, "Sighting | Callable[[], None]", "Iterator[_Step]"]
_Step = tuple[int, "Sighting | Callable[[], None]"]


class Datagram(NamedTuple):
    """One HEP datagram, when to send it and whose socket sends it."""

    send_ns: int
    node_id: int
    data: bytes


class Engine:
    """The simulated network from `start_ns` on."""

    def __init__(
        self,
        *,
        start_ns: int,
        calls: float,
        seed: int,
        network: Network = DEMO_NETWORK,
        plan: IncidentPlan | None = None,
        truth: Truth | None = None,
        rtp_calls: int = 0,
        history_end_ns: int = 0,
    ) -> None:
        """Begin warm at `start_ns`; `history_end_ns` is where a history of the same network, calls and seed ends.

        `calls` answered ones are up on average at that end, without one at the start.
        """
        self.network = network
        self.truth = truth if truth is not None else Truth()
        self._start_ns = start_ns
        self._warm_ns = warm_from_ns(start_ns, history_end_ns)
        self._seed = seed
        self._plan = plan if plan is not None else live_incidents(start_ns)
        self._arrivals = Arrivals(
            network, seed=seed, calls=calls, now_ns=history_end_ns or start_ns, plan=self._plan
        )
        self._registrations_per_minute = calls * REGISTRATIONS_PER_CALL_S * 60
        self._planner = CallPlanner(network, self._plan)
        self._rtp = RtpCalls(rtp_calls, start_ns)
        self._order = count()
        self._heap: list[_Event] = []
        strays = stray_reports(network, start_ns, seed, self.truth)
        for source in (self._calls(), self._signalling(), _steps(strays)):
            self._push(source)

    def sightings(self, until_ns: int) -> Iterator[tuple[int, Sighting]]:
        """Yield (when to send, sighting) up to a moment; may be called again with a later one."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            at_ns, _, step, source = heappop(heap)
            if isinstance(step, Sighting):
                self.truth.sightings[step.agent.node_id] += 1
                yield max(at_ns, self._start_ns), step
            else:
                step()
            self._push(source)

    def datagrams(self, until_ns: int) -> Iterator[Datagram]:
        """Yield HEP3 datagrams up to a moment, in order of sending."""
        for send_ns, sighting in self.sightings(until_ns):
            agent = sighting.agent
            data = encode_hep3(
                sighting.payload,
                src=sighting.src,
                dst=sighting.dst,
                captured_ns=sighting.at_ns,
                payload_type=sighting.kind,
                node_id=agent.node_id,
                node_name=agent.name,
                correlation_id=sighting.correlation_id,
                auth_key=agent.auth_key.encode(),
            )
            yield Datagram(send_ns, agent.node_id, data)

    def packets(self, until_ns: int, since_ns: int = 0) -> Iterator[RtpPacket]:
        """Yield the RTP up to a moment; ask for the sightings (or datagrams) up to it first.

        What was due before `since_ns` is too late to be sent as if it were of now: it is withheld, and counted.
        """
        return self._rtp.packets(until_ns, since_ns)

    @property
    def rtp_withheld(self) -> int:
        """RTP packets that were asked for too late."""
        return self._rtp.withheld

    def _push(self, source: Iterator[_Step]) -> None:
        step = next(source, None)
        if step is not None:
            heappush(self._heap, (step[0], next(self._order), step[1], source))

    def _start(self, source: Iterator[_Step]) -> Callable[[], None]:
        return lambda: self._push(source)

    def _calls(self) -> Iterator[_Step]:
        """Yield the beginning of each call: first those that are warm, then minute by minute."""
        first = self._start_ns // MINUTE_NS
        warm_ns = self._warm_ns
        old: list[tuple[int, PlannedCall]] = []
        spread = generator(self._seed, "warm", first)
        for minute in range(first - WARM_WINDOW_MINUTES, warm_ns // MINUTE_NS):
            for arrival in self._arrivals.minute(minute):
                call = self._still_up(arrival, warm_ns, spread)
                if call is not None:
                    old.append((call.invite_ns, call))
        recent = (
            (int(arrival["at_ns"]), self._planner.plan(arrival))
            for minute in range(warm_ns // MINUTE_NS, first + 1)
            for arrival in self._arrivals.minute(minute)
        )
        for at_ns, call in merge(sorted(old, key=_AT), recent, key=_AT):
            yield at_ns, self._start(self._call(call))
        minute = first + 1
        while True:
            for arrival in self._arrivals.minute(minute):
                call = self._planner.plan(arrival)
                yield call.invite_ns, self._start(self._call(call))
            minute += 1
            yield minute * MINUTE_NS, lambda: None  # keeps the next minute from being drawn before its time

    def _still_up(self, arrival: np.void, warm_ns: int, spread: np.random.Generator) -> PlannedCall | None:
        """Return an old call that is up at `warm_ns`, retold with what is left of it; None where it is over.

        One that ends sooner than it could be told is left out.
        """
        ends_ns = int(arrival["at_ns"]) + int(arrival["holding_s"] * 1e9)
        if ends_ns <= warm_ns:
            return None
        # Told at the first moment, it says how long its setup takes: most have to be answered by the start.
        told = self._planner.plan(arrival, at_ns=warm_ns)
        setup_ns = told.final_ns - told.invite_ns
        room_ns = max(min(self._start_ns - warm_ns - setup_ns, _RETOLD_NS), _SECOND_NS)
        at_ns = warm_ns + int(spread.integers(0, room_ns))
        if not told.answered or ends_ns <= at_ns:
            return None
        return self._planner.plan(arrival, at_ns=at_ns, holding_s=(ends_ns - at_ns) / 1e9)

    def _call(self, call: PlannedCall) -> Iterator[_Step]:
        """Yield all sightings of a call, SIP and RTCP together, and keep its truth."""
        call = self._rtp.claim(call)
        self.truth.started(call)
        media = MediaSession(call, self._plan) if call.answered else None
        rtp = media.packet_streams if media else ()
        self._rtp.begin(rtp)
        script = sip_script(call, self.network.hep_key)
        final_seen = False
        for sighting in merge(script, media.reports() if media else (), key=_AT):
            if not final_seen and sighting.at_ns > call.final_ns:
                self.truth.final(call)
                final_seen = True
            yield sighting.at_ns, sighting
        if not final_seen:
            self.truth.final(call)
        self.truth.finished(call, media.streams if media else (), tuple(stream.rtp for stream in rtp))

    def _signalling(self) -> Iterator[_Step]:
        """Yield the beginning of each registration and heartbeat, minute by minute."""
        network = self.network
        pairs = [(p, t) for p in network.proxies for t in network.trunks if p.region == t.region]
        devices = np.asarray([t.devices for t in network.tenants], dtype=np.float64)
        minute = self._warm_ns // MINUTE_NS
        while True:
            rng = generator(self._seed, "signalling", minute)
            starts: list[tuple[int, Iterator[Sighting]]] = []
            for _ in range(int(rng.poisson(self._registrations_per_minute))):
                tenant = network.tenants[int(rng.choice(devices.size, p=devices / devices.sum()))]
                at_ns = minute * MINUTE_NS + int(rng.integers(0, MINUTE_NS // 1000)) * 1000
                seed = int(rng.integers(0, 2**63))
                starts.append((at_ns, registration(network, tenant, at_ns, seed, self.truth)))
            for n, (proxy, trunk) in enumerate(pairs):
                for beat in range(60 // HEARTBEAT_S):
                    at_ns = minute * MINUTE_NS + beat * HEARTBEAT_S * _SECOND_NS + n * 311_000_000
                    seed = int(rng.integers(0, 2**63))
                    beats = heartbeat(network, proxy, trunk, at_ns, seed, self._plan, self.truth)
                    starts.append((at_ns, beats))
            for at_ns, script in sorted(starts, key=_AT):
                yield at_ns, self._start(_steps(script))
            minute += 1
            yield minute * MINUTE_NS, lambda: None


def _steps(script: Iterator[Sighting]) -> Iterator[_Step]:
    for sighting in script:
        yield sighting.at_ns, sighting


def simulate_to_datagrams(
    seconds: float,
    seed: int,
    calls: float,
    *,
    start_ns: int = EXAMPLE_START_NS,
    plan: IncidentPlan | None = None,
) -> tuple[Iterator[tuple[int, bytes]], Truth]:
    """Return (when to send, datagram) of a warm run in order, and the truth, which fills as they are taken.

    No socket and no clock: `send_ns` starts at `start_ns`, capture times from `warm_from_ns` on.
    """
    engine = Engine(start_ns=start_ns, calls=calls, seed=seed, plan=plan)
    until_ns = start_ns + int(seconds * _SECOND_NS)
    return ((d.send_ns, d.data) for d in engine.datagrams(until_ns)), engine.truth
