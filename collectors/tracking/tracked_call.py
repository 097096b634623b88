"""A call while it lives: what dialog, media and quality have said of it so far."""

from dataclasses import dataclass, field

from collectors.facts import SipCall
from collectors.tracking.call_quality import NOT_RATED, PREFERENCE, CallQuality
from collectors.tracking.concurrency import LoadKey
from collectors.tracking.media import MediaSide, StreamMatch
from collectors.tracking.one_way import DirectionsHeard
from collectors.tracking.privacy import NumberPrivacy
from telephony.model import INTERVAL_NS, UNKNOWN, Endpoint, Labels, Observer, Outcome, StreamInterval

MAX_SIDES = 16
"""Media addresses kept per call; a call that announces more is re-routed in a loop."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Bounds and choices of the call table."""

    privacy: NumberPrivacy = NumberPrivacy.MASK
    hash_salt: bytes = b""
    reject_403: bool = False
    """Count 403 as a rejection by the called party (NER) and not as a client error."""
    linger_ns: int = INTERVAL_NS + 2_000_000_000
    """How long after its end a call waits for the intervals of its last seconds."""
    max_links: int = 100_000
    max_waiting: int = 100_000
    """Calls that may wait for their last intervals; what is more gets its record at once (a flood)."""


@dataclass(slots=True)
class MediaPath:
    """RTP from one address to another."""

    first_ns: int
    last_ns: int = 0
    packets: int = 0
    told: bool = False
    """What is wrong with it was said."""


@dataclass(slots=True)
class TrackedCall:
    """A call while it lives, and until its record is made."""

    sip: SipCall
    labels: Labels
    pool: str
    sides: list[MediaSide] = field(default_factory=list)
    chosen: dict[str, None] = field(default_factory=dict)
    """Codecs that answers chose, in order; a re-INVITE to another one adds it."""
    matches: dict[tuple[Endpoint, Endpoint], StreamMatch] = field(default_factory=dict)
    """The streams that reports spoke of, by reporter and far end; forgotten when SDP says something new."""
    answered: bool = False
    load_key: LoadKey | None = None
    """Where it is counted as up; None where it is not."""
    packets_per_second: float = 0.0
    counted_transcode: bool = False
    """It counts among the transcoded calls in progress."""
    outcome: Outcome | None = None
    ended_ns: int = 0
    due_ns: int = 0
    observed: dict[Observer, CallQuality] = field(default_factory=dict)
    heard: DirectionsHeard = field(default_factory=DirectionsHeard)
    paths: dict[tuple[Endpoint, Endpoint], MediaPath] = field(default_factory=dict)
    """Where its RTP was seen to flow, from source to target."""
    reports: int = 0
    """RTCP messages that were joined to the call."""
    one_way: bool | None = None
    changed: bool = True
    """Since its state was last given to `take_states`."""
    stated_ns: int = 0
    is_egress: bool = False
    """The far leg of a back-to-back user agent: linked to an earlier call, counted there."""

    @property
    def codec(self) -> str:
        """The negotiated voice codec as a tag, as far as SDP has said it."""
        for side in reversed(self.sides):
            if side.is_answer and side.voice_codec is not None:
                return side.codec_tag
        return next((s.codec_tag for s in self.sides if s.voice_codec is not None), UNKNOWN)

    @property
    def codecs(self) -> tuple[str, ...]:
        """Every codec that an answer chose, in order; what was offered first where nothing was answered."""
        if self.chosen:
            return tuple(self.chosen)
        return next(((s.codec_name,) for s in self.sides if s.voice_codec is not None), ())

    @property
    def has_media(self) -> bool:
        """Tell whether anything of its media was seen."""
        return self.reports > 0 or any(self.heard.seen.values())

    @property
    def key(self) -> LoadKey:
        """Where its load counts."""
        return (self.labels.tenant, self.pool, self.labels.region, self.labels.node)

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Where its outcome counts: tenant, trunk, region, node."""
        return (self.labels.tenant, self.labels.trunk, self.labels.region, self.labels.node)

    @property
    def duration_s(self) -> float | None:
        """Answer to end (RFC 6076 section 4.5); None for a call that was not answered."""
        return max(self.ended_ns - self.sip.answered_ns, 0) / 1e9 if self.answered else None

    def announce(self, side: MediaSide) -> MediaSide | None:
        """Take a media address that SDP announced, and return one that no longer is of the call, if any.

        A newer word on the same address replaces the older; the oldest address goes where there are too many.
        """
        self.matches.clear()
        if side.is_answer and len(self.chosen) < MAX_SIDES:
            self.chosen.setdefault(side.codec_name)
        for i, known in enumerate(self.sides):
            if known.rtp == side.rtp and known.from_caller == side.from_caller:
                self.sides[i] = side
                return known
        self.sides.append(side)
        return self.sides.pop(0) if len(self.sides) > MAX_SIDES else None

    def add_interval(self, interval: StreamInterval) -> None:
        """Take the closed interval of one of its streams."""
        self.heard.add(interval)
        if interval.observer is Observer.RTP:
            self._add_path(interval)
        if self.observed.setdefault(interval.observer, CallQuality()).add(interval):
            self.changed = True

    def _add_path(self, interval: StreamInterval) -> None:
        path = self.paths.get((interval.src, interval.dst))
        if path is None:
            if len(self.paths) >= MAX_SIDES:
                return
            path = self.paths[interval.src, interval.dst] = MediaPath(interval.first_ns)
        path.packets += interval.received or 0
        path.last_ns = max(path.last_ns, interval.last_ns)

    @property
    def quality(self) -> CallQuality:
        """The call's quality, as the observer saw it whose word counts."""
        rated = (self.observed[o] for o in PREFERENCE if o in self.observed)
        return next((quality for quality in rated if quality.intervals), NOT_RATED)

    def why_no_quality(self) -> str:
        """Return why the call has no quality figure, empty where it has one."""
        if self.quality.intervals:
            return ""
        if not self.answered:
            return "not answered: no media to rate"
        if not self.sides:
            return "no SDP seen: its media cannot be told apart"
        if not self.has_media:
            return "neither RTP nor RTCP seen for its media addresses"
        return "media seen, but nothing of it that can be rated"
