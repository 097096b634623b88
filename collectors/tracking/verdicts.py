"""Why what looks like loss, jitter or silence in an RTP stream is not the network's.

A verdict names the reason beside the figure; `excused_of` says how much of the loss of an interval is kept out of
its rating for it. Nothing here changes a count.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from collectors.facts import CallAnswered, CallEnded, MediaDescription
from collectors.tracking.media import RETRANSMISSION
from telephony.model import INTERVAL_NS, Verdict

_S_NS = 1_000_000_000
SILENCE_US = 300_000
"""No voice packet for so long without loss: the sender was silent."""
_PTIME_CHANGE = 0.25
_DRIFT_AFTER_NS = 60 * _S_NS
_DRIFT_RATIO = 500e-6
"""Ten times what the worst crystals of telephones drift."""
_SPLICE_NS = 2 * _S_NS
_BACK = 5
"""Packets beyond the window that are more than those missing: the numbers went back by that little."""
_MAX_DESCRIPTIONS = 64
_MAX_CALLS = 200_000

EXCUSE_LOSS = frozenset({Verdict.SEQ_RESTART, Verdict.OWN_DROP, Verdict.T38, Verdict.RETRANSMISSION})
"""The loss counted in such an interval is not known to be the network's."""


class Seen(NamedTuple):
    """What the kernel counted of one stream in one interval."""

    start_ns: int
    first_ns: int
    """When the stream began."""
    last_ns: int
    timestamp: int
    tick_us: float
    unique: int
    lost: int
    duplicates: int
    dtmf: int
    comfort_noise: int
    restarts: int
    retimed: int
    type_changes: int
    spacing_max_us: int
    jitter_max_us: float
    too_late: int = 0
    """Packets counted as lost that came after all."""
    elsewhere: int = 0
    """Packets missing here that came under another SSRC."""
    recovered: int = 0
    """Lost packets whose voice later ones carried too (RFC 2198)."""
    codec: str = ""


@dataclass(slots=True)
class StreamMemo:
    """What is remembered of a stream from one interval to the next."""

    last_ns: int = 0
    timestamp: int = 0
    packets: int = 0
    """Of the clean intervals in a row that `drift` is measured over."""
    packet_ms: float = 0.0
    anchor_ns: int = 0
    anchor_timestamp: int = 0
    siblings: tuple[Verdict, ...] = ()
    """What other streams of the same addresses or SSRC say of it; said with its first interval."""
    drifts: bool = False


_KEEP_ENDED_NS = 60_000_000_000
"""How long what was said of a call is kept after its end."""


@dataclass(slots=True)
class _CallMedia:
    descriptions: list[tuple[int, bool, str, str, bool]] = field(default_factory=list)
    """When, by the caller, media, direction attribute, of a re-INVITE."""
    answered_ns: int = 0


