"""What the embedded store counts; the exporter turns it into metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class StoreStats:
    """Counters of one process since it opened the store."""

    rows_written: int = 0
    flushes: int = 0
    segments_sealed: int = 0
    seal_failures: int = 0
    """Seals that failed (disk full, ...); the log stays and the seal is tried again."""
    rows_recovered: int = 0
    """Rows found in the logs of a writer that died."""
    torn_logs: int = 0
    """Logs whose last batch was cut by a crash; it had not been flushed."""
    damaged_segments: int = 0
    """Segments that could not be read and are skipped."""
    segments_expired: int = 0
    segments_compacted: int = 0
    queries: int = 0
    queries_retried: int = 0
    """Queries asked again because a file went away under them (retention, compaction)."""
