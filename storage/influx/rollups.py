"""Hour and day sums of the minute measurements in InfluxDB: where they lie, and when they hold.

Beside the minutes of `session_minute` lie `session_minute_1h` and `session_minute_1d`: a point per series and hour
or day, with the sums of its minutes. Two small measurements say which of them to trust:

* `rollup_mark`, a point per hour: when minutes of an hour that was already over were sent last. Whoever sends such
  minutes writes the mark first, anew for each time they are sent, be it from the spool.
* `rollup_seal`, a point per hour or day that was summed: the marks of its hours at that time, as one number. Every
  sum carries the number too.

A rollup holds as long as the marks of its hours are those that it was made under. So sums are exact whatever is
written late: the minutes of the span are read until its rollup is made anew. An hour is summed once it is over and
no mark of it is younger than `SETTLED_NS`; that must be longer than a request may be on its way, and than the
clocks of the machines differ.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa

from storage.checks import sums_schema
from storage.embedded.points import times_of
from storage.embedded.rollups import DAY, HOUR, HOUR_NS, ROLLED, is_rolled, without
from storage.influx.lineproto import encode
from storage.influx.targets import policy_of
from storage.schema import SESSION_MINUTE, TIME, Measurement
from storage.seam import Window

MARK = Measurement("rollup_mark", ("of",), {"sent_ns": pa.int64()})
SEAL = Measurement("rollup_seal", ("of", "step"), {"mark": pa.int64()})
POLICY = policy_of(SESSION_MINUTE.name)
"""Where all of them lie, as all minutes do."""
_SECOND_NS = 1_000_000_000
_SUFFIX = {HOUR: "1h", DAY: "1d"}
_LINE = re.compile(
    rb"^(%s)[, ].* (\d+)$" % b"|".join(measurement.name.encode() for measurement in ROLLED), re.MULTILINE
)
Marks = Mapping[int, Sequence[int]]
"""By the start of each hour that has any (ns): its marks, one a database, in order."""
Read = Callable[[Measurement, str, Window], pa.Table]
"""Reads all rows of a measurement that are `of` another, in a window."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """A span whose sums hold."""

    step_seconds: int
    span: Window
    mark: int


def rollup_of(measurement: Measurement, step_seconds: int) -> Measurement:
    """Return what the hour or day sums of a measurement are, as a measurement."""
    sums = sums_schema(measurement, measurement.tags)
    fields = {f.name: f.type for f in list(sums)[1 + len(measurement.tags) :]}
    name = f"{measurement.name}_{_SUFFIX[step_seconds]}"
    return Measurement(name, measurement.tags, fields | {"mark": pa.int64()}, {}, measurement.tenant_scoped)


def late_marks(lines: bytes, now_ns: int) -> bytes:
    """Return the marks, as lines, of the hours that are over and that these lines have minutes of."""
    hours = {(found[1].decode(), int(found[2]) // HOUR_NS * HOUR_NS) for found in _LINE.finditer(lines)}
    late = sorted((of, hour) for of, hour in hours if hour + HOUR_NS <= now_ns)
    if not late:
        return b""
    columns = {
        "time": pa.array([hour for _, hour in late], TIME),
        "of": pa.array([of for of, _ in late]),
        "sent_ns": pa.array([now_ns] * len(late), pa.int64()),
    }
    return encode(pa.record_batch(columns), MARK.name, MARK.tags).lines


def seal_lines(measurement: Measurement, step_seconds: int, mark_at: Mapping[int, int]) -> bytes:
    """Return the lines that say under which marks spans were summed, by the start of each (ns)."""
    columns = {
        "time": pa.array(list(mark_at), TIME),
        "of": pa.array([measurement.name] * len(mark_at)),
        "step": pa.array([_SUFFIX[step_seconds]] * len(mark_at)),
        "mark": pa.array(list(mark_at.values()), pa.int64()),
    }
    return encode(pa.record_batch(columns), SEAL.name, SEAL.tags).lines


def read_marks(read: Read, measurement: Measurement, window: Window) -> Marks:
    """Return the marks of the hours of a window."""
    table = read(MARK, measurement.name, Window(window.since_ns // HOUR_NS * HOUR_NS, window.until_ns))
    found: dict[int, list[int]] = defaultdict(list)
    for hour, sent_ns in zip(times_of(table["time"]).tolist(), table["sent_ns"].to_pylist(), strict=True):
        found[hour].append(sent_ns)
    return {hour: sorted(sent) for hour, sent in found.items()}


def mark_of(marks: Marks, span: Window) -> int:
    """Return one number for the marks of the hours of a span."""
    hours = range(span.since_ns, span.until_ns, HOUR_NS)
    told = ";".join(f"{hour}:{marks[hour]}" for hour in hours if hour in marks)
    return int.from_bytes(blake2b(told.encode(), digest_size=8).digest()) >> 1


def rollups_that_hold(read: Read, measurement: Measurement, window: Window) -> list[Rollup]:
    """Return the rollups whose span lies wholly in a window, and that hold."""
    marks = read_marks(read, measurement, window)
    seals = read(SEAL, measurement.name, window)
    steps = {suffix: step for step, suffix in _SUFFIX.items()}
    found = []
    for since_ns, suffix, mark in zip(
        times_of(seals["time"]).tolist(), seals["step"].to_pylist(), seals["mark"].to_pylist(), strict=True
    ):
        if suffix in steps:
            span = Window(since_ns, since_ns + steps[suffix] * _SECOND_NS)
            if span.until_ns <= window.until_ns and mark == mark_of(marks, span):
                found.append(Rollup(steps[suffix], span, mark))
    return found


def chosen(read: Read, measurement: Measurement, window: Window, step_seconds: int) -> list[Rollup]:
    """Return the rollups to answer sums in steps with: days where they fit, else hours; none overlap."""
    if not is_rolled(measurement) or step_seconds % HOUR or window.until_ns - window.since_ns < HOUR_NS:
        return []
    held = rollups_that_hold(read, measurement, window)
    days = [rollup for rollup in held if rollup.step_seconds == DAY and step_seconds % DAY == 0]
    in_days = {hour for day in days for hour in range(day.span.since_ns, day.span.until_ns, HOUR_NS)}
    return days + [r for r in held if r.step_seconds == HOUR and r.span.since_ns not in in_days]


def ranges(rollups: Iterable[Rollup]) -> list[tuple[int, Window]]:
    """Return the step and the span of each run of rollups that follow each other."""
    found: list[tuple[int, Window]] = []
    for rollup in sorted(rollups, key=lambda r: (r.step_seconds, r.span.since_ns)):
        if found and found[-1] == (rollup.step_seconds, Window(found[-1][1].since_ns, rollup.span.since_ns)):
            found[-1] = (rollup.step_seconds, Window(found[-1][1].since_ns, rollup.span.until_ns))
        else:
            found.append((rollup.step_seconds, rollup.span))
    return found


def minutes_left(window: Window, rollups: Iterable[Rollup]) -> list[Window]:
    """Return the parts of a window that no rollup is of."""
    return without(window, [span for _, span in ranges(rollups)])
