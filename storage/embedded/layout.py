"""Where files lie and what their names say. Names carry all that a reader needs to choose files.

    <root>/data/<measurement>/<day>/<min>-<max>.<writer>.<first>-<last>.<rows>.<new|rewrites>.parquet
    (beside it, of `stream_interval`: its digest, `.calls.arrow`)
    <root>/log/<measurement>/<writer>.<generation>.frames
    <root>/quarantine/<measurement>/<name>
    <root>/rollup/<measurement>/<day>/   see `rollups`
    <root>/index/<measurement>/          see `call_index`
    <root>/lock/<writer>.lock

`min` and `max` are the times (ns) of the earliest and latest row; `first` and `last` the log generations the
segment holds. Generations of one writer and measurement grow for ever. This module names and lists; it reads no
contents.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY_NS = 86_400_000_000_000
END_NS = 1 << 62
"""The end of time (the year 2116): DuckDB takes the last nanoseconds of 64 bits for infinity."""
TEMPORARY = ".tmp"
DIGEST_SUFFIX = ".calls.arrow"
OLD_DIGEST_SUFFIX = ".calls.parquet"
"""Of stores of format 2."""
_SEGMENT = re.compile(
    r"^(?P<min>\d+)-(?P<max>\d+)\.(?P<writer>[a-z0-9_-]+)\.(?P<first>\d+)-(?P<last>\d+)"
    r"\.(?P<rows>\d+)\.(?P<kind>new|rewrites)\.parquet$"
)
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_LOG = re.compile(r"^(?P<writer>[a-z0-9_-]+)\.(?P<generation>\d+)\.(?:arrows|frames)$")
PLAIN_LOG = ".arrows"
"""Logs of format 1: an Arrow stream without checksums."""
_WRITER = re.compile(r"^[a-z0-9_-]{1,64}$")


@dataclass(frozen=True, slots=True)
class Segment:
    """One Parquet file, as its name tells it."""

    path: Path
    writer: str
    first: int
    last: int
    min_ns: int
    max_ns: int
    rows: int
    rewrites: bool
    """Some rows may overwrite points that are in older files."""
    digested: bool = False
    """Its digest lies beside it."""

    @property
    def day(self) -> str:
        """The day partition it lies in, `YYYY-MM-DD`."""
        return self.path.parent.name

    def covers(self, other: "Segment") -> bool:
        """Tell whether this segment was compacted from the other, and so replaces it."""
        return (
            self.writer == other.writer
            and self.first <= other.first
            and self.last >= other.last
            and (self.first, self.last) != (other.first, other.last)
        )


@dataclass(frozen=True, slots=True)
class Log:
    """One log file, as its name tells it."""

    path: Path
    writer: str
    generation: int


def is_writer_name(name: str) -> bool:
    """Tell whether a name may be a writer's: it becomes part of file names."""
    return _WRITER.match(name) is not None


def day_of(time_ns: int) -> str:
    """Return the day partition of a time.

    >>> day_of(1_700_000_000_000_000_000)
    '2023-11-14'
    """
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def day_start_ns(day: str) -> int:
    """Return the first nanosecond of a day partition.

    >>> day_start_ns("2023-11-14")
    1699920000000000000
    """
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000_000_000


class Layout:
    """The directories of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.logs = root / "log"
        self.locks = root / "lock"
        self.quarantine = root / "quarantine"
        self.rollups = root / "rollup"
        self.indexes = root / "index"

    def create(self) -> None:
        """Make the directories that are missing; raises OSError."""
        for directory in (self.data, self.logs, self.locks):
            directory.mkdir(parents=True, exist_ok=True)

    def log_path(self, measurement: str, writer: str, generation: int) -> Path:
        """Return where a log generation lies."""
        return self.logs / measurement / f"{writer}.{generation}.frames"

    def segment_path(
        self,
        measurement: str,
        writer: str,
        generations: tuple[int, int],
        span: tuple[int, int],
        rows: int,
        kind: str,
    ) -> Path:
        """Return where a segment lies; `span` (ns) must not cross midnight UTC."""
        first, last = generations
        name = f"{span[0]}-{span[1]}.{writer}.{first}-{last}.{rows}.{kind}.parquet"
        return self.data / measurement / day_of(span[0]) / name

    def measurements(self) -> list[str]:
        """Return the measurements that have ever been sealed."""
        return sorted(_names(self.data))

    def days(self, measurement: str) -> list[str]:
        """Return the day partitions of a measurement, oldest first."""
        return sorted(day for day in _names(self.data / measurement) if _DAY.match(day))

    def list_logs(self, measurement: str) -> list[Log]:
        """Return the log files of a measurement, each writer's in the order they were written."""
        found = []
        for name in _names(self.logs / measurement):
            if match := _LOG.match(name):
                path = self.logs / measurement / name
                found.append(Log(path, match["writer"], int(match["generation"])))
        return sorted(found, key=lambda log: (log.writer, log.generation))

    def list_segments(
        self, measurement: str, since_ns: int, until_ns: int, *, superseded: bool = False
    ) -> list[Segment]:
        """Return the segments of the days that [since, until) touches, without those that compaction replaced.

        `since_ns` is at least 0, `until_ns` at most END_NS.
        """
        found = []
        if until_ns <= since_ns:
            return []
        first, last = day_of(since_ns), day_of(until_ns - 1)
        for day in self.days(measurement):
            if first <= day <= last:
                segments = list(_segments(self.data / measurement / day))
                found += segments if superseded else without_superseded(segments)
        return found

    def temporary_files(self, writer: str) -> Iterator[Path]:
        """Yield what a crashed writer of this name left half written."""
        yield from self.data.glob(f"*/*/*.{writer}.*{TEMPORARY}")

    def writers(self) -> set[str]:
        """Return the names of all writers there ever were."""
        return {name.removesuffix(".lock") for name in _names(self.locks) if name.endswith(".lock")}

    def logs_by_writer(self) -> dict[str, list[tuple[str, Log]]]:
        """Return every log file with its measurement, by the writer that owns it."""
        found: dict[str, list[tuple[str, Log]]] = {}
        for measurement in sorted(_names(self.logs)):
            for log in self.list_logs(measurement):
                found.setdefault(log.writer, []).append((measurement, log))
        return found


def digest_name(segment_name: str) -> str:
    """Return the name of the digest of a segment.

    >>> digest_name("1-2.collect.7-7.3.new.parquet")
    '1-2.collect.7-7.3.new.calls.arrow'
    """
    return segment_name.removesuffix(".parquet") + DIGEST_SUFFIX


def without_superseded(segments: list[Segment]) -> list[Segment]:
    """Return the segments of one day that no other of them replaces."""
    wide = [s for s in segments if s.first != s.last]
    return [s for s in segments if not any(w.covers(s) for w in wide)] if wide else segments


def _segments(directory: Path) -> Iterator[Segment]:
    names = set(_names(directory))
    for name in names:
        if match := _SEGMENT.match(name):
            yield Segment(
                directory / name,
                match["writer"],
                int(match["first"]),
                int(match["last"]),
                int(match["min"]),
                int(match["max"]),
                int(match["rows"]),
                match["kind"] == "rewrites",
                digest_name(name) in names,
            )


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names only, on a path that every query takes
    except (FileNotFoundError, NotADirectoryError):
        return []