class CallContext:
    """What the signalling of calls said of their media, when; bounded."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _CallMedia] = OrderedDict()
        self._ended: deque[tuple[int, str]] = deque()

    def feed(self, events: Iterable[object]) -> None:
        """Take dialog events; those that say nothing of media are left to others."""
        for event in events:
            if isinstance(event, MediaDescription):
                call = self._call(event.call_id)
                if len(call.descriptions) < _MAX_DESCRIPTIONS:
                    call.descriptions.append(
                        (event.at_ns, event.from_caller, event.media, event.sendrecv, event.is_reinvite)
                    )
            elif isinstance(event, CallAnswered):
                self._call(event.call.call_id).answered_ns = event.call.answered_ns
            elif isinstance(event, CallEnded):
                self._ended.append((event.call.ended_ns or event.call.last_seen_ns, event.call.call_id))
        self._forget()

    def _forget(self) -> None:
        """Let go of calls that ended a while before the newest that ended: their last intervals are judged."""
        while self._ended and self._ended[0][0] < self._ended[-1][0] - _KEEP_ENDED_NS:
            self._calls.pop(self._ended.popleft()[1], None)

    def _call(self, call_id: str) -> _CallMedia:
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = _CallMedia()
            if len(self._calls) > _MAX_CALLS:
                self._calls.popitem(last=False)
        return call

    def held(self, call_id: str, start_ns: int, end_ns: int) -> bool:
        """Tell whether a side was on hold at some time (RFC 3264 section 8.4)."""
        call = self._calls.get(call_id)
        if call is None:
            return False
        state = {True: "sendrecv", False: "sendrecv"}
        for at_ns, from_caller, media, sendrecv, _ in call.descriptions:
            if at_ns >= end_ns:
                break
            if media != "audio":
                continue
            if at_ns >= start_ns and state[from_caller] != "sendrecv":
                return True
            state[from_caller] = sendrecv
            if at_ns >= start_ns and sendrecv != "sendrecv":
                return True
        return any(value != "sendrecv" for value in state.values())

    def reinvited(self, call_id: str, start_ns: int, end_ns: int) -> bool:
        """Tell whether a re-INVITE changed the session."""
        call = self._calls.get(call_id)
        return call is not None and any(re and start_ns <= at < end_ns for at, _, _, _, re in call.descriptions)

    def faxes(self, call_id: str, start_ns: int, end_ns: int) -> bool:
        """Tell whether the session was T.38 at some time; a fax machine may hand the line back to voice."""
        call = self._calls.get(call_id)
        if call is None:
            return False
        fax = False
        for at_ns, _, media, _, _ in call.descriptions:
            if at_ns >= end_ns:
                break
            if fax and at_ns >= start_ns:
                return True
            fax = media == "image"
        return fax

    def answered_ns(self, call_id: str) -> int:
        """Return when the call was answered, 0 where it was not."""
        call = self._calls.get(call_id)
        return call.answered_ns if call is not None else 0


def verdicts_of(
    seen: Seen, memo: StreamMemo, call_id: str, context: CallContext, *, own_drops: int = 0
) -> tuple[Verdict, ...]:
    """Return what explains an interval, and bring the memo up to date."""
    end_ns = seen.start_ns + INTERVAL_NS
    found: dict[Verdict, None] = dict.fromkeys(memo.siblings)
    memo.siblings = ()
    reinvited = context.reinvited(call_id, seen.start_ns - _S_NS, end_ns)
    held = context.held(call_id, seen.start_ns, end_ns)
    if seen.dtmf:
        found[Verdict.DTMF] = None
    if seen.comfort_noise:
        found[Verdict.COMFORT_NOISE] = None
    if seen.duplicates >= 10 and seen.duplicates * 2 >= seen.unique:
        found[Verdict.DUPLICATE_CAPTURE] = None
    jumped = _jumped(seen, memo)
    if seen.restarts or jumped or seen.too_late > seen.lost + _BACK:
        found[Verdict.SEQ_RESTART] = None
    if reinvited and (seen.restarts or seen.type_changes or (seen.retimed and not held)):
        found[Verdict.REINVITE] = None
    # Between the packets of a digit nothing else is sent.
    silent = seen.spacing_max_us > SILENCE_US and not (seen.lost or seen.dtmf)
    if held:
        found[Verdict.HOLD] = None
    elif seen.retimed and _near(context.answered_ns(call_id), seen, end_ns):
        found[Verdict.EARLY_MEDIA_SPLICE] = None
    elif silent or (seen.retimed and not reinvited):
        found[Verdict.DTX] = None
    if context.faxes(call_id, seen.start_ns, end_ns):
        found[Verdict.T38] = None
    if seen.elsewhere:
        found[Verdict.SSRC_CHANGE] = None
    if 0 < seen.too_late <= seen.lost + _BACK:
        found[Verdict.LATE] = None
    if seen.recovered:
        found[Verdict.REDUNDANCY] = None
    if seen.codec == RETRANSMISSION:
        found[Verdict.RETRANSMISSION] = None
    if own_drops:
        found[Verdict.OWN_DROP] = None
    if not jumped and _packet_time_changed(seen, memo):
        found[Verdict.PTIME_CHANGE] = None
    if _drifts(seen, memo):
        found[Verdict.CLOCK_DRIFT] = None
    memo.last_ns, memo.timestamp = seen.last_ns, seen.timestamp
    return tuple(found)


def excused_of(seen: Seen, verdicts: tuple[Verdict, ...]) -> int:
    """Return how many of the packets that an interval lost are kept out of its rating.

    What came too late is no loss of the network's either, but nobody heard it: the rating takes it as discarded.
    """
    if EXCUSE_LOSS.intersection(verdicts):
        return seen.lost
    return min(seen.elsewhere + seen.recovered + seen.too_late, seen.lost)


def _near(answered_ns: int, seen: Seen, end_ns: int) -> bool:
    return (
        bool(answered_ns) and seen.first_ns < answered_ns and (seen.start_ns - _SPLICE_NS <= answered_ns < end_ns)
    )


def _elapsed_ns(seen: Seen, memo: StreamMemo) -> int:
    return seen.last_ns - (memo.last_ns or seen.first_ns)


def _jumped(seen: Seen, memo: StreamMemo) -> bool:
    """Tell whether more is missing than there was time to send: the sender skipped numbers."""
    packet_ms = memo.packet_ms or 20.0
    sent_ms = (seen.unique + seen.lost) * packet_ms
    return seen.lost >= 10 and sent_ms > 1.25 * _elapsed_ns(seen, memo) / 1e6 + 500.0 + 64 * packet_ms


def _is_clean(seen: Seen) -> bool:
    return not (seen.restarts or seen.retimed or seen.type_changes or seen.dtmf or seen.comfort_noise)


def _ticks(seen: Seen, since: int) -> int:
    return ((seen.timestamp - since + 2**31) & 0xFFFFFFFF) - 2**31


def _packet_time_changed(seen: Seen, memo: StreamMemo) -> bool:
    packets = seen.unique + seen.lost
    if not memo.last_ns or not _is_clean(seen) or packets < 50 or seen.spacing_max_us > SILENCE_US:
        return False
    packet_ms = _ticks(seen, memo.timestamp) * seen.tick_us / 1000 / packets
    if packet_ms <= 0:
        return False
    before, memo.packet_ms = memo.packet_ms, packet_ms
    return bool(before) and abs(packet_ms - before) > _PTIME_CHANGE * before


def _drifts(seen: Seen, memo: StreamMemo) -> bool:
    """Tell whether sender and capture disagree about how long a second is."""
    if not _is_clean(seen) or not seen.tick_us:
        memo.anchor_ns = 0
        return False
    if not memo.anchor_ns:
        memo.anchor_ns, memo.anchor_timestamp = seen.last_ns, seen.timestamp
        return False
    elapsed_us = (seen.last_ns - memo.anchor_ns) / 1000
    if elapsed_us * 1000 < _DRIFT_AFTER_NS:
        return False
    apart_us = abs(_ticks(seen, memo.anchor_timestamp) * seen.tick_us - elapsed_us)
    return apart_us > _DRIFT_RATIO * elapsed_us + 4 * seen.jitter_max_us
