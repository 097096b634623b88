"""Makes the hour and day sums of a server's minutes, a few spans a turn, newest days first.

Every process that writes does this, with nothing agreed between them: a span that two of them sum at once is
summed twice, to the same points.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa

from storage.checks import sums_schema
from storage.embedded.layout import DAY_NS, day_of, day_start_ns
from storage.embedded.points import times_of
from storage.embedded.rolling import SETTLED_NS
from storage.embedded.rollups import DAY, HOUR, HOUR_NS, ROLLED, spans_to_roll
from storage.embedded.sums import sum_rows
from storage.influx.lineproto import encode
from storage.influx.rollups import (
    POLICY,
    Marks,
    mark_of,
    read_marks,
    rollup_of,
    rollups_that_hold,
    seal_lines,
)
from storage.influx.sender import Sender, WriteOutcome
from storage.influx.source import Source
from storage.influx.targets import Databases, Target, age_of
from storage.influx.writer import PRESENCE, by_database, compressed
from storage.schema import Measurement
from storage.seam import BadQuery, Scope, StoreUnavailable, Window
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
_SPANS_A_TURN = 240
"""Hours and days: ten days of a measurement, or the last hour of all with much to spare."""
_NANOS = 1_000_000_000
_EVERYTHING = Scope.everything("rollups")


class Rolling:
    """Keeps the rollups of one server up to its minutes."""

    def __init__(self, source: Source, sender: Sender, databases: Databases, settings: StorageSettings) -> None:
        self._source = source
        self._sender = sender
        self._databases = databases
        self._settings = settings
        self._empty: dict[str, set[int]] = defaultdict(set)
        """Starts of days over that had no minutes when last looked at: not looked at again unless marked."""

    def turn(self, now_ns: int) -> None:
        """Make what is missing or holds no longer; raises StoreUnavailable where the server cannot answer."""
        left = _SPANS_A_TURN
        for measurement in ROLLED:
            for step_seconds, run in self._missing(measurement, now_ns):
                if left <= 0:
                    return
                left -= len(_starts(step_seconds, run))
                self._roll(measurement, step_seconds, run)

    def _missing(self, measurement: Measurement, now_ns: int) -> Iterator[tuple[int, Window]]:
        """Yield what to make: a step, and a run of spans of it within a day, as one window."""
        # A day more than is kept: what the server is about to remove is not written again.
        oldest_ns = max(now_ns - round(age_of(POLICY, self._settings) * _NANOS) + DAY_NS, 0) // DAY_NS * DAY_NS
        window = Window(oldest_ns, now_ns)
        held = {
            (rollup.step_seconds, rollup.span.since_ns)
            for rollup in rollups_that_hold(self._source.rows_of, measurement, window)
        }
        marks = read_marks(self._source.rows_of, measurement, window)
        for start in self._days(measurement, window, {at for step, at in held if step == DAY}, marks):
            spans = spans_to_roll(day_of(start), now_ns, SETTLED_NS)
            whole = [span for span in spans if span.until_ns - span.since_ns == DAY_NS]
            hours = [Window(at, at + HOUR_NS) for at in range(start, start + DAY_NS, HOUR_NS)] if whole else spans
            for step, spans in ((HOUR, hours), (DAY, whole)):
                missing = [
                    span for span in spans if (step, span.since_ns) not in held and _settled(marks, span, now_ns)
                ]
                yield from ((step, run) for run in _runs(missing))

    def _days(self, measurement: Measurement, window: Window, held: set[int], marks: Marks) -> list[int]:
        """Return the starts of the days that have minutes and no rollup that holds, newest first."""
        empty = self._empty[measurement.name]
        empty -= {hour // DAY_NS * DAY_NS for hour in marks}
        days = range(window.since_ns, window.until_ns, DAY_NS)
        doubted = [start for start in days if start not in held and start not in empty]
        if not doubted:
            return []
        asked = self._source.question(_EVERYTHING, measurement, Window(doubted[0], window.until_ns), None)
        found = self._source.times_with_rows(asked, DAY_NS)
        today = day_start_ns(day_of(window.until_ns))
        empty |= {start for start in doubted if start not in found and start + DAY_NS < today}
        return [start for start in reversed(doubted) if start in found]

    def _roll(self, measurement: Measurement, step_seconds: int, run: Window) -> None:
        """Sum the spans of a run together; in halves where they have more minutes than may be read at once."""
        starts = _starts(step_seconds, run)
        marks = read_marks(self._source.rows_of, measurement, run)
        mark_at = {start: mark_of(marks, Window(start, start + starts.step)) for start in starts}
        tags = list(measurement.tags)
        schema = sums_schema(measurement, tags)
        try:
            sums: pa.Table = self._source.ask(
                _EVERYTHING, measurement, run, None,
                lambda rows: sum_rows(rows, schema, run.since_ns, starts.step, tags),
            )  # fmt: skip
        except BadQuery as error:
            if len(starts) == 1:
                logger.warning("no rollup of %s at %d: %s", measurement.name, run.since_ns, error)
                return
            middle_ns = starts[len(starts) // 2]
            self._roll(measurement, step_seconds, Window(run.since_ns, middle_ns))
            self._roll(measurement, step_seconds, Window(middle_ns, run.until_ns))
            return
        own = [mark_at[start] for start in times_of(sums["time"]).tolist()]
        sums = sums.append_column("mark", pa.array(own, pa.int64()))
        name = rollup_of(measurement, step_seconds).name
        for batch in sums.to_batches(self._settings.influx.batch_rows):
            for database, part in by_database(batch, self._databases):
                lines = encode(part, name, measurement.tags, presence=PRESENCE).lines
                self._send(Target(database, POLICY), lines)
        self._send(Target(self._databases.names[0], POLICY), seal_lines(measurement, step_seconds, mark_at))

    def _send(self, target: Target, lines: bytes) -> None:
        sent = self._sender.send(target, compressed([lines]), patient=True)
        if sent.outcome is not WriteOutcome.WRITTEN:
            raise StoreUnavailable(f"rollups: {sent.outcome}: {sent.message}")


def _settled(marks: Marks, span: Window, now_ns: int) -> bool:
    hours = range(span.since_ns, span.until_ns, HOUR_NS)
    return all(sent_ns + SETTLED_NS <= now_ns for hour in hours for sent_ns in marks.get(hour, ()))


def _starts(step_seconds: int, run: Window) -> range:
    return range(run.since_ns, run.until_ns, step_seconds * _NANOS)


def _runs(spans: Iterable[Window]) -> Iterator[Window]:
    """Yield each run of spans that follow each other as one window."""
    since_ns = until_ns = 0
    for span in spans:
        if span.since_ns != until_ns:
            if since_ns < until_ns:
                yield Window(since_ns, until_ns)
            since_ns = span.since_ns
        until_ns = span.until_ns
    if since_ns < until_ns:
        yield Window(since_ns, until_ns)
