"""Traffic for the benchmark of the store: 30,000 calls of 3 minutes each, two streams a call, as columns.

60,000 streams report once in 10 s, in ticks of 6,000 rows a second. Rows are made from templates of a tenth of the
calls and renewed when their calls end: what is measured is the store, not the making of text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.rows import shard_of
from storage.schema import CALL, QUALITY_MINUTE, SIP_MESSAGE, STREAM_INTERVAL, TIME, Measurement
from telephony.model import INTERVAL_NS, MINUTE_NS

STREAMS = 60_000
TICK_ROWS = STREAMS // 10
START_NS = 1_790_000_000 * 1_000_000_000 // INTERVAL_NS * INTERVAL_NS
TENANTS, TRUNKS, NODES = 20, 40, 6
CALL_INTERVALS = 18
_TENTH_CALLS = TICK_ROWS // 2
_MESSAGES = ("INVITE", "INVITE", "INVITE", "ACK", "BYE", "BYE")
_SECOND_NS = 1_000_000_000
Ints = npt.NDArray[np.int64]


def call_id_of(number: int) -> str:
    """Return the Call-ID of the call of this number, in the order of starting."""
    return f"{number * 2_654_435_761 % 2**32:08x}-{number}@10.0.0.1"


@dataclass(frozen=True, slots=True)
class _Calls:
    """A tenth of the calls in progress: what their rows have in common."""

    numbers: Ints
    ids: pa.Array
    shards: pa.Array
    tick: pa.RecordBatch
    """Rows of one tick, with times from 0."""


class Traffic:
    """Yields a tick a second: interval rows, and the rows of the calls that ended."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self._noise: dict[str, npt.NDArray[Any]] = {
            "lost": self._random.poisson(0.5, 4 * TICK_ROWS),
            "jitter_ms": np.round(self._random.gamma(2, 2, 4 * TICK_ROWS), 3),
            "rtt_ms": np.round(self._random.gamma(4, 10, 4 * TICK_ROWS), 2),
            "r_factor": np.round(np.minimum(self._random.normal(88, 4, 4 * TICK_ROWS), 93.2), 2),
        }
        self._tenths = [self._calls(tenth, 0) for tenth in range(10)]

    def ticks(self, rows: int) -> Iterator[tuple[pa.RecordBatch, dict[str, pa.RecordBatch]]]:
        """Yield so many rows of `stream_interval`, and beside each tick rows of other measurements."""
        for number in range(rows // TICK_ROWS):
            interval, tenth = divmod(number, 10)
            ended: dict[str, pa.RecordBatch] = {}
            age = (interval + tenth) % CALL_INTERVALS
            if interval and not age:
                end_ns = START_NS + number * _SECOND_NS
                old = self._tenths[tenth]
                ended = {CALL.name: _ended(old, end_ns), SIP_MESSAGE.name: _messages(old, end_ns)}
                self._tenths[tenth] = self._calls(tenth, (interval + tenth) // CALL_INTERVALS)
            yield self._tick(self._tenths[tenth], START_NS + interval * INTERVAL_NS), ended

    def _tick(self, calls: _Calls, time_ns: int) -> pa.RecordBatch:
        tick = calls.tick
        at = int(self._random.integers(0, 3 * TICK_ROWS))
        noise = {name: values[at : at + TICK_ROWS] for name, values in self._noise.items()}
        noise["received"] = 500 - noise["lost"]
        noise["mos"] = np.round(1 + 0.035 * noise["r_factor"], 3)
        times = pa.array(tick["time"].cast(pa.int64()).to_numpy() + time_ns).cast(TIME)
        made = {"time": times} | {name: pa.array(values) for name, values in noise.items()}
        columns = [made.get(f.name, tick[f.name]).cast(f.type) for f in STREAM_INTERVAL.schema]
        return pa.RecordBatch.from_arrays(columns, schema=STREAM_INTERVAL.schema)

    def _calls(self, tenth: int, generation: int) -> _Calls:
        numbers = generation * (STREAMS // 2) + tenth * _TENTH_CALLS + np.arange(_TENTH_CALLS)
        names = [call_id_of(number) for number in numbers.tolist()]
        ids, shards = pa.array(names), pa.array([shard_of(name) for name in names])
        call = np.repeat(numbers, 2)
        side = np.tile([0, 1], _TENTH_CALLS)
        twice = pa.array(np.repeat(np.arange(_TENTH_CALLS), 2))
        stream = call * 2 + side
        values = {
            "time": tenth * _SECOND_NS + stream * 48_271 * 65_537 % _SECOND_NS,
            **_place(call),
            "direction": np.where(side, "to_caller", "to_callee"),
            "observer": np.full(TICK_ROWS, "rtcp_rr"),
            "codec": np.where(call % 3, "PCMA", "OPUS"),
            "shard": shards.take(twice),
            "call_id": ids.take(twice),
            "ssrc": stream * 40_503 % 2**32,
            "src": _named("10.0.0.1:", stream % 16_384),
            "dst": _named("10.0.0.2:", stream % 16_384),
            "clock_rate_hz": np.full(TICK_ROWS, 8000),
            "expected": np.full(TICK_ROWS, 500),
            "mos_scale": np.full(TICK_ROWS, "nb"),
            "own_drops": np.zeros(TICK_ROWS, dtype=np.int64),
            "verdict": np.full(TICK_ROWS, ""),
        }
        return _Calls(numbers, ids, shards, _batch(STREAM_INTERVAL, values, TICK_ROWS))


def interval_rows(rows: int) -> pa.RecordBatch:
    """Return interval rows as one batch, for other benches."""
    return pa.concat_batches([tick for tick, _ in Traffic().ticks(rows)])


def quality_minutes(end_ns: int, minutes: int) -> Iterator[pa.RecordBatch]:
    """Yield quality minutes up to `end_ns`: 160 rows a minute, of 40 trunks, 2 directions and 2 codecs."""
    random = np.random.default_rng(2)
    row = np.arange(TRUNKS * 4)
    end = end_ns // MINUTE_NS
    for minute in range(end - minutes, end):
        values: dict[str, Any] = {
            "time": np.full(row.size, minute * MINUTE_NS),
            **_place(row % TRUNKS),
            "codec": np.where(row // TRUNKS % 2, "PCMA", "OPUS"),
            "direction": np.where(row // TRUNKS // 2, "to_caller", "to_callee"),
            "observer": np.full(row.size, "rtcp_rr"),
            "intervals": np.full(row.size, 2_250),
            "expected": np.full(row.size, 1_125_000),
            "lost": random.poisson(1_000, row.size),
            "stream_seconds": np.full(row.size, 22_500.0),
            "degraded_seconds": random.poisson(200, row.size).astype(float),
        }
        for name, buckets in QUALITY_MINUTE.histograms.items():
            centre = buckets.count * 0.6
            shape = np.exp(-(((np.arange(buckets.count) - centre) / (buckets.count / 12)) ** 2)) * 3_000
            counts = random.poisson(shape, (row.size, buckets.count)).astype(np.uint32)
            flat = pa.array(counts.ravel())
            values[name] = pa.FixedSizeListArray.from_arrays(flat, type=QUALITY_MINUTE.fields[name])
        yield _batch(QUALITY_MINUTE, values, row.size)


def _ended(calls: _Calls, end_ns: int) -> pa.RecordBatch:
    number = calls.numbers
    n = number.size
    values = {
        "time": end_ns + number * 7_919 % 1_000_000,
        **_place(number),
        "codec": np.where(number % 3, "PCMA", "OPUS"),
        "outcome": np.where(number % 50, "answered", "busy"),
        "shard": calls.shards,
        "call_id": calls.ids,
        "from_masked": _named("xxx", number % 9_973),
        "to_masked": _named("xxx", number % 9_967),
        "destination": _named("+", 40 + number % 9),
        "started_at": pa.array(np.full(n, end_ns - CALL_INTERVALS * INTERVAL_NS)).cast(TIME),
        "pdd_ms": 300.0 + number % 977,
        "duration_s": np.full(n, 170.0),
        "sip_code": np.where(number % 50, 200, 486),
        "mos_min": 4.3 - number % 37 / 20,
        "legs": np.full(n, 1),
    }
    return _batch(CALL, values, n)


def _messages(calls: _Calls, end_ns: int) -> pa.RecordBatch:
    count = len(_MESSAGES)
    number = np.repeat(calls.numbers, count)
    each = pa.array(np.repeat(np.arange(calls.numbers.size), count))
    at = np.tile(np.arange(count), calls.numbers.size)
    begun = end_ns - CALL_INTERVALS * INTERVAL_NS
    values = {
        "time": np.where(at < 4, begun + at * 300_000_000, end_ns + at * 10_000_000) + number * 7_919 % 10_000_000,
        "tenant": _named("tenant-", number % TENANTS),
        "node": _named("node-", number % NODES),
        "shard": calls.shards.take(each),
        "call_id": calls.ids.take(each),
        "src": np.where(at % 2, "10.0.0.2:5060", "10.0.0.1:5060"),
        "dst": np.where(at % 2, "10.0.0.1:5060", "10.0.0.2:5060"),
        "method": np.tile(_MESSAGES, calls.numbers.size),
        "status": np.tile([0, 180, 200, 0, 0, 200], calls.numbers.size),
        "cseq": np.full(number.size, 1),
    }
    return _batch(SIP_MESSAGE, values, number.size)


def _place(number: Ints) -> dict[str, Any]:
    return {
        "tenant": _named("tenant-", number % TENANTS),
        "trunk": _named("trunk-", number % TRUNKS),
        "region": _named("region-", number % 4),
        "node": _named("node-", number % NODES),
    }


def _named(prefix: str, numbers: Ints) -> pa.Array:
    """Return `prefix` with each number, through the few distinct ones."""
    distinct, at = np.unique(numbers, return_inverse=True)
    return pa.array([f"{prefix}{number}" for number in distinct.tolist()]).take(pa.array(at))


def _batch(measurement: Measurement, values: dict[str, Any], rows: int) -> pa.RecordBatch:
    arrays = []
    for f in measurement.schema:
        value = values.get(f.name)
        array = pa.nulls(rows, f.type) if value is None else pa.array(value)
        arrays.append(array if array.type == f.type else array.cast(f.type))
    return pa.RecordBatch.from_arrays(arrays, schema=measurement.schema)
