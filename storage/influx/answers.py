"""Rows of a server's answers as Arrow tables, with what the presence mask takes away as null (see `lineproto`)."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.points import stored_type
from storage.influx.lineproto import histograms_of, lists_of
from storage.influx.querier import Series, Value
from storage.influx.tagtext import as_told
from storage.influx.writer import PRESENCE
from storage.schema import TIME, Measurement


def stored_field(measurement: Measurement, name: str) -> pa.Field:
    """Return a column of a measurement as the embedded store keeps it."""
    return pa.field(name, stored_type(measurement.schema.field(name).type))


def table_of(series: Series, measurement: Measurement, columns: Sequence[str]) -> pa.Table:
    """Return the columns of a chunk as stored; what the presence mask takes away is null."""
    at = {name: i for i, name in enumerate(series.columns)}
    cells = list(zip(*series.values, strict=True)) if series.values else [()] * len(series.columns)
    count = len(series.values)
    mask = pa.array(cells[at[PRESENCE]], pa.int64()).fill_null(-1)
    bits = {name: i for i, name in enumerate(measurement.fields)}
    found = []
    for name in columns:
        if name == "time":
            found.append(_field(cells[at[name]], TIME))
        elif name in measurement.tags:
            found.append(_tag(cells[at[name]] if name in at else [series.tags.get(name, "")] * count))
        else:
            values = _field(cells[at[name]], measurement.fields[name])
            present = pc.not_equal(pc.bit_wise_and(mask, pa.scalar(1 << bits[name], pa.int64())), 0)
            found.append(pc.if_else(present, values, pa.scalar(None, values.type)))
    return pa.table(found, schema=pa.schema([stored_field(measurement, name) for name in columns]))


def values_of(series: Series, tag: str) -> Sequence[Value]:
    """Return the values of a tag that was grouped by: of the series, or (3.x) of its rows."""
    if tag in series.columns:
        return [row[series.columns.index(tag)] for row in series.values]
    return [series.tags.get(tag, "")]


def _tag(cells: Sequence[Value]) -> pa.Array:
    encoded = pa.array(cells, pa.string()).fill_null("").dictionary_encode()
    told = pa.array([as_told(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return told.take(encoded.indices)


def _field(cells: Sequence[Value], type_: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(type_):
        return histograms_of(pa.array(cells, pa.string()), type_.list_size, type_.value_type).cast(
            stored_type(type_)
        )
    if pa.types.is_list(type_):
        return lists_of(pa.array(cells, pa.string()))
    if pa.types.is_timestamp(type_):
        return pa.array(cells, pa.int64()).cast(stored_type(type_))
    return pa.array(cells, type_)
