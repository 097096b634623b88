"""Sums per step and tags, histograms merged bucket by bucket."""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.points import Int64s
from storage.embedded.relation import ScopedRows, listed
from storage.schema import TIME

_NANOS = 1_000_000_000
_LONG_RUN = 8
_BATCH_ROWS = 32_768
"""Rows that are in memory at once with their histograms (some hundred bytes to a kilobyte each)."""


def sum_rows(rows: ScopedRows, schema: pa.Schema, since_ns: int, step_ns: int, by: Sequence[str]) -> pa.Table:
    """Return the sums with the columns of `schema` (see `storage.checks.sums_schema`), in order of time and tags.

    A step of 0 is one row per group at `since_ns`.
    """
    fields = schema.names[1 + len(by) :]
    columns = ["time", *by, *fields]
    how = rows.rolled(step_ns // _NANOS, columns)
    parts = []
    for window in how.minutes:
        source = rows.within(window).sql(columns)
        parts += _stream(rows, source, "epoch_ns(time)", columns, schema, since_ns, step_ns)
    if how.sums is not None:
        parts += _stream(rows, how.sums(), "time", columns, schema, since_ns, step_ns)
    if not parts:
        return schema.empty_table()
    table = parts[0] if len(parts) == 1 else _summed(pa.concat_tables(parts), schema, by)
    table = table.set_column(0, "time", table["time"].cast(pa.timestamp("ns")).cast(TIME))
    return table.take(pc.sort_indices(table, sort_keys=[(key, "ascending") for key in ("time", *by)])).cast(schema)


def _stream(
    rows: ScopedRows, source: str, time: str, columns: list[str], schema: pa.Schema, since_ns: int, step_ns: int
) -> list[pa.Table]:
    """Return the sums of a source, some rows at a time in memory; `time` is its time in ns, as SQL."""
    if step_ns:
        step = rows.parameters.bind(step_ns)
        start = f"{time} // {step} * {step}"
    else:
        start = f"CAST({rows.parameters.bind(since_ns)} AS BIGINT)"
    sql = f"SELECT {listed(columns)} FROM (SELECT * REPLACE ({start} AS time) FROM ({source}))"
    by = [name for name in columns[1:] if schema.field(name).type == pa.string()]
    return [_summed(pa.Table.from_batches([part]), schema, by) for part in rows.stream(sql, _BATCH_ROWS)]


def _summed(table: pa.Table, schema: pa.Schema, by: Sequence[str]) -> pa.Table:
    """Sum a table per `time` (int64) and tags; summing sums again gives the sums of all."""
    codes = np.unique(table["time"].to_numpy(), return_inverse=True)[1]
    for tag in by:
        encoded = table[tag].combine_chunks().dictionary_encode()
        codes = np.unique(codes * len(encoded.dictionary) + encoded.indices.to_numpy(), return_inverse=True)[1]
    starts = _starts(codes)
    if len(starts) * _LONG_RUN <= len(codes):  # rows of a group lie together: no need to move them all
        table, codes = _reduced(table, schema, by, None, starts), codes[starts]
        if len(np.unique(codes)) == len(codes):
            return table
    order = np.argsort(codes, kind="stable")
    return _reduced(table, schema, by, order, _starts(codes[order]))


def _starts(codes: Int64s) -> Int64s:
    return np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))


def _reduced(
    table: pa.Table, schema: pa.Schema, by: Sequence[str], order: Int64s | None, starts: Int64s
) -> pa.Table:
    """Sum runs of rows, in this order."""
    firsts = pa.array(starts if order is None else order[starts])
    columns = {name: table[name].take(firsts) for name in ("time", *by)}
    for f in list(schema)[len(columns) :]:
        column = table[f.name].combine_chunks()
        summed = _histograms if pa.types.is_fixed_size_list(f.type) else _scalars
        columns[f.name] = summed(column, f.type, order, starts)
    return pa.table(columns)


def _scalars(column: pa.Array, type_: pa.DataType, order: Int64s | None, starts: Int64s) -> pa.Array:
    """Sum a column per group; a group without any value has none, rather than 0."""
    values = column.cast(type_).fill_null(0).to_numpy()
    sums = np.add.reduceat(values if order is None else values[order], starts)
    if not column.null_count:
        return pa.array(sums, type_)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(sums, type_, mask=~np.logical_or.reduceat(valid if order is None else valid[order], starts))


def _histograms(column: pa.Array, type_: pa.FixedSizeListType, order: Int64s | None, starts: Int64s) -> pa.Array:
    """Sum a column of histograms per group, bucket by bucket; a missing histogram counts nothing."""
    if column.null_count:
        column = column.fill_null(pa.scalar([0] * type_.list_size, column.type))
    counts = column.flatten().to_numpy().reshape(-1, type_.list_size)
    if order is not None:
        counts = counts[order]
    if len(starts) * _LONG_RUN <= len(counts):  # `reduceat` takes some times longer for long runs
        ends = np.append(starts[1:], len(counts))
        runs = zip(starts.tolist(), ends.tolist(), strict=True)
        sums = np.array([counts[start:end].sum(axis=0, dtype=np.int64) for start, end in runs])
    else:
        sums = np.add.reduceat(counts, starts, axis=0, dtype=np.int64)
    return pa.FixedSizeListArray.from_arrays(pa.array(sums.ravel()), type=type_)
