"""RTP as we saw it ourselves: from the kernel's counts to rated intervals that know their call.

Joins streams to calls by the addresses that SDP announced, tells the kernel what payload types mean, has each
interval explained (`verdicts`) and rated. It holds a stream table for each source of frames; who feeds them, and
in which threads, is not its business.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.facts import Codec, FramesTaken, MediaDescription, format_ip
from collectors.kernels.rtp_layout import NO_PAYLOAD_TYPE, WINDOW
from collectors.tracking.media import NOT_AUDIO_CODECS, REDUNDANT_AUDIO, StreamMatch
from collectors.tracking.ratings import MIN_RATED_PACKETS
from collectors.tracking.streams import StreamSettings, StreamTable
from collectors.tracking.verdicts import SILENCE_US, CallContext, Seen, StreamMemo, excused_of, verdicts_of
from telephony.burst import densities, from_runs
from telephony.codecs import lookup, pinned_bitrate_kbps, static_codec
from telephony.model import (
    INTERVAL_NS,
    UNKNOWN,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Source,
    StreamInterval,
    Verdict,
)
from telephony.quality import assess

Match = Callable[[Endpoint, Endpoint], StreamMatch | None]
"""Of a receiver and a sender: the stream that SDP says flows between them."""
LabelsOf = Callable[[str, Endpoint, Endpoint], Labels]
"""Of a Call-ID, a receiver and a sender."""

_NEIGHBOUR_NS = 5_000_000_000
_OVERLAP_NS = 1_000_000_000
_MAX_NEIGHBOURS = 16
_ASSUMED_CLOCK_HZ = 8000
_NUMBER_BITS = 48
"""Streams are numbered by their table, so that each starts far from the others."""


@dataclass(slots=True)
class _Stream:
    """What is known of a stream beside its counts."""

    src: Endpoint
    dst: Endpoint
    ssrc: int
    first_ns: int
    last_ns: int
    match: StreamMatch | None = None
    memo: StreamMemo = field(default_factory=StreamMemo)
    verdicts: dict[Verdict, None] = field(default_factory=dict)
    excused: int = 0
    """Loss that verdicts keep out of the rating, in all."""
    packets: int = 0
    """Voice, so far."""
    neighbours_before: int = 0
    """The same of the other streams between its addresses, when it was last judged."""
    unclaimed: int = 0
    """Packets of theirs while this one paused, that may be what is missing when it goes on."""
    fresh: bool = True
    """Not judged yet."""


class RtpTracker:
    """RTP streams as facts.

    Sources may feed their tables from threads of their own while another drives this class.
    """

    def __init__(
        self,
        settings: StreamSettings,
        match: Match,
        labels_of: LabelsOf,
        *,
        tables: int = 1,
        seed: int | None = None,
    ) -> None:
        self.tables = tuple(
            StreamTable(settings, seed=seed, first_number=number << _NUMBER_BITS) for number in range(tables)
        )
        self.context = CallContext()
        self.keep_totals = False
        """Replays list every stream at their end; a collector has no use for them."""
        self.totals: list[StreamInterval] = []
        self._match = match
        self._labels_of = labels_of
        self._streams: dict[int, _Stream] = {}
        self._by_pair: dict[tuple[Endpoint, Endpoint], list[_Stream]] = {}
        self._by_ssrc: dict[int, list[_Stream]] = {}

    def take(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], *, waiting: bool) -> FramesTaken:
        """Take frames into the first table (`collectors.capture.base.FrameReader`)."""
        return self.tables[0].take(memory, frames, waiting=waiting)

    @property
    def newest_ns(self) -> int:
        """Time of the newest frame."""
        return max(table.newest_ns for table in self.tables)

    def advance(self, now_ns: int) -> None:
        """Let time pass where no frame does."""
        for table in self.tables:
            with table.lock:
                table.advance(now_ns)

    def finish(self) -> None:
        """End all streams: nothing more comes."""
        for table in self.tables:
            with table.lock:
                table.finish()

    def described(self, events: Iterable[object]) -> None:
        """Take dialog events: what SDP announces is told to the kernel."""
        events = list(events)
        self.context.feed(events)
        for event in events:
            if isinstance(event, MediaDescription) and event.endpoint.port:
                for table in self.tables:
                    with table.lock:
                        table.announce(packed_ip(event.endpoint.ip), event.endpoint.port, dict(event.codecs))

    def forget(self, addresses: Iterable[Endpoint]) -> None:
        """Take back what SDP announced of addresses whose calls are over."""
        for address in addresses:
            for table in self.tables:
                with table.lock:
                    table.forget(packed_ip(address.ip), address.port)

    def take_intervals(self) -> list[StreamInterval]:
        """Return the intervals closed since the last call, rated."""
        rated: list[StreamInterval] = []
        for table in self.tables:
            with table.lock:
                intervals, ended = table.take_intervals(), table.take_ended()
            for batch in intervals:
                rows = list(_rows(batch))
                for row in rows:  # all before the first is judged: streams are judged beside their neighbours
                    self._stream(row).packets += row.unique - row.dtmf - row.comfort_noise
                rated += (self._interval(row, table) for row in rows)
            for batch in ended:
                for measured in _rows(batch):
                    self._end(measured, table)
        return rated

    # -- one stream --------------------------------------------------------------------------------------

    def _stream(self, row: "_Row") -> _Stream:
        stream = self._streams.get(row.stream)
        if stream is None:
            stream = _Stream(
                Endpoint(format_ip(row.src_ip), row.src_port),
                Endpoint(format_ip(row.dst_ip), row.dst_port),
                row.ssrc,
                row.first_ns,
                row.last_ns,
            )
            self._streams[row.stream] = stream
            self._by_pair.setdefault((stream.src, stream.dst), []).append(stream)
            self._by_ssrc.setdefault(stream.ssrc, []).append(stream)
        stream.last_ns = row.last_ns
        match = self._match(stream.dst, stream.src)
        if match is not None:
            stream.match = match
        return stream

    def _siblings(self, stream: _Stream) -> tuple[Verdict, ...]:
        """Return what the streams before it with its addresses, or its SSRC, say of a new stream."""
        found = []
        pair, same = self._by_pair[stream.src, stream.dst], self._by_ssrc[stream.ssrc]
        if any(_follows(other, stream) for other in pair if other is not stream):
            found.append(Verdict.SSRC_CHANGE)
        if any(_moved(other, stream) for other in same):
            found.append(Verdict.REROUTED)
        for known in (pair, same):
            del known[:-_MAX_NEIGHBOURS]
        return tuple(found)

    def _interval(self, row: "_Row", table: StreamTable) -> StreamInterval:
        stream = self._stream(row)
        if stream.fresh:
            stream.fresh, stream.memo.siblings = False, self._siblings(stream)
        call_id = stream.match.call_id if stream.match is not None else ""
        codec, source = _codec(row, table, stream.match)
        name = codec.name.upper() if codec is not None else ""
        seen = row.seen(self._elsewhere(row, stream), name, _redundancy(row, table))
        verdicts = verdicts_of(seen, stream.memo, call_id, self.context, own_drops=row.own_drops)
        stream.verdicts.update(dict.fromkeys(verdicts))
        excused = excused_of(seen, verdicts)
        stream.excused += excused
        return self._rated(row, stream, verdicts, excused, (codec, source), MIN_RATED_PACKETS)

    def _elsewhere(self, row: "_Row", stream: _Stream) -> int:
        """Return how many of a stream's missing packets came under another SSRC of the same sender.

        Some senders flip between two SSRCs and count on: what is missing here is what came there, and both
        together are no more than one stream.
        """
        neighbours = sum(o.packets for o in self._by_pair.get((stream.src, stream.dst), ()) if o is not stream)
        stream.unclaimed += max(neighbours - stream.neighbours_before, 0)
        stream.neighbours_before = neighbours
        since_last_us = (row.start_ns + INTERVAL_NS - row.last_ns) // 1000
        if max(row.spacing_max_us, since_last_us) < SILENCE_US:
            stream.unclaimed = 0  # it went on beside the others
        there = stream.unclaimed
        one_stream = row.unique + there <= 1.05 * (row.unique + row.lost) + 2 * WINDOW
        found = min(row.lost, there) if there >= 0.8 * row.lost and one_stream else 0
        stream.unclaimed -= found
        return found

    def _end(self, row: "_Row", table: StreamTable) -> None:
        stream = self._stream(row)
        if self.keep_totals:
            codec = _codec(row, table, stream.match)
            self.totals.append(self._rated(row, stream, tuple(stream.verdicts), stream.excused, codec, 1))
        del self._streams[row.stream]
        for known, key in ((self._by_pair, (stream.src, stream.dst)), (self._by_ssrc, stream.ssrc)):
            _drop(known, key, stream)

    def _rated(
        self,
        row: "_Row",
        stream: _Stream,
        verdicts: tuple[Verdict, ...],
        excused: int,
        known: tuple[Codec | None, Source],
        min_expected: int,
    ) -> StreamInterval:
        match = stream.match
        codec, source = known
        name = codec.name.upper() if codec is not None else UNKNOWN
        clock_hz = (
            round(1e6 / row.tick_us) if row.tick_us else (codec.clock_rate_hz if codec else _ASSUMED_CLOCK_HZ)
        )
        expected = row.unique + row.lost
        lost = row.lost - excused
        # No jitter buffer waits for the window to pass. More that came late than is missing began anew.
        discarded = row.late_adaptive + min(row.too_late, row.lost)
        heard_late = discarded if Verdict.CLOCK_DRIFT not in verdicts else 0
        jitter_ms = row.jitter_sum_us / row.jitter_count / 1000 if row.jitter_count else None
        burst_ratio = from_runs(expected, row.lost, row.lost - row.c33) if row.lost else None
        burst_density, gap_density = densities(
            expected, c13=row.c13, c14=row.c14, c22=row.c22, c23=row.c23, c33=row.c33
        )
        rating = None
        if row.jitter_count and expected > excused and expected >= min_expected and lookup(name).voice:
            rating = assess(
                name,
                loss_ratio=lost / (expected - excused),
                discard_ratio=min(heard_late / (expected - excused), 1.0),
                jitter_ms=jitter_ms,
                burst_ratio=burst_ratio if lost else None,
                ptime_ms=(match.ptime_ms if match is not None else 0) or None,
                bitrate_kbps=pinned_bitrate_kbps(codec.name, codec.fmtp) if codec is not None else None,
            )
        call_id = match.call_id if match is not None else ""
        return StreamInterval(
            time_ns=row.start_ns,
            labels=self._labels_of(call_id, stream.dst, stream.src),
            call_id=call_id,
            ssrc=row.ssrc,
            src=stream.src,
            dst=stream.dst,
            direction=match.direction if match is not None else Direction.UNKNOWN,
            observer=Observer.RTP,
            codec=name,
            clock_rate_hz=clock_hz,
            expected=expected,
            received=row.unique + row.duplicates,
            lost=row.lost,
            discarded=discarded,
            duplicates=row.duplicates,
            reordered=row.reordered,
            jitter_ms=jitter_ms,
            jitter_max_ms=row.jitter_max_us / 1000 if row.jitter_count else None,
            burst_ratio=burst_ratio,
            r_factor=rating.r_factor if rating is not None else None,
            mos=rating.mos if rating is not None else None,
            mos_scale=rating.scale if rating is not None else None,
            delay_ms=rating.delay_ms if rating is not None else None,
            delay_source=rating.delay_source if rating is not None else Source.ASSUMED,
            codec_source=source,
            verdict=" ".join(v.value for v in verdicts),
            own_drops=row.own_drops,
            payload_types=row.types,
            payload_type=row.payload_type if row.payload_type != NO_PAYLOAD_TYPE else None,
            payload_type_changes=row.type_changes,
            markers=row.markers,
            dscp=row.dscp,
            spacing_min_ms=row.spacing_min_us / 1000 if row.spacing_max_us else None,
            spacing_max_ms=row.spacing_max_us / 1000 if row.spacing_max_us else None,
            burst_density=burst_density,
            gap_density=gap_density,
            first_ns=stream.first_ns,
            last_ns=row.last_ns,
        )

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables)

    @property
    def announcements(self) -> int:
        """Media addresses that SDP announced and whose calls live; each table has them all."""
        return self.tables[0].announcements

    def frames_by_kind(self) -> Counter[str]:
        """Return how many frames were what, since the start."""
        return sum((table.frames_by_kind() for table in self.tables), Counter())

    def shed(self) -> dict[str, int]:
        """Return what found no room, since the start."""
        shed: Counter[str] = Counter()
        for table in self.tables:
            shed.update(table.shed())
        return dict(shed)


def _codec(row: "_Row", table: StreamTable, match: StreamMatch | None) -> tuple[Codec | None, Source]:
    """Return a stream's voice codec: of what its receiver announced, of RFC 3551, of the other side's SDP."""
    payload_type = row.payload_type
    if payload_type == NO_PAYLOAD_TYPE:  # events only
        announced = table.codecs_of(row.profile)
        event = next((announced[t] for t in row.types if t in announced), None)
        return event or (Codec("TELEPHONE-EVENT", 8000) if row.dtmf else None), Source.DECLARED
    announced = table.codecs_of(row.profile)
    announced_codec = announced.get(payload_type)
    if announced_codec is not None and announced_codec.name.upper() == REDUNDANT_AUDIO:
        announced_codec = _primary_of(announced_codec, announced)
    if announced_codec is not None:
        return announced_codec, Source.DECLARED
    fixed = static_codec(payload_type)
    if fixed is not None:
        return Codec(fixed.name, fixed.clock_rate_hz, fixed.channels), Source.PUBLISHED
    agreed = match.codec if match is not None and not announced else None
    if agreed is not None and agreed.name.upper() not in NOT_AUDIO_CODECS:
        return agreed, Source.ASSUMED
    return None, Source.ASSUMED


def _redundancy(row: "_Row", table: StreamTable) -> int:
    """Return how many losses in a row a stream's packets heal: the blocks behind the first (RFC 2198)."""
    announced = table.codecs_of(row.profile).get(row.payload_type)
    is_redundant = announced is not None and announced.name.upper() == REDUNDANT_AUDIO
    return announced.fmtp.count("/") if announced is not None and is_redundant else 0


