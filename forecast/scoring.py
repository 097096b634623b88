"""The service's comparison of what was issued with what came, hour by hour, for all series at once.

Each slot is compared once, when late rows of it can no longer come, and added to its day's sums; so one question
to the store serves many series, and no day is read twice. After a restart, or where a service was down, the days
from the last one on are compared whole. No clock is read and nothing is decided here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from forecast.accuracy import LEVELS, Score, poisson_mean_deviation
from forecast.horizons import LEAD_CLASSES, Horizon, local_midnight_s
from forecast.localtime import DAY_S, Bools, Floats, Ints, local_grid
from forecast.profiles import WEEK
from forecast.rehearsal import Group
from forecast.series import BadSeries
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS, Book
from forecast.stored import QUANTILE_COLUMNS
from forecast.targets import Kind, SeriesId, Signal
from forecast.tracking import accuracy_batch, last_scored
from storage.seam import Reader, Window, Writer

MOST_DAYS_SCORED = 7
"""Days that a service which was down compares afterwards."""
LATE_S = 600
"""Rows of a minute come that late at most."""
_MOST_ROWS = 1_000_000
_ROWS_AT_ONCE = 200_000
"""Forecasts that one question should find, more or less."""
_WEEKS_BACK = Horizon.LONG.reach_s // (WEEK * DAY_S) + 1
_LONGEST = np.array(list(LEAD_CLASSES.values()))
ClosedTimes = Callable[[SeriesId], Bools]
"""Returns [weekday, slot] outside a series' business hours; raises BadSeries where it has no traffic."""


