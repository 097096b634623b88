"""RTCP of a call as a relay mirrors it, from loss that is true packet by packet.

Each direction has a Gilbert loss process: runs of received and of lost packets with geometric lengths, so one
report interval costs a few draws, not one per packet, and yet every count is that of real packets. Reports say
what RFC 3550 section 6.4 and its appendices A.3 and A.8 make of them; LSR and DLSR fit the delays of the paths.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from math import hypot
from random import Random

from collectors.facts import Payload, ReceptionReport, SenderInfo
from collectors.wire.rtcp_json import encode_rtpengine_json
from surgecast.simulator.calls import Party, PlannedCall
from surgecast.simulator.incidents import Impairment, IncidentPlan, Place
from surgecast.simulator.loss import LossProcess, Stream
from surgecast.simulator.media_rtp import PACKET_NS, Met, PacketStream, Sending
from surgecast.simulator.messages import CLOCK_RATE_HZ, PAYLOAD_TYPES, Agent, Sighting
from surgecast.simulator.network import Network
from surgecast.simulator.truth import RtpTruth, StreamTruth, Truth
from telephony.model import Direction, Endpoint

PAYLOAD_BYTES = {"PCMA": 160, "PCMU": 160, "G722": 160, "G729": 20, "OPUS": 62, "ILBC": 38}
_REPORT_INTERVAL_S = 5.0
_NTP_EPOCH_S = 2_208_988_800
_SECOND_NS = 1_000_000_000
_MS = 1_000_000


@dataclass(slots=True)
class _Side:
    """One party as a sender and receiver of RTP and RTCP."""

    party: Party
    relay: Endpoint
    sends_rtp: bool
    paused: tuple[int, int] | None
    clock_offset_ns: int
    first_timestamp: int
    next_ns: int
    """When it sends its next report."""
    heard: list[tuple[int, int]] = field(default_factory=list)
    """(when it arrives here, middle of its NTP stamp) of the other side's last sender reports."""


