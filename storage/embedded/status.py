"""What a store holds, how much of it, and what goes next: for people and for the exporter."""

from dataclasses import dataclass, field
from pathlib import Path

from storage.embedded.layout import END_NS, Layout
from storage.embedded.log import LogTail
from storage.embedded.points import stored_schema
from storage.embedded.retention import Retention, free_bytes, size_of
from storage.embedded.stats import StoreStats
from storage.schema import MEASUREMENTS
from storage.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a measurement takes on disk, told from names and sizes of files only."""

    measurement: str
    segments: int
    segment_bytes: int
    log_bytes: int
    quarantined: int
    quarantined_bytes: int


@dataclass(frozen=True, slots=True)
class MeasurementStatus:
    """What there is of a measurement."""

    sizes: Sizes
    rows: int
    """Rows in segments and logs; overwritten ones count until compaction."""
    oldest_ns: int | None
    newest_ns: int | None
    keep_seconds: float
    keep_bytes: int
    next_rows: int
    """Rows of the segment that is deleted next; 0 where there is none."""
    next_at_ns: int | None
    """When it is, by age or bytes."""
    next_why: str


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What there is of a store."""

    root: str
    format: int
    free_bytes: int
    min_free_bytes: int
    rollup_bytes: int
    index_bytes: int
    measurements: list[MeasurementStatus]
    next_for_the_disk: str
    """The measurement that loses its oldest segment next if the disk is nearly full; empty where there is none."""


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What the exporter shows of a store."""

    stats: StoreStats = field(default_factory=StoreStats)
    sizes: list[Sizes] = field(default_factory=list)
    free_bytes: int = 0


def sizes_of(layout: Layout) -> list[Sizes]:
    """Return the sizes of every measurement that there is something of."""
    found = []
    for name in MEASUREMENTS:
        segments = layout.list_segments(name, 0, END_NS, superseded=True)
        logs = [_size(log.path) for log in layout.list_logs(name)]
        aside = [_size(path) for path in (layout.quarantine / name).glob("*")]
        if segments or logs or aside:
            sizes = Sizes(name, len(segments), sum(map(size_of, segments)), sum(logs), len(aside), sum(aside))
            found.append(sizes)
    return found


def status_of(
    layout: Layout, settings: StorageSettings, retention: Retention, format_: int, now_ns: int
) -> StoreStatus:
    """Return the status of a store; reads the logs, and of segments the names."""
    forced = retention.next_for_the_disk()
    return StoreStatus(
        root=str(layout.root),
        format=format_,
        free_bytes=free_bytes(layout.root),
        min_free_bytes=settings.min_free_bytes,
        rollup_bytes=sum(_size(path) for path in layout.rollups.glob("*/*/*.parquet")),
        index_bytes=sum(_size(path) for path in layout.indexes.glob("*/*")),
        measurements=[_measurement(layout, settings, retention, sizes, now_ns) for sizes in sizes_of(layout)],
        next_for_the_disk=forced.path.parent.parent.name if forced is not None else "",
    )


def _measurement(
    layout: Layout, settings: StorageSettings, retention: Retention, sizes: Sizes, now_ns: int
) -> MeasurementStatus:
    name = sizes.measurement
    segments = layout.list_segments(name, 0, END_NS)
    batches = [b for log in layout.list_logs(name) for b in _batches(log.path, name)]
    times = [(s.min_ns, s.max_ns) for s in segments] + [(b[0], b[1]) for b in batches]
    expiry, keep = retention.next_of(name, now_ns), settings.retention_of(name)
    return MeasurementStatus(
        sizes=sizes,
        rows=sum(s.rows for s in segments) + sum(b[2] for b in batches),
        oldest_ns=min((t[0] for t in times), default=None),
        newest_ns=max((t[1] for t in times), default=None),
        keep_seconds=keep.age,
        keep_bytes=keep.bytes,
        next_rows=expiry.segment.rows if expiry is not None else 0,
        next_at_ns=max(expiry.at_ns, now_ns) if expiry is not None else None,
        next_why=expiry.why if expiry is not None else "",
    )


def _batches(path: Path, measurement: str) -> list[tuple[int, int, int]]:
    """Return the spans and rows of a log's batches; none where it was sealed meanwhile."""
    try:
        batches = LogTail(path, stored_schema(MEASUREMENTS[measurement])).read()
    except FileNotFoundError:
        return []
    return [(batch.min_ns, batch.max_ns, batch.rows.num_rows) for batch in batches]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