@dataclass(slots=True)
class _Day:
    """The sums of a series' day so far."""

    start_s: int
    until_s: int
    """What came before this is in."""
    scores: dict[Group, Score] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of one local day, the same for many series."""

    slot_s: int
    zone: str
    day_s: int
    since_s: int
    end_s: int
    day_over: bool


class Scoring:
    """What was issued of each series beside what came; used by the service's thread."""

    def __init__(self, reader: Reader, writer: Writer, settings: ForecastServiceSettings) -> None:
        self.compared: Counter[str] = Counter()
        """Forecasts of days that are over, by class of lead."""
        self.covered: Counter[tuple[str, str]] = Counter()
        """Of these, those where what came lay at or under a quantile, by class of lead and quantile."""
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._days: dict[SeriesId, _Day] = {}
        self._scored: dict[SeriesId, int] = {}
        """Start (UTC second) of the newest day with sums in the store, at the beginning."""
        self._series: Counter[tuple[Kind, Signal]] = Counter()
        """How many there are of each kind and signal."""

    def resume(self, now_s: int) -> None:
        """Read how far a service before this one came. Raises StoreError."""
        self._scored = last_scored(self._reader, now_s, MOST_DAYS_SCORED)

    def is_new(self, key: SeriesId) -> bool:
        """Tell whether nothing of a series was ever compared."""
        return key not in self._days and key not in self._scored

    def rehearsed(self, key: SeriesId, days: Sequence[tuple[int, Mapping[Group, Score]]]) -> None:
        """Write what a first fit scored of itself, by start of day (UTC second)."""
        self._writer.write("forecast_accuracy", accuracy_batch({key: days}))
        self._scored[key] = days[-1][0]

    def score(
        self,
        keys: Iterable[SeriesId],
        books: Mapping[int, Book],
        closed: ClosedTimes,
        known_s: int,
        stopped: Callable[[], bool],
    ) -> None:
        """Compare what was issued for the hours that are over; books by length of slot. Raises StoreError."""
        until_s = (known_s - LATE_S) // 3600 * 3600
        keys = list(keys)
        self._series = Counter((key.kind, key.signal) for key in keys)
        for span, mine in sorted(self._due(keys, until_s).items(), key=lambda item: item[0].since_s):
            for chunk in _chunks(mine, span):
                if stopped():
                    return
                self._compare(span, chunk, books[span.slot_s], closed)

    def _due(self, keys: Iterable[SeriesId], until_s: int) -> dict[_Span, list[SeriesId]]:
        due: dict[_Span, list[SeriesId]] = defaultdict(list)
        for key in keys:
            zone, slot_s = self._settings.zone_of(key), self._settings.slot_of(key.kind)
            day = self._days.get(key)
            if day is None:
                last_s = max(self._scored.get(key, 0), until_s - MOST_DAYS_SCORED * DAY_S)
                start_s = local_midnight_s(last_s, zone)
                day = self._days[key] = _Day(start_s, start_s)
            day_s, since_s = day.start_s, day.until_s
            while since_s < until_s:
                next_s = local_midnight_s(day_s + 26 * 3600, zone)
                end_s = min(next_s, until_s)
                due[_Span(slot_s, zone.key, day_s, since_s, end_s, next_s <= until_s)].append(key)
                since_s = end_s
                day_s = next_s
        return due

    def _compare(self, span: _Span, keys: Sequence[SeriesId], book: Book, closed: ClosedTimes) -> None:
        """Add a stretch to the sums of series of one kind and signal, and write them."""
        came = _Came.of(span, keys, book, closed)
        found = came.scores(self._issued(span, came.keys)) if came.keys else []
        sums = {}
        for key, scores in zip(came.keys, found, strict=True):
            before = self._days[key].scores
            more = {group: before[group] + score if group in before else score for group, score in scores.items()}
            if more:
                sums[key] = [(span.day_s, before | more)]
        if sums:
            self._writer.write("forecast_accuracy", accuracy_batch(sums))
        # Not before they are written: what the store refuses is compared again.
        for key in keys:
            day = self._days[key]
            day.until_s = span.end_s
            if key in sums:
                day.scores = sums[key][0][1]
            if span.day_over:
                self._count(day.scores)
                day.start_s, day.scores = span.end_s, {}

    def _count(self, scores: Mapping[Group, Score]) -> None:
        for group, score in scores.items():
            self.compared[group.lead] += score.n
            for level, covered in zip(LEVELS, score.covered.tolist(), strict=True):
                self.covered[group.lead, f"{level:g}"] += int(covered)

    def _issued(self, span: _Span, keys: Sequence[SeriesId]) -> pa.Table:
        """Return what was issued for the slots of a stretch, for series of one kind and signal, or for more."""
        columns = ["target", "slot", "lead_seconds", "slot_seconds", "horizon", "model", *QUANTILE_COLUMNS]
        kind, signal = keys[0].kind, keys[0].signal
        where: dict[str, Sequence[str]] = {"target_kind": (kind.value,), "signal": (signal.value,)}
        if len(keys) < self._series[kind, signal]:
            where["target"] = [key.name for key in keys]
        window = Window(span.since_s * SECOND_NS, span.end_s * SECOND_NS)
        return self._reader.select("forecast", window, columns=columns, where=where, limit=_MOST_ROWS)