def _primary_of(redundant: Codec, announced: Mapping[int, Codec]) -> Codec:
    """Return the codec that redundant audio carries: the first of its fmtp (RFC 2198 section 5).

    The fmtp (`111/111`) is kept: how many blocks follow the first one tells how many losses in a row it heals.
    """
    first = redundant.fmtp.partition("/")[0].strip()
    number = int(first) if first.isascii() and first.isdigit() and len(first) <= 3 else -1
    fixed = static_codec(number)
    primary = announced.get(number) or (fixed and Codec(fixed.name, fixed.clock_rate_hz, fixed.channels))
    return primary or redundant


@dataclass(slots=True)
class _Row:
    """One `MEASURED` record, as Python numbers: a field of a structured row costs a hundred times as much."""

    stream: int
    start_ns: int
    last_ns: int
    first_ns: int
    ssrc: int
    src_port: int
    dst_port: int
    payload_type: int
    tick_us: float
    timestamp: int
    profile: int
    jitter_sum_us: float
    jitter_count: int
    jitter_max_us: float
    unique: int
    duplicates: int
    reordered: int
    lost: int
    late_adaptive: int
    c13: int
    c14: int
    c22: int
    c23: int
    c33: int
    markers: int
    dscp: int
    too_late: int
    dtmf: int
    comfort_noise: int
    type_changes: int
    restarts: int
    retimed: int
    spacing_max_us: int
    own_drops: int
    spacing_min_us: int
    runs: list[int]
    src_ip: bytes
    dst_ip: bytes
    types: tuple[int, ...]

    def seen(self, elsewhere: int, codec: str, redundancy: int) -> Seen:
        """Return what verdicts look at."""
        short_runs = (_signed16(runs) * length for length, runs in enumerate(self.runs[:redundancy], 1))
        return Seen(
            self.start_ns,
            self.first_ns,
            self.last_ns,
            self.timestamp,
            self.tick_us,
            self.unique,
            self.lost,
            self.duplicates,
            self.dtmf,
            self.comfort_noise,
            self.restarts,
            self.retimed,
            self.type_changes,
            self.spacing_max_us,
            self.jitter_max_us,
            self.too_late,
            elsewhere,
            min(max(sum(short_runs), 0), self.lost),
            codec,
        )


