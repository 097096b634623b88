"""The one door between a scope and the rows: every query of a reader is built over `ScopedRows`.

The SQL text is made of names of the schema and numbers of parameters only; every value (tenants, tags, times,
search texts, file names) is a bound parameter. A scope of no tenant never reaches DuckDB's filters: it reads
nothing.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import duckdb
import pyarrow as pa

from storage.checks import Where, check_tags
from storage.embedded.catalog import Snapshot, clamp, snapshot
from storage.embedded.cursors import Cursors, connect
from storage.embedded.digest_maps import Digests
from storage.embedded.digests import digest_path
from storage.embedded.finding import CallFinder
from storage.embedded.layout import Layout, Segment
from storage.embedded.log import LogTails
from storage.embedded.points import SEQUENCE, times_of
from storage.embedded.quarantine import damage_of, put_aside
from storage.embedded.repeats import NO_REPEATS, Marks, Repeats
from storage.embedded.repeats import TABLE as REPEATS
from storage.embedded.rollups import cover, runs_of
from storage.embedded.stats import StoreStats
from storage.schema import Measurement
from storage.seam import Scope, StoreUnavailable, Window
from storage.settings import StorageSettings

Answer = TypeVar("Answer")
_ATTEMPTS = 5
_ALL_COLUMNS = "(SELECT * FROM tail WHERE false UNION ALL BY NAME SELECT * FROM {})"
"""Segments of an older version lack the columns that came later: those are null."""


def quoted(name: str) -> str:
    """Return a column name of the schema as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str]) -> str:
    """Return column names of the schema as an SQL list."""
    return ", ".join(quoted(name) for name in names)


class Parameters:
    """The values bound to one query."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def take(self) -> dict[str, object]:
        """Return what was bound, for the query that is run now, and begin anew for the next."""
        values, self.values = self.values, {}
        return values

    def bind(self, value: object) -> str:
        """Return the placeholder of a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"

    def any_of(self, column: str, values: Sequence[str]) -> str:
        """Return the condition that a column has one of the values; no value is no row."""
        if not values:
            return "false"
        return f"{quoted(column)} IN ({', '.join(self.bind(value) for value in values)})"


class Rolled(NamedTuple):
    """How sums of a window are answered where there are rollups for parts of it."""

    minutes: Sequence[Window]
    """The parts that are read of the minutes."""
    sums: Callable[[], str] | None = None
    """Makes the SELECT of the sums for all else, under the same scope and tags; their `time` is in ns."""


