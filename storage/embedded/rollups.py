"""Sums of the minute measurements over 5 minutes, hours and days, beside the minutes: for questions over hours to
months.

A rollup is never trusted by its age: its name carries a fingerprint of the segments it was made of. A late
minute, a compaction or a damaged file changes the segments, the fingerprint is no longer theirs, and queries
read the minutes of that span again until upkeep has made its rollup anew. So sums are exact whatever happens to
the minutes.

    <root>/rollup/<measurement>/<day>/<step>.<since>-<until>.<fingerprint>.parquet

`step` is in seconds, `since` and `until` are ns: an hour of the open day, or a closed day.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.embedded.layout import DAY_NS, Layout, Segment, day_of, day_start_ns
from storage.embedded.whole import written_whole
from storage.schema import (
    LOAD_MINUTE,
    QUALITY_MINUTE,
    REGISTRATION_MINUTE,
    SESSION_MINUTE,
    TRUNK_MINUTE,
    Measurement,
)
from storage.seam import Window

FIVE_MINUTES, HOUR, DAY = 300, 3_600, 86_400
ROLLED = (SESSION_MINUTE, QUALITY_MINUTE, LOAD_MINUTE, REGISTRATION_MINUTE, TRUNK_MINUTE)
_NANOS = 1_000_000_000
HOUR_NS = HOUR * _NANOS
_NAME = re.compile(r"^(?P<step>\d+)\.(?P<since>\d+)-(?P<until>\d+)\.(?P<fingerprint>[0-9a-f]{16})\.parquet$")


@dataclass(frozen=True, slots=True)
class Rollup:
    """One rollup file, as its name tells it."""

    path: Path
    step_seconds: int
    span: Window
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one rollup answers: `used` is whole steps of it."""

    rollup: Rollup
    used: Window


@dataclass(frozen=True, slots=True)
class Cover:
    """How a window is answered: rollups for some spans, minutes for the others."""

    rollups: list[Part]
    """Those of one step have no span in common."""
    minutes: list[Window]


def is_rolled(measurement: Measurement) -> bool:
    """Tell whether a measurement has rollups."""
    return measurement in ROLLED


def fingerprint(segments: Iterable[Segment], span: Window) -> str:
    """Return what names the segments that hold rows of a span."""
    names = sorted(s.path.name for s in segments if s.max_ns >= span.since_ns and s.min_ns < span.until_ns)
    return blake2b("\n".join(names).encode(), digest_size=8).hexdigest()


def list_rollups(layout: Layout, measurement: str, day: str) -> Iterator[Rollup]:
    """Yield the rollups of a day, whether or not they still hold."""
    directory = layout.rollups / measurement / day
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names only
    except FileNotFoundError:
        return
    for name in names:
        if match := _NAME.match(name):
            span = Window(int(match["since"]), int(match["until"]))
            yield Rollup(directory / name, int(match["step"]), span, match["fingerprint"])


def cover(
    layout: Layout,
    measurement: Measurement,
    window: Window,
    step_seconds: int,
    segments: Sequence[Segment],
    unsealed: Sequence[Window],
) -> Cover:
    """Return how to answer sums in steps; `unsealed` are spans of rows that are in no segment yet."""
    whole = Cover([], [window])
    steps = [step for step in (DAY, HOUR, FIVE_MINUTES) if step_seconds % step == 0]
    if not is_rolled(measurement) or not steps:
        return whole
    held: list[Rollup] = []
    for day in _days(window, segments):
        start = day_start_ns(day)
        own = layout.list_segments(measurement.name, start, start + DAY_NS)
        listed = list_rollups(layout, measurement.name, day)
        held += (r for r in listed if r.step_seconds in steps and r.fingerprint == fingerprint(own, r.span))
    chosen: list[Part] = []
    left = [window]
    for step in steps:
        taken: list[Rollup] = []
        for rollup in sorted((r for r in held if r.step_seconds == step), key=_widest_first):
            if any(_overlap(rollup.span, other.span) for other in taken):
                continue
            taken.append(rollup)
            pieces, left = left, []
            for piece in pieces:
                used = _used(rollup, piece)
                if used.since_ns < used.until_ns and not any(_overlap(used, other) for other in unsealed):
                    chosen.append(Part(rollup, used))
                    left += (Window(piece.since_ns, used.since_ns), Window(used.until_ns, piece.until_ns))
                else:
                    left.append(piece)
            left = [piece for piece in left if piece.since_ns < piece.until_ns]
    return Cover(chosen, left)


