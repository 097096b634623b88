"""The writing side: rows become lines at once, go to the server at `flush`, or to the spool where it takes none.

`flush` returns once every row is in the server or in the spool. As long as anything is in the spool, everything
goes there: what is written to one point stays in the order it was written. A thread gives the spool to the server
in order, with growing pauses while it fails. Sending twice what was sent before changes nothing (equal points
overwrite), so neither a time-out nor a crash can lose or double a row.
"""

import logging
import random
import re
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.checks import measurement_named
from storage.embedded.layout import END_NS
from storage.embedded.lock import WriterLock
from storage.embedded.writer import check_rows
from storage.influx.lineproto import encode
from storage.influx.rollups import POLICY as ROLLUP_POLICY
from storage.influx.rollups import late_marks
from storage.influx.sender import Sender, Sent, WriteOutcome
from storage.influx.settings import InfluxSettings
from storage.influx.stats import WriterStats
from storage.influx.targets import Databases, Policy, Target, policy_of
from storage.influx.worst import WORST, worst_marks
from storage.schema import MEASUREMENTS, STREAM_INTERVAL, Measurement
from storage.seam import StoreError, StoreUnavailable, WriterHealth
from storage.spool import Spool, SpoolFull, SpoolRecord, SpoolSettings

logger = logging.getLogger(__name__)

PRESENCE = "_fields"
"""The field that says which others a row has (see `lineproto`)."""
_BODY_BYTES = 4 * 1024**2
"""Of lines before compression: a server of default settings takes 25 MB."""
_GZIP = 16 + zlib.MAX_WBITS
_CLOSE_NS = 5_000_000_000
_NAMES = sorted(name.encode() for name in (*MEASUREMENTS, WORST.name))
_LINE_START = re.compile(rb"\n(?=(?:%s)[, ])" % b"|".join(_NAMES))


