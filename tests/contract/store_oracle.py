"""Rows to write to a store, and what it must answer, in plain Python."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from storage.rows import stream_interval_batch
from storage.schema import Measurement
from storage.seam import Window
from telephony.model import (
    CallRecord,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    ReleasedBy,
    Scale,
    StreamInterval,
)

NOW = 1_790_000_040_000_000_000
"""A whole minute on 21 September 2026."""


def interval(
    *,
    call_id: str = "a-call",
    ssrc: int = 1,
    time_ns: int = NOW,
    tenant: str = "acme",
    trunk: str = "carrier",
    observer: str = "rtcp_rr",
    mos_scale: str = "nb",
    lost: int = 0,
    r_factor: float | None = 90.0,
    mos: float | None = 4.3,
    **more: Any,
) -> StreamInterval:
    """Return an interval of one stream."""
    return StreamInterval(
        time_ns,
        Labels(tenant, trunk, "eu", "edge-1"),
        call_id,
        ssrc,
        Endpoint("192.0.2.1", 4000),
        Endpoint("192.0.2.2", 5000),
        Direction.TO_CALLEE,
        Observer(observer),
        "PCMA",
        8000,
        500,
        500 - lost,
        lost,
        r_factor=r_factor,
        mos=mos,
        mos_scale=Scale(mos_scale),
        **more,
    )


def call(
    *,
    call_id: str = "a-call",
    tenant: str = "acme",
    outcome: str = "answered",
    started_ns: int = NOW - 60 * 10**9,
    ended_ns: int = NOW + 60 * 10**9,
    from_masked: str = "xxx01",
    to_masked: str = "xxx02",
    destination: str = "+44",
    duration_s: float | None = 110.0,
    sip_code: int = 200,
    mos_min: float | None = None,
) -> CallRecord:
    """Return the record of an ended call."""
    return CallRecord(
        labels=Labels(tenant, "carrier", "eu", "edge-1"),
        call_id=call_id,
        outcome=Outcome(outcome),
        started_ns=started_ns,
        ended_ns=ended_ns,
        codec="PCMA",
        sip_code=sip_code,
        q850=16,
        released_by=ReleasedBy.CALLER,
        attempts=1,
        pdd_ms=800.0,
        setup_ms=3000.0,
        duration_s=duration_s,
        from_masked=from_masked,
        to_masked=to_masked,
        destination=destination,
        legs=2,
        hops=("192.0.2.1:5060 > 192.0.2.2:5060",),
        codecs=("PCMA", "OPUS"),
        one_way=False,
        mos_min=mos_min,
    )


def sample(measurement: Measurement, time_ns: int, seed: int) -> dict[str, Any]:
    """Return a row with a value in every column; different seeds are different points."""
    row: dict[str, Any] = {"time": time_ns}
    row |= {tag: f"{tag}-{seed}" for tag in measurement.tags}
    for name, type_ in measurement.fields.items():
        if name in measurement.histograms:
            row[name] = [(seed + i) % 7 for i in range(measurement.histograms[name].count)]
        elif pa.types.is_timestamp(type_):
            row[name] = time_ns - seed
        elif pa.types.is_list(type_):
            row[name] = [f"{name}-{i}" for i in range(seed % 3)]
        elif pa.types.is_boolean(type_):
            row[name] = seed % 2 == 0
        elif pa.types.is_integer(type_):
            row[name] = seed - 2
        elif pa.types.is_floating(type_):
            row[name] = seed / 3
        else:
            row[name] = f"{name} ü {seed}"
    return row


def minute(measurement: Measurement, *, seed: int = 0, time_ns: int = NOW, **tags: str) -> dict[str, Any]:
    """Return a row of random figures, with some missing."""
    chance = random.Random(seed)
    row: dict[str, Any] = {"time": time_ns} | {tag: tags.get(tag, "one") for tag in measurement.tags}
    for name, type_ in measurement.fields.items():
        if chance.random() < 0.1:
            row[name] = None
        elif name in measurement.histograms:
            row[name] = [chance.randrange(50) for _ in range(measurement.histograms[name].count)]
        elif pa.types.is_integer(type_):
            row[name] = chance.randrange(1000)
        elif pa.types.is_floating(type_):
            row[name] = chance.randrange(1000) / 8  # exact in binary: sums do not depend on their order
        else:
            row[name] = None
    return row


def tag_sets(measurement: Measurement, count: int) -> Iterator[dict[str, str]]:
    """Yield tags with few values each, in many combinations."""
    for i in range(count):
        yield {tag: f"{tag}-{(i // (n + 1)) % 3}" for n, tag in enumerate(measurement.tags)}


class Oracle:
    """Remembers rows as a store must: the last write of each point."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.points: dict[tuple[Any, ...], dict[str, Any]] = {}

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            self.points[row["time"], *(row[tag] for tag in self.measurement.tags)] = row

    def sums(self, window: Window, step_seconds: int, by: Sequence[str]) -> list[dict[str, Any]]:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in self.points.values():
            if window.since_ns <= row["time"] < window.until_ns:
                step = step_seconds * 10**9
                start = row["time"] // step * step if step else window.since_ns
                groups.setdefault((start, *(row[tag] for tag in by)), []).append(row)
        return [
            {"time": key[0], **dict(zip(by, key[1:], strict=True))}
            | {name: self._sum(name, rows) for name in self._summing()}
            for key, rows in sorted(groups.items())
        ]

    def _summing(self) -> list[str]:
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_fixed_size_list)
        return [name for name, type_ in self.measurement.fields.items() if any(kind(type_) for kind in kinds)]

    def _sum(self, name: str, rows: Sequence[dict[str, Any]]) -> Any:
        values = [row[name] for row in rows if row[name] is not None]
        if name in self.measurement.histograms:
            zeros = [0] * self.measurement.histograms[name].count
            return [sum(column) for column in zip(zeros, *values, strict=True)]
        return sum(values) if values else None

    @staticmethod
    def worst_calls(facts: Sequence[StreamInterval], ended: Sequence[CallRecord]) -> list[dict[str, Any]]:
        """Return the answer for intervals of one tenant, each written once."""
        ends = {record.call_id: record for record in ended}
        calls: dict[str, list[StreamInterval]] = {}
        for fact in facts:
            calls.setdefault(fact.call_id, []).append(fact)
        rows = []
        for call_id, own in calls.items():
            end = ends.get(call_id)
            ratings = [f.r_factor / (1.29 if f.mos_scale is Scale.WIDEBAND else 1.0) for f in own if f.r_factor]
            moses = [f.mos for f in own if f.mos is not None]
            rows.append(
                {
                    "call_id": call_id,
                    "tenant": "acme",
                    "trunk": "carrier",
                    "region": "eu",
                    "node": "edge-1",
                    "codec": "PCMA",
                    "mos_min": min(moses, default=None),
                    "mos_avg": sum(moses) / len(moses) if moses else None,
                    "r_min": min(ratings, default=None),
                    "loss_ratio": sum(f.lost or 0 for f in own) / sum(f.expected or 0 for f in own),
                    "jitter_ms_max": max(
                        f.jitter_max_ms if f.jitter_max_ms is not None else f.jitter_ms or 0.0 for f in own
                    ),
                    "rtt_ms_max": max((f.rtt_ms for f in own if f.rtt_ms is not None), default=None),
                    "intervals": len(own),
                    "degraded_intervals": sum(r < 70.0 for r in ratings),
                    "last_seen": max(_stamp(f) for f in own),
                    "observers": " ".join(sorted({f.observer.value for f in own})),
                    "live": end is None,
                    "outcome": end.outcome.value if end else None,
                    "duration_s": end.duration_s if end else None,
                    "verdicts": " ".join(sorted({word for f in own for word in f.verdict.split()})),
                }
            )
        rows.sort(key=lambda r: (r["r_min"] is None, r["r_min"] or 0.0, -r["loss_ratio"], r["call_id"]))
        return [{k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def _stamp(fact: StreamInterval) -> int:
    stamp: int = stream_interval_batch([fact])["time"].cast(pa.int64())[0].as_py()
    return stamp
