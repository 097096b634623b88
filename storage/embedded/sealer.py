"""Turns the closed logs of a writer into segments, in the order they were written.

A later generation is never sealed before an earlier one: the readers' rule "a segment that covers a log's
generation replaces it" (see `catalog`) and compaction rely on it.
"""

import logging
from collections import deque

import pyarrow as pa

from storage.embedded.layout import Layout, Log
from storage.embedded.log import LogTail
from storage.embedded.points import stored_schema
from storage.embedded.quarantine import put_aside
from storage.embedded.segments import seal
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS

logger = logging.getLogger(__name__)


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
        if not tail.damaged_bytes or not put_aside(
            self._layout, name, log.path, f"{tail.damaged_bytes} bytes between its batches", self._stats
        ):
            log.path.unlink(missing_ok=True)
        return int(rows.num_rows)
