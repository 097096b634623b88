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
import pyarrow.compute as pc

from storage.checks import Where, check_tags
from storage.embedded.catalog import Snapshot, clamp
from storage.embedded.cursors import Cursors
from storage.embedded.points import SEQUENCE, stored_schema, stored_type, times_of
from storage.embedded.relation import Rolled, ScopedRows, listed
from storage.influx.admin import map_bucket
from storage.influx.lineproto import histograms_of, lists_of
from storage.influx.querier import Bound, DatabaseMissing, Querier, Series, Value, quoted
from storage.influx.rollups import POLICY as ROLLUP_POLICY
from storage.influx.rollups import Rollup, chosen, minutes_left, ranges, rollup_of
from storage.influx.settings import InfluxSettings
from storage.influx.tagtext import as_stored, as_told
from storage.influx.targets import Databases, Policy, Target, policy_of
from storage.influx.writer import PRESENCE
from storage.rows import shard_of
from storage.schema import CALL, FINDING, TIME, Measurement
from storage.seam import BadQuery, CallMatch, Scope, StoreUnavailable, Window

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What rows must hold beside scope and tags; the server looks, so fewer come over."""

    calls: tuple[tuple[str | None, str], ...] = ()
    """Rows of these calls, each with its tenant where it is known; none is any."""
    match: CallMatch | None = None
    """Rows of `call` that may match: more may come, never fewer."""
    series: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Rows of series with one of these combinations of tags (names and values); none is any."""

    def conditions(self, measurement: Measurement, bound: Bound) -> Iterator[str]:
        """Yield conditions on the rows of a measurement."""
        if self.calls and "call_id" in measurement.fields:
            # Each call with its own tags: the server then looks into few series, and for one call in each.
            yield f"({' OR '.join(_call_condition(measurement, *call, bound) for call in self.calls)})"
        if self.series:
            combinations = (
                " AND ".join(any_of(tag, "tag", [as_stored(value)], bound) for tag, value in tags)
                for tags in self.series
            )
            yield f"({' OR '.join(f'({combination})' for combination in combinations)})"
        if self.match is not None and measurement is CALL:
            yield from _match_conditions(self.match, bound)


EVERYTHING = Narrowing()
_SECOND_NS = 1_000_000_000
_FEW_SERIES = 64
_FEW_FIELDS = 2
_OWN = Scope.everything("rollups")