def _signed16(value: int) -> int:
    """Return the difference of two 16-bit readings: a run that grows on leaves the bin it was in."""
    return (value + 0x8000) % 0x10000 - 0x8000


_COLUMNS = tuple(_Row.__dataclass_fields__)[:-3]


def _rows(batch: npt.NDArray[np.void]) -> Iterable[_Row]:
    columns = [batch[name].tolist() for name in _COLUMNS]
    for values, src, dst, types in zip(
        zip(*columns, strict=True), batch["src_ip"], batch["dst_ip"], batch["payload_types"].tolist(), strict=True
    ):
        yield _Row(*(*values, src.tobytes(), dst.tobytes(), _types(types[0] | types[1] << 64)))


def _types(bits: int) -> tuple[int, ...]:
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return tuple(found)


def _follows(before: _Stream, after: _Stream) -> bool:
    """Tell whether a stream began when another one ended, and not beside it."""
    return -_OVERLAP_NS <= after.first_ns - before.last_ns < _NEIGHBOUR_NS


def _moved(before: _Stream, after: _Stream) -> bool:
    """Tell whether a source went on at another address, one of the ends being the same."""
    one_end = (before.src == after.src) != (before.dst == after.dst)
    return one_end and 0 <= after.first_ns - before.last_ns < _NEIGHBOUR_NS


def _drop(known: dict[Any, list[_Stream]], key: Any, stream: _Stream) -> None:
    streams = known.get(key)
    if streams is not None and stream in streams:
        streams.remove(stream)
        if not streams:
            del known[key]


@lru_cache(maxsize=16_384)
def packed_ip(text: str) -> bytes:
    """Return an address as 16 bytes, IPv4 as v4-mapped; unspecified where it is a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return bytes(16)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
