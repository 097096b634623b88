"""What senders say of themselves in sender reports: packets sent, and when a report passed.

Receiver reports need it thrice: the packets sent before the first of them, the time an SR passed by (half of a
round trip), and whether a party that sends media ever says what it receives. It does not know receivers.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from collectors.facts import RtcpMessage, SenderInfo
from collectors.tracking.report_intervals import IntervalBook, SenderKey
from telephony.model import Endpoint

RING = 10
"""Sender reports remembered for each sender (rtpengine keeps as many)."""

NOMINAL_PACKETS_PER_S = 50
"""20 ms packets, for short stretches where no rate is known yet."""

MAX_PACKETS_PER_S = 500
"""Ten times the usual; more than that is no voice stream's count."""
SLACK_PACKETS = 500
"""A burst beyond the rate that a count may hold: counters are read earlier than they are sent."""

MAX_FIRST_PACKETS = 1_500
"""30 s of 20 ms packets: a first report of more than that joined a stream in the middle of its life."""

_S_NS = 1_000_000_000


class SenderReport(NamedTuple):
    """An SR that passed by."""

    ntp_middle: int
    """Middle 32 bits of its NTP time, as LSR repeats them."""
    at_ns: int
    packets: int


@dataclass(frozen=True, slots=True)
class SenderActivity:
    """What a sender has said so far."""

    call_id: str
    src: Endpoint
    dst: Endpoint
    ssrc: int
    packets: int
    octets: int
    reports: int
    """Sender reports seen."""
    reports_with_blocks: int
    """Those that said what the sender receives; 0 all along is why there is no receiver's view of the other
    direction (no RTCP statistics in that endpoint, or nothing arrives there: one-way audio)."""
    first_ns: int
    last_ns: int


class _Sender:
    __slots__ = (
        "call_id",
        "dst",
        "first_ns",
        "last_ns",
        "octets",
        "packets",
        "reports",
        "reports_with_blocks",
        "ring",
        "src",
    )

    def __init__(self, message: RtcpMessage) -> None:
        self.call_id = message.call_id
        self.src = message.src
        self.dst = message.dst
        self.first_ns = self.last_ns = message.at_ns
        self.packets = self.octets = 0
        self.reports = self.reports_with_blocks = 0
        self.ring: list[SenderReport] = []

    def remember(self, report: SenderReport) -> None:
        if len(self.ring) >= RING:
            del self.ring[0]
        self.ring.append(report)


class Senders:
    """Senders by call and SSRC, or by address and SSRC where the call is not known; bounded."""

    def __init__(self, book: IntervalBook, max_senders: int) -> None:
        self._book = book
        self._limit = max_senders
        self._senders: OrderedDict[SenderKey, _Sender] = OrderedDict()
        self._of_call: dict[str, dict[SenderKey, None]] = {}
        self.evicted = 0
        self.implausible = 0
        """Packet counts that jumped further than any sender sends."""

    def __len__(self) -> int:
        return len(self._senders)

    def feed(self, message: RtcpMessage, info: SenderInfo, has_blocks: bool) -> None:
        """Take a sender report; a copy of the last one (a second tap, a relay's other side) changes nothing."""
        key = (message.call_id or message.src, info.ssrc)
        sender = self._at(key, message)
        now_ns = message.at_ns
        report = SenderReport(info.ntp >> 16 & 0xFFFF_FFFF, now_ns, info.packets)
        if sender.reports:
            last = sender.ring[-1]
            if last.ntp_middle == report.ntp_middle and last.packets == report.packets:
                return
            sent = info.packets - last.packets
            elapsed_ns = now_ns - last.at_ns
            if elapsed_ns <= 0:
                return
            limit = elapsed_ns * MAX_PACKETS_PER_S // _S_NS + SLACK_PACKETS
            if 0 < sent <= limit:
                self._book.count_sent(key, (last.at_ns, now_ns), sent)
            elif sent > limit:
                self.implausible += 1
        elif 0 < info.packets <= MAX_FIRST_PACKETS:
            begin_ns = now_ns - info.packets * _S_NS // NOMINAL_PACKETS_PER_S
            self._book.count_sent(key, (begin_ns, now_ns), info.packets)
        sender.reports += 1
        sender.reports_with_blocks += has_blocks
        sender.packets, sender.octets, sender.last_ns = info.packets, info.octets, now_ns
        sender.remember(report)

    def reference(self, message: RtcpMessage, ssrc: int, ntp: int) -> None:
        """Take the reference time of one that sends no media (RFC 3611 section 4.4)."""
        sender = self._at((message.call_id or message.src, ssrc), message)
        sender.remember(SenderReport(ntp >> 16 & 0xFFFF_FFFF, message.at_ns, sender.packets))

    def _at(self, key: SenderKey, message: RtcpMessage) -> _Sender:
        sender = self._senders.get(key)
        if sender is None:
            if len(self._senders) >= self._limit:
                self._forget(next(iter(self._senders)))
                self.evicted += 1
            sender = self._senders[key] = _Sender(message)
            if message.call_id:
                self._of_call.setdefault(message.call_id, {})[key] = None
        else:
            self._senders.move_to_end(key)
        return sender

    def _forget(self, key: SenderKey) -> None:
        sender = self._senders.pop(key)
        keys = self._of_call.get(sender.call_id)
        if keys is not None:
            del keys[key]
            if not keys:
                del self._of_call[sender.call_id]

    def passed_at(self, key: SenderKey, lsr: int) -> int | None:
        """Return when the SR that an LSR speaks of passed by."""
        sender = self._senders.get(key)
        if sender is not None:
            for report in reversed(sender.ring):
                if report.ntp_middle == lsr:
                    return report.at_ns
        return None

    def nearest(self, key: SenderKey, at_ns: int) -> SenderReport | None:
        """Return the SR that passed nearest to a time."""
        sender = self._senders.get(key)
        if sender is None or not sender.reports:
            return None
        return min(sender.ring, key=lambda report: abs(report.at_ns - at_ns))

    def activity(self, call_id: str) -> list[SenderActivity]:
        """Return what the senders of a call have said."""
        return [self._activity(key) for key in self._of_call.get(call_id, ()) if self._senders[key].reports]

    def all_activity(self) -> Iterator[SenderActivity]:
        """Yield what each sender has said."""
        return (self._activity(key) for key, sender in self._senders.items() if sender.reports)

    def _activity(self, key: SenderKey) -> SenderActivity:
        sender = self._senders[key]
        return SenderActivity(
            call_id=sender.call_id,
            src=sender.src,
            dst=sender.dst,
            ssrc=key[1],
            packets=sender.packets,
            octets=sender.octets,
            reports=sender.reports,
            reports_with_blocks=sender.reports_with_blocks,
            first_ns=sender.first_ns,
            last_ns=sender.last_ns,
        )

    def expire(self, before_ns: int, now_ns: int) -> None:
        """Forget those not heard since `before_ns`."""
        idle = []
        for key, sender in self._senders.items():  # longest silent first, but for clocks that are ahead
            if sender.last_ns < before_ns:
                idle.append(key)
            elif sender.last_ns <= now_ns:
                break
        for key in idle:
            self._forget(key)
