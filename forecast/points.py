"""From a CSV file with the columns `ds,y` to a series: stamps, zones, doubles and bad values are settled here.

Whatever is odd is counted and noted on the series; nothing is repaired in silence.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from forecast.absent import absent_zeros
from forecast.clock import fixed_offset_s
from forecast.localtime import DAY_S, Floats, Ints, instants_of_wall_clock
from forecast.series import BadSeries, Series, from_points
from forecast.stamps import read_stamp

DEFAULT_SLOT_S = 900
MAX_ROWS = 20_000_000
_REGULAR_SHARE = 0.6
"""Share of equal steps between stamps from which the points count as regular."""
_STRAY_GAP_S = 366 * DAY_S
_STRAY_SHARE = 0.01
"""Points so far from all others, and so few of all, are slips of the pen: a year 1970, a year 2099."""
_SHOWN = 40
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
"""A number with commas as spreadsheets show it."""


def read_csv(
    path: Path, slot_s: int | None = None, zone: ZoneInfo | None = None, finest_s: int = DEFAULT_SLOT_S
) -> Series:
    """Return the series of a CSV file. Raises BadSeries with the reason and what to do, OSError if unreadable.

    Stamps with an offset are instants; stamps without are wall-clock times of `zone` (UTC when None). `slot_s`
    None takes `finest_s`, or the file's own step where that is coarser.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        try:
            names = [name.strip() for name in next(reader, [])]
            if "ds" not in names or "y" not in names:
                raise BadSeries(f"{path.name}: {_columns_wanted(names)}")
            return from_rows(_cells(reader, names.index("ds"), names.index("y")), slot_s, zone, finest_s)
        except csv.Error as error:
            raise BadSeries(f"{path.name}: no CSV file: {error}") from error


def _columns_wanted(names: list[str]) -> str:
    said = f"needs the columns ds,y; has {','.join(names)[:80] or 'none'}"
    other = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    return said if other is None else f"{said}. Write a comma between columns, not {other!r}"


def _cells(rows: Iterable[list[str]], at: int, value: int) -> Iterator[tuple[str | None, str | None]]:
    for row in rows:
        if row:
            stamp, amount = (row[place] if place < len(row) else None for place in (at, value))
            yield stamp, amount


def from_rows(
    rows: Iterable[tuple[str | None, str | None]],
    slot_s: int | None = None,
    zone: ZoneInfo | None = None,
    finest_s: int = DEFAULT_SLOT_S,
) -> Series:
    """Return the series of (stamp, value) texts; see `read_csv`."""
    zone = zone or ZoneInfo("UTC")
    odd: Counter[str] = Counter()
    unread: str | None = None
    walls: list[tuple[int, float]] = []
    instants: list[tuple[int, float]] = []
    for count, (stamp, text) in enumerate(rows):
        if count >= MAX_ROWS:
            raise BadSeries(f"more than {MAX_ROWS} rows; give coarser points")
        read = read_stamp(stamp, odd)
        if read is None:
            unread = unread or (stamp or "").strip()
        else:
            (walls if read.wall else instants).append((read.at_s, _number(text, odd)))
    if unread and not walls and not instants:
        raise BadSeries(
            f"no points with a time and a number: write times as 2026-03-01T09:15 or 2026-03-01T09:15+01:00, "
            f"not as {unread[:_SHOWN]!r}"
        )
    times, values, unsure = _settled(walls, instants, zone, odd)
    times, values = _without_strays(times, values, odd)
    native_s = _native_step_s(times)
    slot_s = slot_s if slot_s is not None else max(finest_s, _dividing_day(native_s))
    zeros_s = absent_zeros(times, values, native_s or slot_s, zone)
    if zeros_s.size:
        odd["times without a row in a file of low counts that names no zero: taken as zero"] += zeros_s.size
        times, values = np.r_[times, zeros_s], np.r_[values, np.zeros(zeros_s.size)]
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    series = from_points(
        times,
        values,
        slot_s=slot_s,
        native_s=native_s,
        zone=zone,
        unsure_s=unsure,
    )
    return replace(series, notes=tuple(f"{n} {what}" for what, n in sorted(odd.items())))