def series_of(rows: pa.Table, tags: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return what narrows to the series of rows, and few others: all tags, or the two that tell most of many."""
    series = rows.group_by(list(tags)).aggregate([])
    telling = list(tags)
    if series.num_rows > _FEW_SERIES:
        telling = sorted(tags, key=lambda tag: -pc.count_distinct(series[tag]).as_py())[:2]
    values = zip(*(series[tag].to_pylist() for tag in telling), strict=True)
    return tuple(tuple(zip(telling, found, strict=True)) for found in dict.fromkeys(values))


def _call_condition(measurement: Measurement, tenant: str | None, call_id: str, bound: Bound) -> str:
    parts = [any_of("call_id", "field", [call_id], bound)]
    if measurement is not FINDING:  # the shard of a finding is that of its subject
        parts.append(any_of("shard", "tag", [shard_of(call_id)], bound))
    if tenant is not None:
        parts.append(any_of("tenant", "tag", [as_stored(tenant)], bound))
    return f"({' AND '.join(parts)})"


def any_of(name: str, kind: str, values: Sequence[str], bound: Bound) -> str:
    """Return the condition that a tag or field has one of the values."""
    return "(" + " OR ".join(f"{quoted(name)}::{kind} = {bound.bind(value)}" for value in values) + ")"


def _match_conditions(match: CallMatch, bound: Bound) -> Iterator[str]:
    if match.sip_codes:
        yield "(" + " OR ".join(f'"sip_code"::field = {bound.bind(code)}' for code in match.sip_codes) + ")"
    if match.mos_below is not None:
        yield f'"mos_min"::field < {bound.bind(float(match.mos_below))}'
    anywhere = ("call_id", "destination", "from_masked", "to_masked")
    for text, columns in (
        (match.contains, anywhere), (match.number, anywhere[2:]), (match.destination, anywhere[1:2])
    ):  # fmt: skip
        # Letters beyond ASCII fold differently here and there: those are looked for in what comes over.
        if text and text.isascii():
            pattern = "(?i)" + "".join(c if c.isalnum() else f"\\x{ord(c):02x}" for c in text)
            yield "(" + " OR ".join(f"{quoted(column)}::field =~ /{pattern}/" for column in columns) + ")"


@dataclass(frozen=True, slots=True)
class Question:
    """What rows are asked for: the choke point of tenancy is `conditions`."""

    scope: Scope
    measurement: Measurement
    window: Window
    where: dict[str, list[str]]
    narrowing: Narrowing
    policy: Policy

    @property
    def nothing(self) -> bool:
        """Whether no row can be the answer: it is then not asked."""
        scoped = self.scope.tenants is not None
        return (
            self.window.since_ns >= self.window.until_ns
            or (scoped and not (self.scope.tenants and self.measurement.tenant_scoped))
            or not all(self.where.values())
        )

    def conditions(self, bound: Bound) -> str:
        """Return the WHERE clause: window, scope, tags, narrowing."""
        parts = [f"time >= {bound.bind(self.window.since_ns)}", f"time < {bound.bind(self.window.until_ns)}"]
        if self.scope.tenants is not None:
            parts.append(any_of("tenant", "tag", _stored(sorted(self.scope.tenants)), bound))
        parts += [any_of(tag, "tag", _stored(values), bound) for tag, values in self.where.items()]
        parts += self.narrowing.conditions(self.measurement, bound)
        return " AND ".join(parts)

    def targets(self, databases: Databases) -> list[Target]:
        """Return where such rows lie."""
        names = databases.holding(self.scope, self.where.get("tenant"))
        return [Target(name, self.policy) for name in names]


def _stored(values: Sequence[str]) -> list[str]:
    return [as_stored(value) for value in values]


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

    def series(self, target: Target, text: str, bound: Bound, columns: Sequence[str]) -> Iterator[Series]:
        """Yield what the server answers; a bucket that InfluxQL does not find yet (2.x) is mapped first."""
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
        tables = []
        if not asked.nothing and limit != 0:
            groups = f" GROUP BY {', '.join(quoted(tag) for tag in group_by)}" if group_by else ""
            bounds = f"ORDER BY time {'DESC' if newest_first else 'ASC'} LIMIT {min(limit or most + 1, most + 1)}"
            text = (
                f"SELECT {selected} FROM {quoted(measurement.name)} "  # noqa: S608 - names of the schema only
                f"WHERE {asked.conditions(bound)}{groups} {bounds}"
            )
            read = 0
            for target in asked.targets(self._databases):
                for series in self.series(target, text, bound, ["time", PRESENCE, *fields, *tags, *group_by]):
                    read += len(series.values)
                    if read > most:
                        raise BadQuery(
                            f"{measurement.name}: more than {most} rows; ask for a shorter span, or fewer trunks"
                        )
                    tables.append(_table(series, measurement, columns))
        schema = pa.schema([_stored_field(measurement, name) for name in columns])
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
        if asked.nothing:
            return 0
        bound = Bound()
        text = f"SELECT count({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += asked.conditions(bound)
        counts = [
            row[1]
            for target in asked.targets(self._databases)
            for series in self.series(target, text, bound, ["time", "count"])
            for row in series.values
        ]
        return sum(int(count) for count in counts if count is not None)

    def times_with_rows(self, asked: Question, step_ns: int) -> set[int]:
        """Return the starts (UTC, ns) of the steps of so many ns (whole seconds) that have rows."""
        bound = Bound()
        text = f"SELECT count({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += f"{asked.conditions(bound)} GROUP BY time({step_ns // _SECOND_NS}s) fill(none)"
        return {
            int(row[0])
            for target in asked.targets(self._databases)
            for series in self.series(target, text, bound, ["time", "count"])
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
        if asked.nothing:
            return []
        bound = Bound()
        others = "".join(f", {quoted(column)}" for column in (PRESENCE, *beside))
        text = f"SELECT bottom({quoted(name)}, {int(count)}){others} FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += asked.conditions(bound)
        if scales:
            text += f" AND {any_of('mos_scale', 'field', scales, bound)}"
        bit = 1 << list(asked.measurement.fields).index(name)
        return [
            [row[1] if row[2] is None or int(row[2]) & bit else None, *row[3:]]
            for target in asked.targets(self._databases)
            for series in self.series(target, text, bound, ["time", "bottom", PRESENCE, *beside])
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
        for target in [] if asked.nothing else asked.targets(self._databases):
            for series in self.series(target, text, bound, ["time", "min", *tags]):
                told = [dict(zip(series.columns, row, strict=True)) for row in series.values]
                rows += [{**series.tags, **row} for row in told if row["min"] is not None]
        columns = {tag: pa.array([as_told(str(row.get(tag) or "")) for row in rows], pa.string()) for tag in tags}
        table = pa.table({"value": pa.array([row["min"] for row in rows], pa.float64()), **columns})
        return table.sort_by("value")

    def texts(self, asked: Question, name: str) -> set[str]:
        """Return the values of a text field of few values."""
        if asked.nothing:
            return set()
        bound = Bound()
        text = f"SELECT distinct({quoted(name)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        # By a tag: a server then merges fewer series at once, which is what takes it long.
        tag = asked.measurement.tags[-1]
        text += f"{asked.conditions(bound)} GROUP BY {quoted(tag)}"
        return {
            str(row[1])
            for target in asked.targets(self._databases)
            for series in self.series(target, text, bound, ["time", "distinct", tag])
            for row in series.values
        }

    def distinct(self, asked: Question, tag: str) -> set[str]:
        """Return the values of a tag."""
        if asked.nothing:
            return set()
        bound = Bound()
        text = f"SELECT first({quoted(PRESENCE)}) FROM {quoted(asked.measurement.name)} WHERE "  # noqa: S608
        text += f"{asked.conditions(bound)} GROUP BY {quoted(tag)}"
        return {
            as_told(str(value or ""))
            for target in asked.targets(self._databases)
            for series in self.series(target, text, bound, ["time", "first", tag])
            for value in _values_of(series, tag)
        }


@dataclass(slots=True)
class InfluxRows(ScopedRows):
    """Rows of the server as a relation: the columns that a query names are read when it names them."""

    source: Source = field(kw_only=True)
    asked: Question = field(kw_only=True)

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


def _stored_field(measurement: Measurement, name: str) -> pa.Field:
    return pa.field(name, stored_type(measurement.schema.field(name).type))


def _table(series: Series, measurement: Measurement, columns: Sequence[str]) -> pa.Table:
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
    return pa.table(found, schema=pa.schema([_stored_field(measurement, name) for name in columns]))


def _values_of(series: Series, tag: str) -> Sequence[Value]:
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
