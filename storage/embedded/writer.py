"""The writing side: rows wait for `flush`, go to the log, and the log is sealed behind the caller's back.

Sealing takes tenths of a second per hundred thousand rows, so it runs in a thread of the writer, generation by
generation in order: a later generation is never sealed before an earlier one, which the readers' rule "a segment
that covers a log's generation replaces it" (see `catalog`) and compaction rely on.
"""

import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from storage.embedded.layout import END_NS, Layout, Log
from storage.embedded.log import LogFile, LogTail
from storage.embedded.points import Memory, last_of_each, point_keys, stored_schema, times_of
from storage.embedded.segments import seal
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS, Measurement
from storage.seam import BadQuery, StoreError, StoreLocked, StoreUnavailable
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
_SEALS_WAITING = 2
UPKEEP = "upkeep"
_UPKEEP_WAIT_SECONDS = 30.0
_UPKEEP_POLL_SECONDS = 0.02


class WriterLock:
    """flock(2) on `lock/<writer>.lock`: dies with the process, so a crash leaves nothing to clean."""

    def __init__(self, path: Path, writer: str, purpose: str = "") -> None:
        """Take the lock; raises StoreLocked that says who has it.

        `purpose` is said to others that want the lock: they wait for upkeep, which is short.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        deadline = time.monotonic() + _UPKEEP_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(self._fd, 64, 0).decode("ascii", "replace").strip()
                if (not owner or owner.startswith(UPKEEP)) and not purpose and time.monotonic() < deadline:
                    time.sleep(_UPKEEP_POLL_SECONDS)
                    continue
                os.close(self._fd)
                raise StoreLocked(
                    f"writer {writer!r} of {path.parent.parent} is open in process {owner or 'unknown'}; stop it first"
                ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{purpose} {os.getpid()}\n".lstrip().encode(), 0)

    def release(self) -> None:
        """Let the lock go."""
        os.close(self._fd)


class Sealer:
    """Seals the log generations of one writer, in order, and drops the logs that are sealed."""

    def __init__(self, layout: Layout, writer: str, stats: StoreStats) -> None:
        self._layout = layout
        self._writer = writer
        self._stats = stats
        self._waiting: dict[str, deque[Log]] = {}

    def recover(self) -> None:
        """Seal what a dead writer of this name left, and remove what it left half written."""
        for temporary in self._layout.temporary_files(self._writer):
            temporary.unlink(missing_ok=True)
        for measurement, log in self._layout.logs_by_writer().get(self._writer, []):
            self._waiting.setdefault(measurement, deque()).append(log)
        for measurement in self._waiting:
            self._stats.rows_recovered += self.seal_waiting(measurement)

    def add(self, measurement: str, log: Log) -> None:
        """Take a closed generation."""
        self._waiting.setdefault(measurement, deque()).append(log)

    def seal_waiting(self, measurement: str) -> int:
        """Seal the closed generations of a measurement; stops at the first that fails. Returns the rows sealed."""
        waiting = self._waiting.get(measurement, deque())
        sealed = 0
        while waiting:
            try:
                sealed += self._seal(measurement, waiting[0])
            except (OSError, pa.ArrowException) as error:
                self._stats.seal_failures += 1
                logger.warning("sealing %s failed, the log stays and is tried again: %s", waiting[0].path, error)
                return sealed
            waiting.popleft()
        return sealed

    def _seal(self, name: str, log: Log) -> int:
        measurement = MEASUREMENTS.get(name)
        if measurement is None:
            return 0  # of a newer version, which will find it again
        schema = stored_schema(measurement)
        tail = LogTail(log.path, schema)
        rows = pa.Table.from_batches([batch.rows for batch in tail.read()], schema)
        if tail.torn:
            self._stats.torn_logs += 1
        self._stats.segments_sealed += len(seal(self._layout, measurement, self._writer, log.generation, rows))
        log.path.unlink(missing_ok=True)
        return int(rows.num_rows)


class _Pending:
    """What one measurement holds between flushes, and the log it appends to."""

    def __init__(self, measurement: Measurement, layout: Layout, writer: str) -> None:
        self.measurement = measurement
        self.schema = stored_schema(measurement)
        self.batches: list[pa.RecordBatch] = []
        self.bytes = 0
        self.log: LogFile | None = None
        segments = layout.list_segments(measurement.name, 0, END_NS, superseded=True)
        logs = layout.list_logs(measurement.name)
        own = [s.last for s in segments if s.writer == writer] + [
            log.generation for log in logs if log.writer == writer
        ]
        self.generation = max(own, default=0)
        tails = [LogTail(log.path, self.schema) for log in logs]
        latest = [s.max_ns for s in segments] + [batch.max_ns for tail in tails for batch in _read(tail)]
        self.memory = Memory(max(latest, default=-1) + 1)


def _read(tail: LogTail) -> list[pa.RecordBatch]:
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
        self._sealer.recover()
        self._sealing = ThreadPoolExecutor(1, thread_name_prefix=f"seal-{name}")
        self._seals: deque[Future[int]] = deque()

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        """Keep rows for the next flush; see `storage.seam.Writer`.

        Raises StoreUnavailable, and does not take the rows, once more than a segment's worth could not be flushed.
        """
        self._check_open()
        pending = self._pending_of(measurement)
        _check_rows(pending.measurement, rows)
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
        self._stats.flushes += 1

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
                pending = self._pending[measurement] = _Pending(known, self._layout, self.name)
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
        self._stats.rows_written += batch.num_rows

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
        return self._sealer.seal_waiting(measurement)


def _check_rows(measurement: Measurement, rows: pa.RecordBatch) -> None:
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
