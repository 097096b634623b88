"""Everything stored of one call.

A Call-ID says nothing about time, and looking for it in weeks of intervals would take seconds. Its `call` row is
found first (few rows, one shard) and bounds the search for the rest. What has no `call` row is alive, or is no
call (a REGISTER): it is looked for in the newest day, then day by day back.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Iterator

import pyarrow as pa

from storage.embedded.layout import DAY_NS, END_NS, day_start_ns
from storage.embedded.points import SEQUENCE, as_declared
from storage.embedded.relation import RowSource, ScopedRows
from storage.rows import shard_of
from storage.schema import CALL, FINDING, SIP_MESSAGE, STREAM_INTERVAL, Measurement
from storage.seam import CallTrace, OutOfScope, Scope, Window
from telephony.model import MINUTE_NS

_EVER = Window(0, END_NS)
_BEFORE_NS = 2 * MINUTE_NS
"""Clocks of agents differ, and findings are stamped with the start of their minute."""
_AFTER_NS = 10 * MINUTE_NS
"""Reports of a call arrive after its end."""
_ROWS = 50_000
"""Most rows of one kind that are returned: a day of both directions is 17,280 intervals."""
_OF_A_CALL = (SIP_MESSAGE, STREAM_INTERVAL, FINDING)
_SHOWN = 60


def trace(database: RowSource, scope: Scope, call_id: str) -> CallTrace:
    """Return the trace; raises OutOfScope where the scope holds nothing of the call.

    Times in the `call` mapping are UTC nanoseconds.
    """
    if not call_id:  # what belongs to no call has none, and is not one call
        raise OutOfScope("a call without a Call-ID is not found")
    calls = _rows(database, scope, CALL, call_id, _EVER)
    call = _as_mapping(calls, calls.num_rows - 1) if calls.num_rows else None
    for window in _days_back(database) if call is None else [_span_of(call)]:
        messages, intervals, findings = (_rows(database, scope, m, call_id, window) for m in _OF_A_CALL)
        if call is not None or messages.num_rows or intervals.num_rows or findings.num_rows:
            return CallTrace(call, messages, intervals, findings)
    raise OutOfScope(f"call {call_id[:_SHOWN]!r} not found")


def _rows(database: RowSource, scope: Scope, measurement: Measurement, call_id: str, window: Window) -> pa.Table:
    names = measurement.schema.names
    # The shard of a finding is that of its subject.
    where = None if measurement is FINDING else {"shard": [shard_of(call_id)]}

    def question(rows: ScopedRows) -> pa.Table:
        of_call = rows.of_call(call_id)
        if of_call.empty:
            return measurement.schema.empty_table()
        source = of_call.sql([*names, SEQUENCE])
        same = f"call_id = {rows.parameters.bind(call_id)}"
        return rows.fetch(f"SELECT * FROM ({source}) WHERE {same} ORDER BY time, {SEQUENCE} LIMIT {_ROWS}")

    return as_declared(measurement, database.ask(scope, measurement, window, where, question).select(names))


def _days_back(database: RowSource) -> Iterator[Window]:
    """Yield the newest day with what is not sealed yet, then longer spans back; the first that finds wins.

    Each span reaches a day further than the one before it was looked through, for calls over midnight.
    """
    days = sorted({d for m in _OF_A_CALL for d in database.days(m)}, reverse=True)
    yield Window(day_start_ns(days[0]) - DAY_NS, END_NS) if days else _EVER
    for day in days[1:]:
        start = day_start_ns(day)
        yield Window(start - DAY_NS, start + DAY_NS)


def _span_of(call: dict[str, object]) -> Window:
    started, ended = call["started_at"], call["time"]
    assert isinstance(ended, int)
    since = started if isinstance(started, int) else ended - DAY_NS
    return Window(min(since, ended) - _BEFORE_NS, ended + _AFTER_NS)


def _as_mapping(table: pa.Table, at: int) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        row[name] = values[at].as_py()
    return row
