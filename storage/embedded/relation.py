"""The one door between a scope and the rows: every query of a reader is built over `ScopedRows`.

The SQL text is made of names of the schema and numbers of parameters only; every value (tenants, tags, times,
search texts, file names) is a bound parameter. A scope of no tenant never reaches DuckDB's filters: it reads
nothing.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.embedded.catalog import Snapshot, clamp, snapshot
from storage.embedded.layout import Layout, Segment
from storage.embedded.log import LogTails
from storage.embedded.points import SEQUENCE
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS, Measurement
from storage.seam import BadQuery, Scope, StoreUnavailable, Window
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Where = Mapping[str, Sequence[str]]
_ATTEMPTS = 5
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


@dataclass(slots=True)
class ScopedRows:
    """The rows of a measurement in a window that a scope may see, as a relation for one query."""

    measurement: Measurement
    files: Snapshot
    conditions: Callable[[Parameters], str]
    """Scope, window and tags, as a condition on the raw rows: part of a point's identity, so it may come first."""
    connection: "duckdb.DuckDBPyConnection"
    parameters: Parameters = field(default_factory=Parameters)

    def sql(self, columns: Sequence[str], *, dedup: bool = True) -> str:
        """Return a SELECT of these columns over the last write of each point (or over all writes)."""
        if not dedup or not self.files.may_repeat:
            return self._raw(columns)
        point = ("time", *self.measurement.tags)
        every = list(dict.fromkeys((*columns, *point, SEQUENCE)))
        suspects = "" if self._all_suspect else f" WHERE time IN ({self._suspect_times()})"
        identities = f"SELECT * FROM ({self._raw([*point, SEQUENCE])}){suspects}"
        last = (
            f"SELECT {listed(columns)} FROM (SELECT * FROM ({self._raw(every)}){suspects}) SEMI JOIN "
            f"(SELECT {listed(point)}, max({SEQUENCE}) AS {SEQUENCE} FROM ({identities}) "
            f"GROUP BY {listed(point)}) USING ({listed([*point, SEQUENCE])})"
        )
        if self._all_suspect:
            return last
        once = f"SELECT {listed(columns)} FROM ({self._raw(every)}) WHERE time NOT IN ({self._suspect_times()})"
        return f"{once} UNION ALL {last}"

    def fetch(self, sql: str) -> pa.Table:
        """Run a query made of `sql()` and `parameters`; the next one starts with none bound."""
        values = self.parameters.take()
        return self.connection.sql(sql, params=values).to_arrow_table()

    @property
    def _all_suspect(self) -> bool:
        """Rows of a minute share their time, so marked times would be nearly all times anyway."""
        return self.files.shared or "shard" not in self.measurement.tags

    def _suspect_times(self) -> str:
        sources = self._sources(self.files.rewriting, self.files.tail_rewrites, ["time", SEQUENCE])
        return " UNION ALL ".join(f"SELECT time FROM ({s}) WHERE {SEQUENCE} & 1 = 1" for s in sources)

    def _raw(self, columns: Sequence[str]) -> str:
        sources = self._sources(self.files.segments, self.files.tail.num_rows > 0, ["*"])
        selects = [
            f"SELECT {listed(columns)} FROM ({source}) WHERE {self.conditions(self.parameters)}"
            for source in sources
        ]
        if not selects:  # an empty relation with the right columns
            selects = [f"SELECT {listed(columns)} FROM tail WHERE false"]
        return " UNION ALL ".join(selects)

    def _sources(self, segments: Sequence[Segment], tail: bool, columns: Sequence[str]) -> list[str]:
        names = "*" if columns == ["*"] else listed(columns)
        sources = []
        if segments:
            files = self.parameters.bind([str(s.path) for s in segments])
            sources.append(f"SELECT {names} FROM read_parquet({files}, union_by_name = false)")
        if tail:
            sources.append(f"SELECT {names} FROM tail")
        return sources


class Database:
    """DuckDB over the files of one store, shared by the readers of a process."""

    def __init__(self, layout: Layout, settings: StorageSettings, stats: StoreStats) -> None:
        self._layout = layout
        self._stats = stats
        self._tails = LogTails()
        self._damaged: frozenset[str] = frozenset()
        self._lock = Lock()
        self._root = duckdb.connect(
            ":memory:",
            config={
                "threads": settings.read_threads,
                "memory_limit": f"{settings.read_memory_bytes // 1024**2}MiB",
                "python_enable_replacements": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )

    def ask(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        question: Callable[[ScopedRows], Answer],
    ) -> Answer:
        """Answer a question over the scoped rows; asked again where a file went away or proved damaged.

        Raises BadQuery for a tag that is not the measurement's, StoreUnavailable where reading goes on failing.
        """
        where = dict(where or {})
        check_tags(measurement, list(where))
        window = clamp(window)
        condition = _condition(scope, measurement, window, where)
        nothing = scope.tenants is not None and (not scope.tenants or not measurement.tenant_scoped)
        empty = window.since_ns >= window.until_ns
        self._stats.queries += 1
        for attempt in range(_ATTEMPTS):
            span = Window(0, 0) if nothing or empty else window
            files = snapshot(self._layout, self._tails, measurement, span, self._damaged)
            with self._cursor() as cursor:
                cursor.register("tail", files.tail)
                try:
                    return question(ScopedRows(measurement, files, condition, cursor))
                except duckdb.Error as error:
                    memory = isinstance(error, duckdb.OutOfMemoryException)
                    if memory or attempt == _ATTEMPTS - 1 or not self._explained(files.segments):
                        raise StoreUnavailable(f"store {self._layout.root}: {str(error)[:200]}") from error
                    self._stats.queries_retried += 1
        raise AssertionError("unreachable: the last attempt returns or raises")

    def days(self, measurement: Measurement) -> list[str]:
        """Return the days a measurement has segments of; says nothing about anyone's rows."""
        return self._layout.days(measurement.name)

    def close(self) -> None:
        """Let go of everything."""
        self._root.close()

    def _cursor(self) -> "duckdb.DuckDBPyConnection":
        with self._lock:
            return self._root.cursor()

    def _explained(self, segments: Sequence[Segment]) -> bool:
        """Tell whether a failure is the files' fault, so that asking again helps; remember damaged ones."""
        gone, damaged = False, []
        for segment in segments:
            try:
                with segment.path.open("rb") as file:
                    pq.read_table(file)
            except FileNotFoundError:
                gone = True
            except (OSError, pa.ArrowException) as error:
                damaged.append(str(segment.path))
                logger.warning("segment %s is damaged and skipped: %s", segment.path, str(error)[:200])
        with self._lock:
            fresh = set(damaged) - self._damaged
            self._stats.damaged_segments += len(fresh)
            self._damaged |= fresh
        return gone or bool(damaged)


def _condition(
    scope: Scope, measurement: Measurement, window: Window, where: Where
) -> Callable[[Parameters], str]:
    """Return what builds the condition of scope, window and tags: the choke point of tenancy."""

    def build(parameters: Parameters) -> str:
        since = parameters.bind(window.since_ns)
        until = parameters.bind(window.until_ns)
        parts = [f"time >= make_timestamp_ns({since})", f"time < make_timestamp_ns({until})"]
        if scope.tenants is not None:
            tenants = sorted(scope.tenants) if measurement.tenant_scoped else []
            parts.append(parameters.any_of("tenant", tenants))
        parts += [parameters.any_of(tag, values) for tag, values in where.items()]
        return " AND ".join(parts)

    return build
