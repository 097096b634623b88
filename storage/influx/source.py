"""The one door between a scope and the rows of the server: every question of a reader goes through `Source`.

A question names columns; they are read from the server, under the scope's condition and within a bound, into
memory, and the same SQL that answers for the embedded store answers over them (`ScopedRows`). What a server can do
much better, it is asked to do first: narrow to some calls, or to some values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import duckdb
import pyarrow as pa

from storage.checks import Where, check_tags
from storage.embedded.catalog import Snapshot, clamp
from storage.embedded.cursors import Cursors
from storage.embedded.points import SEQUENCE, stored_schema, times_of
from storage.embedded.relation import Rolled, ScopedRows, listed
from storage.influx.admin import map_bucket
from storage.influx.answers import stored_field, table_of, values_of
from storage.influx.querier import Bound, DatabaseMissing, Querier, Series, Value, quoted
from storage.influx.question import EVERYTHING, Narrowing, Question, any_of, series_of
from storage.influx.rollups import POLICY as ROLLUP_POLICY
from storage.influx.rollups import Rollup, chosen, minutes_left, ranges, rollup_of
from storage.influx.settings import InfluxSettings
from storage.influx.tagtext import as_told
from storage.influx.targets import Databases, Policy, policy_of
from storage.influx.writer import PRESENCE
from storage.schema import Measurement
from storage.seam import BadQuery, Scope, StoreUnavailable, Window

Answer = TypeVar("Answer")
_SECOND_NS = 1_000_000_000
_FEW_FIELDS = 2
_OWN = Scope.everything("rollups")


class Source:
    """Rows of one server, for the readers of a process."""

    def __init__(
        self,
        querier: Querier,
        databases: Databases,
        settings: InfluxSettings,
        cursors: Cursors,
        narrowing: Narrowing = EVERYTHING,
    ) -> None:
        self._querier = querier
        self._databases = databases
        self._settings = settings
        self._cursors = cursors
        self._narrowing = narrowing

    def narrowed(self, narrowing: Narrowing) -> "Source":
        """Return the same source for rows that hold something more."""
        return Source(self._querier, self._databases, self._settings, self._cursors, narrowing)

    def question(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        policy: Policy | None = None,
    ) -> Question:
        """Return what is asked for, where the schema has it unless told; raises BadQuery for a tag it has not."""
        wanted = {tag: list(dict.fromkeys(values)) for tag, values in (where or {}).items()}
        check_tags(measurement, list(wanted))
        policy = policy or policy_of(measurement.name)
        return Question(scope, measurement, clamp(window), wanted, self._narrowing, policy)

    def ask(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        question: Callable[[ScopedRows], Answer],
    ) -> Answer:
        """Answer a question over the scoped rows; raises BadQuery where it would read more than may be read."""
        asked = self.question(scope, measurement, window, where)
        with self._cursors.one() as cursor:
            tail = stored_schema(measurement).empty_table()
            cursor.register("tail", tail)
            files = Snapshot([], tail)
            try:
                return question(
                    InfluxRows(
                        measurement, asked.window, files, lambda _: "true", cursor, source=self, asked=asked
                    )
                )
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise StoreUnavailable(f"the query needs too much: {str(error)[:200]}") from error

    def days(self, measurement: Measurement) -> list[str]:
        """Return no day: the server finds a call's rows whenever they were, so nobody need look day by day."""
        return []

    def _series(self, asked: Question, text: str, bound: Bound, columns: Sequence[str]) -> Iterator[Series]:
        """Yield what the server answers of each database; a bucket not found yet (2.x) is mapped first."""
        for target in [] if asked.nothing else asked.targets(self._databases):
            try:
                yield from self._querier.ask(target, text, bound, columns)
            except DatabaseMissing:
                if not self._querier.maps_buckets():
                    raise
                map_bucket(self._querier, self._settings.org, target)
                yield from self._querier.ask(target, text, bound, columns)

    def rows(
        self,
        asked: Question,
        columns: Sequence[str],
        *,
        limit: int | None = None,
        newest_first: bool = False,
        group_by: Sequence[str] = (),
    ) -> pa.Table:
        """Return columns of the rows asked for, as stored; `limit` is per combination of the `group_by` tags.

        Raises BadQuery where there are more rows than `read_rows`.
        """
        measurement = asked.measurement
        fields = [name for name in columns if name in measurement.fields]
        if len(asked.narrowing.calls) == 1 and not asked.narrowing.series and len(fields) > _FEW_FIELDS:
            asked = self._narrowed_to_series(asked)
        tags = [name for name in columns if name in measurement.tags and name not in group_by]
        selected = ", ".join(
            [
                f"{quoted(PRESENCE)}::field",
                *(f"{quoted(f)}::field" for f in fields),
                *(f"{quoted(t)}::tag" for t in tags),
            ]
        )
        bound = Bound()
        most = self._settings.read_rows
        groups = f" GROUP BY {', '.join(quoted(tag) for tag in group_by)}" if group_by else ""
        bounds = f"ORDER BY time {'DESC' if newest_first else 'ASC'} LIMIT {min(limit or most + 1, most + 1)}"
        text = (
            f"SELECT {selected} FROM {quoted(measurement.name)} "  # noqa: S608 - names of the schema only
            f"WHERE {asked.conditions(bound)}{groups} {bounds}"
        )
        found = self._series(asked, text, bound, ["time", PRESENCE, *fields, *tags, *group_by])
        tables, read = [], 0
        for series in found if limit != 0 else ():
            read += len(series.values)
            if read > most:
                raise BadQuery(
                    f"{measurement.name}: more than {most} rows; ask for a shorter span, or fewer trunks"
                )
            tables.append(table_of(series, measurement, columns))
        schema = pa.schema([stored_field(measurement, name) for name in columns])
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def _narrowed_to_series(self, asked: Question) -> Question:
        """Return the question narrowed to the series that have the rows.

        A server opens each field of each series that may have them: of few series are those that do, and they are
        found by one field.
        """
        tags = asked.measurement.tags
        found = self.rows(asked, tags)
        if not found.num_rows:
            return replace(asked, window=Window(0, 0))
        return replace(asked, narrowing=replace(asked.narrowing, series=series_of(found, tags)))

    def count(self, asked: Question) -> int:
        """Return how many rows there are."""
        bound = Bound()
        text = f"SELECT count({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += asked.conditions(bound)
        counts = [
            row[1] for series in self._series(asked, text, bound, ["time", "count"]) for row in series.values
        ]
        return sum(int(count) for count in counts if count is not None)

    def times_with_rows(self, asked: Question, step_ns: int) -> set[int]:
        """Return the starts (UTC, ns) of the steps of so many ns (whole seconds) that have rows."""
        bound = Bound()
        text = f"SELECT count({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += f"{asked.conditions(bound)} GROUP BY time({step_ns // _SECOND_NS}s) fill(none)"
        return {
            int(row[0])
            for series in self._series(asked, text, bound, ["time", "count"])
            for row in series.values
            if row[0] is not None and row[1]
        }

    def rows_of(self, measurement: Measurement, of: str, window: Window) -> pa.Table:
        """Return marks or seals (see `rollups`): they tell nothing of anyone's rows, so no scope is theirs."""
        asked = Question(_OWN, measurement, window, {"of": [of]}, EVERYTHING, ROLLUP_POLICY)
        return self.rows(asked, measurement.schema.names)

    def rollups(self, asked: Question, rollups: Sequence[Rollup], columns: Sequence[str]) -> pa.Table | None:
        """Return columns of rollups under a question's scope and tags; None where one is being made anew."""
        expected = {(rollup.step_seconds, rollup.span.since_ns): rollup.mark for rollup in rollups}
        tables = []
        for step_seconds, span in ranges(rollups):
            measurement = rollup_of(asked.measurement, step_seconds)
            part = replace(asked, measurement=measurement, window=span, policy=ROLLUP_POLICY)
            table = self.rows(part, [*columns, "mark"])
            times = times_of(table["time"]).tolist()
            if any(
                expected.get((step_seconds, at)) != mark
                for at, mark in zip(times, table["mark"].to_pylist(), strict=True)
            ):
                return None
            tables.append(table.select(columns))
        return pa.concat_tables(tables)

    def lowest(
        self, asked: Question, name: str, count: int, beside: Sequence[str], scales: Sequence[str] = ()
    ) -> list[list[Value]]:
        """Return the rows with the lowest values of a field: the value, then the columns `beside` it.

        The value is None where the presence mask takes it away. `scales`, if given, are those the rows may have.
        """
        bound = Bound()
        others = "".join(f", {quoted(column)}" for column in (PRESENCE, *beside))
        text = f"SELECT bottom({quoted(name)}, {int(count)}){others} FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += asked.conditions(bound)
        if scales:
            text += f" AND {any_of('mos_scale', 'field', scales, bound)}"
        bit = 1 << list(asked.measurement.fields).index(name)
        return [
            [row[1] if row[2] is None or int(row[2]) & bit else None, *row[3:]]
            for series in self._series(asked, text, bound, ["time", "bottom", PRESENCE, *beside])
            for row in series.values
        ]

    def lowest_of_series(self, asked: Question, name: str) -> pa.Table:
        """Return the tags of each series, and the lowest `value` of a field in it, lowest first.

        A value may be one that the presence mask takes away: it is then no higher than the lowest that counts.
        """
        tags = asked.measurement.tags
        bound = Bound()
        text = f"SELECT min({quoted(name)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += f"{asked.conditions(bound)} GROUP BY {', '.join(quoted(tag) for tag in tags)}"
        rows: list[Mapping[str, Value]] = []
        for series in self._series(asked, text, bound, ["time", "min", *tags]):
            told = [dict(zip(series.columns, row, strict=True)) for row in series.values]
            rows += [{**series.tags, **row} for row in told if row["min"] is not None]
        columns = {tag: pa.array([as_told(str(row.get(tag) or "")) for row in rows], pa.string()) for tag in tags}
        table = pa.table({"value": pa.array([row["min"] for row in rows], pa.float64()), **columns})
        return table.sort_by("value")

    def texts(self, asked: Question, name: str) -> set[str]:
        """Return the values of a text field of few values."""
        bound = Bound()
        text = f"SELECT distinct({quoted(name)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        # By a tag: a server then merges fewer series at once, which is what takes it long.
        tag = asked.measurement.tags[-1]
        text += f"{asked.conditions(bound)} GROUP BY {quoted(tag)}"
        return {
            str(row[1])
            for series in self._series(asked, text, bound, ["time", "distinct", tag])
            for row in series.values
        }

    def distinct(self, asked: Question, tag: str) -> set[str]:
        """Return the values of a tag."""
        bound = Bound()
        text = f"SELECT first({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += f"{asked.conditions(bound)} GROUP BY {quoted(tag)}"
        return {
            as_told(str(value or ""))
            for series in self._series(asked, text, bound, ["time", "first", tag])
            for value in values_of(series, tag)
        }


@dataclass(slots=True)
class InfluxRows(ScopedRows):
    """Rows of the server as a relation: the columns that a query names are read when it names them."""

    source: Source = field(kw_only=True)
    asked: Question = field(kw_only=True)

    @property
    def empty(self) -> bool:
        """Whether nothing can be the answer."""
        return self.asked.nothing

    def sql(self, columns: Sequence[str], *, dedup: bool = True) -> str:
        """Return a SELECT of these columns; the server keeps only the last write of each point."""
        wanted = list(dict.fromkeys(columns))
        table = self.source.rows(replace(self.asked, window=self.window), [c for c in wanted if c != SEQUENCE])
        if SEQUENCE in wanted:
            table = table.append_column(SEQUENCE, pa.array([0] * table.num_rows, pa.int64()))
        name = f"rows_{id(table)}"
        self.connection.register(name, table)
        return f"SELECT {listed(columns)} FROM {name}"  # noqa: S608 - names of the schema only

    def rolled(self, step_seconds: int, columns: Sequence[str]) -> Rolled:
        """Return how to answer sums in steps of these columns: with rollups where they hold."""
        asked = replace(self.asked, window=self.window)
        rollups = [] if asked.nothing else chosen(self.source.rows_of, self.measurement, self.window, step_seconds)
        table = self.source.rollups(asked, rollups, columns) if rollups else None
        if table is None:
            return Rolled([self.window])

        def sums() -> str:
            at = table.column_names.index("time")
            named = table.set_column(at, "time", table["time"].cast(pa.int64()))
            self.connection.register("rollups", named)
            return f"SELECT {listed(columns)} FROM rollups"  # noqa: S608 - names of the schema only

        return Rolled(minutes_left(self.window, rollups), sums)

    def calls_among(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Return all of the calls: the server looks."""
        return call_ids
