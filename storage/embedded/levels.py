"""Levels of `load_minute`: what is in progress does not sum over time, so it has means and peaks."""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Sequence

import pyarrow as pa

from storage.checks import LOAD_MEANS, LOAD_PEAKS, load_schema
from storage.embedded.relation import ScopedRows, listed, quoted


def load_rows(rows: ScopedRows, since_ns: int, step_ns: int, by: Sequence[str]) -> pa.Table:
    """Return the levels per step and tags, in order; a step of 0 is one row per group at `since_ns`.

    Rows of one minute are added first, then minutes are averaged: another order would weigh a tenant by how many
    minutes it had rows in.
    """
    schema = load_schema(by)
    fields = ("arrivals", *LOAD_MEANS, *LOAD_PEAKS)
    source = rows.sql(["time", *by, *fields])
    step = rows.parameters.bind(step_ns) if step_ns else ""
    start = f"epoch_ns(time) // {step} * {step}" if step else f"CAST({rows.parameters.bind(since_ns)} AS BIGINT)"
    sums = ", ".join(f"sum({quoted(field)}) AS {quoted(field)}" for field in fields)
    over = {"arrivals": "sum"} | dict.fromkeys(LOAD_MEANS, "avg") | dict.fromkeys(LOAD_PEAKS, "max")
    levels = ", ".join(f"{over[field]}({quoted(field)}) AS {quoted(field)}" for field in fields)
    keys = listed(["time", *by])
    found = rows.fetch(
        f"SELECT {keys}, count(*) AS minutes, {levels} FROM (SELECT * REPLACE ({start} AS time) FROM "
        f"(SELECT {keys}, {sums} FROM ({source}) GROUP BY {keys})) GROUP BY {keys} ORDER BY {keys}"
    )
    found = found.set_column(0, "time", found["time"].cast(pa.timestamp("ns")))
    return found.cast(schema)
