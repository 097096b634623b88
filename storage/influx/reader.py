"""The named queries of `storage.seam.Reader` over InfluxDB.

Most are those of the embedded store, over rows that `Source` reads within its bound (`read_rows`). Those below are
asked of the server in another way, because reading everything would cost too much:

* `select`, `latest` by tags and `tag_values`: ordered, limited and grouped by the server; few whole rows are read
  of the series that they are found to be of.
* `call`: narrowed to the call's rows by the server.
* `calls`: a page of a search without conditions is found by the server; with some, it narrows what comes over.
* `worst_calls`: the lowest R are found by the server, in the series that have the lowest where there are many; the
  calls they belong to are then ranked here. Only where
  fewer calls have an R than were asked for, every interval of the window is read.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.checks import Where, check_columns, check_keys, check_tags, measurement_named
from storage.embedded.points import as_declared, times_of
from storage.embedded.reader import EmbeddedReader
from storage.embedded.search import search_calls
from storage.embedded.trace import trace
from storage.embedded.worst import worst_calls
from storage.influx.source import Narrowing, Question, Source, series_of
from storage.influx.tagtext import as_told
from storage.schema import CALL, STREAM_INTERVAL
from storage.seam import EVERY_CALL, CallMatch, CallPage, CallTrace, Scope, Window
from telephony.bands import R_DIVISOR
from telephony.model import Scale

_ROWS_PER_CALL = 16
_MOST_LOWEST = 100_000
_SERIES_PER_CALL = 4
_FEW_ROWS = 1_000
_FEW_FIELDS = 2
_WIDER = tuple(scale.value for scale in R_DIVISOR if scale is not Scale.NARROWBAND)
_DIVISORS = {scale.value: divisor for scale, divisor in R_DIVISOR.items()}


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
        calls = self._lowest_rated(window, max(limit, 0), where)
        source = self._source.narrowed(Narrowing(calls=tuple(calls))) if calls else self._source
        return worst_calls(source, self.scope, window, limit, where)

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

    def _few_series(self, asked: Question, limit: int) -> Iterator[tuple[Question, float]]:
        """Yield the question narrowed to the series of the lowest R, and what no R beyond them is below.

        Nothing where the server has few series, or many calls are asked for: all are then looked at together.
        """
        most = _SERIES_PER_CALL * limit
        if most > _FEW_ROWS:
            return
        lowest = self._source.lowest_of_series(asked, "r_factor")
        if lowest.num_rows > 2 * most:
            scales = self._source.texts(asked, "mos_scale")
            divisor = max((_DIVISORS.get(scale, 1.0) for scale in scales), default=1.0)
            narrowing = replace(asked.narrowing, series=series_of(lowest.slice(0, most), asked.measurement.tags))
            yield replace(asked, narrowing=narrowing), lowest["value"][most].as_py() / divisor

    def _lowest_rated(self, window: Window, limit: int, where: Where | None) -> list[tuple[str | None, str]]:
        """Return `limit` calls of the lowest R and all that tie with the last; empty if there are fewer."""
        asked = self._source.question(self.scope, STREAM_INTERVAL, window, where)
        if not limit:
            return []
        for part, beyond in self._few_series(asked, limit):
            if found := self._ranked(part, limit, beyond):
                return found
        return self._ranked(asked, limit, math.inf)

    def _ranked(self, asked: Question, limit: int, beyond: float) -> list[tuple[str | None, str]]:
        """Return the same of the rows asked for; empty where others, which are not below `beyond`, may count."""
        count = _ROWS_PER_CALL * limit
        while count <= _MOST_LOWEST:
            lows: dict[str, float] = {}
            tenants: dict[str, set[str]] = {}
            seen_to: list[float] = []
            # On the narrowband scale a wideband R is lower than its number: the lowest numbers of all scales and
            # the lowest of the wider ones together hold the lowest of all.
            for scales, divisor in (((), 1.0), (_WIDER, max(R_DIVISOR.values()))):
                rows = self._source.lowest(asked, "r_factor", count, ["call_id", "mos_scale", "tenant"], scales)
                numbers = [row[0] for row in rows if isinstance(row[0], int | float)]
                if len(rows) >= count:
                    seen_to.append(max(numbers, default=0.0) / divisor)
                for number, call_id, of_scale, tenant in rows:
                    if isinstance(number, int | float) and isinstance(call_id, str) and call_id:
                        rating = number / _DIVISORS.get(str(of_scale), 1.0)
                        lows[call_id] = min(rating, lows.get(call_id, rating))
                        tenants.setdefault(call_id, set()).add(as_told(str(tenant or "")))
            ranked = sorted(lows, key=lambda call_id: lows[call_id])
            if len(ranked) >= limit:
                last = lows[ranked[limit - 1]]
                if beyond <= last:
                    return []
                if all(number > last for number in seen_to):
                    worst = [call_id for call_id in ranked if lows[call_id] <= last]
                    return [(tenant, call_id) for call_id in worst for tenant in sorted(tenants[call_id])]
            if not seen_to:
                return []
            count *= 4
        return []
