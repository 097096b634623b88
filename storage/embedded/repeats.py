"""At which times a point may be found more than once, so that a query looks for equal points there only.

A writer marks rows that may have been written before (`points`), and a marked row overwrites none but of its own
time: only times of marked rows can hold equal points. They are few, and where times are nearly unique (the
measurements with a `shard`) most of them prove to hold one row after all: the memory of a writer errs to marking.
What several writers wrote in the same span of time is unmarked and may be equal anywhere in it.

The marks of a segment never change, so each is looked at once per process.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.layout import Segment
from storage.embedded.points import SEQUENCE, STORED_TIME, Int64s, times_of
from storage.schema import Measurement
from storage.seam import Window

NO_TIMES: Int64s = np.zeros(0, dtype=np.int64)
NOWHERE = Window(0, 0)
TABLE = "repeats"
"""Name of the times as a table of one column, `time`, beside a query."""
_MOST_OF_A_SEGMENT = 2_048
_MOST = 16_384
_REMEMBERED = 4_096
_REMEMBERED_PROOFS = 64
_FILE_SEPARATOR = "\n"


class Repeats(NamedTuple):
    """Where a point may be found more than once; nowhere else."""

    times: Int64s = NO_TIMES
    """At these times, in order."""
    every: Window = NOWHERE
    """And anywhere in this span."""

    def touch(self, min_ns: int, max_ns: int) -> bool:
        """Tell whether a span of time (both ends included) has such a place."""
        first = np.searchsorted(self.times, min_ns)
        return bool(
            (first < self.times.size and self.times[first] <= max_ns)
            or (self.every.since_ns <= max_ns and min_ns < self.every.until_ns)
        )

    def table(self) -> pa.Table:
        """Return the times as a table."""
        return pa.table({"time": pa.array(self.times).cast(STORED_TIME)})


NO_REPEATS = Repeats()


class Marks:
    """The marks of segments, for the readers of one process."""

    def __init__(self) -> None:
        self._times: dict[Path, Int64s | None] = {}
        self._proven: dict[tuple[str, bytes], Int64s] = {}
        self._lock = Lock()

    def repeats(
        self,
        measurement: Measurement,
        segments: Sequence[Segment],
        tail: pa.Table,
        tail_times: Int64s,
        shared: Window,
        connection: "duckdb.DuckDBPyConnection",
    ) -> Repeats:
        """Return where points of these segments and log rows may be equal; raises duckdb.Error.

        `tail_times` are those of the marked rows of `tail`, `shared` is what several writers wrote in.
        """
        marked = [s for s in segments if s.rewrites]
        self._look_at(marked, connection)
        found, every = [tail_times], shared
        for segment in marked:
            times = self._times.get(segment.path)
            if times is None:
                every = _hull(every, Window(segment.min_ns, segment.max_ns + 1))
            else:
                found.append(times)
        times = np.unique(np.concatenate(found))
        if times.size > _MOST:
            every, times = _hull(every, Window(int(times[0]), int(times[-1]) + 1)), NO_TIMES
        times = times[(times < every.since_ns) | (times >= every.until_ns)]
        if times.size and "shard" in measurement.tags:
            times = self._proven_of(times, segments, tail, connection)
        return Repeats(times, every)

    def _look_at(self, segments: Sequence[Segment], connection: "duckdb.DuckDBPyConnection") -> None:
        unknown = [s.path for s in segments if s.path not in self._times]
        if not unknown:
            return
        sql = f"SELECT DISTINCT filename, time FROM read_parquet($files, filename = true) WHERE {SEQUENCE} & 1 = 1"
        rows = connection.sql(sql, params={"files": [str(path) for path in unknown]}).to_arrow_table()
        names, times = rows["filename"].to_pylist(), times_of(rows["time"])
        of: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            of.setdefault(name, []).append(place)
        with self._lock:
            for path in unknown:
                places = of.get(str(path), [])
                self._times[path] = times[places] if len(places) <= _MOST_OF_A_SEGMENT else None
            while len(self._times) > _REMEMBERED:
                del self._times[next(iter(self._times))]

    def _proven_of(
        self, times: Int64s, segments: Sequence[Segment], tail: pa.Table, connection: "duckdb.DuckDBPyConnection"
    ) -> Int64s:
        """Return those of the times that more than one row has."""
        suspected = Repeats(times)
        files = sorted(str(s.path) for s in segments if suspected.touch(s.min_ns, s.max_ns))
        key = _FILE_SEPARATOR.join(files), times.tobytes()
        held = tail["time"]
        in_tail = times_of(held.filter(pc.is_in(held, pa.array(times).cast(STORED_TIME))))
        proven = None if in_tail.size else self._proven.get(key)
        if proven is None:
            found = [in_tail]
            if files:
                connection.register(TABLE, suspected.table())
                sql = f"SELECT time FROM read_parquet($files) SEMI JOIN {TABLE} USING (time)"
                found.append(times_of(connection.sql(sql, params={"files": files}).to_arrow_table()["time"]))
            values, counts = np.unique(np.concatenate(found), return_counts=True)
            proven = values[counts > 1]
        if not in_tail.size:
            with self._lock:
                self._proven[key] = proven
                while len(self._proven) > _REMEMBERED_PROOFS:
                    del self._proven[next(iter(self._proven))]
        return proven


def _hull(one: Window, other: Window) -> Window:
    if one.since_ns >= one.until_ns:
        return other
    return Window(min(one.since_ns, other.since_ns), max(one.until_ns, other.until_ns))
