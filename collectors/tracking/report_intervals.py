"""Intervals of reported streams: the shape they leave in, and the book that fills them.

A receiver report speaks of the time since the report before it, which is seldom one of our 10 s intervals. Counts
are shared out over the intervals in proportion to time, in whole packets whose sum is exactly what was reported;
a share of an interval that was already taken goes into the oldest one still open, so nothing is lost or doubled.
Figures that are a state rather than a count (jitter, RTT, MOS) belong to the interval in which they were said.
"""

from dataclasses import dataclass

from telephony.model import INTERVAL_NS, Endpoint, Observer, Verdict

StreamKey = tuple[str, Endpoint, int, str]
"""Call-ID (may be empty), who reports, SSRC of the stream, and the value of `Observer`: enums hash slowly."""

SenderKey = tuple[str | Endpoint, int]
"""Call-ID, or the sender's address where there is none, and the SSRC it sends."""

MAX_SPAN_NS = 12 * INTERVAL_NS
"""A report of more time than this is shared out over its last two minutes."""


@dataclass(frozen=True, slots=True)
class ReportedInterval:
    """What one reporter said of one stream in one interval.

    `expected`, `lost` and `received` are of this interval alone, None where no count is known. `lost` is negative
    where packets that an earlier report counted as lost came late, or came twice (RFC 3550 section 6.4.1): over
    a stream the sums are exact, so clamp where a ratio is shown, not where sums are made.
    """

    interval_start_ns: int
    call_id: str
    observer: Observer
    reporter: Endpoint
    """Who received the stream."""
    far: Endpoint
    """Where the reporter's reports go: the sender of the stream, or a relay before it."""
    ssrc: int
    node_id: int
    expected: int | None
    received: int | None
    lost: int | None
    discarded: int | None
    """By the receiver's jitter buffer."""
    duplicates: int | None
    jitter_ticks_mean: float | None
    """Mean over the reports; ticks of the codec's clock, which is known elsewhere."""
    jitter_ticks_max: float | None
    jitter_ms: float | None
    """Mean over the reports of those that speak milliseconds (XR, vq)."""
    jitter_max_ms: float | None
    rtt_half_ms: float | None
    """From where we saw the packets to the reporter and back."""
    rtt_ms: float | None
    """End to end: both halves, or what an XR or vq report said."""
    burst_ratio: float | None
    plc: str
    mos: float | None
    """As reported, of the reporter's own model."""
    r_factor: float | None
    codec: str
    """As a vq or RTP-agent report named it; empty elsewhere."""
    verdicts: tuple[Verdict, ...]
    sender_packets_sent: int | None
    """Packets the stream's sender says it sent in the interval, of its SRs."""
    final: bool
    """The stream is known to have ended here."""


class Bucket:
    """One stream's interval while it fills."""

    __slots__ = (
        "burst_ratio",
        "codec",
        "discarded",
        "duplicates",
        "expected",
        "far",
        "final",
        "jitter_ms",
        "jitter_ticks",
        "lost",
        "mos",
        "node_id",
        "plc",
        "r_factor",
        "rtt_half_ms",
        "rtt_ms",
        "taken",
        "verdicts",
    )

    def __init__(self, far: Endpoint, node_id: int) -> None:
        self.far = far
        self.node_id = node_id
        self.expected: int | None = None
        self.lost: int | None = None
        self.discarded: int | None = None
        self.duplicates: int | None = None
        self.jitter_ticks: Gauge | None = None
        self.jitter_ms: Gauge | None = None
        self.rtt_half_ms: Gauge | None = None
        self.rtt_ms: Gauge | None = None
        self.burst_ratio: float | None = None
        self.mos: float | None = None
        self.r_factor: float | None = None
        self.plc = "unspecified"
        self.codec = ""
        self.verdicts: tuple[Verdict, ...] = ()
        self.final = False
        self.taken = False

    def close(self, start_ns: int, key: StreamKey, sent: int | None) -> ReportedInterval:
        """Return the interval; the bucket takes no more."""
        self.taken = True
        call_id, reporter, ssrc, observer = key
        counted = self.expected is not None and self.lost is not None
        return ReportedInterval(
            interval_start_ns=start_ns,
            call_id=call_id,
            observer=Observer(observer),
            reporter=reporter,
            far=self.far,
            ssrc=ssrc,
            node_id=self.node_id,
            expected=self.expected,
            received=(self.expected or 0) - (self.lost or 0) if counted else None,
            lost=self.lost,
            discarded=self.discarded,
            duplicates=self.duplicates,
            jitter_ticks_mean=_mean(self.jitter_ticks),
            jitter_ticks_max=_maximum(self.jitter_ticks),
            jitter_ms=_mean(self.jitter_ms),
            jitter_max_ms=_maximum(self.jitter_ms),
            rtt_half_ms=_mean(self.rtt_half_ms),
            rtt_ms=_mean(self.rtt_ms),
            burst_ratio=self.burst_ratio,
            plc=self.plc,
            mos=self.mos,
            r_factor=self.r_factor,
            codec=self.codec,
            verdicts=self.verdicts,
            sender_packets_sent=sent,
            final=self.final,
        )


class Gauge:
    """Mean and maximum of a figure."""

    __slots__ = ("_n", "_sum", "maximum")

    def __init__(self) -> None:
        self._n = 0
        self._sum = 0.0
        self.maximum: float | None = None

    def add(self, value: float) -> None:
        """Take one more value."""
        self._n += 1
        self._sum += value
        if self.maximum is None or value > self.maximum:
            self.maximum = value

    @property
    def mean(self) -> float | None:
        """None before the first value."""
        return self._sum / self._n if self._n else None


