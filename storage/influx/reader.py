"""The named queries of `storage.seam.Reader` over InfluxDB.

Most are those of the embedded store, over rows that `Source` reads within its bound (`read_rows`). Those below are
asked of the server in another way, because reading everything would cost too much:

* `select`, `latest` by tags and `tag_values`: ordered, limited and grouped by the server; few whole rows are read
  of the series that they are found to be of.
* `call`: narrowed to the call's rows by the server.
* `calls`: a page of a search without conditions is found by the server; with some, it narrows what comes over.
* `worst_calls`: candidates are found by marks, else by the lowest R (see `ranking`), and ranked here. Only where
  fewer calls have an R than were asked for, every interval of the window is read.
"""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.checks import Where, check_columns, check_keys, check_tags, measurement_named
from storage.embedded.points import as_declared, times_of
from storage.embedded.reader import EmbeddedReader
from storage.embedded.search import search_calls
from storage.embedded.trace import trace
from storage.embedded.worst import worst_calls
from storage.influx.question import Narrowing, Question, series_of
from storage.influx.ranking import Calls, by_intervals, by_marks
from storage.influx.source import Source
from storage.schema import CALL, STREAM_INTERVAL
from storage.seam import EVERY_CALL, CallMatch, CallPage, CallTrace, Scope, Window

_FEW_ROWS = 1_000
_FEW_FIELDS = 2


class InfluxReader(EmbeddedReader):
    """Answers named queries within a scope; see `storage.seam.Reader`. Safe for several threads."""

    def __init__(self, source: Source, scope: Scope) -> None:
        super().__init__(source, scope)
        self._source = source

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
        asked = self._source.question(self.scope, known, window, where)
        if 0 < limit <= _FEW_ROWS and len(set(wanted) & set(known.fields)) > _FEW_FIELDS:
            asked = self._narrowed_to_few(asked, limit, newest_first=newest_first)
        read = self._source.rows(
            asked, list(dict.fromkeys((*wanted, "time"))), limit=max(limit, 0), newest_first=newest_first
        )
        order = "descending" if newest_first else "ascending"
        ordered = read.take(pc.sort_indices(read, sort_keys=[("time", order)])).slice(0, max(limit, 0))
        return as_declared(known, ordered.select(wanted))

    def latest(
        self, measurement: str, window: Window, *, by: Sequence[str], where: Where | None = None
    ) -> pa.Table:
        """Return the newest row of each combination of columns; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_keys(known, by)
        if not set(by) <= set(known.tags):
            return super().latest(measurement, window, by=by, where=where)
        asked = self._source.question(self.scope, known, window, where)
        read = self._source.rows(asked, known.schema.names, limit=1, newest_first=True, group_by=list(by))
        newest = read.take(pc.sort_indices(read, sort_keys=[("time", "descending")]))
        keys = list(zip(*(newest[tag].to_pylist() for tag in by), strict=True)) if by else [()] * newest.num_rows
        firsts = {key: at for at, key in reversed(list(enumerate(keys)))}  # groups may lie in several databases
        rows = newest.take(pa.array(sorted(firsts.values()), pa.int64()))
        order = [(column, "ascending") for column in dict.fromkeys(("time", *by))]
        return as_declared(known, rows.take(pc.sort_indices(rows, sort_keys=order)))

    def worst_calls(self, window: Window, *, limit: int = 50, where: Where | None = None) -> pa.Table:
        """Return the calls with the worst intervals; see `storage.seam.Reader`."""
        check_tags(STREAM_INTERVAL, list(where or {}))
        limit = max(limit, 0)
        for candidates in by_marks(self._source, self.scope, window, where, limit):
            found = self._ranked(candidates.calls, window, limit, where)
            if (
                found.num_rows >= limit
                and pc.all(pc.less(found["r_min"], candidates.below), skip_nulls=False).as_py()
            ):
                return found
        calls = by_intervals(self._source, self.scope, window, where, limit)
        return self._ranked(calls, window, limit, where)

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
        limit, offset = max(limit, 0), max(offset, 0)
        if match != EVERY_CALL:
            source = self._source.narrowed(Narrowing(match=match))
            return search_calls(source, self.scope, window, where, match, limit=limit, offset=offset)
        asked = self._source.question(self.scope, CALL, window, where)
        total = self._source.count(asked)
        times = self._source.rows(asked, ["time"], limit=offset + limit, newest_first=True)["time"]
        if limit == 0 or times.length() <= offset:
            return CallPage(CALL.schema.empty_table(), total)
        # All calls of the last one's time, so that equal times are in the same order on every page.
        since_ns = pc.min(times.cast(pa.int64())).as_py()
        page = search_calls(
            self._source, self.scope, Window(since_ns, window.until_ns), where, match,
            limit=limit, offset=offset,
        )  # fmt: skip
        return CallPage(page.rows, total)

    def call(self, call_id: str) -> CallTrace:
        """Return all that is stored of one call; see `storage.seam.Reader`."""
        return trace(self._source.narrowed(Narrowing(calls=((None, call_id),))), self.scope, call_id)

    def tag_values(self, measurement: str, tag: str, window: Window, *, where: Where | None = None) -> list[str]:
        """Return the sorted values of a tag; see `storage.seam.Reader`."""
        known = measurement_named(measurement)
        check_tags(known, [tag])
        return sorted(self._source.distinct(self._source.question(self.scope, known, window, where), tag))

    def _narrowed_to_few(self, asked: Question, limit: int, *, newest_first: bool) -> Question:
        """Return the question for the first `limit` rows narrowed to their times and series.

        A server opens each field of each series that it is asked of, however short the time: finding the few
        series first, by one field, takes it a fraction of what whole rows of all series do.
        """
        tags = asked.measurement.tags
        found = self._source.rows(asked, ["time", *tags], limit=limit, newest_first=newest_first)
        if not found.num_rows:
            return replace(asked, window=Window(0, 0))
        times = times_of(found["time"])
        narrowing = replace(asked.narrowing, series=series_of(found, tags))
        return replace(asked, window=Window(int(times.min()), int(times.max()) + 1), narrowing=narrowing)

    def _ranked(self, calls: Calls, window: Window, limit: int, where: Where | None) -> pa.Table:
        """Return the worst of some calls, of all if none is named."""
        source = self._source.narrowed(Narrowing(calls=tuple(calls))) if calls else self._source
        return worst_calls(source, self.scope, window, limit, where, [call_id for _, call_id in calls])
