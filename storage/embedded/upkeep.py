"""Compaction: small segments of closed days, and of closed parts of the open day, are merged; digests that are
missing are made.

It needs no lock against readers: a query whose file went away asks again. Only the owner of a writer's name
compacts its segments. Segments that compaction replaced stay for a while: a reader that lists the directory while
it changes must find the old or the new ones, and may, by rename(2) and readdir(3), find just one of them.
"""

import logging
import time
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from storage.embedded.digests import is_digested, write_digest
from storage.embedded.layout import DAY_NS, Layout, Segment, day_start_ns, without_superseded
from storage.embedded.points import SEQUENCE, last_writes, stored_schema
from storage.embedded.retention import delete
from storage.embedded.segments import in_order, read_segment, write_segment
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS, Measurement
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
REPLACED_STAY_SECONDS = 60.0
_DIGESTS_A_TURN = 20
_CLOSED_AFTER_NS = 3_600_000_000_000
"""A day, or a part of it, is closed so long after its end; rows may still come, into their own segments."""
_QUARTER_NS = DAY_NS // 4
_HOUR_NS = DAY_NS // 24
_HOUR_CLOSED_AFTER_NS = _CLOSED_AFTER_NS // 4
"""Quarters and hours of the open day: a day of minutes would else be a hundred files."""


class Upkeep:
    """Keeps one store's files few and within bounds."""

    def __init__(self, layout: Layout, settings: StorageSettings, stats: StoreStats) -> None:
        self._layout = layout
        self._settings = settings
        self._stats = stats

    def compact(self, writers: Iterable[str], now_ns: int) -> None:
        """Merge the small segments of these writers' closed days; the caller holds their locks. Raises OSError."""
        owned = set(writers)
        for name in self._layout.measurements():
            measurement = MEASUREMENTS.get(name)
            if measurement is None:
                continue
            for day in self._layout.days(name):
                start = day_start_ns(day)
                present = self._layout.list_segments(name, start, start + DAY_NS, superseded=True)
                self._drop_replaced(present)
                closed = start + DAY_NS + _CLOSED_AFTER_NS <= now_ns
                kept = without_superseded(present)
                for writer in owned:
                    own = sorted((s for s in kept if s.writer == writer), key=lambda s: s.first)
                    for part in [own] if closed else _closed_parts(own, now_ns):
                        for group in self._groups(part):
                            self._merge(measurement, group, oldest=group[0] is own[0])

    def digest(self) -> None:
        """Make the digests that are missing, some a turn: those of an older format. Raises OSError."""
        left = _DIGESTS_A_TURN
        for measurement in filter(is_digested, MEASUREMENTS):
            for day in reversed(self._layout.days(measurement)):
                start = day_start_ns(day)
                for segment in self._layout.list_segments(measurement, start, start + DAY_NS):
                    if segment.digested or not left:
                        continue
                    left -= 1
                    schema = stored_schema(MEASUREMENTS[measurement])
                    try:
                        rows = read_segment(segment, schema)
                    except (FileNotFoundError, pa.ArrowException):
                        continue  # expired meanwhile, or damaged: the next query finds out
                    write_digest(segment.path, in_order(MEASUREMENTS[measurement], rows))

    def _groups(self, segments: list[Segment]) -> list[list[Segment]]:
        """Return runs of neighbouring generations worth merging."""
        groups: list[list[Segment]] = [[]]
        rows = 0
        for segment in segments:
            if rows + segment.rows > self._settings.compact_rows:
                groups.append([])
                rows = 0
            groups[-1].append(segment)
            rows += segment.rows
        return [group for group in groups if len(group) > 1]

    def _merge(self, measurement: Measurement, group: list[Segment], *, oldest: bool) -> None:
        try:
            schema = stored_schema(measurement)
            rows = pa.concat_tables([read_segment(segment, schema) for segment in group])
        except FileNotFoundError:
            return  # expired meanwhile
        except (OSError, pa.ArrowException) as error:
            logger.warning("%s of %s is not compacted: %s", measurement.name, group[0].day, str(error)[:200])
            return
        if any(segment.rewrites for segment in group):
            rows = last_writes(rows, measurement.tags)
            if oldest:  # nothing of this writer is older: no row of it overwrites anything any more
                at = rows.column_names.index(SEQUENCE)
                marks = rows[SEQUENCE].to_numpy() & ~np.int64(1)
                rows = rows.set_column(at, SEQUENCE, pa.array(marks))
        write_segment(self._layout, measurement, group[0].writer, (group[0].first, group[-1].last), rows)
        self._stats.segments_compacted += len(group)

    def _drop_replaced(self, present: list[Segment]) -> None:
        for segment in present:
            covering = [s for s in present if s.covers(segment)]
            if covering and min(map(_age_seconds, covering)) > REPLACED_STAY_SECONDS:
                delete(segment)


def _closed_parts(segments: list[Segment], now_ns: int) -> list[list[Segment]]:
    """Return runs of neighbouring generations that end in the same closed quarter, or hour, of a day."""
    runs: list[list[Segment]] = []
    last = None
    for segment in segments:
        part = _closed_part(segment.max_ns, now_ns)
        if part is None:
            break
        if part != last:
            runs.append([])
            last = part
        runs[-1].append(segment)
    return runs


def _closed_part(time_ns: int, now_ns: int) -> tuple[int, int] | None:
    for length_ns, after_ns in ((_QUARTER_NS, _CLOSED_AFTER_NS), (_HOUR_NS, _HOUR_CLOSED_AFTER_NS)):
        number = time_ns // length_ns
        if (number + 1) * length_ns + after_ns <= now_ns:
            return length_ns, number
    return None


def _age_seconds(segment: Segment) -> float:
    """How long ago the file was written, by the clock of the file system's host, not the caller's."""
    try:
        return time.time() - segment.path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
