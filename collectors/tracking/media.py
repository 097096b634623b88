"""Which call a media address belongs to, as SDP announced it.

An address is looked up as announced, and as the RTP port below an odd RTCP port. Ports are used again
quickly, so the newest announcement of an address owns it, and a call that ended lets go of its own only.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache

from collectors.facts import Codec, MediaDescription
from telephony.codecs import is_known, lookup
from telephony.model import UNKNOWN, Direction, Endpoint

OTHER_CODEC = "other"
"""Tag of a codec that our table does not know."""
REDUNDANT_AUDIO, RETRANSMISSION = "RED", "RTX"
"""Of RFC 2198 and of RFC 4588."""
NOT_AUDIO_CODECS = frozenset({"TELEPHONE-EVENT", "CN", REDUNDANT_AUDIO, RETRANSMISSION})
"""Payload formats that accompany the voice codec and never are it."""


@lru_cache(maxsize=1024)
def codec_tag(name: str) -> str:
    """Return a codec's name as a tag: anybody can invent names in SDP, the values of a tag are bounded.

    >>> codec_tag("pcma"), codec_tag("no-such-codec"), codec_tag("")
    ('PCMA', 'other', 'unknown')
    """
    if not name or name.lower() == UNKNOWN:
        return UNKNOWN
    return lookup(name).name if is_known(name) else OTHER_CODEC


@dataclass(slots=True)
class MediaSide:
    """One announced media address: the side of the call that listens there, and with what."""

    call_id: str
    from_caller: bool
    rtp: Endpoint
    rtcp: Endpoint
    codecs: dict[int, Codec]
    ptime_ms: int
    sendrecv: str
    is_answer: bool
    media: str
    at_ns: int
    voice_codec: Codec | None = field(init=False)
    """The preferred codec, DTMF and comfort noise aside."""

    def __post_init__(self) -> None:
        voice = (c for c in self.codecs.values() if c.name.upper() not in NOT_AUDIO_CODECS)
        self.voice_codec = next(voice, None)

    @property
    def codec_name(self) -> str:
        """Name of the preferred codec in capitals; T38 for fax, `unknown` where none was named."""
        if self.media == "image":
            return "T38"
        return self.voice_codec.name.upper() if self.voice_codec is not None else UNKNOWN

    @property
    def codec_tag(self) -> str:
        """The same as a tag."""
        return codec_tag(self.codec_name)


@dataclass(frozen=True, slots=True)
class StreamMatch:
    """What is known of the stream from `src` to `dst` that a report speaks of."""

    call_id: str
    direction: Direction
    src: Endpoint
    dst: Endpoint
    codec: Codec | None
    ptime_ms: int


class MediaIndex:
    """Announced media addresses; bounded, the longest not announced goes first (`evicted` counts)."""

    def __init__(self, *, max_addresses: int = 400_000) -> None:
        self._sides: OrderedDict[Endpoint, MediaSide] = OrderedDict()
        self._limit = max_addresses
        self._released: list[Endpoint] = []
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._sides)

    def announce(self, description: MediaDescription) -> MediaSide:
        """Take an offer or answer and return the side it describes."""
        side = MediaSide(
            description.call_id,
            description.from_caller,
            description.endpoint,
            description.rtcp,
            dict(description.codecs),
            description.ptime_ms,
            description.sendrecv,
            description.is_answer,
            description.media,
            description.at_ns,
        )
        for address in {side.rtp, side.rtcp}:
            self._sides[address] = side
            self._sides.move_to_end(address)
        while len(self._sides) > self._limit:
            self._sides.popitem(last=False)
            self.evicted += 1
        return side

    def forget(self, side: MediaSide) -> None:
        """Let go of a side's addresses, unless a newer announcement has taken them since."""
        for address in {side.rtp, side.rtcp}:
            if self._sides.get(address) is side:
                del self._sides[address]
                if address == side.rtp:
                    self._released.append(address)

    def take_released(self) -> list[Endpoint]:
        """Return the RTP addresses that no call uses any more, since the last call."""
        released, self._released = self._released, []
        return released

    def find(self, address: Endpoint) -> MediaSide | None:
        """Return the side that listens at this RTP or RTCP address."""
        side = self._sides.get(address)
        if side is None and address.port & 1:
            side = self._sides.get(Endpoint(address.ip, address.port - 1))
        return side

    def match(self, reporter: Endpoint, far: Endpoint, call_id: str = "") -> StreamMatch | None:
        """Return the stream that `reporter` receives from `far`; None where SDP knows neither address.

        A correlation id (Call-ID) overrules addresses that belong to another call: behind NAT, and where
        relays of several networks use the same private addresses, an address alone can lie.
        """
        here, there = self.find(reporter), self.find(far)
        if call_id:
            here = here if here is not None and here.call_id == call_id else None
            there = there if there is not None and there.call_id == call_id else None
        if here is None and there is None:
            return None
        if here is not None and there is not None and here.call_id != there.call_id:
            # Two calls claim the two ends: the later announcement is the one in force.
            here, there = (here, None) if here.at_ns >= there.at_ns else (None, there)
        known = here or there
        assert known is not None
        if here is not None:
            to_caller = here.from_caller
        else:
            # `far` is a relay that stands for the other party: what it announces, the reporter is opposite to.
            to_caller = not known.from_caller
        answer = next((s for s in (here, there) if s is not None and s.is_answer), None)
        negotiated = answer or known
        return StreamMatch(
            known.call_id,
            Direction.TO_CALLER if to_caller else Direction.TO_CALLEE,
            src=there.rtp if there is not None else rtp_of(far),
            dst=here.rtp if here is not None else rtp_of(reporter),
            codec=negotiated.voice_codec,
            ptime_ms=negotiated.ptime_ms or known.ptime_ms,
        )

    def match_both(self, reporter: Endpoint, far: Endpoint) -> StreamMatch | None:
        """Return the stream between two addresses that the two sides of one call announced; None elsewhere."""
        here, there = self.find(reporter), self.find(far)
        if here is None or there is None or here.call_id != there.call_id or here.from_caller == there.from_caller:
            return None
        return self.match(reporter, far, here.call_id)


def rtp_of(address: Endpoint) -> Endpoint:
    """Return the RTP address an RTCP address belongs to where no SDP says it (RFC 3550 section 11: one below)."""
    return Endpoint(address.ip, address.port - 1) if address.port & 1 else address
