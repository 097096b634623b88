"""The writing side: rows wait for `flush`, go to the log, and the log is sealed behind the caller's back.

Sealing takes tenths of a second per hundred thousand rows, so it runs in a thread of the writer (see `sealer`).
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from storage.embedded.giveback import give_back
from storage.embedded.layout import END_NS, Layout, Log
from storage.embedded.lock import WriterLock
from storage.embedded.log import LogBatch, LogFile, LogTail
from storage.embedded.memory import Memory
from storage.embedded.points import last_of_each, point_keys, stored_schema, times_of
from storage.embedded.sealer import Sealer
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS, SIP_MESSAGE, STREAM_INTERVAL, Measurement
from storage.seam import BadQuery, StoreError, StoreUnavailable, WriterHealth
from storage.settings import StorageSettings

_SEALS_WAITING = 2
_BUSY = frozenset({STREAM_INTERVAL.name, SIP_MESSAGE.name})
"""Measurements of thousands of rows a second."""
_BUSY_SHARE = 16
"""The other measurements remember a sixteenth of what those do."""


class _Pending:
    """What one measurement holds between flushes, and the log it appends to."""

    def __init__(self, measurement: Measurement, layout: Layout, writer: str, points: int) -> None:
        self.measurement = measurement
        self.schema = stored_schema(measurement)
        self.batches: list[pa.RecordBatch] = []
        self.bytes = 0
        self.log: LogFile | None = None
        # Logs before segments, as in `catalog`: what is sealed meanwhile is then found in its segment.
        logs = layout.list_logs(measurement.name)
        tails = [batch for log in logs for batch in _read(LogTail(log.path, self.schema))]
        segments = layout.list_segments(measurement.name, 0, END_NS, superseded=True)
        own = [log.generation for log in logs if log.writer == writer]
        self.generation = max(own + [s.last for s in segments if s.writer == writer], default=0)
        latest = max([s.max_ns for s in segments] + [batch.max_ns for batch in tails], default=-1)
        self.memory = Memory(latest + 1, points if measurement.name in _BUSY else points // _BUSY_SHARE)


def _read(tail: LogTail) -> list[LogBatch]:
    try:
        return tail.read()
    except FileNotFoundError:
        return []


class EmbeddedWriter:
    """The one writer of its name. Not for several threads at once."""

    def __init__(
        self, layout: Layout, name: str, settings: StorageSettings, stats: StoreStats, clock_ns: Callable[[], int]
    ) -> None:
        """Take the name's lock, recover what a dead predecessor left; raises StoreLocked, StoreUnavailable."""
        self.name = name
        self._layout = layout
        self._settings = settings
        self._stats = stats
        self._clock_ns = clock_ns
        self._pending: dict[str, _Pending] = {}
        self._sequence = 0
        self._closed = False
        try:
            self._lock = WriterLock(layout.locks / f"{name}.lock", name)
        except OSError as error:
            raise StoreUnavailable(f"store {layout.root}: {error}") from error
        self._sealer = Sealer(layout, name, stats)
        try:
            self._sealer.recover()
        except OSError as error:
            self._lock.release()
            raise StoreUnavailable(f"store {layout.root}: {error}") from error
        self._sealing = ThreadPoolExecutor(1, thread_name_prefix=f"seal-{name}")
        self._seals: deque[Future[int]] = deque()

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        """Keep rows for the next flush; see `storage.seam.Writer`.

        Raises StoreUnavailable, and does not take the rows, once more than a segment's worth could not be flushed.
        """
        self._check_open()
        pending = self._pending_of(measurement)
        check_rows(pending.measurement, rows)
        if not rows.num_rows:
            return
        if pending.bytes > self._settings.seal_bytes:
            self.flush()
        stored = self._stored(pending, rows)
        pending.batches.append(stored)
        pending.bytes += stored.nbytes

    def flush(self) -> None:
        """Append what was written to the logs; see `storage.seam.Writer`. Raises StoreUnavailable and keeps it."""
        self._check_open()
        now_ns = self._clock_ns()
        for pending in self._pending.values():
            if pending.batches:
                self._append(pending, now_ns)
            if pending.log is not None and self._is_due(pending.log, now_ns):
                self._rotate(pending)

    def close(self) -> None:
        """Flush, seal and release; see `storage.seam.Writer`."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            for pending in self._pending.values():
                if pending.log is not None:
                    self._rotate(pending)
            self._sealing.shutdown(wait=True)
            self._lock.release()

    def health(self) -> WriterHealth:
        """Return nothing but zeros: what was flushed is on the disk; see `storage.seam.Writer`."""
        return WriterHealth()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"writer {self.name!r} is closed")

    def _pending_of(self, measurement: str) -> _Pending:
        pending = self._pending.get(measurement)
        if pending is None:
            known = MEASUREMENTS.get(measurement)
            if known is None:
                raise BadQuery(f"no measurement {measurement[:60]!r}; there are {', '.join(MEASUREMENTS)}")
            try:
                pending = self._pending[measurement] = _Pending(
                    known, self._layout, self.name, self._settings.remember_points
                )
            except OSError as error:
                raise StoreUnavailable(f"store {self._layout.root}: {error}") from error
        return pending

    def _stored(self, pending: _Pending, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows as they are stored: one per point, with `_seq`."""
        keys = point_keys(rows, pending.measurement.tags)
        keep = last_of_each(keys)
        if keep is not None:
            rows, keys = rows.filter(pa.array(keep)), keys[keep]
        marks = pending.memory.seen(times_of(rows["time"]), keys)
        self._sequence = max(self._sequence + 2, 2 * self._clock_ns())
        columns = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(rows.columns, pending.schema, strict=False)
        ]
        return pa.RecordBatch.from_arrays(
            [*columns, pa.array(marks.astype(np.int64) + self._sequence)], schema=pending.schema
        )

    def _append(self, pending: _Pending, now_ns: int) -> None:
        name = pending.measurement.name
        try:
            if pending.log is None:
                pending.generation = max(pending.generation + 1, now_ns // 1_000_000)
                path = self._layout.log_path(name, self.name, pending.generation)
                pending.log = LogFile(Log(path, self.name, pending.generation), pending.schema, now_ns)
            batch = pa.concat_batches(pending.batches)
            pending.log.append(batch)
        except OSError as error:
            if pending.log is not None:
                self._rotate(pending)
            raise StoreUnavailable(f"store {self._layout.root}: {name}: {error}") from error
        pending.batches, pending.bytes = [], 0

    def _is_due(self, log: LogFile, now_ns: int) -> bool:
        settings = self._settings
        return (
            log.rows >= settings.seal_rows
            or log.bytes >= settings.seal_bytes
            or now_ns - log.opened_ns >= settings.seal_age_ns
        )

    def _rotate(self, pending: _Pending) -> None:
        """Close the log and have it sealed; waits where sealing falls behind writing."""
        assert pending.log is not None
        pending.log.close()
        name = pending.measurement.name
        while len(self._seals) >= _SEALS_WAITING:
            self._seals.popleft().result()
        self._seals.append(self._sealing.submit(self._seal, name, pending.log.log))
        pending.log = None

    def _seal(self, measurement: str, log: Log) -> int:
        self._sealer.add(measurement, log)
        try:
            return self._sealer.seal_waiting(measurement)
        finally:
            give_back()


def check_rows(measurement: Measurement, rows: pa.RecordBatch) -> None:
    """Raise BadQuery for rows of another schema, or whose point lacks a time or a tag."""
    wanted = {field.name: field.type for field in measurement.schema}
    given = {field.name: field.type for field in rows.schema}
    if list(given.items()) != list(wanted.items()):
        wrong = [f"{n} is {given[n]}, not {wanted[n]}" for n in wanted if n in given and given[n] != wanted[n]]
        wrong += [f"no {name}" for name in wanted if name not in given]
        wrong += [f"unknown {name}" for name in given if name not in wanted]
        raise BadQuery(f"{measurement.name}: {'; '.join(wrong[:5]) or 'columns in another order'}")
    for name in ("time", *measurement.tags):
        if rows[name].null_count:
            raise BadQuery(f"{measurement.name}: {name} must not be null")
    if rows.num_rows:
        times = times_of(rows["time"])
        if times.min() < 0 or times.max() >= END_NS:
            raise BadQuery(f"{measurement.name}: a time before 1970 or after 2116")