def noted(gauge: Gauge | None, value: float) -> Gauge:
    """Return the gauge with one more value; most gauges of most buckets are never made."""
    if gauge is None:
        gauge = Gauge()
    gauge.add(value)
    return gauge


def _mean(gauge: Gauge | None) -> float | None:
    return gauge.mean if gauge is not None else None


def _maximum(gauge: Gauge | None) -> float | None:
    return gauge.maximum if gauge is not None else None


def shares(begin_ns: int, end_ns: int, total: int) -> list[tuple[int, int]]:
    """Return each interval of (begin, end] with its whole share of `total`, which may be negative.

    Shares are differences of the rounded-down running total, so they sum to `total` exactly and none has the
    other sign.

    >>> shares(5 * 10**9, 15 * 10**9, 5)
    [(0, 2), (10000000000, 3)]
    >>> shares(5 * 10**9, 15 * 10**9, -5)
    [(0, -2), (10000000000, -3)]
    """
    last = (end_ns - 1) // INTERVAL_NS * INTERVAL_NS
    if begin_ns >= last:
        return [(last, total)]
    span = end_ns - begin_ns
    sign, size = (1, total) if total >= 0 else (-1, -total)
    given = 0
    start = begin_ns // INTERVAL_NS * INTERVAL_NS
    parts = []
    while start < last:
        until = size * (start + INTERVAL_NS - begin_ns) // span
        parts.append((start, sign * (until - given)))
        given = until
        start += INTERVAL_NS
    parts.append((last, sign * (size - given)))
    return parts


class IntervalBook:
    """The open intervals of all streams; bounded, the furthest in the future goes first (`shed` counts)."""

    def __init__(self, max_entries: int) -> None:
        self._open: dict[int, dict[StreamKey, Bucket]] = {}
        self._sent: dict[int, dict[SenderKey, int]] = {}
        self._limit = max_entries
        self._size = 0
        self._taken_until_ns = 0
        self.shed = 0
        """Entries given up because a clock far ahead, or a flood, filled the book."""

    def __len__(self) -> int:
        return self._size

    def bucket(self, at_ns: int, key: StreamKey, far: Endpoint, node_id: int) -> Bucket:
        """Return the stream's bucket of the interval of a time, or the oldest open one where that was taken."""
        start_ns = max(at_ns - at_ns % INTERVAL_NS, self._taken_until_ns)
        of_interval = self._open.get(start_ns)
        if of_interval is None:
            of_interval = self._open[start_ns] = {}
        bucket = of_interval.get(key)
        if bucket is None:
            bucket = of_interval[key] = Bucket(far, node_id)
            self._grown()
        return bucket

    def count(
        self, key: StreamKey, far: Endpoint, node_id: int, span_ns: tuple[int, int], received: int, lost: int
    ) -> list[Bucket]:
        """Share out packets received and lost in (begin, end]; what was expected is their sum, in each share.

        Returns the buckets that took a share, oldest first.
        """
        begin_ns, end_ns = self._clamped(*span_ns)
        if begin_ns >= end_ns - INTERVAL_NS and begin_ns // INTERVAL_NS == (end_ns - 1) // INTERVAL_NS:
            bucket = self.bucket(begin_ns, key, far, node_id)
            bucket.expected = (bucket.expected or 0) + received + lost
            bucket.lost = (bucket.lost or 0) + lost
            return [bucket]
        touched: list[Bucket] = []
        for (start, part), (_, part_lost) in zip(
            shares(begin_ns, end_ns, received), shares(begin_ns, end_ns, lost), strict=True
        ):
            bucket = self.bucket(start, key, far, node_id)
            bucket.expected = (bucket.expected or 0) + part + part_lost
            bucket.lost = (bucket.lost or 0) + part_lost
            touched.append(bucket)
        return touched

    def count_sent(self, sender: SenderKey, span_ns: tuple[int, int], packets: int) -> None:
        """Share out the packets that a sender says it sent in (begin, end]."""
        begin_ns, end_ns = self._clamped(*span_ns)
        for start, part in shares(begin_ns, end_ns, packets):
            of_interval = self._sent.setdefault(max(start, self._taken_until_ns), {})
            if sender in of_interval:
                of_interval[sender] += part
            else:
                of_interval[sender] = part
                self._grown()

    def _clamped(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        return max(begin_ns, self._taken_until_ns, end_ns - MAX_SPAN_NS), end_ns

    def _grown(self) -> None:
        self._size += 1
        if self._size > self._limit:
            latest = max(self._open.keys() | self._sent.keys())
            dropped = len(self._open.pop(latest, ())) + len(self._sent.pop(latest, ()))
            self._size -= dropped
            self.shed += dropped

    def take(self, until_ns: int) -> list[ReportedInterval]:
        """Return all intervals that end by `until_ns`, oldest first; they cannot be filled any more."""
        until_ns -= until_ns % INTERVAL_NS
        taken: list[ReportedInterval] = []
        for start in sorted(start for start in self._open.keys() | self._sent.keys() if start < until_ns):
            sent = self._sent.pop(start, {})
            buckets = self._open.pop(start, {})
            self._size -= len(buckets) + len(sent)
            taken += [
                bucket.close(start, key, sent.get((key[0] or bucket.far, key[2])))
                for key, bucket in buckets.items()
            ]
        self._taken_until_ns = max(self._taken_until_ns, until_ns)
        return taken
