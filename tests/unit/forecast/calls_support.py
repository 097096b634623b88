"""A pool of calls for the tests of live forecasts: every call drawn, and the rows a collector would write."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from load_support import DAY_S, MONDAY_S

from storage.schema import CALL, CALL_NOW, LOAD_MINUTE
from storage.seam import Writer
from telephony.histogram import HOLDING_S

SECOND_NS = 10**9
MEAN_S = 230.0
PLACE = {"tenant": "acme", "pool": "media-eu", "region": "eu", "node": "sbc", "trunk": "in"}

BUSINESS_DAY = ((0, 1), (6, 1), (8, 14), (10, 38), (12, 30), (13.5, 24), (15, 36), (18, 18), (21, 6), (24, 1))
"""Hour and relative rate."""


@dataclass(frozen=True)
class Calls:
    """Answered calls [calls] in order of their answer, UTC seconds."""

    answered_s: np.ndarray
    ended_s: np.ndarray

    def live(self, at_s: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.answered_s, at_s, "right") - np.searchsorted(
            np.sort(self.ended_s), at_s, "right"
        )


def drawn(days: int, *, calls: float = 150.0, seed: int = 3) -> Calls:
    """Return calls of business days whose arrivals are doubly stochastic; their durations are lognormal."""
    random = np.random.default_rng(seed)
    minutes = np.arange(days * 1440)
    level = np.repeat(0.06 * random.normal(size=days), 1440)
    swing = np.zeros(minutes.size)
    for at in range(1, minutes.size):
        swing[at] = swing[at - 1] * (1 - 1 / 120) + 0.03 * np.sqrt(2 / 120) * random.normal()
    shape = np.interp(minutes % 1440 / 60, *zip(*BUSINESS_DAY, strict=True))
    shape /= shape.mean()
    rate = calls / MEAN_S * 60 * shape * np.exp(level + swing)
    counts = random.poisson(rate)
    answered = np.sort(MONDAY_S + 60 * (np.repeat(minutes, counts) + random.random(counts.sum())))
    return Calls(answered, answered + random.lognormal(np.log(MEAN_S) - 0.5, 1.0, answered.size))


def load_rows(calls: Calls, since_s: int, until_s: int) -> pa.RecordBatch:
    edges = np.arange(since_s, until_s + 1, 60)
    count = edges.size - 1
    fine = calls.live(np.arange(since_s, until_s + 1, 5, dtype=np.float64))
    per_minute = np.lib.stride_tricks.sliding_window_view(fine, 13)[::12]
    came = np.histogram(calls.answered_s, edges)[0]
    over = (calls.ended_s >= since_s) & (calls.ended_s < until_s)
    ended, lasted = calls.ended_s[over], (calls.ended_s - calls.answered_s)[over]
    buckets = np.clip(np.searchsorted(HOLDING_S.edges, lasted, "right") - 1, 0, HOLDING_S.count - 1)
    place = ((ended - since_s) // 60).astype(np.int64) * HOLDING_S.count + buckets
    holding = np.bincount(place, minlength=count * HOLDING_S.count).reshape(count, -1)
    columns = {
        "time": edges[:-1] * SECOND_NS, "concurrent_mean": per_minute[:, :-1].mean(axis=1),
        "concurrent_max": per_minute.max(axis=1), "arrivals": came, "holding_time_histogram": holding.tolist(),
    }  # fmt: skip
    return _batch(LOAD_MINUTE.schema, columns, count)


def minute_rows(times_s: np.ndarray, holding: list[list[int]]) -> pa.RecordBatch:
    """Return minutes in which calls ended, by buckets of holding times."""
    return _batch(
        LOAD_MINUTE.schema, {"time": times_s * SECOND_NS, "holding_time_histogram": holding}, times_s.size
    )


def call_rows(calls: Calls, since_s: int, until_s: int) -> pa.RecordBatch:
    held = np.flatnonzero((calls.ended_s >= since_s) & (calls.ended_s < until_s))
    columns = {
        "time": (calls.ended_s[held] * SECOND_NS).astype(np.int64) + held,
        "call_id": [f"c{number}" for number in held.tolist()],
        "duration_s": (calls.ended_s - calls.answered_s)[held], "outcome": ["answered"] * held.size,
        "shard": (held % 64).astype(str).tolist(), "codec": ["opus"] * held.size,
    }  # fmt: skip
    return _batch(CALL.schema, columns, held.size)


def now_rows(calls: Calls, at_s: int) -> pa.RecordBatch:
    """Return what is stated of the calls up at an instant, and of those that ended within half a minute before."""
    held = np.flatnonzero((calls.answered_s <= at_s) & (calls.ended_s > at_s - 30))
    over = calls.ended_s[held] <= at_s
    columns = {
        "time": ((at_s - np.where(over, 0.0, 7.0)) * SECOND_NS).astype(np.int64) - held,
        "call_id": [f"c{number}" for number in held.tolist()],
        "state": np.where(over, "ended", "answered").tolist(),
        "answered_at": (calls.answered_s[held] * SECOND_NS).astype(np.int64),
        "shard": (held % 64).astype(str).tolist(),
    }  # fmt: skip
    return _batch(CALL_NOW.schema, columns, held.size)


def _batch(schema: pa.Schema, columns: dict, count: int) -> pa.RecordBatch:
    def column(field: pa.Field) -> pa.Array:
        if field.name in columns:
            return pa.array(columns[field.name]).cast(field.type)
        return (
            pa.array([PLACE[field.name]] * count, field.type)
            if field.name in PLACE
            else pa.nulls(count, field.type)
        )

    return pa.RecordBatch.from_arrays([column(field) for field in schema], schema=schema)


def write_past(writer: Writer, calls: Calls, until_s: int, *, call_days: int) -> None:
    """Write the minutes since the beginning, and the single calls of the last days."""
    for day_s in range(MONDAY_S, until_s, DAY_S):
        writer.write("load_minute", load_rows(calls, day_s, min(day_s + DAY_S, until_s)))
    for day_s in range(until_s - call_days * DAY_S, until_s, DAY_S):
        writer.write("call", call_rows(calls, day_s, day_s + DAY_S))
    writer.flush()
