"""The named queries of `storage.seam.Reader` over the embedded store.

Nothing here sees rows except through `Database.ask`, which applies the scope.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Callable, Sequence

import pyarrow as pa

from storage.checks import (
    Where,
    check_columns,
    check_keys,
    check_step,
    check_tags,
    check_top,
    keep_top,
    measurement_named,
    sums_schema,
)
from storage.embedded.catalog import clamp
from storage.embedded.layout import END_NS
from storage.embedded.levels import load_rows
from storage.embedded.points import SEQUENCE, as_declared, times_of
from storage.embedded.relation import RowSource, ScopedRows, listed, quoted
from storage.embedded.search import search_calls
from storage.embedded.sums import sum_rows
from storage.embedded.trace import trace
from storage.embedded.worst import worst_calls
from storage.schema import FORECAST, LOAD_MINUTE, STREAM_INTERVAL, Measurement
from storage.seam import EVERY_CALL, CallMatch, CallPage, CallTrace, Scope, Top, Window

_SECOND_NS = 1_000_000_000
_PAGE_ROWS = 20_000
"""Of more rows than this nearly the whole window is read anyway."""
_ISSUE_SPAN_NS = 5 * _SECOND_NS
"""How far the time of a forecast is beyond its slot's start, at most (see `storage.rows.forecast_time_ns`)."""