@dataclass(slots=True)
class ScopedRows:
    """The rows of a measurement in a window that a scope may see, as a relation for one query."""

    measurement: Measurement
    window: Window
    files: Snapshot
    condition: Callable[[Parameters], str]
    """Scope and tags, as a condition on raw rows: tags are part of a point's identity, so it may come first."""
    connection: "duckdb.DuckDBPyConnection"
    layout: Layout | None = None
    """Where rollups lie, for those of the embedded store."""
    digests: Digests = field(default_factory=Digests)
    finder: CallFinder | None = None
    """Tells which segments hold a call."""
    resolve: Callable[[Snapshot], Repeats] = lambda _: NO_REPEATS
    """Finds where points of a snapshot may be found more than once, which costs looking into marked segments."""
    resolved: Repeats | None = None
    others: list[str] = field(default_factory=list)
    """Files beside the segments that were asked for."""
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def repeats(self) -> Repeats:
        """Where a point may be found more than once. Raises duckdb.Error."""
        if self.resolved is None:
            self.resolved = self.resolve(self.files)
        return self.resolved

    @property
    def empty(self) -> bool:
        """Whether there is nothing to look through, so that a query would only cost time."""
        return not self.files.segments and not self.files.tail.num_rows

    def sql(self, columns: Sequence[str], *, dedup: bool = True) -> str:
        """Return a SELECT of these columns over the last write of each point (or over all writes)."""
        if not dedup:
            return self._raw(columns, self.window, self.files.segments, tail=True)
        every = self.repeats.every
        before = Window(self.window.since_ns, min(every.since_ns, self.window.until_ns))
        within = Window(max(every.since_ns, self.window.since_ns), min(every.until_ns, self.window.until_ns))
        after = Window(max(every.until_ns, self.window.since_ns), self.window.until_ns)
        if within.since_ns >= within.until_ns:
            return self._marked_apart(columns, self.window)
        selects = [self._marked_apart(columns, part) for part in (before, after) if part.since_ns < part.until_ns]
        return " UNION ALL ".join([*selects, self._last_writes(columns, within)])

    def beside(self, paths: Sequence[str], columns: Sequence[str]) -> str:
        """Return a SELECT over Parquet files that were made of segments and keep the tags that are asked for."""
        self.others.extend(paths)
        return self._select(columns, f"read_parquet({self.parameters.bind(list(paths))})", None)

    def rolled(self, step_seconds: int, columns: Sequence[str]) -> Rolled:
        """Return how to answer sums in steps of these columns: with rollups where they hold."""
        if self.layout is None:
            return Rolled([self.window])
        how = cover(
            self.layout, self.measurement, self.window, step_seconds, self.files.segments, self.files.unsealed
        )

        def sums() -> str:
            bind = self.parameters.bind
            return " UNION ALL ".join(
                f"SELECT * FROM ({self.beside(paths, columns)}) "
                f"WHERE time >= {bind(window.since_ns)} AND time < {bind(window.until_ns)}"
                for window, paths in runs_of(how.rollups)
            )

        return Rolled(how.minutes, sums if how.rollups else None)

    def among(self, name: str, table: pa.Table, columns: Sequence[str]) -> str:
        """Return a SELECT over rows at hand that were made of segments and keep the tags that are asked for."""
        self.connection.register(name, table)
        return self._select(columns, name, None)

    def of_call(self, call_id: str) -> "ScopedRows":
        """Return the same rows without files that have none of a call."""
        files = self.files
        if self.finder is None or not files.segments:
            return self
        held = self.finder.held(self.measurement, files.segments, [call_id])
        spans = [Window(s.min_ns, s.max_ns + 1) for s in files.segments if held[s.path]] + files.unsealed
        # A later write of a point may be of another call: what may hold such stays too.
        near = [s for s in files.segments if any(s.max_ns >= w.since_ns and s.min_ns < w.until_ns for w in spans)]
        rows = replace(self, files=replace(files, segments=near))
        kept = [s for s in near if held[s.path] or rows.repeats.touch(s.min_ns, s.max_ns)]
        return replace(rows, files=replace(files, segments=kept))

    def calls_among(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the calls that these rows may have rows of."""
        segments = self.files.segments
        if self.files.tail.num_rows or self.finder is None:
            return call_ids
        held = set(chain.from_iterable(self.finder.held(self.measurement, segments, call_ids).values()))
        return [call_id for call_id in call_ids if call_id in held]

    def within(self, window: Window) -> "ScopedRows":
        """Return the same rows in the part of the window that is within another."""
        since_ns, until_ns = max(window.since_ns, self.window.since_ns), min(window.until_ns, self.window.until_ns)
        return replace(self, window=Window(since_ns, until_ns))

    def fetch(self, sql: str) -> pa.Table:
        """Run a query made of `sql()` and `parameters`; the next one starts with none bound."""
        return self.connection.sql(sql, params=self.parameters.take()).to_arrow_table()

    def stream(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """Run a query and yield its answer in batches of so many rows."""
        yield from self.connection.sql(sql, params=self.parameters.take()).to_arrow_reader(rows)

    def _marked_apart(self, columns: Sequence[str], window: Window) -> str:
        """Select where only rows at some times may be equal points: the files that hold such are read apart."""
        segments, repeats = self.files.segments, self.repeats
        times = times_of(self.files.tail["time"])
        in_tail = times.size > 0 and repeats.touch(int(times.min()), int(times.max()))
        doubted = [s for s in segments if repeats.touch(s.min_ns, s.max_ns)]
        if not doubted and not in_tail:
            return self._raw(columns, window, segments, tail=True)
        clean = [s for s in segments if s not in doubted]
        selects = [] if in_tail and not clean else [self._raw(columns, window, clean, tail=not in_tail)]
        point = ("time", *self.measurement.tags, SEQUENCE)
        rows = self._raw(list(dict.fromkeys((*columns, *point))), window, doubted, tail=in_tail)
        identities = self._raw(point, window, doubted, tail=in_tail)
        overwritten = (
            f"SELECT * FROM (SELECT * FROM ({identities}) SEMI JOIN {REPEATS} USING (time)) "
            f"QUALIFY {SEQUENCE} < max({SEQUENCE}) OVER (PARTITION BY {listed(point[:-1])})"
        )
        selects.append(f"SELECT {listed(columns)} FROM ({rows}) ANTI JOIN ({overwritten}) USING ({listed(point)})")
        return " UNION ALL ".join(selects)

    def _last_writes(self, columns: Sequence[str], window: Window) -> str:
        """Select where any row may equal another."""
        point = ("time", *self.measurement.tags)
        segments = self.files.segments
        rows = self._raw(list(dict.fromkeys((*columns, *point, SEQUENCE))), window, segments, tail=True)
        identities = self._raw([*point, SEQUENCE], window, segments, tail=True)
        return (
            f"SELECT {listed(columns)} FROM ({rows}) SEMI JOIN "
            f"(SELECT {listed(point)}, max({SEQUENCE}) AS {SEQUENCE} FROM ({identities}) "
            f"GROUP BY {listed(point)}) USING ({listed([*point, SEQUENCE])})"
        )

    def _raw(self, columns: Sequence[str], window: Window, among: Sequence[Segment], *, tail: bool) -> str:
        inside, across = [], []
        for segment in among:
            if segment.min_ns >= window.since_ns and segment.max_ns < window.until_ns:
                inside.append(segment)  # no need to decode its times
            elif segment.max_ns >= window.since_ns and segment.min_ns < window.until_ns:
                across.append(segment)
        selects = []
        for segments, timed in ((inside, False), (across, True)):
            if segments:
                files = self.parameters.bind([str(s.path) for s in segments])
                source = _ALL_COLUMNS.format(f"read_parquet({files}, union_by_name = true)")
                selects.append(self._select(columns, source, window if timed else None))
        if tail and self.files.tail.num_rows:
            selects.append(self._select(columns, "tail", window))
        if not selects:  # an empty relation with the right columns
            return f"SELECT {listed(columns)} FROM tail WHERE false"
        return " UNION ALL ".join(selects)

    def _select(self, columns: Sequence[str], source: str, window: Window | None) -> str:
        """The only place where rows are read, and always under the scope's condition."""
        conditions = [self.condition(self.parameters)]
        if window is not None:
            conditions.append(f"time >= make_timestamp_ns({self.parameters.bind(window.since_ns)})")
            conditions.append(f"time < make_timestamp_ns({self.parameters.bind(window.until_ns)})")
        return f"SELECT {listed(columns)} FROM {source} WHERE {' AND '.join(conditions)}"


class RowSource(Protocol):
    """Where questions find their rows: this store's files, or a server's answers."""

    def ask(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        question: Callable[[ScopedRows], Answer],
    ) -> Answer:
        """Answer a question over the rows that a scope may see; raises BadQuery, StoreUnavailable."""

    def days(self, measurement: Measurement) -> list[str]:
        """Return the days to look through one by one for a call without a `call` row; none: all at once."""


class Database:
    """DuckDB over the files of one store, shared by the readers of a process."""

    def __init__(self, layout: Layout, settings: StorageSettings, stats: StoreStats) -> None:
        self._layout = layout
        self._stats = stats
        self._tails = LogTails()
        self._marks = Marks()
        self._digests = Digests()
        self._finder = CallFinder(layout, self._digests, stats)
        self._damaged: frozenset[str] = frozenset()
        self._lock = Lock()
        self._settings = settings
        self._cursors = Cursors(self._connect)

    def ask(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        question: Callable[[ScopedRows], Answer],
    ) -> Answer:
        """Answer a question over the scoped rows; asked again where a file went away or proved damaged.

        Raises BadQuery for a tag that is not the measurement's, StoreUnavailable where reading goes on failing,
        StoreError once the database is closed, meanwhile too.
        """
        where = dict(where or {})
        check_tags(measurement, list(where))
        window = clamp(window)
        condition = _condition(scope, measurement, where)
        if window.since_ns >= window.until_ns or (scope.tenants is not None and not scope.tenants):
            window = Window(0, 0)
        for attempt in range(_ATTEMPTS):
            files = snapshot(self._layout, self._tails, measurement, window, self._damaged)
            with self._cursors.one() as cursor:
                cursor.register("tail", files.tail)
                rows = ScopedRows(
                    measurement,
                    window,
                    files,
                    condition,
                    cursor,
                    self._layout,
                    self._digests,
                    self._finder,
                    partial(self._repeats, measurement, cursor),
                )
                try:
                    return question(rows)
                except duckdb.InterruptException:
                    raise
                except (duckdb.Error, pa.ArrowException, OSError) as error:
                    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
                        self._cursors.reopen()  # such an error makes a database refuse every query from then on
                    memory = isinstance(error, duckdb.OutOfMemoryException)
                    if (
                        memory
                        or attempt == _ATTEMPTS - 1
                        or not self._explained(measurement, [*_paths(files.segments), *map(Path, rows.others)])
                    ):
                        raise StoreUnavailable(f"store {self._layout.root}: {str(error)[:200]}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def days(self, measurement: Measurement) -> list[str]:
        """Return the days a measurement has segments of; says nothing about anyone's rows."""
        return self._layout.days(measurement.name)

    def close(self) -> None:
        """Let go of everything; questions that are being answered end with StoreError."""
        self._cursors.close()

    def _repeats(self, measurement: Measurement, cursor: "duckdb.DuckDBPyConnection", files: Snapshot) -> Repeats:
        """Return where points of a snapshot may be found more than once, beside the queries of a cursor too."""
        repeats = self._marks.repeats(
            measurement, files.segments, files.tail, files.tail_marks, files.shared, cursor
        )
        cursor.register(REPEATS, repeats.table())
        return repeats

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        connection = connect(self._settings)
        connection.execute("SET GLOBAL preserve_insertion_order = false")
        connection.execute("SET GLOBAL parquet_metadata_cache = true")  # segments never change
        return connection

    def _explained(self, measurement: Measurement, paths: Sequence[Path]) -> bool:
        """Tell whether a failure is the files' fault, so that asking again helps; put damaged ones aside."""
        explained = False
        for path in paths:
            try:
                with self._cursors.one() as cursor:
                    why = damage_of(path, cursor)
            except FileNotFoundError:
                explained = True
                continue
            except OSError as error:
                raise StoreUnavailable(f"store {self._layout.root}: {error}") from error
            if why:
                explained = True
                if not put_aside(self._layout, measurement.name, path, why, self._stats):
                    with self._lock:
                        self._damaged |= {str(path)}
        return explained


def _paths(segments: Sequence[Segment]) -> Iterator[Path]:
    """Yield what a question may read of segments."""
    for segment in segments:
        yield segment.path
        if segment.digested:
            yield digest_path(segment.path)


def _condition(scope: Scope, measurement: Measurement, where: Where) -> Callable[[Parameters], str]:
    """Return what builds the condition of scope and tags: the choke point of tenancy."""

    def build(parameters: Parameters) -> str:
        parts = [parameters.any_of(tag, values) for tag, values in where.items()]
        if scope.tenants is not None:
            parts.append(
                parameters.any_of("tenant", sorted(scope.tenants)) if measurement.tenant_scoped else "false"
            )
        return " AND ".join(parts) or "true"

    return build
