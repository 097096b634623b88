"""From a CSV file with the columns `ds,NAME[,NAME...]` to external regressors: figures known ahead of the load.

What is given for a time is taken as known before it: of what cannot be known ahead, such as the weather, forecasts
belong there and not what came. Whatever is odd is counted and told; nothing is repaired in silence.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import isfinite, nan
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

import numpy as np

from forecast.localtime import DAY_S, Bools, Floats, Ints, instants_of_wall_clock
from forecast.stamps import Stamp, read_stamp

MOST_REGRESSORS = 16
MOST_ROWS = 1_000_000
_LONGEST_NAME = 60
_LARGEST = 1e12
_RESERVED = "y"
"""The load itself: a forecast that is given what it forecasts would look perfect and be worth nothing."""
_HOUR_S = 3600


class BadRegressors(ValueError):
    """The file cannot be read as regressors; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Regressor:
    """One figure over time; `times_s` are rising UTC seconds, `values` NaN where nothing is known."""

    name: str
    times_s: Ints
    values: Floats
    step_s: int
    """How long a row holds where no other comes."""

    def on(self, start_s: int, slot_s: int, count: int) -> Floats:
        """Return its value in each of `count` slots, NaN where none is known.

        Rows finer than slots are averaged; coarser ones hold until the next, and no longer than their own step.
        """
        if self.step_s < slot_s:
            where = (self.times_s - start_s) // slot_s
            held = (where >= 0) & (where < count) & np.isfinite(self.values)
            seen = np.bincount(where[held], minlength=count)
            total = np.bincount(where[held], weights=self.values[held], minlength=count)
            return np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
        slots = start_s + slot_s * np.arange(count, dtype=np.int64)
        row = np.searchsorted(self.times_s, slots, side="right") - 1
        # A day on which the clock is set back has an hour more, which its row fills up to the next.
        next_s = np.r_[self.times_s[1:], self.times_s[-1] + self.step_s]
        follows = (next_s - self.times_s <= self.step_s + _HOUR_S) & (self.step_s >= DAY_S)
        until_s = np.where(follows, next_s, self.times_s + self.step_s)
        held = (row >= 0) & (slots < until_s[row])
        return np.where(held, self.values[row], np.nan)

    @cached_property
    def digest(self) -> str:
        """Changes when its figures do."""
        return blake2b(self.times_s.tobytes() + self.values.tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class RegressorFile:
    """What a file holds."""

    regressors: tuple[Regressor, ...] = ()
    notes: tuple[str, ...] = ()
    """What was odd: how many rows or values were left out, and why."""


def read_regressors(path: Path, zone: ZoneInfo) -> RegressorFile:
    """Return the regressors of a file; stamps without an offset are of `zone`. Raises BadRegressors, OSError."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        try:
            return _read(file, path.name, zone)
        except csv.Error as error:
            raise BadRegressors(f"{path.name}: no CSV file: {error}") from error


def _read(file: TextIO, source: str, zone: ZoneInfo) -> RegressorFile:
    reader = csv.reader(file)
    header = [name.strip() for name in next(reader, [])]
    if "ds" not in header:
        raise BadRegressors(f"{source}: needs the columns ds,NAME,...; has {','.join(header)[:80] or 'none'}")
    at = header.index("ds")
    names = [name for place, name in enumerate(header) if place != at]
    _check(names, source)
    odd: Counter[str] = Counter()
    stamps, rows = _numbers(reader, at, names, source, odd)
    if not stamps:
        raise BadRegressors(f"{source}: no row with a readable time")
    walls = np.array([stamp.wall for stamp in stamps], np.bool_)
    times, order, clear = _instants(np.array([stamp.at_s for stamp in stamps], np.int64), walls, zone, odd)
    values = np.array(rows, np.float64)[order][clear]
    last = np.r_[times[1:] != times[:-1], True]
    if not last.all():
        odd["rows with the stamp of a later one"] += int((~last).sum())
    times, values = times[last], values[last]
    if times.size < 2:
        raise BadRegressors(f"{source}: needs rows of at least two times; their distance says how long one holds")
    steps, counts = np.unique(np.diff(times), return_counts=True)
    step_s = int(steps[counts.argmax()])
    return RegressorFile(
        tuple(Regressor(name, times, values[:, place].copy(), step_s) for place, name in enumerate(names)),
        tuple(f"{n} {what}" for what, n in sorted(odd.items())),
    )


def _check(names: Sequence[str], source: str) -> None:
    if not names:
        raise BadRegressors(f"{source}: needs a column beside ds")
    if len(names) > MOST_REGRESSORS:
        raise BadRegressors(f"{source}: {len(names)} regressors; at most {MOST_REGRESSORS}")
    if _RESERVED in names:
        raise BadRegressors(f"{source}: the column y is the load itself, which is not known ahead")
    for name in names:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadRegressors(f"{source}: each column needs a name of at most {_LONGEST_NAME} characters")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadRegressors(f"{source}: the column {twice[0]} comes twice")


def _numbers(
    reader: Iterable[list[str]], at: int, names: Sequence[str], source: str, odd: Counter[str]
) -> tuple[list[Stamp], list[list[float]]]:
    """Return of each readable row its time and its values."""
    stamps: list[Stamp] = []
    rows: list[list[float]] = []
    width = len(names) + 1
    for cells in reader:
        if len(rows) >= MOST_ROWS:
            raise BadRegressors(f"{source}: more than {MOST_ROWS} rows; give coarser ones")
        if not cells:
            continue
        cells = [*cells, *[""] * (width - len(cells))][:width]
        stamp = read_stamp(cells[at], odd)
        if stamp is None:
            continue
        stamps.append(stamp)
        rows.append([_number(cell, odd) for place, cell in enumerate(cells) if place != at])
    return stamps, rows


def _number(cell: str, odd: Counter[str]) -> float:
    if not cell.strip():
        return nan
    try:
        value = float(cell)
    except ValueError:
        value = nan
    if not isfinite(value) or abs(value) > _LARGEST:
        odd["values that are no number"] += 1
        return nan
    return value


def _instants(times_s: Ints, walls: Bools, zone: ZoneInfo, odd: Counter[str]) -> tuple[Ints, Ints, Bools]:
    """Return sorted UTC seconds, the order of the rows, and which of the rows in that order exist."""
    utc_s = times_s.copy()
    there = np.ones(times_s.size, np.bool_)
    places = np.flatnonzero(walls)
    if places.size:
        places = places[np.argsort(times_s[places], kind="stable")]
        found, repeated, skipped = instants_of_wall_clock(times_s[places], zone)
        # The hour that happens twice: the second row of a time is its second happening.
        again = repeated & np.r_[False, np.diff(times_s[places]) == 0]
        utc_s[places], there[places] = found + np.where(again, _HOUR_S, 0), ~skipped
        if skipped.any():
            odd["rows in hours the zone's clock skips"] += int(skipped.sum())
    order = np.argsort(utc_s, kind="stable")
    return utc_s[order][there[order]], order, there[order]