class EmbeddedReader:
    """Answers named queries within a scope; see `storage.seam.Reader`. Safe for several threads."""

    def __init__(self, database: RowSource, scope: Scope) -> None:
        self.scope = scope
        self._database = database

    def select(
        self,
        measurement: str,
        window: Window,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        limit: int = 10_000,
        newest_first: bool = False,
    ) -> pa.Table:
        """Return rows as stored; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        wanted = list(known.schema.names if columns is None else columns)
        check_columns(known, wanted)
        order = f"time {'DESC' if newest_first else 'ASC'}"
        return self._rows(known, window, where, wanted, order, limit)

    def sums(
        self,
        measurement: str,
        window: Window,
        *,
        step_seconds: int,
        by: Sequence[str] = (),
        where: Where | None = None,
        fields: Sequence[str] | None = None,
        top: Top | None = None,
    ) -> pa.Table:
        """Return sums per step and tags; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_tags(known, by)
        check_step(step_seconds)
        tags = list(dict.fromkeys(by))
        schema = sums_schema(known, tags, fields)
        check_top(known, tags, schema.names[1 + len(tags) :], top)

        def question(rows: ScopedRows) -> pa.Table:
            return sum_rows(rows, schema, window.since_ns, step_seconds * _SECOND_NS, tags)

        return keep_top(self._database.ask(self.scope, known, window, where, question), tags, top)

    def load(
        self, window: Window, *, step_seconds: int, by: Sequence[str] = (), where: Where | None = None
    ) -> pa.Table:
        """Return the levels of `load_minute`; see `storage.seam.Reader`."""
        check_tags(LOAD_MINUTE, by)
        check_step(step_seconds)
        tags = list(dict.fromkeys(by))

        def question(rows: ScopedRows) -> pa.Table:
            return load_rows(rows, window.since_ns, step_seconds * _SECOND_NS, tags)

        return self._database.ask(self.scope, LOAD_MINUTE, window, where, question)

    def latest(
        self, measurement: str, window: Window, *, by: Sequence[str], where: Where | None = None
    ) -> pa.Table:
        """Return the newest row of each combination of columns; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_keys(known, by)
        return self._newest(known, window, where, by, ["time", *by], lambda rows: "true")

    def forecasts(
        self, slots: Window, *, where: Where | None = None, issued_until_ns: int | None = None
    ) -> pa.Table:
        """Return the newest forecast of each slot; see `storage.seam.Reader`."""
        until_ns = END_NS if issued_until_ns is None else min(max(issued_until_ns, 0), END_NS)

        def issued(rows: ScopedRows) -> str:
            bind = rows.parameters.bind
            return (
                f"slot >= make_timestamp_ns({bind(bounds.since_ns)}) AND slot < make_timestamp_ns("
                f"{bind(bounds.until_ns)}) AND issued_at <= make_timestamp_ns({bind(until_ns)})"
            )

        bounds = clamp(slots)
        window = Window(bounds.since_ns, bounds.until_ns + _ISSUE_SPAN_NS)
        keys = ["slot", *FORECAST.tags]
        return self._newest(FORECAST, window, where, keys, keys, issued)

    def worst_calls(self, window: Window, *, limit: int = 50, where: Where | None = None) -> pa.Table:
        """Return the calls with the worst intervals; see `storage.seam.Reader`.

        Worst is the lowest R of an interval; calls without any R come after them, by their loss.
        """
        check_tags(STREAM_INTERVAL, list(where or {}))
        return worst_calls(self._database, self.scope, window, limit, where)

    def calls(
        self,
        window: Window,
        *,
        where: Where | None = None,
        match: CallMatch = EVERY_CALL,
        limit: int = 100,
        offset: int = 0,
    ) -> CallPage:
        """Return the calls that match; see `storage.seam.Reader`."""
        return search_calls(self._database, self.scope, window, where, match, limit=limit, offset=offset)

    def call(self, call_id: str) -> CallTrace:
        """Return all that is stored of one call; see `storage.seam.Reader`."""
        return trace(self._database, self.scope, call_id)

    def tag_values(self, measurement: str, tag: str, window: Window, *, where: Where | None = None) -> list[str]:
        """Return the sorted values of a tag; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_tags(known, [tag])

        def question(rows: ScopedRows) -> pa.Table:
            return rows.fetch(f"SELECT DISTINCT {quoted(tag)} AS tag FROM ({rows.sql([tag], dedup=False)})")

        values: list[str] = self._database.ask(self.scope, known, window, where, question)["tag"].to_pylist()
        return sorted(values)

    def _rows(
        self, known: Measurement, window: Window, where: Where | None, names: list[str], order: str, limit: int
    ) -> pa.Table:
        def question(rows: ScopedRows) -> pa.Table:
            if 0 < limit <= _PAGE_ROWS:
                # The times alone first: whole rows are then read of their span only.
                first = rows.sql(["time"])
                found = rows.fetch(
                    f"SELECT time FROM ({first}) ORDER BY {order} LIMIT {rows.parameters.bind(limit)}"
                )
                times = times_of(found["time"])
                rows = rows.within(Window(int(times.min()), int(times.max()) + 1) if times.size else Window(0, 0))
            source = rows.sql(list(dict.fromkeys((*names, "time"))))
            bound = rows.parameters.bind(max(limit, 0))
            return rows.fetch(f"SELECT {listed(names)} FROM ({source}) ORDER BY {order} LIMIT {bound}")

        return as_declared(known, self._database.ask(self.scope, known, window, where, question))

    def _newest(
        self,
        known: Measurement,
        window: Window,
        where: Where | None,
        by: Sequence[str],
        order: Sequence[str],
        condition: Callable[[ScopedRows], str],
    ) -> pa.Table:
        names = known.schema.names

        def question(rows: ScopedRows) -> pa.Table:
            # Another write of a point may have had other fields, never other tags.
            source = rows.sql([*names, SEQUENCE], dedup=not set(by) <= set(known.tags))
            group = f"PARTITION BY {listed(by)}" if by else ""
            return rows.fetch(
                f"SELECT {listed(names)} FROM ({source}) WHERE {condition(rows)} "
                f"QUALIFY row_number() OVER ({group} ORDER BY time DESC, {SEQUENCE} DESC) = 1 "
                f"ORDER BY {listed(order)}"
            )

        return as_declared(known, self._database.ask(self.scope, known, window, where, question))
