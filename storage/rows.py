"""Facts of the domain as record batches of the schema: the only place where rows become columns.

`stream_interval` rows are made thousands a second, so one cached lookup gives all that is derived from a stream's
identity, and each column is one comprehension.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import pyarrow as pa

from storage.schema import CALL, MEASUREMENTS, SHARDS, STREAM_INTERVAL, Measurement
from storage.seam import BadQuery
from telephony.model import INTERVAL_NS, CallRecord, Endpoint, StreamInterval

_STREAMS = 4_096
"""Streams whose identity is remembered: the new ones of some minutes; another one costs a microsecond to make."""
_CALL_SPREAD_NS = 1_000_000


def shard_of(text: str) -> str:
    """Return the `shard` tag of a Call-ID: CRC-32 modulo `SHARDS`, so that a search by Call-ID knows the shard.

    >>> shard_of("a84b4c76e66710@pc33.example.com")
    '27'
    """
    return str(crc32(_encoded(text)) % SHARDS)


def forecast_time_ns(slot_ns: int, issued_at_ns: int) -> int:
    """Return the `time` of a forecast: its slot's start plus the seconds of its issue, as ns (below 5 s).

    Issues of one slot are apart, in order, and both times can be told from it and the field `slot`.

    >>> forecast_time_ns(1_790_000_100_000_000_000, 1_790_000_040_000_000_000)
    1790000101790000040
    """
    return slot_ns + issued_at_ns // 1_000_000_000


class _StreamIdentity(NamedTuple):
    src: str
    dst: str
    shard: str
    offset_ns: int


@lru_cache(maxsize=_STREAMS)
def _identity(
    call_id: str, ssrc: int, src: Endpoint, dst: Endpoint, observer: str, direction: str
) -> _StreamIdentity:
    src_text, dst_text = str(src), str(dst)
    named = "\0".join((call_id, str(ssrc), src_text, dst_text, observer, direction))
    digest = blake2b(_encoded(named), digest_size=8).digest()
    offset = int.from_bytes(digest, "big") % INTERVAL_NS
    return _StreamIdentity(src_text, dst_text, shard_of(call_id or named), offset)


def stream_interval_batch(intervals: Sequence[StreamInterval]) -> pa.RecordBatch:
    """Return intervals as rows of `stream_interval`.

    `time` is the interval's start plus a stable offset below its length: a 64-bit hash of (call id, SSRC, source,
    destination, observer, direction) modulo 10^10 ns. Writing an interval again hits the same point; two streams
    collide only where offset, shard and every other tag agree. Of n streams of one interval with equal tags,
    spread over 64 shards, n^2 / (2 * 64 * 10^10) pairs are expected to: 60,000 streams lose a row in one of 350
    intervals, if all of them have the same tenant, trunk, region, node, direction, observer and codec.
    """
    rows = intervals
    known = [_identity(r.call_id, r.ssrc, r.src, r.dst, r.observer, r.direction) for r in rows]
    labels = [r.labels for r in rows]
    columns: dict[str, list[object]] = {
        "time": [r.time_ns + k.offset_ns for r, k in zip(rows, known, strict=True)],
        "tenant": [label.tenant for label in labels],
        "trunk": [label.trunk for label in labels],
        "region": [label.region for label in labels],
        "node": [label.node for label in labels],
        "direction": [r.direction for r in rows],
        "observer": [r.observer for r in rows],
        "codec": [r.codec for r in rows],
        "shard": [k.shard for k in known],
        "call_id": [r.call_id for r in rows],
        "ssrc": [r.ssrc for r in rows],
        "src": [k.src for k in known],
        "dst": [k.dst for k in known],
        "clock_rate_hz": [r.clock_rate_hz for r in rows],
        "expected": [r.expected for r in rows],
        "received": [r.received for r in rows],
        "lost": [r.lost for r in rows],
        "discarded": [r.discarded for r in rows],
        "duplicates": [r.duplicates for r in rows],
        "reordered": [r.reordered for r in rows],
        "jitter_ms": [r.jitter_ms for r in rows],
        "jitter_max_ms": [r.jitter_max_ms for r in rows],
        "rtt_ms": [r.rtt_ms for r in rows],
        "burst_ratio": [r.burst_ratio for r in rows],
        "r_factor": [r.r_factor for r in rows],
        "mos": [r.mos for r in rows],
        "mos_scale": [r.mos_scale for r in rows],
        "delay_ms": [r.delay_ms for r in rows],
        "delay_source": [r.delay_source for r in rows],
        "codec_source": [r.codec_source for r in rows],
        "verdict": [r.verdict for r in rows],
        "own_drops": [r.own_drops for r in rows],
        "payload_types": [_types(r.payload_types) for r in rows],
        "payload_type_changes": [r.payload_type_changes for r in rows],
        "markers": [r.markers for r in rows],
        "dscp": [r.dscp for r in rows],
        "spacing_min_ms": [r.spacing_min_ms for r in rows],
        "spacing_max_ms": [r.spacing_max_ms for r in rows],
        "burst_density": [r.burst_density for r in rows],
        "gap_density": [r.gap_density for r in rows],
    }
    return _batch(STREAM_INTERVAL, columns)


@lru_cache(maxsize=1024)
def _types(payload_types: tuple[int, ...]) -> str | None:
    return " ".join(map(str, payload_types)) or None


def call_batch(records: Sequence[CallRecord]) -> pa.RecordBatch:
    """Return ended calls as rows of `call`.

    `time` is the end of the call plus a stable offset below 1 ms, by its Call-ID: many calls end in one datagram's
    time stamp when a gateway restarts, and must stay apart.
    """
    rows = records
    hashes = [int.from_bytes(blake2b(_encoded(r.call_id), digest_size=8).digest(), "big") for r in rows]
    columns: dict[str, list[object]] = {
        "time": [r.ended_ns + h % _CALL_SPREAD_NS for r, h in zip(rows, hashes, strict=True)],
        "tenant": [r.labels.tenant for r in rows],
        "trunk": [r.labels.trunk for r in rows],
        "region": [r.labels.region for r in rows],
        "node": [r.labels.node for r in rows],
        "codec": [r.codec for r in rows],
        "outcome": [r.outcome for r in rows],
        "shard": [shard_of(r.call_id) for r in rows],
        "call_id": [r.call_id for r in rows],
        "from_masked": [r.from_masked for r in rows],
        "to_masked": [r.to_masked for r in rows],
        "destination": [r.destination for r in rows],
        "started_at": [r.started_ns for r in rows],
        "pdd_ms": [r.pdd_ms for r in rows],
        "setup_ms": [r.setup_ms for r in rows],
        "duration_s": [r.duration_s for r in rows],
        "sip_code": [r.sip_code for r in rows],
        "q850": [r.q850 for r in rows],
        "released_by": [r.released_by for r in rows],
        "attempts": [r.attempts for r in rows],
        "mos_min": [r.mos_min for r in rows],
        "mos_avg": [r.mos_avg for r in rows],
        "degraded_ratio": [r.degraded_ratio for r in rows],
        "one_way": [r.one_way for r in rows],
        "legs": [r.legs for r in rows],
        "hops": [r.hops for r in rows],
        "codecs": [r.codecs for r in rows],
        "correlated": [r.correlated for r in rows],
        "quality_reason": [r.quality_reason for r in rows],
    }
    return _batch(CALL, columns)


def batch(measurement: str, rows: Sequence[Mapping[str, object]]) -> pa.RecordBatch:
    """Return rows (column to value, `time` in ns; a field that is left out is null) as a record batch.

    For measurements of few rows. Raises BadQuery for an unknown measurement or column, a missing time or tag, or a
    value that does not fit its column.
    """
    known = MEASUREMENTS.get(measurement)
    if known is None:
        raise BadQuery(f"no measurement {measurement[:60]!r}; there are {', '.join(MEASUREMENTS)}")
    names = known.schema.names
    unknown = {name for row in rows for name in row}.difference(names)
    if unknown:
        raise BadQuery(
            f"{measurement} has no column {', '.join(sorted(unknown))[:200]}; it has {', '.join(names)}"
        )
    columns: dict[str, list[object]] = {name: [row.get(name) for row in rows] for name in names}
    for name in ("time", *known.tags):
        if any(value is None for value in columns[name]):
            raise BadQuery(f"{measurement}: {name} is missing")
    return _batch(known, columns)


def _batch(measurement: Measurement, columns: Mapping[str, Sequence[object]]) -> pa.RecordBatch:
    schema = measurement.schema
    arrays = []
    for f in schema:
        try:
            arrays.append(_array(columns[f.name], f.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise BadQuery(f"{measurement.name}: {f.name} takes {f.type}: {str(error)[:120]}") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:  # bytes from the wire that were no text; one of them must not cost the others
        return pa.array([_storable(value) for value in values], type_)


def _storable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_storable(item) for item in value] if isinstance(value, tuple | list) else value


def _encoded(text: str) -> bytes:
    """Text as bytes; what could not be decoded from the wire keeps a value of its own."""
    return text.encode("utf-8", "surrogatepass")
