"""From the minutes of the store to regular slots, for every pool, region, trunk and tenant at once.

A minute in which no collector wrote anything is unknown: its slot is missing, never zero. A minute in which one
wrote but a tenant had no calls is a zero of that tenant. Slots are counted in UTC; `Series` keys them by the local
clock. This module reads through a scoped reader and knows no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forecast.localtime import DAY_S, Bools, Floats, Ints
from forecast.series import BadSeries, Series, State
from forecast.states import mark_closed
from forecast.targets import KIND_SIGNALS, Kind, SeriesId, Signal
from storage.seam import Reader, Window
from telephony.model import UNKNOWN

SECOND_NS = 1_000_000_000
_MINUTE_S = 60
_CHUNK_S = 7 * DAY_S
"""How much is asked for at once: bounds the memory of an answer, some 150 bytes a slot of a series."""
CAPTURE_POOL = "capture"
"""The pool of the rows that say which capture agents are alive; it carries no calls."""

_Singles = npt.NDArray[np.float32]


@dataclass(slots=True)
class Book:
    """The slots of many series on one grid: everything that is kept of the past, in single precision.

    `alive` is the share of each slot's minutes in which a collector wrote; values of a slot that is not wholly
    alive are unknown.
    """

    start_s: int
    slot_s: int
    alive: _Singles
    values: dict[SeriesId, _Singles] = field(default_factory=dict)
    shed: int = 0
    """Series for which there was no room."""
    most: int = 10_000

    @classmethod
    def of(cls, start_s: int, slot_s: int, until_s: int, most: int = 10_000) -> "Book":
        """Return an empty book over the whole slots between two instants (UTC seconds)."""
        first = start_s // slot_s * slot_s
        return cls(first, slot_s, np.zeros(max(until_s // slot_s - first // slot_s, 0), np.float32), most=most)

    @property
    def until_s(self) -> int:
        """End of its last slot, UTC seconds."""
        return self.start_s + int(self.alive.size) * self.slot_s

    def reach(self, until_s: int, keep: int) -> None:
        """Make room for the slots that end by `until_s` and forget all but the last `keep`."""
        more = until_s // self.slot_s - self.until_s // self.slot_s
        if more <= 0:
            return
        drop = max(int(self.alive.size) + more - keep, 0)

        def moved(old: _Singles) -> _Singles:
            return np.concatenate([old, np.zeros(more, np.float32)])[drop:]

        self.alive = moved(self.alive)
        self.values = {key: moved(values) for key, values in self.values.items()}
        self.start_s += drop * self.slot_s

    def put(self, key: SeriesId, places: Ints, values: Floats) -> None:
        """Set slots of a series, which begins with its first traffic; one that finds no room is counted."""
        held = self.values.get(key)
        if held is None:
            if not values.any():
                return
            if len(self.values) >= self.most:
                self.shed += 1
                return
            held = self.values[key] = np.zeros(self.alive.size, np.float32)
        held[places] = values

    def measured(self) -> Bools:
        """Return which slots a collector watched from end to end."""
        return np.asarray(self.alive >= 1.0)

    def watermark_s(self) -> int | None:
        """Return the end of the newest slot that was watched, None where none was."""
        places = np.flatnonzero(self.measured())
        return self.start_s + (int(places[-1]) + 1) * self.slot_s if places.size else None

    def newest(self, key: SeriesId, since_s: int) -> Floats:
        """Return what a series showed from an instant (UTC second) on, NaN where nobody watched."""
        first = (since_s - self.start_s) // self.slot_s
        held = self.values.get(key)
        if held is None or first < 0:
            return np.empty(0)
        return np.where(self.alive[first:] >= 1.0, held[first:].astype(np.float64), np.nan)

    def series(self, key: SeriesId, zone: ZoneInfo) -> Series:
        """Return a series from its first traffic on, to the end of the book, closed hours marked.

        Raises BadSeries where nothing is known of it.
        """
        values = self.values.get(key)
        if values is None:
            raise BadSeries(f"nothing is stored of {key}")
        measured = self.measured()
        seen = np.flatnonzero(measured & (values > 0))
        if not seen.size:
            raise BadSeries(f"{key}: no traffic in {self.alive.size} slots of history")
        first = int(seen[0])
        y = np.where(measured, values.astype(np.float64), np.nan)[first:]
        state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
        series = Series(self.start_s + first * self.slot_s, self.slot_s, zone, y, state)
        return mark_closed(series, watched=True)


def read_into(book: Book, reader: Reader, window: Window, wanted: Mapping[Kind, Sequence[Signal]]) -> None:
    """Read the whole slots of a window into the book, every series of the wanted kinds and signals.

    Slots read before are replaced: the newest rows of a minute may have come late.
    """
    first_s = max(-(-window.since_ns // SECOND_NS // book.slot_s) * book.slot_s, book.start_s)
    last_s = min(window.until_ns // SECOND_NS // book.slot_s * book.slot_s, book.until_s)
    for since_s in range(first_s, last_s, _CHUNK_S):
        until_s = min(since_s + _CHUNK_S, last_s)
        _read_chunk(book, reader, since_s, until_s, wanted)


def _read_chunk(
    book: Book, reader: Reader, since_s: int, until_s: int, wanted: Mapping[Kind, Sequence[Signal]]
) -> None:
    window = Window(since_s * SECOND_NS, until_s * SECOND_NS)
    span = slice((since_s - book.start_s) // book.slot_s, (until_s - book.start_s) // book.slot_s)
    minutes = book.slot_s // _MINUTE_S
    everyone = reader.load(window, step_seconds=book.slot_s)
    book.alive[span] = 0.0
    book.alive[_places(book, everyone)] = np.minimum(_column(everyone, "minutes") / minutes, 1.0)
    for values in book.values.values():
        values[span] = 0.0
    for kind in (Kind.POOL, Kind.REGION, Kind.TENANT):
        signals = [signal for signal in wanted.get(kind, ()) if signal in KIND_SIGNALS[kind]]
        if signals:
            _put_load(book, kind, reader.load(window, step_seconds=book.slot_s, by=(kind.value,)), signals)
    if Signal.ARRIVALS in wanted.get(Kind.TRUNK, ()):
        sums = reader.sums("session_minute", window, step_seconds=book.slot_s, by=("trunk",), fields=("attempts",))
        for name, rows in _groups(sums, "trunk"):
            places = _places(book, sums)[rows]
            book.put(SeriesId(Kind.TRUNK, name, Signal.ARRIVALS), places, _column(sums, "attempts")[rows])


def _put_load(book: Book, kind: Kind, load: pa.Table, signals: Iterable[Signal]) -> None:
    places = _places(book, load)
    # A mean over the minutes with rows; in the others, a collector being alive, there was nothing.
    share = _column(load, "minutes") / (book.slot_s // _MINUTE_S)
    columns = {}
    for signal in signals:
        values = _column(load, signal.value)
        mean = signal in (Signal.CONCURRENT, Signal.PACKETS, Signal.TRANSCODES)
        columns[signal] = values * np.minimum(share, 1.0) if mean else values
    for name, rows in _groups(load, kind.value):
        if kind is Kind.POOL and name == CAPTURE_POOL:
            continue
        for signal, values in columns.items():
            book.put(SeriesId(kind, name, signal), places[rows], values[rows])


def _places(book: Book, table: pa.Table) -> Ints:
    times_s = table["time"].cast(pa.int64()).to_numpy() // SECOND_NS
    return np.asarray((times_s - book.start_s) // book.slot_s, np.int64)


def _column(table: pa.Table, name: str) -> Floats:
    return np.nan_to_num(np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64))


def _groups(table: pa.Table, tag: str) -> list[tuple[str, Ints]]:
    """Return each value of a tag with its rows; what is not labelled is no series."""
    names = np.asarray(table[tag].to_pylist(), dtype=object)
    order = np.argsort(names.astype(str), kind="stable")
    found, firsts = np.unique(names[order].astype(str), return_index=True)
    parts = np.split(order, firsts[1:]) if found.size else []
    return [(str(n), rows) for n, rows in zip(found, parts, strict=True) if n and n != UNKNOWN]
