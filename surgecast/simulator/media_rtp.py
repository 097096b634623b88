"""RTP of a call as its receivers get it: real packets, whose fate is the one that the call's RTCP reports tell.

The packets are those of the last stretch, from the relay to each party: what was lost on the way is not sent, so
that a tap on the interface counts what the party's reception reports count. Addresses of such calls are on the
loopback. No clock is read and no socket opened here.

What is asked for too late is withheld: sent then, in a burst, it would be jitter that the simulated network never
had. Sequence numbers go on without it and the RTP clock runs, so that it is a pause of the speaker.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from surgecast.simulator.calls import Party, PlannedCall, Ports
from surgecast.simulator.incidents import Impairment
from surgecast.simulator.loss import LossProcess, Stream
from surgecast.simulator.truth import RtpTruth, StreamTruth
from telephony.jitter import JitterEstimator
from telephony.model import Endpoint

PACKET_NS = 20_000_000
"""ptime 20 ms."""
PORTS = (40_000, 49_998)
"""First and last port of RTP that is really sent; RTCP is one above."""
CALLER_IP, CALLEE_IP, RELAY_IP = "127.0.0.31", "127.0.0.32", "127.0.0.33"

_HEADER = struct.Struct("!BBHII")
_VERSION, _MARKER = 0x80, 0x80
_SECOND_NS = 1_000_000_000
_MS = 1_000_000
_GAP_NS = 50_000
"""Packets that keep their order are at least this far apart."""
_J_OF_SIGMA = 1.128
"""RFC 3550's J of independent normal delays over their deviation: the mean of |D| is 2 / sqrt(pi) of it."""
_DUPLICATE_RATIO = 0.0005
_FAIR_NS = 200 * _MS
"""How long what a path does is taken to stay the same."""
_MUCH_WITHHELD = 25
"""Of each stream at once: half a second."""
_RELIEF_NS = 60 * _SECOND_NS
"""Where so much had to be withheld, no further call sends RTP for this long: less to do is what helps."""
_SPURTS_KEPT = 4
"""Packets are overtaken by three at most."""


class RtpPacket(NamedTuple):
    """A packet on the wire, and when."""

    due_ns: int
    src: Endpoint
    dst: Endpoint
    data: bytes


class Met(NamedTuple):
    """What a packet meets on its way."""

    path: Impairment
    way_ns: int
    """One-way delay, without jitter."""


class Sending(NamedTuple):
    """How a party sends its stream."""

    sent_at: Callable[[int], int]
    """When it sends its n-th packet."""
    first_ns: int
    """When its RTP timestamp was `first_timestamp`."""
    first_timestamp: int
    clock_rate_hz: int
    payload_type: int
    payload: bytes
    end_ns: int
    """Nothing is sent any more."""


@dataclass(slots=True)
class _Spurt:
    """Packets between two pauses that nobody made but a busy machine."""

    first: int
    shift: int
    """By so much its sequence numbers are behind: what was withheld before has none."""
    last: int = -1
    over: bool = False


