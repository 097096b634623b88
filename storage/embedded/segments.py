"""Rows into Parquet segments: sorted, split by day, written to a temporary file and renamed.

A segment is whole or absent: it appears by rename(2) after fsync(2), and is never changed. Rows of sharded
measurements are sorted by shard, then time, so that the row groups of one call are few and row-group statistics
find them; the others by time.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.embedded.layout import DAY_NS, TEMPORARY, Layout, Segment
from storage.embedded.points import SEQUENCE, conformed, last_writes, times_of
from storage.schema import Measurement

ROW_GROUP_ROWS = 65_536
_STATISTICS = ("time", "tenant", "shard", SEQUENCE)


def seal(layout: Layout, measurement: Measurement, writer: str, generation: int, rows: pa.Table) -> list[Path]:
    """Write the rows of one log generation as one segment a day; days that have it already are left.

    Raises OSError; what was written until then stays, and doing it again finishes it.
    """
    if not rows.num_rows:
        return []
    if _marked(rows):
        rows = last_writes(rows, measurement.tags)
    days = times_of(rows["time"]) // DAY_NS
    written = []
    spanned = np.unique(days).tolist()
    for day in spanned:
        start = day * DAY_NS
        present = layout.list_segments(measurement.name, start, start + DAY_NS)
        if any(s.writer == writer and s.first <= generation <= s.last for s in present):
            continue  # the crash came after this rename
        part = rows.filter(pa.array(days == day)) if len(spanned) > 1 else rows
        written.append(write_segment(layout, measurement, writer, (generation, generation), part))
    return written


def write_segment(
    layout: Layout, measurement: Measurement, writer: str, generations: tuple[int, int], rows: pa.Table
) -> Path:
    """Write rows of one day as a segment; raises OSError and leaves nothing half written under its name."""
    keys = (["shard", "time"] if "shard" in measurement.tags else ["time"]) + [SEQUENCE]
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys]))
    times = times_of(rows["time"])
    span = (int(times.min()), int(times.max()))
    kind = "rewrites" if _marked(rows) else "new"
    path = layout.segment_path(measurement.name, writer, generations, span, rows.num_rows, kind)
    temporary = path.with_name(path.name + TEMPORARY)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            pq.write_table(
                rows,
                file,
                compression="zstd",
                compression_level=1,
                row_group_size=ROW_GROUP_ROWS,
                write_statistics=[name for name in _STATISTICS if name in rows.column_names],
            )
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)
    return path


def read_segment(segment: Segment, schema: pa.Schema) -> pa.Table:
    """Return all rows of a segment; raises OSError or pyarrow.ArrowException where it is gone or damaged."""
    with segment.path.open("rb") as file:
        table = pq.read_table(file)
    batches = [conformed(rows, schema) for rows in table.to_batches()]
    return pa.Table.from_batches(batches, schema)


def _marked(rows: pa.Table) -> bool:
    return bool(np.any(rows[SEQUENCE].to_numpy() & 1))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
