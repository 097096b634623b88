"""The write log: one file of framed Arrow messages per writer, measurement and generation, appended to, never
changed.

A batch is one writev(2), so it is in the page cache, and safe from the death of this process, when `append`
returns. Any other process may read the file while it grows: a batch that is not yet whole is simply not there yet.
A torn tail (crash, full disk) ends the generation: nothing is ever appended behind it. What a failing disk changed
in the middle costs the batches it is in (see `frames`). Stores of format 1 have plain Arrow streams.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa

from storage.embedded.frames import framed, whole_frames
from storage.embedded.giveback import give_back
from storage.embedded.layout import PLAIN_LOG, Log
from storage.embedded.points import SEQUENCE, Int64s, conformed, times_of

_SMALL_ROWS = 65_536
_MANY_BATCHES = 32


class LogFile:
    """A log generation open for appending."""

    def __init__(self, log: Log, schema: pa.Schema, opened_ns: int) -> None:
        """Create the file; raises OSError."""
        self.log = log
        self.opened_ns = opened_ns
        self.rows = 0
        self.bytes = 0
        log.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(log.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            self._write(schema.serialize())
        except OSError:  # a full disk: each flush tries again, and must not leave a descriptor and a file behind
            os.close(self._fd)
            log.path.unlink(missing_ok=True)
            raise

    def append(self, batch: pa.RecordBatch) -> None:
        """Append one batch; raises OSError, after which the generation must be closed."""
        self._write(batch.serialize())
        self.rows += batch.num_rows

    def close(self) -> None:
        """Close the file; it stays until it is sealed."""
        os.close(self._fd)

    def _write(self, message: pa.Buffer) -> None:
        parts = framed(memoryview(message))
        size = sum(map(len, parts))
        written = os.writev(self._fd, parts)
        if written != size:
            raise OSError(f"{self.log.path.name}: only {written} of {size} bytes were written")
        self.bytes += written


@dataclass(frozen=True, slots=True)
class LogBatch:
    """A batch of a log, with the span of its times."""

    rows: pa.RecordBatch
    min_ns: int
    max_ns: int
    marked: Int64s
    """The times of rows that may overwrite others."""

    @classmethod
    def of(cls, rows: pa.RecordBatch) -> "LogBatch":
        """Look through the rows once."""
        times = times_of(rows["time"])
        marked = times[rows[SEQUENCE].to_numpy() & 1 == 1]
        return cls(rows, int(times.min()), int(times.max()), np.unique(marked))


class LogTail:
    """Reads a log that may still grow, from where it stopped the last time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._written = schema
        self._offset = 0
        self._size = 0
        self._framed = path.suffix != PLAIN_LOG
        self._batches: list[LogBatch] = []
        self.damaged_bytes = 0
        """Bytes between whole batches that a failing disk made unreadable."""
        self._lock = Lock()

    def read(self) -> list[LogBatch]:
        """Return every whole batch there is now; raises FileNotFoundError once the log was dropped."""
        with self._lock:
            self._size = self._path.stat().st_size
            if self._size > self._offset:
                with self._path.open("rb", buffering=0) as file:
                    file.seek(self._offset)
                    self._extend(file.readall())
            return list(self._batches)

    @property
    def torn(self) -> bool:
        """Whether, at the last read, bytes followed the last whole batch."""
        return self._size > self._offset

    def _extend(self, data: bytes) -> None:
        self._size = self._offset + len(data)
        self._offset += self._extend_framed(memoryview(data)) if self._framed else self._extend_plain(data)
        if len(self._batches) > _MANY_BATCHES:
            self._merge_small()

    def _extend_framed(self, data: memoryview) -> int:
        end = 0
        for frame in whole_frames(data):
            self.damaged_bytes += frame.skipped
            end = frame.end
            try:
                self._take(pa.ipc.read_message(pa.py_buffer(frame.message)))
            except (OSError, pa.ArrowException):
                self.damaged_bytes += len(frame.message)  # whole, and not what was said in its schema message
        return end

    def _extend_plain(self, data: bytes) -> int:
        reader = pa.BufferReader(data)
        end = 0
        while True:
            try:
                self._take(pa.ipc.read_message(reader))
            except (EOFError, OSError, pa.ArrowException):
                return end  # not whole yet, or torn for good
            end = reader.tell()

    def _take(self, message: pa.ipc.Message) -> None:
        if message.type == "schema":
            self._written = pa.ipc.read_schema(message)
        else:
            rows = pa.ipc.read_record_batch(message, self._written)
            self._batches.append(LogBatch.of(conformed(rows, self._schema)))

    def _merge_small(self) -> None:
        """Keep batches few: thousands of tiny ones are slow to scan."""
        small = [b.rows for b in self._batches if b.rows.num_rows < _SMALL_ROWS]
        if len(small) > _MANY_BATCHES:
            large = [b for b in self._batches if b.rows.num_rows >= _SMALL_ROWS]
            self._batches = [*large, LogBatch.of(pa.concat_batches(small))]


class LogTails:
    """The log tails that the readers of one process share."""

    def __init__(self) -> None:
        self._tails: dict[Path, LogTail] = {}
        self._lock = Lock()

    def read(self, logs: list[Log], schema: pa.Schema) -> list[tuple[Log, list[LogBatch]]]:
        """Return the whole batches of each log; one that was dropped since it was listed is left out."""
        found = []
        for log in logs:
            with self._lock:
                tail = self._tails.setdefault(log.path, LogTail(log.path, schema))
            try:
                found.append((log, tail.read()))
            except FileNotFoundError:
                continue
        return found

    def forget(self, directory: Path, listed: list[Log]) -> None:
        """Let go of the tails of a directory that are not listed in it any more."""
        paths = {log.path for log in listed}
        with self._lock:
            gone = [p for p in self._tails if p.parent == directory and p not in paths]
            for path in gone:
                del self._tails[path]
        if gone:
            give_back()  # a log of thousands of rows, held since it was begun