class PacketStream(Stream):
    """One direction of a call whose packets are sent: each one's fate is drawn when it leaves, reports count them.

    Reports may be told ahead of the packets, which wait here until they are due (a report's interval at most).
    """

    __slots__ = (
        "_due", "_fair_until_ns", "_jitter", "_last_ns", "_meets", "_met", "_newest", "_rng", "_sending",
        "_spurts", "rtp",
    )  # fmt: skip

    def __init__(
        self,
        loss: LossProcess,
        truth: StreamTruth,
        first_seq: int,
        rtp: RtpTruth,
        sending: Sending,
        meets: Callable[[int], Met],
    ) -> None:
        super().__init__(loss, truth, first_seq)
        self.rtp = rtp
        self._sending = sending
        self._meets = meets
        self._met = Met(Impairment(), 0)
        self._fair_until_ns = 0
        self._rng = Random(truth.ssrc)
        self._jitter = JitterEstimator(sending.clock_rate_hz)
        self._due: list[tuple[int, int, bool]] = []
        self._last_ns = 0
        self._newest = -1
        """Highest packet that was due, sent or not."""
        self._spurts = deque([_Spurt(0, 0)], maxlen=_SPURTS_KEPT)

    def advance(self, sent: int, path: Impairment) -> None:
        """Let the stream send until `sent` packets have left; each meets the path of its own moment."""
        while self.sent < sent:
            self._send()

    def jitter_ms(self, path: Impairment, rng: Random) -> float:
        """Return J of the packets that left so far, in their order of leaving."""
        return self._jitter.ms

    def due(self, until_ns: int, since_ns: int = 0) -> Iterator[RtpPacket]:
        """Yield the packets that reach the receiver until then, and count them into the truth.

        Those that should have reached it before `since_ns` are withheld, but for what was overtaken on its way.
        """
        until_ns = min(until_ns, self._sending.end_ns - 1)
        while self._sending.sent_at(self.sent) <= until_ns:
            self._send()
        while self._due and self._due[0][0] <= until_ns:
            due_ns, n, again = heappop(self._due)
            spurt = self._spurt_of(n, late=due_ns < since_ns)
            if spurt is None:
                self.rtp.withheld += not again
                continue
            data = self._packet(n, spurt)
            self._count(n - spurt.shift, due_ns, len(data), again=again)
            yield RtpPacket(due_ns, self.rtp.src, self.rtp.dst, data)

    def over(self, at_ns: int) -> bool:
        """Tell whether nothing comes after this moment."""
        return at_ns >= self._sending.end_ns

    def _send(self) -> None:
        n, rng = self.sent, self._rng
        sent_ns = self._sending.sent_at(n)
        if sent_ns >= self._fair_until_ns:
            self._met, self._fair_until_ns = self._meets(sent_ns), sent_ns + _FAIR_NS
        path = self._met.path
        super().advance(n + 1, path)
        if self.loss.run:
            return
        sigma_ns = path.jitter_ms * _MS / _J_OF_SIGMA
        due_ns = sent_ns + self._met.way_ns + round(max(rng.gauss(2.0, 1.0), 0.0) * sigma_ns)
        # The first two packets make the stream known (RFC 3550 A.1): nothing overtakes them.
        if n > 1 and rng.random() < min(path.jitter_ms / 4000, 0.01):
            due_ns += rng.randint(PACKET_NS, 5 * PACKET_NS // 2)
        else:
            due_ns = self._last_ns = max(due_ns, self._last_ns + _GAP_NS)
        self._jitter.add(self._timestamp(n), due_ns)
        heappush(self._due, (due_ns, n, False))
        if rng.random() < _DUPLICATE_RATIO:
            heappush(self._due, (due_ns + rng.randint(_GAP_NS, 2 * _MS), n, True))

    def _timestamp(self, n: int) -> int:
        sending = self._sending
        ticks = (sending.sent_at(n) - sending.first_ns) * sending.clock_rate_hz // _SECOND_NS
        return (sending.first_timestamp + ticks) & 0xFFFF_FFFF

    def _spurt_of(self, n: int, *, late: bool) -> "_Spurt | None":
        """Return what the n-th packet is sent in; None where it is withheld."""
        newest = self._spurts[-1]
        if n <= self._newest:  # overtaken, or once more
            return next((spurt for spurt in self._spurts if spurt.first <= n <= spurt.last), None)
        if late:
            newest.over = True
        elif newest.over:
            newest = _Spurt(n, n - self.rtp.highest - 1)
            self._spurts.append(newest)
        self._newest = n
        if late:
            return None
        newest.last = n
        return newest

    def _packet(self, n: int, of: "_Spurt") -> bytes:
        sending = self._sending
        spurt = n == of.first or sending.sent_at(n) - sending.sent_at(n - 1) > PACKET_NS
        head = _HEADER.pack(
            _VERSION,
            sending.payload_type | (_MARKER if spurt else 0),
            (self.first_seq + n - of.shift) & 0xFFFF,
            self._timestamp(n),
            self.truth.ssrc,
        )
        return head + sending.payload

    def _count(self, n: int, due_ns: int, octets: int, *, again: bool) -> None:
        truth = self.rtp
        truth.packets += 1
        truth.octets += octets
        truth.first_ns = truth.first_ns or due_ns
        truth.last_ns = due_ns
        if again:
            truth.duplicates += 1
        elif n > truth.highest:
            truth.highest = n
        else:
            truth.reordered += 1


class RtpCalls:
    """The calls whose RTP is really sent: at most `limit` at a time, begun after `from_ns`."""

    def __init__(self, limit: int, from_ns: int) -> None:
        self._limit = limit
        self._from_ns = from_ns
        self._ports = Ports(*PORTS)
        self._claimed: dict[str, int] = {}
        """Until when, by Call-ID."""
        self._streams: list[PacketStream] = []
        self.withheld = 0
        """Packets that were asked for too late."""

    def claim(self, call: PlannedCall) -> PlannedCall:
        """Return the call with media on the loopback where there is room for one more, else as it is."""
        if not call.answered or call.invite_ns < self._from_ns:
            return call
        self._claimed = {known: end_ns for known, end_ns in self._claimed.items() if end_ns > call.invite_ns}
        if len(self._claimed) >= self._limit:
            return call
        self._claimed[call.call_id] = call.end_ns
        return replace(
            call,
            rtp_sent=True,
            caller=self._moved(call.caller, CALLER_IP),
            callee=self._moved(call.callee, CALLEE_IP),
            relay_to_caller=self._ports.take(RELAY_IP),
            relay_to_callee=self._ports.take(RELAY_IP),
        )

    def begin(self, streams: tuple[PacketStream, ...]) -> None:
        """Take the streams of a claimed call."""
        self._streams.extend(streams)

    def packets(self, until_ns: int, since_ns: int) -> Iterator[RtpPacket]:
        """Yield what reaches the receivers until then, stream by stream; what should have before is withheld."""
        before = self.withheld
        for stream in self._streams:
            withheld = stream.rtp.withheld
            yield from stream.due(until_ns, since_ns)
            self.withheld += stream.rtp.withheld - withheld
        if self.withheld - before > _MUCH_WITHHELD * len(self._streams):
            self._from_ns = until_ns + _RELIEF_NS
        if any(stream.over(until_ns) for stream in self._streams):
            self._streams = [stream for stream in self._streams if not stream.over(until_ns)]

    def _moved(self, party: Party, ip: str) -> Party:
        media = self._ports.take(ip)
        behind_nat = party.rtcp.ip != party.media.ip
        return replace(party, media=media, rtcp=party.rtcp if behind_nat else Endpoint(ip, media.port + 1))