class MediaSession:
    """The media of one answered call."""

    def __init__(self, call: PlannedCall, plan: IncidentPlan) -> None:
        self._call = call
        self._plan = plan
        self._rng = Random(call.nonce)
        self._clock_rate = CLOCK_RATE_HZ[call.codec]
        self._agent = Agent(call.relay.node_id, "", "")
        self._sides = tuple(self._side(name) for name in ("caller", "callee"))
        directions = (Direction.TO_CALLEE, Direction.TO_CALLER)
        self._streams = tuple(self._stream(n, direction) for n, direction in enumerate(directions))
        """What the caller sends, what the callee sends."""

    @property
    def packet_streams(self) -> tuple[PacketStream, ...]:
        """The directions whose RTP is to be sent."""
        return tuple(
            stream
            for stream, side in zip(self._streams, self._sides, strict=True)
            if isinstance(stream, PacketStream) and side.sends_rtp
        )

    @property
    def streams(self) -> tuple[StreamTruth, ...]:
        """The truth of each direction that was ever reported on."""
        return tuple(s.truth for s in self._streams if s.truth.reports)

    def reports(self) -> Iterator[Sighting]:
        """Yield the RTCP that the relay mirrors, in order of capture, until the call ends."""
        while True:
            captured = [side.next_ns + self._delay_ns(side, side.next_ns) for side in self._sides]
            n = 0 if captured[0] <= captured[1] else 1
            if captured[n] >= self._call.end_ns:
                return
            side = self._sides[n]
            sent_ns = side.next_ns
            side.next_ns += round(_REPORT_INTERVAL_S * self._rng.uniform(0.85, 1.15) * 1e6) * 1000
            if not side.party.sends_rtcp:
                side.next_ns = self._call.end_ns
                continue
            sender = self._sender_info(n, sent_ns, captured[n])
            report = self._reception(n, sent_ns)
            payload = encode_rtpengine_json(
                side.party.ssrc,
                sender,
                () if report is None else (report,),
                f"{side.party.user}@{side.party.media.ip}",
            )
            yield Sighting(
                captured[n],
                self._agent,
                side.party.rtcp,
                side.relay,
                Payload.RTCP_JSON,
                payload,
                self._call.call_id,
            )

    def _side(self, name: str) -> _Side:
        call, rng = self._call, self._rng
        is_caller = name == "caller"
        relay = call.relay_to_caller if is_caller else call.relay_to_callee
        return _Side(
            party=call.caller if is_caller else call.callee,
            relay=Endpoint(relay.ip, relay.port + 1),
            sends_rtp=call.silent != name,
            paused=call.hold if is_caller else None,
            clock_offset_ns=round(rng.gauss(0, 20) * _MS),
            first_timestamp=rng.getrandbits(32),
            next_ns=call.final_ns + round(rng.uniform(1.5, 4.5) * 1e6) * 1000,
        )

    def _stream(self, n: int, direction: Direction) -> Stream:
        """Return the stream that side `n` sends."""
        call, side = self._call, self._sides[n]
        loss, truth = LossProcess(self._rng), StreamTruth(direction, side.party.ssrc)
        first_seq = self._rng.getrandbits(15)
        if not call.rtp_sent:
            return Stream(loss, truth, first_seq)
        src, dst = (
            (call.relay_to_callee, call.callee.media) if n == 0 else (call.relay_to_caller, call.caller.media)
        )
        sending = Sending(
            sent_at=partial(self._sent_at, side),
            first_ns=call.final_ns,
            first_timestamp=side.first_timestamp,
            clock_rate_hz=self._clock_rate,
            payload_type=PAYLOAD_TYPES[call.codec],
            payload=bytes(PAYLOAD_BYTES[call.codec]),
            end_ns=call.end_ns,
        )
        rtp = RtpTruth(direction, side.party.ssrc, src, dst)
        return PacketStream(loss, truth, first_seq, rtp, sending, self._meets)

    def _meets(self, at_ns: int) -> Met:
        return Met(self._path(at_ns), sum(self._delay_ns(side, at_ns) for side in self._sides))

    def _sender_info(self, n: int, sent_ns: int, captured_ns: int) -> SenderInfo | None:
        """Return what side `n` says of its own stream at `sent_ns`; the relay sees it at `captured_ns`."""
        side, other = self._sides[n], self._sides[1 - n]
        if not side.sends_rtp:
            return None
        seconds, rest = divmod(sent_ns + side.clock_offset_ns, _SECOND_NS)
        ntp = ((seconds + _NTP_EPOCH_S) << 32) | ((rest << 32) // _SECOND_NS)
        ticks = (sent_ns - self._call.final_ns) * self._clock_rate // _SECOND_NS
        packets = self._sent(side, sent_ns)
        octets = packets * PAYLOAD_BYTES[self._call.codec]
        arrives_ns = captured_ns + self._delay_ns(other, captured_ns)
        other.heard = [*other.heard[-1:], (arrives_ns, ntp >> 16 & 0xFFFFFFFF)]
        return SenderInfo(side.party.ssrc, ntp, (side.first_timestamp + ticks) & 0xFFFFFFFF, packets, octets)

    def _reception(self, n: int, sent_ns: int) -> ReceptionReport | None:
        """Return what side `n` says at `sent_ns` of what it receives; None where nothing ever came."""
        side, other = self._sides[n], self._sides[1 - n]
        if not other.sends_rtp:
            return None
        stream = self._streams[1 - n]
        path = self._path(sent_ns)
        near_ns = self._delay_ns(side, sent_ns)
        way_ns = near_ns + self._delay_ns(other, sent_ns)
        stream.advance(self._sent(other, sent_ns - way_ns), path)
        jitter_ms = stream.jitter_ms(path, self._rng)
        jitter_ticks = round(jitter_ms * self._clock_rate / 1000)
        lsr, dlsr = self._last_sr(side, sent_ns)
        report = stream.report(side.party.ssrc, jitter_ticks, lsr, dlsr)
        if report is not None:
            truth = stream.truth
            reported_ms = jitter_ticks * 1000 / self._clock_rate
            truth.jitter_ms_sum += reported_ms
            truth.jitter_ms_max = max(truth.jitter_ms_max, reported_ms)
            if lsr:
                truth.rtt_reports += 1
                truth.rtt_ms_sum += 2 * way_ns / _MS
                truth.relay_rtt_ms_sum += 2 * near_ns / _MS
        return report

    def _sent(self, side: _Side, until_ns: int) -> int:
        """Return how many packets a side has sent by then; being held, it pauses."""
        start_ns = self._call.final_ns
        active_ns = max(until_ns - start_ns, 0)
        if side.paused is not None:
            active_ns -= max(min(until_ns, side.paused[1]) - side.paused[0], 0)
        return active_ns // PACKET_NS

    def _sent_at(self, side: _Side, n: int) -> int:
        """Return when a side sends its n-th packet, from 0: the inverse of `_sent`."""
        sent_ns = self._call.final_ns + (n + 1) * PACKET_NS
        if side.paused is not None and sent_ns > side.paused[0]:
            sent_ns += side.paused[1] - side.paused[0]
        return sent_ns

    @staticmethod
    def _last_sr(side: _Side, sent_ns: int) -> tuple[int, int]:
        for arrived_ns, ntp_middle in reversed(side.heard):
            if arrived_ns <= sent_ns:
                return ntp_middle, ((sent_ns - arrived_ns) << 16) // _SECOND_NS
        return 0, 0

    def _delay_ns(self, side: _Side, at_ns: int) -> int:
        """Return the one-way delay between a side and the relay."""
        extra = self._plan.impairment(at_ns, (side.party.place,))
        common = self._plan.impairment(at_ns, self._relay_places)
        return round((side.party.path.delay_ms + extra.delay_ms + common.delay_ms / 2) * 1000) * 1000

    def _path(self, at_ns: int) -> Impairment:
        """Return what a packet from one side to the other meets now."""
        caller, callee = (side.party.path for side in self._sides)
        base = Impairment(
            1 - (1 - caller.loss_ratio) * (1 - callee.loss_ratio),
            max(caller.burst_packets, callee.burst_packets),
            hypot(caller.jitter_ms, callee.jitter_ms),
        )
        places = (*self._relay_places, *(side.party.place for side in self._sides))
        return base.plus(self._plan.impairment(at_ns, places))

    @property
    def _relay_places(self) -> tuple[tuple[Place, str], ...]:
        return (Place.REGION, self._call.relay.region), (Place.RELAY, self._call.relay.name)


def stray_reports(network: Network, start_ns: int, seed: int, truth: Truth) -> Iterator[Sighting]:
    """Yield, without end, RTCP that belongs to no call: no Call-ID beside it and an address that is in no SDP."""
    rng = Random(seed)
    at_ns = start_ns
    while True:
        relay = rng.choice(network.relays)
        src = Endpoint(f"203.0.113.{rng.randint(251, 254)}", 2 * rng.randint(10_000, 30_000) + 1)
        dst = Endpoint(relay.ip, 2 * rng.randint(30_000, 32_000) + 1)
        ssrc, seq, sent = rng.getrandbits(32), rng.getrandbits(15), 0
        for _ in range(rng.randint(2, 8)):
            at_ns += round(rng.uniform(4.0, 7.0) * 1e6) * 1000
            sent += 250
            report = ReceptionReport(ssrc, ssrc ^ 1, 0, 0, seq + sent, False, rng.randint(5, 60), 0, 0)
            payload = encode_rtpengine_json(ssrc, None, (report,), f"unknown@{src.ip}")
            yield Sighting(at_ns, Agent(relay.node_id, "", ""), src, dst, Payload.RTCP_JSON, payload)
            truth.stray_reports += 1