def _chunks(keys: Iterable[SeriesId], span: _Span) -> Iterator[list[SeriesId]]:
    """Yield the series by kind and signal, as many at once as an answer should hold."""
    issues = Horizon.SHORT.reach_s // span.slot_s + Horizon.MEDIUM.reach_s // 3600 + Horizon.LONG.reach_s // DAY_S
    most = max(1, _ROWS_AT_ONCE // (issues * max(1, (span.end_s - span.since_s) // span.slot_s)))
    groups: dict[tuple[Kind, Signal], list[SeriesId]] = defaultdict(list)
    for key in keys:
        groups[key.kind, key.signal].append(key)
    for group in groups.values():
        for first in range(0, len(group), most):
            yield group[first : first + most]


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of some series in a stretch; arrays are [series, slots], NaN where nothing is to be compared."""

    keys: tuple[SeriesId, ...]
    since_s: int
    slot_s: int
    actual: Floats
    floor: Floats
    naive: Floats
    """[weeks back, series, slots]"""

    @classmethod
    def of(cls, span: _Span, keys: Sequence[SeriesId], book: Book, closed: ClosedTimes) -> "_Came":
        slot_s, zone = span.slot_s, ZoneInfo(span.zone)
        count = (span.end_s - span.since_s) // slot_s
        first = (span.since_s - book.start_s) // slot_s
        # The slots with a neighbour on either side, and the same slots of the weeks before.
        spans = [(first - 1, count + 2)]
        spans += [(first - back * WEEK * DAY_S // slot_s, count) for back in range(1, _WEEKS_BACK + 1)]
        places = np.concatenate([np.arange(begin, begin + size) for begin, size in spans])
        grids = [local_grid(book.start_s + begin * slot_s, slot_s, size, zone) for begin, size in spans]
        weekday, slot = (np.concatenate([getattr(grid, name) for grid in grids]) for name in ("weekday", "slot"))
        held = (places >= 0) & (places < book.alive.size)
        held[held] = book.measured()[places[held]]
        mine, rows = [], []
        for key in keys:
            try:
                outside = closed(key)[weekday, slot]
            except BadSeries:
                continue
            values = book.values[key]
            row = np.where(held, values[np.clip(places, 0, values.size - 1)].astype(np.float64), np.nan)
            row[(places < int((values > 0).argmax())) | (outside & ~(row > 0))] = np.nan
            mine.append(key)
            rows.append(row)
        table: Floats = np.array(rows, np.float64).reshape(len(mine), places.size)
        around, before = table[:, : count + 2], table[:, count + 2 :].reshape(len(mine), _WEEKS_BACK, count)
        floor = np.zeros((len(mine), count))
        if mine and mine[0].signal.is_count:
            near = np.stack([around[:, :-2], around[:, 1:-1], around[:, 2:]])
            known = np.isfinite(near)
            floor = poisson_mean_deviation(
                np.where(known, near, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            )
        return cls(tuple(mine), span.since_s, slot_s, around[:, 1:-1], floor, before.transpose(1, 0, 2))

    def scores(self, issued: pa.Table) -> list[dict[Group, Score]]:
        """Return the sums of each series by group; rows of other series are passed over."""
        found: list[dict[Group, Score]] = [{} for _ in self.keys]
        if not issued.num_rows:
            return found
        names = {key.name: place for place, key in enumerate(self.keys)}
        target, targets = _coded(issued["target"])
        series = np.array([names.get(name, -1) for name in targets], np.int64)[target]
        slots = issued["slot"].cast(pa.int64()).to_numpy() // SECOND_NS
        places = np.asarray((slots - self.since_s) // self.slot_s, np.int64)
        leads = np.asarray(issued["lead_seconds"].to_numpy() + issued["slot_seconds"].to_numpy(), np.int64)
        weeks = np.clip(-(-leads // (WEEK * DAY_S)), 1, _WEEKS_BACK) - 1
        quantiles = np.stack([issued[name].to_numpy() for name in QUANTILE_COLUMNS], axis=1)
        horizon, horizons = _coded(issued["horizon"])
        model, models = _coded(issued["model"])
        lead = np.minimum(np.searchsorted(_LONGEST, leads), _LONGEST.size - 1)
        held = (series >= 0) & np.isfinite(quantiles).all(axis=1) & np.isfinite(self.actual[series, places])
        series, places, quantiles, weeks = series[held], places[held], quantiles[held], weeks[held]
        shape = len(self.keys), len(horizons), _LONGEST.size, len(models)
        labels = np.ravel_multi_index((series, horizon[held], lead[held], model[held]), shape)
        distinct, of = np.unique(labels, return_inverse=True)
        sums = Score.by_group(
            of, distinct.size, self.actual[series, places], quantiles, self.floor[series, places],
            self.naive[weeks, series, places],
        )  # fmt: skip
        leads_named = list(LEAD_CLASSES)
        for score, *codes in zip(
            sums, *(axis.tolist() for axis in np.unravel_index(distinct, shape)), strict=True
        ):
            found[codes[0]][Group(horizons[codes[1]], leads_named[codes[2]], models[codes[3]])] = score
        return found


def _coded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return the places of values among the distinct ones, and these."""
    encoded = column.combine_chunks().dictionary_encode()
    values = [str(value) for value in encoded.dictionary.to_pylist()]
    return np.asarray(encoded.indices.to_numpy(), np.int64), values
