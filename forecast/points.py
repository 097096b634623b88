"""From a CSV file with the columns `ds,y` to a series: stamps, zones, doubles and bad values are settled here.

Whatever is odd is counted and noted on the series; nothing is repaired in silence.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from forecast.clock import reads_as_utc
from forecast.localtime import DAY_S, Floats, Ints, instants_of_wall_clock
from forecast.series import BadSeries, Series, from_points
from forecast.stamps import read_stamp

DEFAULT_SLOT_S = 900
MAX_ROWS = 20_000_000
_REGULAR_SHARE = 0.6
"""Share of equal steps between stamps from which the points count as regular."""


def read_csv(
    path: Path, slot_s: int | None = None, zone: ZoneInfo | None = None, finest_s: int = DEFAULT_SLOT_S
) -> Series:
    """Return the series of a CSV file. Raises BadSeries with the reason and what to do, OSError if unreadable.

    Stamps with an offset are instants; stamps without are wall-clock times of `zone` (UTC when None). `slot_s`
    None takes `finest_s`, or the file's own step where that is coarser.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        if "ds" not in names or "y" not in names:
            raise BadSeries(f"{path.name}: needs the columns ds,y; has {','.join(names)[:80] or 'none'}")
        return from_rows(((row["ds"], row["y"]) for row in reader), slot_s, zone, finest_s)


def from_rows(
    rows: Iterable[tuple[str | None, str | None]],
    slot_s: int | None = None,
    zone: ZoneInfo | None = None,
    finest_s: int = DEFAULT_SLOT_S,
) -> Series:
    """Return the series of (stamp, value) texts; see `read_csv`."""
    zone = zone or ZoneInfo("UTC")
    odd: Counter[str] = Counter()
    walls: list[tuple[int, float]] = []
    instants: list[tuple[int, float]] = []
    for count, (stamp, text) in enumerate(rows):
        if count >= MAX_ROWS:
            raise BadSeries(f"more than {MAX_ROWS} rows; give coarser points")
        read = read_stamp(stamp, odd)
        if read is not None:
            (walls if read.wall else instants).append((read.at_s, _number(text, odd)))
    times, values, unsure = _settled(walls, instants, zone, odd)
    native_s = _native_step_s(times)
    series = from_points(
        times,
        values,
        slot_s=slot_s if slot_s is not None else max(finest_s, _dividing_day(native_s)),
        native_s=native_s,
        zone=zone,
        unsure_s=unsure,
    )
    return replace(series, notes=tuple(f"{n} {what}" for what, n in sorted(odd.items())))


def _number(text: str | None, odd: Counter[str]) -> float:
    try:
        value = float(text or "")
    except ValueError:
        odd["values that are no number"] += 1
        return nan
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
        if np.nansum(wall_y[skipped]) > 0 and reads_as_utc(wall_s, wall_y, zone):
            odd["stamps in hours the zone's clock skips: all stamps without offset are read as UTC"] += int(
                skipped.sum()
            )
            utc_s = wall_s
        else:
            shown = ~skipped
            if np.nansum(wall_y[skipped]) > 0:
                odd["stamps in hours the zone's clock skips: left out"] += int(skipped.sum())
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


def _native_step_s(times_s: Ints) -> int:
    """Return the step most points keep, or 0 when they are events without a step."""
    if times_s.size < 3:
        return 0
    steps, counts = np.unique(np.diff(times_s), return_counts=True)
    best = int(counts.argmax())
    return int(steps[best]) if counts[best] >= _REGULAR_SHARE * (times_s.size - 1) else 0


def _dividing_day(step_s: int) -> int:
    """Return the step, or the next larger one that divides a day."""
    if step_s <= 0:
        return 0
    return next((s for s in range(step_s, DAY_S + 1, 1) if DAY_S % s == 0), DAY_S)
