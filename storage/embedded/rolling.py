"""Makes the rollups of a store, a few spans a turn, and removes those that hold no longer."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from storage.checks import sums_schema
from storage.embedded.catalog import Snapshot
from storage.embedded.layout import DAY_NS, Layout, day_start_ns
from storage.embedded.relation import Database, ScopedRows
from storage.embedded.rollups import (
    FIVE_MINUTES,
    ROLLED,
    fingerprint,
    list_rollups,
    spans_to_roll,
    steps_of,
    write_rollup,
)
from storage.embedded.stats import StoreStats
from storage.embedded.sums import sum_rows
from storage.schema import Measurement
from storage.seam import Scope, Window

logger = logging.getLogger(__name__)
SETTLED_NS = 900_000_000_000
"""An hour or day is rolled up this long after its end: most late minutes have come by then."""
_SPANS_A_TURN = 48
"""A store with a year of history is rolled up over some turns, and goes on serving meanwhile."""
_PART_NS = DAY_NS // 4
"""A day in steps of 5 minutes is summed so much at a time: with its histograms it is many megabytes."""
_NANOS = 1_000_000_000
_EVERYTHING = Scope.everything("rollups")


class Rolling:
    """Keeps the rollups of one store up to its segments."""

    def __init__(self, layout: Layout, open_database: Callable[[], Database], stats: StoreStats) -> None:
        self._layout = layout
        self._open_database = open_database
        self._stats = stats

    def turn(self, now_ns: int) -> None:
        """Make what is missing, newest days first, delete what is outdated; raises OSError, StoreUnavailable."""
        for measurement in ROLLED:
            self._drop_orphans(measurement)
        # A database of its own, for the turn alone: what DuckDB caches would stay with a process that seldom asks.
        with ExitStack() as opened:
            database: Database | None = None
            left = _SPANS_A_TURN
            for measurement, span in self._missing(now_ns):
                if not left:
                    return
                if database is None:
                    database = self._open_database()
                    opened.callback(database.close)
                left -= self._roll(database, measurement, span)

    def _missing(self, now_ns: int) -> Iterator[tuple[Measurement, Window]]:
        for measurement in ROLLED:
            for day in reversed(self._layout.days(measurement.name)):
                start = day_start_ns(day)
                segments = self._layout.list_segments(measurement.name, start, start + DAY_NS)
                spans = spans_to_roll(day, now_ns, SETTLED_NS)
                held: dict[Window, set[int]] = {}
                for rollup in list_rollups(self._layout, measurement.name, day):
                    if rollup.span in spans and rollup.fingerprint == fingerprint(segments, rollup.span):
                        held.setdefault(rollup.span, set()).add(rollup.step_seconds)
                    else:
                        rollup.path.unlink(missing_ok=True)  # a query that misses it asks again
                for span in spans:
                    if not held.get(span, _NONE).issuperset(steps_of(span)) and (
                        fingerprint(segments, span) != _NOTHING
                    ):
                        yield measurement, span

    def _roll(self, database: Database, measurement: Measurement, span: Window) -> bool:
        """Make the rollups of a span, unless rows of it wait in a log; tell whether they were made."""
        tags = list(measurement.tags)
        schema = sums_schema(measurement, tags)

        def question(rows: ScopedRows) -> bool:
            if _has_unsealed(rows.files, span):
                return False
            mark = fingerprint(rows.files.segments, span)
            for step in steps_of(span):  # each is made of the one before
                part_ns = _PART_NS if step == FIVE_MINUTES else DAY_NS
                sums = (
                    sum_rows(rows.within(part), schema, span.since_ns, step * _NANOS, tags)
                    for part in _parts(span, part_ns)
                )
                write_rollup(self._layout, measurement.name, (step, span, mark), schema, sums)
            return True

        made = database.ask(_EVERYTHING, measurement, span, None, question)
        self._stats.rollups_made += made
        return made

    def _drop_orphans(self, measurement: Measurement) -> None:
        """Delete the rollups of days whose minutes have gone."""
        days = set(self._layout.days(measurement.name))
        for directory in (self._layout.rollups / measurement.name).glob("*"):
            if directory.name not in days:
                for path in directory.iterdir():
                    path.unlink(missing_ok=True)
                directory.rmdir()


def _parts(span: Window, length_ns: int) -> Iterator[Window]:
    for since_ns in range(span.since_ns, span.until_ns, length_ns):
        yield Window(since_ns, min(since_ns + length_ns, span.until_ns))


def _has_unsealed(files: Snapshot, span: Window) -> bool:
    return any(w.since_ns < span.until_ns and span.since_ns < w.until_ns for w in files.unsealed)


_NOTHING = fingerprint([], Window(0, 1))
_NONE: frozenset[int] = frozenset()