def runs_of(parts: Iterable[Part]) -> list[tuple[Window, list[str]]]:
    """Return spans of time with the files of one step that hold them, neighbours as one."""
    runs: list[tuple[int, Window, list[str]]] = []
    for part in sorted(parts, key=lambda p: (p.rollup.step_seconds, p.used.since_ns)):
        step, path = part.rollup.step_seconds, str(part.rollup.path)
        if runs and runs[-1][0] == step and runs[-1][1].until_ns == part.used.since_ns:
            _, window, paths = runs.pop()
            runs.append((step, Window(window.since_ns, part.used.until_ns), list(dict.fromkeys((*paths, path)))))
        else:
            runs.append((step, part.used, [path]))
    return [(window, paths) for _, window, paths in runs]


def write_rollup(
    layout: Layout, measurement: str, rollup: tuple[int, Window, str], schema: pa.Schema, sums: Iterable[pa.Table]
) -> Path:
    """Write the sums of a span in parts, a row group each; `rollup` is its step (seconds), span and fingerprint.

    Raises OSError and leaves nothing half written under its name.
    """
    step_seconds, span, mark = rollup
    name = f"{step_seconds}.{span.since_ns}-{span.until_ns}.{mark}.parquet"
    path = layout.rollups / measurement / day_of(span.since_ns) / name
    stored = pa.schema([(f.name, _stored(f.type)) for f in schema])
    with (
        written_whole(path) as file,
        pq.ParquetWriter(
            file, stored, compression="zstd", compression_level=1, write_page_checksum=True
        ) as writer,
    ):
        for part in sums:
            if part.num_rows:
                writer.write_table(part.cast(stored))
    return path


def _stored(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type_):
        return pa.int64()
    return pa.list_(type_.value_type) if pa.types.is_fixed_size_list(type_) else type_


def _days(window: Window, segments: Sequence[Segment]) -> list[str]:
    days = {segment.day for segment in segments}
    return sorted(day for day in days if day_start_ns(day) < window.until_ns)


def _used(rollup: Rollup, window: Window) -> Window:
    """Return the whole steps of a rollup that are in the window."""
    step_ns = rollup.step_seconds * _NANOS
    since = -(-max(rollup.span.since_ns, window.since_ns) // step_ns) * step_ns
    return Window(since, min(rollup.span.until_ns, window.until_ns) // step_ns * step_ns)


def _widest_first(rollup: Rollup) -> tuple[int, int]:
    return rollup.span.since_ns - rollup.span.until_ns, rollup.span.since_ns


def _overlap(one: Window, other: Window) -> bool:
    return one.since_ns < other.until_ns and other.since_ns < one.until_ns


def without(window: Window, spans: Sequence[Window]) -> list[Window]:
    """Return what of a window is in none of the spans."""
    left, at = [], window.since_ns
    for span in sorted(spans, key=lambda s: s.since_ns):
        if span.since_ns > at:
            left.append(Window(at, span.since_ns))
        at = max(at, span.until_ns)
    if at < window.until_ns:
        left.append(Window(at, window.until_ns))
    return left


def steps_of(span: Window) -> tuple[int, ...]:
    """Return the steps (seconds) of the rollups of a span, finest first."""
    return (FIVE_MINUTES, HOUR, DAY) if span.until_ns - span.since_ns == DAY_NS else (FIVE_MINUTES, HOUR)


def spans_to_roll(day: str, now_ns: int, settled_ns: int) -> list[Window]:
    """Return the spans of a day that are over since `settled_ns`: the day, else its hours so far."""
    start = day_start_ns(day)
    if start + DAY_NS + settled_ns <= now_ns:
        return [Window(start, start + DAY_NS)]
    hours = [Window(at, at + HOUR_NS) for at in range(start, start + DAY_NS, HOUR_NS)]
    return [hour for hour in hours if hour.until_ns + settled_ns <= now_ns]