def _number(text: str | None, odd: Counter[str]) -> float:
    try:
        value = float(text or "")
    except ValueError:
        whole = _THOUSANDS.fullmatch((text or "").strip())
        value = nan if whole is None else float(whole[0].replace(",", ""))
    if not isfinite(value):
        odd["values that are no number"] += 1
        return nan
    if value < 0:
        odd["negative values"] += 1
        return nan
    return value


def _settled(
    walls: list[tuple[int, float]], instants: list[tuple[int, float]], zone: ZoneInfo, odd: Counter[str]
) -> tuple[Ints, Floats, Ints]:
    """Return sorted unique instants, their values, and the instants whose value the clock change leaves unsure."""
    times = np.array([t for t, _ in instants], np.int64)
    values = np.array([v for _, v in instants], np.float64)
    unsure = np.zeros(0, np.int64)
    if walls:
        wall_s = np.array([t for t, _ in walls], np.int64)
        wall_y = np.array([v for _, v in walls], np.float64)
        order = np.argsort(wall_s, kind="stable")
        wall_s, wall_y = wall_s[order], wall_y[order]
        utc_s, repeated, skipped = instants_of_wall_clock(wall_s, zone)
        in_skipped = int(skipped.sum()) if np.nansum(wall_y[skipped]) > 0 else 0
        ahead_s = fixed_offset_s(wall_s, wall_y, zone) if in_skipped else None
        if ahead_s is not None:
            clock = "its winter time all year" if ahead_s else "UTC"
            what = f"stamps in hours the zone's clock skips: all stamps without offset are read as {clock}"
            odd[what] += in_skipped
            utc_s = wall_s - ahead_s
        else:
            shown = ~skipped
            if in_skipped:
                odd["stamps in hours the zone's clock skips: left out"] += in_skipped
            wall_s, wall_y, utc_s, repeated = wall_s[shown], wall_y[shown], utc_s[shown], repeated[shown]
            again = repeated & np.r_[False, wall_s[1:] == wall_s[:-1]]
            utc_s = utc_s + np.where(again, 3600, 0)
            twice = again | np.r_[again[1:], False]
            unsure = utc_s[repeated & ~twice]
            unsure = np.r_[unsure, unsure + 3600]
            if unsure.size:
                odd["stamps in an hour that the clock repeats, given once: taken as missing"] += unsure.size // 2
        times, values = np.r_[times, utc_s], np.r_[values, wall_y]
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.r_[times[1:] != times[:-1], True] if times.size else np.zeros(0, np.bool_)
    if not last.all():
        odd["points with the stamp of a later row"] += int((~last).sum())
    return times[last], values[last], unsure


def _without_strays(times_s: Ints, values: Floats, odd: Counter[str]) -> tuple[Ints, Floats]:
    """Return the points without those few that lie years from the others."""
    bunch = np.cumsum(np.diff(times_s, prepend=times_s[:1]) > _STRAY_GAP_S)
    sizes = np.bincount(bunch) if bunch.size else np.zeros(1, np.int64)
    kept = (sizes >= _STRAY_SHARE * times_s.size)[bunch]
    if not kept.all():
        odd["points over a year away from all others: left out"] += int((~kept).sum())
    return times_s[kept], values[kept]


def _native_step_s(times_s: Ints) -> int:
    """Return the step most points keep, or all a multiple of, or 0 when they are events without a step."""
    if times_s.size < 3:
        return 0
    steps, counts = np.unique(np.diff(times_s), return_counts=True)
    best = int(counts.argmax())
    if counts[best] >= _REGULAR_SHARE * (times_s.size - 1):
        return int(steps[best])
    # Hours without a row in between: a step finer than the usual slot does no harm where it is not seen.
    common = int(np.gcd.reduce(steps))
    return common if common > DEFAULT_SLOT_S else 0


def _dividing_day(step_s: int) -> int:
    """Return the step, or the next larger one that divides a day."""
    if step_s <= 0:
        return 0
    return next((s for s in range(step_s, DAY_S + 1, 1) if DAY_S % s == 0), DAY_S)
