"""What really happened in a simulated run, kept beside what was sent, for tests and for the curious.

Truth is written only from plans and from the loss processes themselves, never from messages, so that comparing
it with what the collector measured is a test and not a tautology.
"""

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from surgecast.simulator.calls import PlannedCall
from telephony.model import MINUTE_NS, Direction, Endpoint, Labels, Outcome, RegistrationOutcome, ReleasedBy


@dataclass(slots=True)
class StreamTruth:
    """One direction of a call's media, as the reports that were sent tell it together.

    `expected`, `received` and `lost` run from the first packet received to the last report (RFC 3550 A.3), so
    expected = received + lost; the `first_*` are what the first report already covered.
    """

    direction: Direction
    ssrc: int
    """Of the stream that is reported on."""
    reports: int = 0
    expected: int = 0
    received: int = 0
    lost: int = 0
    first_expected: int = 0
    first_lost: int = 0
    jitter_ms_sum: float = 0.0
    """Over the reports."""
    jitter_ms_max: float = 0.0
    rtt_ms_sum: float = 0.0
    """Between the two ends, over the reports that carry an LSR."""
    relay_rtt_ms_sum: float = 0.0
    """Of it, between the relay and the end that reports."""
    rtt_reports: int = 0


@dataclass(slots=True)
class RtpTruth:
    """One direction of a call's RTP as it was put on the wire, from its first packet to its last."""

    direction: Direction
    ssrc: int
    src: Endpoint
    dst: Endpoint
    packets: int = 0
    """Datagrams, duplicates among them."""
    octets: int = 0
    """RTP header and payload."""
    duplicates: int = 0
    reordered: int = 0
    """Packets that came after one that was sent later."""
    withheld: int = 0
    """Packets that never were, because they were asked for too late."""
    first_ns: int = 0
    last_ns: int = 0
    highest: int = -1
    """Highest packet that came, the first being 0."""

    @property
    def received(self) -> int:
        """Packets that came, each counted once."""
        return self.packets - self.duplicates

    @property
    def expected(self) -> int:
        """Packets from the first to the highest that came; what is lost after it, nobody can see."""
        return self.highest + 1

    @property
    def lost(self) -> int:
        """Packets missing among the expected."""
        return self.expected - self.received


@dataclass(frozen=True, slots=True)
class CallTruth:
    """One session attempt. Times are UTC ns of the hop nearest the caller."""

    labels: Labels
    call_id: str
    codec: str
    outcome: Outcome
    sip_code: int
    attempts: int
    started_ns: int
    final_ns: int
    ended_ns: int
    pdd_ms: float
    setup_ms: float | None
    duration_s: float | None
    """None for calls that were not answered or whose BYE nobody saw."""
    released_by: ReleasedBy | None
    one_way: bool
    vanished: bool
    forked: bool
    held: bool
    repeated: bool
    """The first INVITE or the 200 was sent twice."""
    streams: tuple[StreamTruth, ...] = ()
    rtp: tuple[RtpTruth, ...] = ()
    """Of the directions whose RTP was really sent."""

    @classmethod
    def of(
        cls, call: PlannedCall, streams: tuple[StreamTruth, ...] = (), rtp: tuple[RtpTruth, ...] = ()
    ) -> "CallTruth":
        """Return the truth of a planned call."""
        node = call.proxies[0]
        ended = call.answered and not call.vanished
        return cls(
            labels=Labels(call.tenant.name, call.seen_trunk, node.region, node.name),
            call_id=call.call_id,
            codec=call.codec,
            outcome=call.outcome,
            sip_code=call.sip_code,
            attempts=call.attempts,
            started_ns=call.invite_ns,
            final_ns=call.final_ns,
            ended_ns=call.end_ns,
            pdd_ms=((call.ring_ns or call.final_ns) - call.invite_ns) / 1e6,
            setup_ms=(call.final_ns - call.invite_ns) / 1e6 if call.answered else None,
            duration_s=(call.end_ns - call.final_ns) / 1e9 if ended else None,
            released_by=call.released_by,
            one_way=bool(call.silent),
            vanished=call.vanished,
            forked=call.forked_to is not None,
            held=call.hold is not None,
            repeated=call.invite_repeated or call.answer_repeated,
            streams=streams,
            rtp=rtp,
        )


@dataclass(slots=True)
class Truth:
    """Everything known of a run so far. `keep` bounds the finished calls and minutes that are remembered."""

    keep: int | None = None
    ended: deque[CallTruth] = field(init=False)
    """Finished calls, oldest first."""
    live: dict[str, PlannedCall] = field(default_factory=dict)
    """Calls whose script is not at its end."""
    finals: dict[tuple[int, Labels], Counter[Outcome]] = field(default_factory=dict)
    """Final outcomes by (minute, labels) of the final response."""
    registrations: Counter[RegistrationOutcome] = field(default_factory=Counter)
    auth_failures: int = 0
    heartbeats: int = 0
    heartbeats_answered: int = 0
    stray_reports: int = 0
    """RTCP from an address that is in no SDP, with no Call-ID beside it."""
    sightings: Counter[int] = field(default_factory=Counter)
    """Datagrams by capture agent."""

    def __post_init__(self) -> None:
        self.ended = deque(maxlen=self.keep)

    def started(self, call: PlannedCall) -> None:
        """Note that a call's script begins."""
        self.live[call.call_id] = call

    def final(self, call: PlannedCall) -> None:
        """Note that the caller saw the final response."""
        node = call.proxies[0]
        minute = call.final_ns - call.final_ns % MINUTE_NS
        key = (minute, Labels(call.tenant.name, call.seen_trunk, node.region, node.name))
        self.finals.setdefault(key, Counter())[call.outcome] += 1
        if self.keep is not None and len(self.finals) > self.keep:
            del self.finals[next(iter(self.finals))]

    def finished(
        self, call: PlannedCall, streams: tuple[StreamTruth, ...], rtp: tuple[RtpTruth, ...] = ()
    ) -> None:
        """Note that all of a call was told; what is still to come of its RTP goes on to be counted."""
        del self.live[call.call_id]
        self.ended.append(CallTruth.of(call, streams, rtp))

    def outcomes(self) -> Counter[Outcome]:
        """Return the number of session attempts by final outcome."""
        total: Counter[Outcome] = Counter()
        for counts in self.finals.values():
            total.update(counts)
        return total

    def concurrent(self, at_ns: int) -> int:
        """Return the answered calls up at a moment that is not after the end of the run."""
        live = sum(c.answered and c.final_ns <= at_ns < c.end_ns for c in self.live.values())
        return live + sum(c.outcome is Outcome.ANSWERED and c.final_ns <= at_ns < c.ended_ns for c in self.ended)

    def calls(self) -> Iterator[CallTruth]:
        """Yield every remembered call, finished ones first."""
        yield from self.ended
        yield from (CallTruth.of(call) for call in self.live.values())

    def dump(self, path: Path) -> None:
        """Write everything as one JSON object."""
        document = {
            "calls": [asdict(call) for call in self.ended],
            "live": [asdict(CallTruth.of(call)) for call in self.live.values()],
            "outcomes": dict(self.outcomes()),
            "registrations": dict(self.registrations),
            "auth_failures": self.auth_failures,
            "heartbeats": self.heartbeats,
            "heartbeats_answered": self.heartbeats_answered,
            "stray_reports": self.stray_reports,
            "sightings": dict(self.sightings),
        }
        path.write_text(json.dumps(document, indent=1))
