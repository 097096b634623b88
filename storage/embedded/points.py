"""The identity of points, and which writes may overwrite an older one.

A reader must return only the last write of a point, but looking for equal points in millions of rows costs more
than the query itself. So the writer marks the few rows that *may* have been written before (`memory` remembers the
points it wrote last; whatever is older than that counts as written before), and readers look for equal
points only among the times of marked rows. A mark too many costs time; a missing one would return a row twice.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.schema import TIME, Measurement

SEQUENCE = "_seq"
"""Hidden column: twice the wall clock (ns) of the write, growing with each write, plus 1 where the point may have
been written before. The row with the greatest one is the last write, across segments, logs and writers."""

STORED_TIME = pa.timestamp("ns")
"""Times are stored without a zone (they are UTC): not every DuckDB keeps nanoseconds of zoned ones."""

Int64s = npt.NDArray[np.int64]


def stored_type(type_: pa.DataType) -> pa.DataType:
    """Return the type a field has in files: what Arrow, Parquet and DuckDB give back alike."""
    if type_ == TIME:
        return STORED_TIME
    return pa.list_(type_.value_type) if pa.types.is_fixed_size_list(type_) else type_


def stored_schema(measurement: Measurement) -> pa.Schema:
    """Return the schema of the measurement's files."""
    fields = [pa.field(f.name, stored_type(f.type)) for f in measurement.schema]
    return pa.schema([*fields, pa.field(SEQUENCE, pa.int64())])


def as_declared(measurement: Measurement, table: pa.Table) -> pa.Table:
    """Return a table of stored columns with the types and order of fields that the schema declares."""
    fields = [measurement.schema.field(name) for name in table.column_names]
    columns = [
        column.cast(stored_type(f.type)).cast(f.type) for column, f in zip(table.columns, fields, strict=True)
    ]
    return pa.table(columns, schema=pa.schema(fields))


def conformed(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of another version with the columns of this one: new ones null, unknown ones left out."""
    if rows.schema.names == schema.names:
        return rows
    present = set(rows.schema.names)
    columns = [rows[f.name] if f.name in present else pa.nulls(rows.num_rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def times_of(column: pa.Array | pa.ChunkedArray) -> Int64s:
    """Return a time column as int64 nanoseconds."""
    values: Int64s = column.cast(pa.int64()).to_numpy()
    return values


def point_keys(rows: pa.RecordBatch | pa.Table, tags: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each row's point (time and tags), the same within this process only."""
    keys = times_of(rows["time"]).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for tag in tags:
        column = rows[tag]
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        encoded = column.dictionary_encode()
        hashes = np.array([hash(value) for value in encoded.dictionary.to_pylist()], dtype=np.int64).view(
            np.uint64
        )
        keys = (keys ^ hashes[encoded.indices.to_numpy()]) * np.uint64(0xD6E8FEB86659FD93)
        keys ^= keys >> np.uint64(32)
    return keys


def last_of_each(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_] | None:
    """Return which rows are the last of their key, in the order of writing; None where all keys differ."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    repeated = ordered[1:] == ordered[:-1]
    if not repeated.any():
        return None
    keep = np.ones(len(keys), dtype=np.bool_)
    keep[order[:-1][repeated]] = False
    return keep


def last_writes(table: pa.Table, tags: Sequence[str]) -> pa.Table:
    """Return the last write of each point, marked as its first write was.

    Where the first one here was not marked nothing older exists, so the survivor overwrites nothing any more.
    """
    ordered = table.take(pc.sort_indices(table, sort_keys=[(SEQUENCE, "ascending")]))
    sequence = ordered[SEQUENCE].to_numpy()
    keys = point_keys(ordered, tags)
    _, first, point = np.unique(keys, return_index=True, return_inverse=True)
    last = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(last, point, np.arange(len(keys)))
    last.sort()
    kept = sequence[last] & ~np.int64(1) | sequence[first[point[last]]] & 1
    survivors = ordered.take(pa.array(last))
    return survivors.set_column(survivors.column_names.index(SEQUENCE), SEQUENCE, pa.array(kept))
