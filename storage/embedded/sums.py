"""Sums per step and tags, histograms merged bucket by bucket."""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from storage.embedded.relation import ScopedRows, quoted
from storage.schema import TIME, Measurement


def sums_schema(measurement: Measurement, by: Sequence[str]) -> pa.Schema:
    """Return the columns of the answer: time, `by` tags, every field that sums; histograms count in 64 bits."""
    fields = [pa.field("time", TIME), *(pa.field(tag, pa.string()) for tag in by)]
    for name, type_ in measurement.fields.items():
        if name in measurement.histograms:
            fields.append(pa.field(name, pa.list_(pa.int64(), measurement.histograms[name].count)))
        elif pa.types.is_integer(type_) or pa.types.is_floating(type_):
            fields.append(pa.field(name, type_))
    return pa.schema(fields)


def sum_rows(rows: ScopedRows, since_ns: int, step_ns: int, by: Sequence[str]) -> pa.Table:
    """Return the sums, in order of time and tags; a step of 0 is one row per group at `since_ns`."""
    measurement = rows.measurement
    schema = sums_schema(measurement, by)
    scalars = [f for f in schema if f.name not in ("time", *by) and f.name not in measurement.histograms]
    source = rows.sql(["time", *by, *(f.name for f in schema if f.name not in ("time", *by))])
    if step_ns:
        step = rows.parameters.bind(step_ns)
        start = f"epoch_ns(time) // {step} * {step}"
    else:
        start = f"CAST({rows.parameters.bind(since_ns)} AS BIGINT)"
    parts = [f"{start} AS _start", *(quoted(tag) for tag in by)]
    for f in scalars:
        sql_type = "BIGINT" if pa.types.is_integer(f.type) else "DOUBLE"
        parts.append(f"CAST(sum({quoted(f.name)}) AS {sql_type}) AS {quoted(f.name)}")
    for name in measurement.histograms:
        column = quoted(name)
        parts.append(f"flatten(list({column}) FILTER (WHERE {column} IS NOT NULL)) AS {column}")
    keys = ", ".join(["_start", *(quoted(tag) for tag in by)])
    table = rows.fetch(f"SELECT {', '.join(parts)} FROM ({source}) GROUP BY {keys} ORDER BY {keys}")
    columns = [table["_start"].cast(pa.timestamp("ns")).cast(TIME)]
    for f in list(schema)[1:]:
        column = table[f.name].combine_chunks()
        if f.name in measurement.histograms:
            columns.append(_merged(column, measurement.histograms[f.name].count, f.type))
        else:
            columns.append(column.cast(f.type))
    return pa.table(columns, schema=schema)


def _merged(lists: pa.ListArray, buckets: int, type_: pa.DataType) -> pa.Array:
    """Return, for each list of concatenated histograms, their sum; a group without any has zeros."""
    lengths = lists.value_lengths().fill_null(0).to_numpy() // buckets
    values = lists.flatten().to_numpy().reshape(-1, buckets)
    merged = np.zeros((len(lists), buckets), dtype=np.int64)
    filled = np.flatnonzero(lengths)
    if len(filled):
        starts = (np.cumsum(lengths) - lengths)[filled]
        merged[filled] = np.add.reduceat(values, starts, axis=0, dtype=np.int64)
    return pa.FixedSizeListArray.from_arrays(pa.array(merged.ravel()), type=type_)
