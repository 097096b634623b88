"""The named queries of `storage.seam.Reader` over the embedded store.

Nothing here sees rows except through `Database.ask`, which applies the scope.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Sequence

import pyarrow as pa

from storage.embedded.points import SEQUENCE, as_declared
from storage.embedded.relation import (
    Database,
    ScopedRows,
    Where,
    check_tags,
    listed,
    measurement_named,
    quoted,
)
from storage.embedded.sums import sum_rows
from storage.embedded.trace import trace
from storage.embedded.worst import worst_calls
from storage.schema import CALL, STREAM_INTERVAL, Measurement
from storage.seam import BadQuery, CallTrace, Scope, Window


class EmbeddedReader:
    """Answers named queries within a scope; see `storage.seam.Reader`. Safe for several threads."""

    def __init__(self, database: Database, scope: Scope) -> None:
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
        _check_columns(known, wanted)
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
    ) -> pa.Table:
        """Return sums per step and tags; see `storage.seam.Reader`. Raises BadQuery for a negative step."""
        known = measurement_named(measurement)
        check_tags(known, by)
        if step_seconds < 0:
            raise BadQuery(f"a step of {step_seconds} s; 0 is the whole window")
        step_ns, tags = step_seconds * 1_000_000_000, list(dict.fromkeys(by))

        def question(rows: ScopedRows) -> pa.Table:
            return sum_rows(rows, window.since_ns, step_ns, tags)

        return self._database.ask(self.scope, known, window, where, question)

    def latest(self, measurement: str, window: Window, *, by: Sequence[str]) -> pa.Table:
        """Return the newest row of each combination of tags; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_tags(known, by)
        names = known.schema.names

        def question(rows: ScopedRows) -> pa.Table:
            source = rows.sql([*names, SEQUENCE], dedup=False)
            group = f"PARTITION BY {listed(by)}" if by else ""
            return rows.fetch(
                f"SELECT {listed(names)} FROM ({source}) "
                f"QUALIFY row_number() OVER ({group} ORDER BY time DESC, {SEQUENCE} DESC) = 1 "
                f"ORDER BY {listed(['time', *by])}"
            )

        return as_declared(known, self._database.ask(self.scope, known, window, None, question))

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
        contains: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> pa.Table:
        """Return `call` rows, newest first; see `storage.seam.Reader`. `contains` does not mind case."""
        names = CALL.schema.names

        def question(rows: ScopedRows) -> pa.Table:
            source = rows.sql(names)
            text = rows.parameters.bind(contains.lower())
            columns = ("call_id", "destination", "from_masked", "to_masked")
            matches = " OR ".join(f"contains(lower({column}), {text})" for column in columns)
            bounds = f"LIMIT {rows.parameters.bind(max(limit, 0))} OFFSET {rows.parameters.bind(max(offset, 0))}"
            condition = f" WHERE {matches}" if contains else f" WHERE {text} = ''"
            return rows.fetch(f"SELECT * FROM ({source}){condition} ORDER BY time DESC, call_id {bounds}")

        return as_declared(CALL, self._database.ask(self.scope, CALL, window, where, question))

    def call(self, call_id: str) -> CallTrace:
        """Return all that is stored of one call; see `storage.seam.Reader`."""
        return trace(self._database, self.scope, call_id)

    def tag_values(self, measurement: str, tag: str, window: Window) -> list[str]:
        """Return the sorted values of a tag; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_tags(known, [tag])

        def question(rows: ScopedRows) -> pa.Table:
            return rows.fetch(f"SELECT DISTINCT {quoted(tag)} AS tag FROM ({rows.sql([tag], dedup=False)})")

        values: list[str] = self._database.ask(self.scope, known, window, None, question)["tag"].to_pylist()
        return sorted(values)

    def _rows(
        self, known: Measurement, window: Window, where: Where | None, names: list[str], order: str, limit: int
    ) -> pa.Table:
        def question(rows: ScopedRows) -> pa.Table:
            source = rows.sql(list(dict.fromkeys((*names, "time"))))
            bound = rows.parameters.bind(max(limit, 0))
            return rows.fetch(f"SELECT {listed(names)} FROM ({source}) ORDER BY {order} LIMIT {bound}")

        return as_declared(known, self._database.ask(self.scope, known, window, where, question))


def _check_columns(measurement: Measurement, columns: Sequence[str]) -> None:
    known = measurement.schema.names
    for column in columns:
        if column not in known:
            raise BadQuery(f"{measurement.name} has no column {column[:60]!r}; it has {', '.join(known)}")
    if not columns or len(set(columns)) != len(columns):
        raise BadQuery(f"{measurement.name}: columns must be one or more, each once")
