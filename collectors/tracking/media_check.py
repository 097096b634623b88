"""What is wrong with the media of a call that no figure of a stream shows.

A codec nobody agreed on, media to an address that nobody named, two senders at one address, an answered call
without media or without a word in either direction. Each is said only where what was seen suffices: NAT makes
relays send to addresses no SDP names (they latch on where packets come from), and a tap that does not see a call's
media cannot miss it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from collectors.tracking.generations import Generations
from collectors.tracking.media import NOT_AUDIO_CODECS, MediaSide
from collectors.tracking.senders import SenderActivity
from collectors.tracking.tracked_call import MediaPath, TrackedCall
from telephony.codecs import is_known, lookup, static_codec
from telephony.model import INTERVAL_NS, Endpoint, Labels, Observer, StreamInterval

MIN_PACKETS = 100
"""RTP packets that it takes to speak of media: two seconds of 20 ms packets."""
MIN_CALL_S = 5.0
"""Answered calls shorter than this may end before their media begins."""
SETTLED_NS = 2_000_000_000
"""How long after an SDP its change may still be under way (RFC 3264 section 8.3.1)."""
_OLD_NS = 2 * INTERVAL_NS
"""A path of media this old is judged while its call lives."""
_MIN_SILENT_REPORTS = 2
_WITHOUT_OF_WITH = 4
"""An address tells that our tap sees its media where at most one call in so many, and one, was without."""
_REMEMBERED = 100_000
_LIFETIME_NS = 3600 * 1_000_000_000


class MediaFinding(NamedTuple):
    """Something wrong with a call's media; `subject` is an address or a Call-ID."""

    at_ns: int
    kind: str
    subject: str
    text: str
    call_id: str
    labels: Labels


class MediaCheck:
    """Judges calls by their RTP; bounded."""

    def __init__(self) -> None:
        self._found: list[MediaFinding] = []
        self._heard: Generations[Endpoint, bool] = Generations(limit=_REMEMBERED, lifetime_ns=_LIFETIME_NS)
        """Addresses that RTP was seen to come from or go to."""
        self._evidence: Generations[tuple[str, bool], list[int]] = Generations(
            limit=_REMEMBERED, lifetime_ns=_LIFETIME_NS
        )
        """By announced address and side: ended calls with media, and without."""

    def take(self) -> list[MediaFinding]:
        """Return what was found since the last call."""
        found, self._found = self._found, []
        return found

    def add(self, interval: StreamInterval, call: TrackedCall | None) -> None:
        """Take an interval of RTP, and its call where it has one."""
        if interval.observer is not Observer.RTP:
            return
        self._heard.put(interval.src, True, interval.time_ns)
        self._heard.put(interval.dst, True, interval.time_ns)
        if call is None:
            return
        wrong = unnegotiated(call.sides, interval)
        if wrong:
            self._note(call, interval.last_ns, "wrong_codec", str(interval.dst), wrong)
        self._judge_paths(call, older_ns=_OLD_NS)

    def call_over(self, call: TrackedCall, activities: Sequence[SenderActivity]) -> None:
        """Judge an answered call at its end."""
        self._judge_paths(call, older_ns=0)
        if (call.duration_s or 0.0) < MIN_CALL_S or not _expects_audio(call.sides):
            return
        has_media = call.has_media or any(self._heard.get(side.rtp) for side in call.sides)
        if not has_media and any(self._sees(side) for side in call.sides):
            text = (
                "Answered, and not one RTP or RTCP packet came to or from "
                f"{_addresses(call.sides)}, whose media is seen here in other calls"
            )
            self._note(call, call.ended_ns, "no_media", call.sip.call_id, text)
        elif call.has_media and _nobody_speaks(call, activities):
            text = "Answered, but no voice packet flowed in either direction: " + (
                "RTP carried events or comfort noise only"
                if call.paths
                else "both parties report that they sent and received nothing"
            )
            self._note(call, call.ended_ns, "no_audio", call.sip.call_id, text)
        for side in call.sides:
            key = (side.rtp.ip, side.from_caller)
            counts = self._evidence.get(key) or [0, 0]
            counts[not has_media] += 1
            self._evidence.put(key, counts, call.ended_ns)

    def _sees(self, side: MediaSide) -> bool:
        counts = self._evidence.get((side.rtp.ip, side.from_caller))
        return counts is not None and counts[0] > 0 and counts[1] * _WITHOUT_OF_WITH <= counts[0]

    def _judge_paths(self, call: TrackedCall, older_ns: int) -> None:
        for src, dst, path in _suspects(call.paths, older_ns):
            kind, text = _wrong_path(call, src, dst, path)
            if text:
                path.told = True
                self._note(call, path.last_ns, kind, str(dst), text)

    def _note(self, call: TrackedCall, at_ns: int, kind: str, subject: str, text: str) -> None:
        self._found.append(MediaFinding(at_ns, kind, subject, text, call.sip.call_id, call.labels))


