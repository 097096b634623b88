"""Minute rollups, made at ingest: sums and histograms that merge across nodes, trunks, tenants and time.

A minute stays open until the watermark has passed it, so late facts still count; each change makes its rows
dirty, and `take` gives every dirty row whole. Writing such a row again overwrites the same point.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storage.schema import (
    LOAD_MINUTE,
    QUALITY_MINUTE,
    REGISTRATION_MINUTE,
    SESSION_MINUTE,
    TRUNK_MINUTE,
    Measurement,
)
from telephony.bands import DEGRADED_R, R_DIVISOR
from telephony.histogram import Buckets
from telephony.model import INTERVAL_NS, MINUTE_NS, StreamInterval

Row = dict[str, object]
_SECOND_NS = 1_000_000_000
MAX_OPEN_MINUTES = 10_000
"""A week: what is further spread comes from broken clocks."""


class _Row:
    """One open row: `add` and `count` are the only writers, so a row is always a sum over facts."""

    __slots__ = ("buckets", "dirty", "values")

    def __init__(self, measurement: Measurement) -> None:
        self.buckets: Mapping[str, Buckets] = measurement.histograms
        self.values: dict[str, int | float | list[int]] = {
            name: self.buckets[name].zeros() if name in self.buckets else 0 for name in measurement.fields
        }
        self.dirty = True

    def add(self, name: str, amount: float = 1) -> None:
        self.values[name] += amount  # type: ignore[operator]
        self.dirty = True

    def raise_to(self, name: str, value: float) -> None:
        if value > self.values[name]:  # type: ignore[operator]
            self.values[name] = value
            self.dirty = True

    def set(self, name: str, value: float) -> None:
        if value != self.values[name]:
            self.values[name] = value
            self.dirty = True

    def count(self, name: str, value: float, weight: int = 1) -> None:
        self.values[name][self.buckets[name].index(value)] += weight  # type: ignore[index]
        self.dirty = True


@dataclass(slots=True)
class RollupStats:
    """What the rollups shed."""

    late: int = 0
    """Facts older than every open minute."""
    overflowed: int = 0
    """Facts that found no room for a new combination of tags in their minute."""


class MinuteTable:
    """The open minutes of one measurement, keyed by its tags."""

    def __init__(self, measurement: Measurement, *, keep_minutes: int, max_rows_per_minute: int) -> None:
        self.measurement = measurement
        self.stats = RollupStats()
        self._keep_ns = keep_minutes * MINUTE_NS
        self._limit = max_rows_per_minute
        self._minutes: dict[int, dict[tuple[str, ...], _Row]] = {}
        self._oldest_open = 0
        self._discard = _Row(measurement)

    def row(self, at_ns: int, *tags: str) -> _Row:
        """Return the row of this minute and these tags; a row that goes nowhere, counted, where there is none."""
        minute = at_ns - at_ns % MINUTE_NS
        if minute < self._oldest_open:
            self.stats.late += 1
            return self._discard
        rows = self._minutes.get(minute)
        if rows is None:
            if len(self._minutes) >= MAX_OPEN_MINUTES:
                self.stats.overflowed += 1
                return self._discard
            rows = self._minutes[minute] = {}
        found = rows.get(tags)
        if found is None:
            if len(rows) >= self._limit:
                self.stats.overflowed += 1
                return self._discard
            found = rows[tags] = _Row(self.measurement)
        return found

    def take(self) -> list[Row]:
        """Return every row changed since the last call, whole."""
        return [row for minute, rows in self._minutes.items() for row in self._changed(minute, rows)]

    def _changed(self, minute: int, rows: dict[tuple[str, ...], _Row]) -> Iterator[Row]:
        for tags, row in rows.items():
            if row.dirty:
                row.dirty = False
                yield {
                    "time": minute,
                    **dict(zip(self.measurement.tags, tags, strict=True)),
                    **{k: list(v) if isinstance(v, list) else v for k, v in row.values.items()},
                }

    def close(self, now_ns: int) -> None:
        """Drop the minutes that the watermark has passed; `take` first."""
        horizon = now_ns - self._keep_ns
        # Whole minutes: one that is dropped must never open again, its empty row would overwrite the stored one.
        horizon -= horizon % MINUTE_NS
        for minute in [m for m in self._minutes if m < horizon]:
            del self._minutes[minute]
        self._oldest_open = max(self._oldest_open, horizon)


class Rollups:
    """The minute tables of the collector."""

    def __init__(self, *, keep_minutes: int = 10, max_rows_per_minute: int = 20_000) -> None:
        def table(measurement: Measurement) -> MinuteTable:
            return MinuteTable(measurement, keep_minutes=keep_minutes, max_rows_per_minute=max_rows_per_minute)

        self.sessions = table(SESSION_MINUTE)
        self.quality = table(QUALITY_MINUTE)
        self.load = table(LOAD_MINUTE)
        self.registrations = table(REGISTRATION_MINUTE)
        self.trunks = table(TRUNK_MINUTE)

    @property
    def tables(self) -> tuple[MinuteTable, ...]:
        """All tables."""
        return (self.sessions, self.quality, self.load, self.registrations, self.trunks)

    def add_interval(self, interval: StreamInterval) -> None:
        """Count a closed stream interval into its quality row."""
        labels = interval.labels
        row = self.quality.row(
            interval.time_ns,
            labels.tenant,
            labels.trunk,
            labels.region,
            labels.node,
            interval.codec,
            interval.direction.value,
            interval.observer.value,
        )
        seconds = INTERVAL_NS // _SECOND_NS
        row.add("intervals")
        row.add("stream_seconds", seconds)
        row.add("expected", interval.expected or 0)
        row.add("lost", max(interval.lost or 0, 0))
        if interval.r_factor is not None and interval.mos is not None and interval.mos_scale is not None:
            r = interval.r_factor / R_DIVISOR[interval.mos_scale]
            row.count("r_histogram", r, seconds)
            row.count("mos_histogram", interval.mos, seconds)
            if r < DEGRADED_R:
                row.add("degraded_seconds", seconds)
        if interval.jitter_ms is not None:
            row.count("jitter_histogram", interval.jitter_ms, seconds)
        if interval.expected:
            row.count("loss_histogram", max(interval.lost or 0, 0) / interval.expected, seconds)

    def take(self) -> dict[str, list[Row]]:
        """Return the changed rows by measurement."""
        return {t.measurement.name: rows for t in self.tables if (rows := t.take())}

    def close(self, now_ns: int) -> None:
        """Drop what the watermark has passed."""
        for table in self.tables:
            table.close(now_ns)