@dataclass(frozen=True, slots=True)
class Body:
    """Lines for one target, compressed as they are sent."""

    target: Target
    data: bytes
    rows: int

    def packed(self) -> bytes:
        """Return it as the payload of a spool record."""
        where = f"{self.target.policy}\n{self.target.database}".encode()
        return len(where).to_bytes(2, "little") + where + self.data

    @classmethod
    def unpacked(cls, payload: bytes, rows: int) -> "Body":
        """Return the body of a spool record; raises ValueError for one of another version."""
        size = int.from_bytes(payload[:2], "little")
        policy, _, database = payload[2 : 2 + size].decode().partition("\n")
        return cls(Target(database, Policy(policy)), payload[2 + size :], rows)

    def halves(self) -> Iterator["Body"]:
        """Yield the two halves of the lines; nothing where there is one line only."""
        lines = zlib.decompress(self.data, _GZIP)
        starts = [match.start() + 1 for match in _LINE_START.finditer(lines)]
        if starts:
            middle = starts[len(starts) // 2]
            rows = len(starts) // 2 + 1
            yield Body(self.target, compressed([lines[:middle]]), min(rows, self.rows))
            yield Body(self.target, compressed([lines[middle:]]), max(self.rows - rows, 0))


def compressed(parts: list[bytes]) -> bytes:
    """Return the parts as one gzip member: fast, a sixth of the size."""
    gzip = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return b"".join([*(gzip.compress(part) for part in parts), gzip.flush()])


def by_database(rows: pa.RecordBatch, databases: Databases) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the rows of each database, by their tenants."""
    if not rows.num_rows:
        return
    if databases.only_one:
        yield databases.names[0], rows
        return
    encoded = rows["tenant"].dictionary_encode()
    owners = pa.array([databases.of(tenant) for tenant in encoded.dictionary.to_pylist()])
    database = owners.take(encoded.indices)
    for name in owners.unique().to_pylist():
        yield name, rows.filter(pc.equal(database, name))


class InfluxWriter:
    """The one writer of its name on this machine. `write`, `flush` and `close` are for one thread at a time."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        databases: Databases,
        settings: InfluxSettings,
        spool_directory: Path,
        spool: SpoolSettings,
        clock_ns: Callable[[], int],
    ) -> None:
        """Take the name's lock, and what a dead predecessor left in its spool.

        Raises StoreLocked, StoreUnavailable.
        """
        self.name = name
        self._sender = sender
        self._databases = databases
        self._settings = settings
        self.stats = WriterStats()
        self._clock_ns = clock_ns
        self._lines: dict[Target, _Lines] = {}
        self._ready: deque[Body] = deque()
        self._held = 0
        self._closed = False
        self._until_ns = END_NS
        self._pauses = Pauses(settings.backoff, settings.backoff_max)
        try:
            (spool_directory / "lock").mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(spool_directory / "lock" / f"{name}.lock", name)
        except OSError as error:
            raise StoreUnavailable(f"spool {spool_directory}: {error.strerror}") from error
        try:
            self.spool = Spool(spool_directory / name, spool)
        except OSError as error:
            self._lock.release()
            raise StoreUnavailable(f"spool {spool_directory}: {error.strerror}") from error
        self._wake = threading.Event()
        self._stop = threading.Event()
        if not self.spool.empty:
            logger.info("spool of %s: %d rows wait for the server", name, self.spool.rows)
            self._wake.set()
        self._replaying = threading.Thread(target=self._replay, name=f"spool-{name}", daemon=True)
        self._replaying.start()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def held_bytes(self) -> int:
        """What waits in memory for server or spool."""
        return self._held

    def health(self) -> WriterHealth:
        """Return how writing goes; see `storage.seam.Writer`."""
        stats = self.stats
        return WriterHealth(
            requests=dict(stats.requests),
            rows_rejected=dict(stats.rows_rejected),
            rows_sent=stats.rows_sent,
            bytes_sent=stats.bytes_sent,
            rows_shed=stats.rows_shed,
            rows_spooled=stats.rows_spooled,
            rows_replayed=stats.rows_replayed,
            values_not_finite=stats.values_not_finite,
            held_bytes=self._held,
            spool_rows=self.spool.rows,
            spool_bytes=self.spool.size_bytes,
            spool_oldest_ns=self.spool.oldest_ns,
            spool_damaged=self.spool.stats.damaged,
            spool_torn=self.spool.stats.torn,
            spool_refused=self.spool.stats.refused,
            spool_fsyncs=self.spool.stats.fsyncs,
        )

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        """Keep rows for the next flush; see `storage.seam.Writer`.

        Raises StoreUnavailable, and does not take the rows, where server, spool and memory take nothing any more.
        """
        if self._closed:
            raise StoreError(f"writer {self.name!r} is closed")
        known = measurement_named(measurement)
        check_rows(known, rows)
        if self._held > self._settings.held_bytes:
            try:
                self.flush()
            except StoreUnavailable:
                self.stats.rows_shed += rows.num_rows
                raise
        policy = policy_of(measurement)
        for database, part in by_database(rows, self._databases):
            self._encode(known, Target(database, policy), part)

    def flush(self) -> None:
        """Give what was written to the server, else to the spool; see `storage.seam.Writer`.

        Raises StoreUnavailable and keeps what neither took.
        """
        if self._closed:
            raise StoreError(f"writer {self.name!r} is closed")
        for target, lines in self._lines.items():
            self._ready.extend(lines.bodies(target))
        self._lines.clear()
        self._deliver()
        self._held = 0

    def close(self) -> None:
        """Flush, give the spool a moment to empty, and release; see `storage.seam.Writer`."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._until_ns = self._clock_ns() + _CLOSE_NS
            self._stop.set()
            self._wake.set()
            self._replaying.join()
            try:
                self.spool.close()
            finally:
                self._lock.release()

    def _encode(self, measurement: Measurement, target: Target, rows: pa.RecordBatch) -> None:
        lines = self._lines.setdefault(target, _Lines())
        # Before the rows, and in one body with the first: none is there unmarked.
        before = _marks_of(rows) if measurement is STREAM_INTERVAL else []
        for at in range(0, rows.num_rows, self._settings.batch_rows):
            encoded = encode(
                rows.slice(at, self._settings.batch_rows), measurement.name, measurement.tags, presence=PRESENCE
            )
            part = [*before, encoded.lines]
            lines.parts.append((part, encoded.rows))
            before = []
            self._held += sum(map(len, part))
            self.stats.values_not_finite += encoded.values_not_finite

    def _deliver(self) -> None:
        while self._ready:
            body = self._ready[0]
            if self.spool.empty and not self._pauses.paused(self._clock_ns()):
                sent = self._send(body)
                if self._done(body, sent):
                    self._pauses.over()
                    self._ready.popleft()
                    continue
                self._pauses.begin(self._clock_ns(), sent.retry_after_s)
                logger.warning("%s: %s; rows go to the spool", sent.outcome, sent.message)
            now_ns = self._clock_ns()
            try:
                self.spool.append(body.packed(), body.rows, now_ns)
            except SpoolFull as error:
                raise StoreUnavailable(str(error)) from error
            self.stats.rows_spooled += body.rows
            self._ready.popleft()
            self._wake.set()
        try:
            self.spool.sync(self._clock_ns())
        except OSError as error:
            raise StoreUnavailable(f"spool: {error.strerror}") from error

    def _send(self, body: Body, *, patient: bool = False) -> Sent:
        """Send a body; before it, that rollups of its late minutes hold no longer (see `rollups`)."""
        if body.target.policy is ROLLUP_POLICY:
            marks = late_marks(zlib.decompress(body.data, _GZIP), self._clock_ns())
            if marks:
                sent = self._sender.send(body.target, compressed([marks]), patient=patient)
                if not sent.outcome.final:
                    return sent
        return self._sender.send(body.target, body.data, patient=patient)

    def _done(self, body: Body, sent: Sent, *, patient: bool = False) -> bool:
        """Count an answer; return whether there is nothing left to do with the body."""
        self.stats.requests[sent.outcome] += 1
        if sent.outcome is WriteOutcome.TOO_LARGE:
            return self._done_in_halves(body, patient)
        if not sent.outcome.final:
            return False
        rejected = min(sent.rows_rejected, body.rows)
        if rejected:
            self.stats.rows_rejected[sent.outcome] += rejected
            logger.warning("%d rows refused for good, %s: %s", rejected, sent.outcome, sent.message)
        self.stats.rows_sent += body.rows - rejected
        self.stats.bytes_sent += len(body.data)
        return True

    def _done_in_halves(self, body: Body, patient: bool) -> bool:
        halves = list(body.halves())
        if not halves:
            self.stats.rows_rejected[WriteOutcome.TOO_LARGE] += body.rows
            logger.warning("a row is too large for the server, and lost")
            return True
        return all(self._done(half, self._send(half, patient=patient), patient=patient) for half in halves)

    def _replay(self) -> None:
        """Give the spool to the server, in order: a thread of its own. What is left waits for the next process."""
        pauses = Pauses(self._settings.backoff, self._settings.backoff_max)
        while self._clock_ns() < self._until_ns:
            try:
                record = self.spool.peek()
                if record is not None:
                    sent = self._replayed(record)
                    if not sent.outcome.final and self._stop.wait(pauses.begin(0, sent.retry_after_s)):
                        return
                    if sent.outcome.final:
                        pauses.over()
                elif self._stop.is_set():
                    return
                else:
                    self._wake.clear()
                    if self.spool.empty:
                        self._wake.wait()
            except OSError as error:
                logger.warning("spool of %s: %s", self.name, error)
                if self._stop.wait(pauses.begin(0)):
                    return

    def _replayed(self, record: SpoolRecord) -> Sent:
        """Send a record, and drop it where there is nothing left to do with it."""
        try:
            body = Body.unpacked(record.payload, record.rows)
        except ValueError:
            logger.warning("spool of %s: a record of another version is left out", self.name)
            self.stats.rows_rejected[WriteOutcome.MALFORMED] += record.rows
            self.spool.drop(record)
            return Sent(WriteOutcome.MALFORMED, record.rows)
        sent = self._send(body, patient=True)
        if not self._done(body, sent, patient=True):
            return sent
        self.stats.rows_replayed += record.rows
        self.spool.drop(record)
        return Sent(WriteOutcome.WRITTEN)


def _marks_of(rows: pa.RecordBatch) -> list[bytes]:
    marks = worst_marks(rows)
    return [] if marks is None else [encode(marks, WORST.name, WORST.tags, presence=PRESENCE).lines]


class _Lines:
    """Encoded rows of one target between flushes."""

    def __init__(self) -> None:
        self.parts: list[tuple[list[bytes], int]] = []
        """What goes together, and its rows."""

    def bodies(self, target: Target) -> Iterator[Body]:
        lines: list[bytes] = []
        rows = size = 0
        for part, count in self.parts:
            more = sum(map(len, part))
            if lines and size + more > _BODY_BYTES:
                yield Body(target, compressed(lines), rows)
                lines, rows, size = [], 0, 0
            lines += part
            rows, size = rows + count, size + more
        if lines:
            yield Body(target, compressed(lines), rows)


class Pauses:
    """Exponential pauses with full jitter: many writers shall not come back all at once."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._until_ns = 0

    def begin(self, now_ns: int, at_least_s: float = 0.0) -> float:
        """Begin a pause after a failure; return its seconds."""
        span = min(self._first_s * 2.0 ** min(self._failures, 30), self._longest_s)
        self._failures += 1
        seconds = max(random.uniform(span / 2, span), at_least_s)
        self._until_ns = now_ns + round(seconds * 1e9)
        return seconds

    def over(self) -> None:
        """Forget the failures: it worked."""
        self._failures, self._until_ns = 0, 0

    def paused(self, now_ns: int) -> bool:
        """Tell whether the pause that began last still lasts."""
        return now_ns < self._until_ns
