"""What there is to read at one moment: segments and log rows, each row once, while others write and seal.

The order of looking makes it right without a lock or a manifest:

1. the logs are listed and read, up to their last whole batch;
2. then the segments of the wanted days are listed;
3. of a log, the rows of a day are left out where a segment of that day covers the log's writer and generation.

A log goes away only after all its segments have been renamed into place. So its rows are found in step 1, or the
log was already gone and step 2 sees the segments; and where both are seen, step 3 keeps the segment. A compacted
segment covers the generations of those it replaces, which stay for a while (see `upkeep`), because a directory
that changes while it is listed may show neither; readers drop covered ones. A file that retention or compaction
deletes between listing and reading makes the query start again here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from storage.embedded.digests import digest_path
from storage.embedded.layout import DAY_NS, END_NS, Layout, Segment, day_of
from storage.embedded.log import LogBatch, LogTails
from storage.embedded.points import Int64s, stored_schema, times_of
from storage.embedded.repeats import NO_TIMES, NOWHERE
from storage.schema import Measurement
from storage.seam import Window


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files and log rows of a measurement in a window; some of their rows may be outside of it."""

    segments: list[Segment]
    tail: pa.Table
    """Rows that are in logs only, with the stored schema."""
    tail_marks: Int64s = field(default_factory=lambda: NO_TIMES)
    """Times of the log rows that may overwrite others."""
    shared: Window = NOWHERE
    """Several writers wrote in this span of time: any row may overwrite another's, marked or not."""
    unsealed: list[Window] = field(default_factory=list)
    """The spans of the log rows, batch by batch."""


def clamp(window: Window) -> Window:
    """Return the part of a window that the store can express."""
    return Window(min(max(window.since_ns, 0), END_NS), min(max(window.until_ns, 0), END_NS))


def snapshot(
    layout: Layout, tails: LogTails, measurement: Measurement, window: Window, damaged: frozenset[str]
) -> Snapshot:
    """Look once; `damaged` are the paths of segments to leave out."""
    logs = layout.list_logs(measurement.name)
    tails.forget(layout.logs / measurement.name, logs)
    schema = stored_schema(measurement)
    read = tails.read(logs, schema)
    days = layout.list_segments(measurement.name, window.since_ns, window.until_ns)
    segments = [
        s
        for s in days
        if s.max_ns >= window.since_ns and s.min_ns < window.until_ns and str(s.path) not in damaged
    ]
    segments = [replace(s, digested=False) if str(digest_path(s.path)) in damaged else s for s in segments]
    spans: dict[str, list[tuple[int, int]]] = {}
    for segment in segments:
        spans.setdefault(segment.writer, []).append((segment.min_ns, segment.max_ns))
    kept: list[pa.RecordBatch] = []
    unsealed: list[Window] = []
    marked = [NO_TIMES]
    for log, batches in read:
        sealed = {s.day for s in days if s.writer == log.writer and s.first <= log.generation <= s.last}
        for batch in batches:
            if batch.max_ns < window.since_ns or batch.min_ns >= window.until_ns:
                continue
            rows = _without_days(batch, sealed)
            if rows is not None:
                kept.append(rows)
                unsealed.append(Window(batch.min_ns, batch.max_ns + 1))
                marked.append(batch.marked)
                spans.setdefault(log.writer, []).append((batch.min_ns, batch.max_ns))
    tail = pa.Table.from_batches(kept, schema)
    return Snapshot(segments, tail, np.unique(np.concatenate(marked)), _shared(spans), unsealed=unsealed)


def _without_days(batch: LogBatch, sealed: set[str]) -> pa.RecordBatch | None:
    if not sealed:
        return batch.rows
    if day_of(batch.min_ns) == day_of(batch.max_ns):
        return None if day_of(batch.min_ns) in sealed else batch.rows
    days = times_of(batch.rows["time"]) // DAY_NS
    names = {day: day_of(day * DAY_NS) for day in np.unique(days).tolist()}
    keep = ~np.isin(days, [day for day, name in names.items() if name in sealed])
    return batch.rows.filter(pa.array(keep)) if keep.any() else None


def _shared(spans: dict[str, list[tuple[int, int]]]) -> Window:
    """Return the span of time that holds all that several writers wrote in common."""
    if len(spans) < 2:
        return NOWHERE
    since_ns, until_ns = END_NS, 0
    reach: dict[str, int] = {}
    for low, high, writer in sorted((low, high, writer) for writer, own in spans.items() for low, high in own):
        others = max((end for other, end in reach.items() if other != writer), default=-1)
        if others >= low:
            since_ns, until_ns = min(since_ns, low), max(until_ns, min(others, high) + 1)
        reach[writer] = max(reach.get(writer, low), high)
    return Window(since_ns, until_ns) if since_ns < until_ns else NOWHERE
