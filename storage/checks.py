"""What both backends check of a question, and how they shape its answer, whatever they ask in between."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from storage.schema import LOAD_MINUTE, MEASUREMENTS, TIME, Measurement
from storage.seam import BadQuery, Top

Where = Mapping[str, Sequence[str]]
LOAD_MEANS = ("concurrent_mean", "packets_per_second", "erlangs", "transcodes")
LOAD_PEAKS = ("concurrent_max", "cps_max")
_SHOWN = 60


def measurement_named(name: str) -> Measurement:
    """Return the measurement; raises BadQuery."""
    found = MEASUREMENTS.get(name)
    if found is None:
        raise BadQuery(f"no measurement {name[:_SHOWN]!r}; there are {', '.join(MEASUREMENTS)}")
    return found


def check_tags(measurement: Measurement, tags: Sequence[str]) -> None:
    """Raise BadQuery where one is not a tag of the measurement."""
    for tag in tags:
        if tag not in measurement.tags:
            raise BadQuery(f"{measurement.name} has no tag {tag[:_SHOWN]!r}; it has {', '.join(measurement.tags)}")


def check_columns(measurement: Measurement, columns: Sequence[str]) -> None:
    """Raise BadQuery where one is no column of the measurement, or is there twice, or there is none."""
    known = measurement.schema.names
    for column in columns:
        if column not in known:
            raise BadQuery(f"{measurement.name} has no column {column[:_SHOWN]!r}; it has {', '.join(known)}")
    if not columns or len(set(columns)) != len(columns):
        raise BadQuery(f"{measurement.name}: columns must be one or more, each once")


def check_keys(measurement: Measurement, columns: Sequence[str]) -> None:
    """Raise BadQuery where rows cannot be told apart by one: only tags, text and time fields can."""
    keys = [*measurement.tags, *(n for n, t in measurement.fields.items() if t in (pa.string(), TIME))]
    for column in columns:
        if column not in keys:
            raise BadQuery(
                f"{measurement.name} has no tag {column[:_SHOWN]!r} nor such text; it has {', '.join(keys)}"
            )


def check_step(step_seconds: int) -> None:
    """Raise BadQuery for a negative step."""
    if step_seconds < 0:
        raise BadQuery(f"a step of {step_seconds} s; 0 is the whole window")


def sums_schema(measurement: Measurement, by: Sequence[str], fields: Sequence[str] | None = None) -> pa.Schema:
    """Return the columns of `Reader.sums`: time, `by` tags, the fields that sum; histograms count in 64 bits.

    Raises BadQuery for a field that is not there or does not sum.
    """
    summing: dict[str, pa.DataType] = {}
    for name, type_ in measurement.fields.items():
        if name in measurement.histograms:
            summing[name] = pa.list_(pa.int64(), measurement.histograms[name].count)
        elif pa.types.is_integer(type_) or pa.types.is_floating(type_):
            summing[name] = type_
    for field in fields or ():
        if field not in summing:
            raise BadQuery(f"{measurement.name} has no sum of {field[:_SHOWN]!r}; it has {', '.join(summing)}")
    named = {n: t for n, t in summing.items() if fields is None or n in fields}
    return pa.schema([("time", TIME), *((tag, pa.string()) for tag in by), *named.items()])


def load_schema(by: Sequence[str]) -> pa.Schema:
    """Return the columns of `Reader.load`."""
    names = ("arrivals", *LOAD_MEANS, *LOAD_PEAKS)
    types = [(n, pa.float64() if n in LOAD_MEANS else LOAD_MINUTE.fields[n]) for n in names]
    return pa.schema([("time", TIME), *((tag, pa.string()) for tag in by), ("minutes", pa.int64()), *types])


def check_top(measurement: Measurement, by: Sequence[str], fields: Sequence[str], top: Top | None) -> None:
    """Raise BadQuery where `top` cannot choose among groups: no `by`, or its field is no sum of numbers."""
    if top is None:
        return
    if not by:
        raise BadQuery(f"{measurement.name}: the top {top.count} of what? `by` names no tag")
    numbers = [name for name in fields if name not in measurement.histograms]
    if top.field not in numbers:
        raise BadQuery(f"{measurement.name}: top by {top.field[:_SHOWN]!r}; it can be {', '.join(numbers)}")


def keep_top(table: pa.Table, by: Sequence[str], top: Top | None) -> pa.Table:
    """Return the rows of a `sums` answer that belong to the groups which `top` names."""
    if top is None:
        return table
    totals = table.group_by(list(by), use_threads=False).aggregate([(top.field, "sum")])
    order = [(f"{top.field}_sum", "descending"), *((tag, "ascending") for tag in by)]
    kept = totals.sort_by(order).slice(0, max(top.count, 0)).select(list(by))
    joined = table.append_column("_row", pa.array(range(table.num_rows), pa.int64()))
    rows = joined.select([*by, "_row"]).join(kept, keys=list(by), join_type="left semi", use_threads=False)
    return table.take(rows["_row"].combine_chunks().sort())