def unnegotiated(sides: Sequence[MediaSide], interval: StreamInterval) -> str:
    """Return in words that a stream's voice codec is none that the SDP answers agreed on; empty where it is one.

    A dynamic payload type means what its receiver's SDP says; senders that use the numbers of their own SDP
    instead (RFC 3264 section 5.1 wants the receiver's) are let pass. Nothing is said while an SDP may still be on
    its way into effect.
    """
    sent = interval.payload_type
    if sent is None or (interval.received or 0) < MIN_PACKETS:
        return ""
    audio = [side for side in sides if side.media == "audio"]
    agreed = {_canonical(c.name) for s in audio if s.is_answer for c in s.codecs.values()}
    if not agreed - NOT_AUDIO_CODECS or max(s.at_ns for s in audio) > interval.last_ns - SETTLED_NS:
        return ""
    receivers = [side for side in audio if side.rtp == interval.dst]
    meanings = [s.codecs[sent].name for s in receivers or audio if sent in s.codecs]
    if not meanings:
        meanings = [s.codecs[sent].name for s in audio if sent in s.codecs]
    if any(_canonical(name) in agreed for name in meanings):
        return ""
    fixed = static_codec(sent)
    name = meanings[0] if meanings else fixed.name if fixed is not None else "no codec that SDP names"
    return (
        f"RTP from {interval.src} to {interval.dst} has payload type {sent} ({name}); the SDP answer agreed on "
        f"{', '.join(sorted(agreed - NOT_AUDIO_CODECS))}"
    )


def _canonical(name: str) -> str:
    return lookup(name).name if is_known(name) else name.upper()


def _suspects(
    paths: dict[tuple[Endpoint, Endpoint], MediaPath], older_ns: int
) -> Iterator[tuple[Endpoint, Endpoint, MediaPath]]:
    for (src, dst), path in paths.items():
        if not path.told and path.packets >= MIN_PACKETS and path.last_ns - path.first_ns >= older_ns:
            yield src, dst, path


def _wrong_path(call: TrackedCall, src: Endpoint, dst: Endpoint, path: MediaPath) -> tuple[str, str]:
    """Return what is wrong with where media flows, in words; empty where nothing is."""
    announced = {side.rtp for side in call.sides}
    if (dst, src) in call.paths:
        return "", ""  # both ends send to where the other sends from: latched, or as announced
    signalling = {call.sip.src.ip, call.sip.dst.ip} - {address.ip for address in announced}
    if dst not in announced:
        if dst.ip in signalling:
            return "", ""  # a relay that knows of NAT sends to where the signalling came from
        text = f"RTP from {src} goes to {dst}, which no SDP of the call names; it names {_addresses(call.sides)}"
        return "wrong_address", text
    if src in announced or src.ip in {address.ip for address in announced} | signalling:
        return "", ""
    for (other, to), rival in call.paths.items():
        together_ns = min(path.last_ns, rival.last_ns) - max(path.first_ns, rival.first_ns)
        if to == dst and other in announced and rival.packets >= MIN_PACKETS and together_ns >= SETTLED_NS:
            return (
                "two_senders",
                f"RTP from {src}, which no SDP of the call names, comes to {dst} beside {other}'s",
            )
    return "", ""


def _addresses(sides: Sequence[MediaSide]) -> str:
    return ", ".join(dict.fromkeys(str(side.rtp) for side in sides if side.media == "audio"))


def _expects_audio(sides: Sequence[MediaSide]) -> bool:
    """Tell whether both sides of a call agreed to speak and hear, and to nothing but audio."""
    return (
        {side.from_caller for side in sides} == {True, False}
        and any(side.is_answer for side in sides)
        and all(side.media == "audio" and side.sendrecv == "sendrecv" for side in sides)
    )


def _nobody_speaks(call: TrackedCall, activities: Sequence[SenderActivity]) -> bool:
    """Tell whether it is known that neither party sent voice: by RTP without any, or by RTCP that says so."""
    heard = call.heard
    if heard.voice or any(received > 0 for received in heard.received.values()):
        return False
    if any(activity.packets for activity in activities):
        return False
    return bool(call.paths) or any(activity.reports >= _MIN_SILENT_REPORTS for activity in activities)
