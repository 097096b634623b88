"""Rows into Parquet segments: sorted, split by day, written to a temporary file and renamed.

A segment is whole or absent: it appears by rename(2) after fsync(2), and is never changed. Rows of the
measurements of `_BY_CALL` are sorted by shard and call, so that the rows of one call lie together: row-group
statistics lead to its shard, a bloom filter of Call-IDs tells whether the call is there at all. Those with
histograms are sorted by tenant: of a tenant's page the histograms of others are not decoded. The others are sorted
by time.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.embedded.digests import is_digested, write_digest
from storage.embedded.layout import DAY_NS, Layout, Segment
from storage.embedded.points import SEQUENCE, Int64s, conformed, last_writes, times_of
from storage.embedded.whole import written_whole
from storage.schema import SIP_MESSAGE, STREAM_INTERVAL, Measurement

ROW_GROUP_ROWS = 32_768
"""What a bloom filter can skip, and what is decoded for one call: from the disk half of it costs a third less, and
still smaller ones give back in listing what they save."""
HISTOGRAM_ROW_GROUP_ROWS = 1_024
"""Histograms are most of what a row costs to decode, and a row group is what a question about one tenant, or about
a few minutes, can skip. Smaller ones would cost more to list than they save."""
_STATISTICS = ("time", "tenant", "shard", SEQUENCE)
_BY_CALL = frozenset({STREAM_INTERVAL.name, SIP_MESSAGE.name})
"""Asked for by call. Calls themselves are asked for by time, page by page, more often than by name."""
_BLOOM_MISS_RATIO = 0.01


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
    rows = in_order(measurement, rows)
    times = times_of(rows["time"])
    span = (int(times.min()), int(times.max()))
    kind = "rewrites" if _marked(rows) else "new"
    path = layout.segment_path(measurement.name, writer, generations, span, rows.num_rows, kind)
    with written_whole(path) as file:
        pq.write_table(
            rows,
            file,
            compression="zstd",
            compression_level=1,
            row_group_size=HISTOGRAM_ROW_GROUP_ROWS if measurement.histograms else ROW_GROUP_ROWS,
            write_page_checksum=True,
            write_statistics=[name for name in _STATISTICS if name in rows.column_names],
            bloom_filter_options=_bloom_filters(measurement, rows),
        )
    if is_digested(measurement.name):
        write_digest(path, rows)
    _sync_directory(path.parent)
    return path


def in_order(measurement: Measurement, rows: pa.Table) -> pa.Table:
    """Return rows in the order of a segment."""
    return rows.take(pa.array(_order(measurement, rows))).combine_chunks()


def read_segment(segment: Segment, schema: pa.Schema) -> pa.Table:
    """Return all rows of a segment; raises OSError or pyarrow.ArrowException where it is gone or damaged."""
    with segment.path.open("rb") as file:
        table = pq.read_table(file, page_checksum_verification=True)
    batches = [conformed(rows, schema) for rows in table.to_batches()]
    return pa.Table.from_batches(batches, schema)


def _order(measurement: Measurement, rows: pa.Table) -> Int64s:
    """Return the order of rows in a segment."""
    times, sequence = times_of(rows["time"]), rows[SEQUENCE].to_numpy()
    if measurement.name not in _BY_CALL:
        if measurement.histograms and "tenant" in measurement.tags:
            return np.lexsort((sequence, times, _numbers(rows["tenant"])))
        return np.lexsort((sequence, times))
    # Numbers sort several times faster than texts; which call of a shard comes first does not matter.
    calls = rows["call_id"].fill_null("").combine_chunks().dictionary_encode()
    shards = _numbers(rows["shard"])
    firsts = np.zeros(len(calls.dictionary), dtype=np.int64)
    firsts[calls.indices.to_numpy()] = shards
    rank = np.argsort(np.argsort(firsts, kind="stable"), kind="stable")
    keys = [rank[calls.indices.to_numpy()], shards]
    keys[:0] = [_numbers(rows[tag]) for tag in ("direction", "node") if tag in measurement.tags]
    return np.lexsort((sequence, times, *keys))


def _numbers(column: pa.ChunkedArray) -> Int64s:
    """Return the rank of each value among those of the column."""
    encoded = column.combine_chunks().dictionary_encode()
    rank = np.argsort(pc.sort_indices(encoded.dictionary).to_numpy())
    ranks: Int64s = rank[encoded.indices.to_numpy()]
    return ranks


def _bloom_filters(measurement: Measurement, rows: pa.Table) -> dict[str, dict[str, float]] | None:
    """Return the options of a filter of Call-IDs for row groups of so many different ones."""
    if "call_id" not in measurement.fields or "shard" not in measurement.tags:
        return None
    groups = -(-rows.num_rows // ROW_GROUP_ROWS)
    distinct = pc.count_distinct(rows["call_id"]).as_py()
    return {"call_id": {"ndv": -(-distinct // groups) + 1, "fpp": _BLOOM_MISS_RATIO}}


def _marked(rows: pa.Table) -> bool:
    return bool(np.any(rows[SEQUENCE].to_numpy() & 1))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
