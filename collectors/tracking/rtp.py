"""RTP as we saw it ourselves: from the kernel's counts to rated intervals that know their call.

Joins streams to calls by the addresses that SDP announced, tells the kernel what payload types mean, has each
interval explained (`verdicts`) and rated. It holds a stream table for each source of frames; who feeds them, and
in which threads, is not its business.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.facts import Codec, FramesTaken, MediaDescription, format_ip
from collectors.kernels.rtp_layout import NO_PAYLOAD_TYPE
from collectors.tracking.media import NOT_AUDIO_CODECS, StreamMatch
from collectors.tracking.streams import StreamSettings, StreamTable
from collectors.tracking.verdicts import EXCUSE_LOSS, CallContext, Seen, StreamMemo, verdicts_of
from telephony.burst import from_runs
from telephony.codecs import lookup, pinned_bitrate_kbps, static_codec
from telephony.model import (
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

    def take_intervals(self) -> list[StreamInterval]:
        """Return the intervals closed since the last call, rated."""
        rated: list[StreamInterval] = []
        for table in self.tables:
            with table.lock:
                intervals, ended = table.take_intervals(), table.take_ended()
            rated += (self._interval(measured, table) for batch in intervals for measured in _rows(batch))
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
            stream.memo.siblings = self._siblings(stream)
        stream.last_ns = row.last_ns
        match = self._match(stream.dst, stream.src)
        if match is not None:
            stream.match = match
        return stream

    def _siblings(self, stream: _Stream) -> tuple[Verdict, ...]:
        """Return what the streams before it with its addresses, or its SSRC, say of a new stream."""
        found = []
        pair = self._by_pair.setdefault((stream.src, stream.dst), [])
        if any(0 <= stream.first_ns - o.last_ns < _NEIGHBOUR_NS or o.last_ns > stream.first_ns for o in pair):
            found.append(Verdict.SSRC_CHANGE)
        same = self._by_ssrc.setdefault(stream.ssrc, [])
        if any(_moved(other, stream) for other in same):
            found.append(Verdict.REROUTED)
        for known in (pair, same):
            known.append(stream)
            del known[:-_MAX_NEIGHBOURS]
        return tuple(found)

    def _interval(self, row: "_Row", table: StreamTable) -> StreamInterval:
        stream = self._stream(row)
        call_id = stream.match.call_id if stream.match is not None else ""
        verdicts = verdicts_of(row.seen(), stream.memo, call_id, self.context, own_drops=row.own_drops)
        stream.verdicts.update(dict.fromkeys(verdicts))
        excused = row.lost if EXCUSE_LOSS.intersection(verdicts) else 0
        stream.excused += excused
        return self._rated(row, table, stream, verdicts, excused)

    def _end(self, row: "_Row", table: StreamTable) -> None:
        stream = self._stream(row)
        if self.keep_totals:
            self.totals.append(self._rated(row, table, stream, tuple(stream.verdicts), stream.excused))
        del self._streams[row.stream]
        for known, key in ((self._by_pair, (stream.src, stream.dst)), (self._by_ssrc, stream.ssrc)):
            _drop(known, key, stream)

    def _rated(
        self, row: "_Row", table: StreamTable, stream: _Stream, verdicts: tuple[Verdict, ...], excused: int
    ) -> StreamInterval:
        match = stream.match
        codec, source = self._codec(row, table, match)
        name = codec.name.upper() if codec is not None else UNKNOWN
        clock_hz = (
            round(1e6 / row.tick_us) if row.tick_us else (codec.clock_rate_hz if codec else _ASSUMED_CLOCK_HZ)
        )
        expected = row.unique + row.lost
        lost = row.lost - excused
        jitter_ms = row.jitter_sum_us / row.jitter_count / 1000 if row.jitter_count else None
        burst_ratio = from_runs(expected, row.lost, row.lost - row.c33) if row.lost else None
        rating = None
        if row.jitter_count and expected > excused and lookup(name).voice:
            rating = assess(
                name,
                loss_ratio=lost / (expected - excused),
                discard_ratio=min(row.late_adaptive / (expected - excused), 1.0),
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
            discarded=row.late_adaptive,
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
        )

    def _codec(self, row: "_Row", table: StreamTable, match: StreamMatch | None) -> tuple[Codec | None, Source]:
        """Return a stream's voice codec: of what its receiver announced, of RFC 3551, of the other side's SDP."""
        payload_type = row.payload_type
        if payload_type == NO_PAYLOAD_TYPE:  # events only
            announced = table.codecs_of(row.profile)
            event = next((announced[t] for t in row.types if t in announced), None)
            return event or (Codec("TELEPHONE-EVENT", 8000) if row.dtmf else None), Source.DECLARED
        announced_codec = table.codecs_of(row.profile).get(payload_type)
        if announced_codec is not None:
            return announced_codec, Source.DECLARED
        fixed = static_codec(payload_type)
        if fixed is not None:
            return Codec(fixed.name, fixed.clock_rate_hz, fixed.channels), Source.PUBLISHED
        if match is not None and match.codec is not None and match.codec.name.upper() not in NOT_AUDIO_CODECS:
            return match.codec, Source.ASSUMED
        return None, Source.ASSUMED

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables)

    def frames_by_kind(self) -> Counter[str]:
        """Return how many frames were what, since the start."""
        return sum((table.frames_by_kind() for table in self.tables), Counter())

    def shed(self) -> dict[str, int]:
        """Return what found no room, since the start."""
        shed: Counter[str] = Counter()
        for table in self.tables:
            shed.update(table.shed())
        return dict(shed)


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
    c33: int
    dtmf: int
    comfort_noise: int
    type_changes: int
    restarts: int
    retimed: int
    spacing_max_us: int
    own_drops: int
    src_ip: bytes
    dst_ip: bytes
    types: tuple[int, ...]

    def seen(self) -> Seen:
        """Return what verdicts look at."""
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
        )


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


@lru_cache(maxsize=65_536)
def packed_ip(text: str) -> bytes:
    """Return an address as 16 bytes, IPv4 as v4-mapped; unspecified where it is a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return bytes(16)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
