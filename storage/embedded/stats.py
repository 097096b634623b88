"""What the embedded store counts; the exporter turns it into metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class StoreStats:
    """Counters of one process since it opened the store."""

    segments_sealed: int = 0
    seal_failures: int = 0
    """Seals that failed (disk full, ...); the log stays and the seal is tried again."""
    rows_recovered: int = 0
    """Rows found in the logs of a writer that died."""
    torn_logs: int = 0
    """Logs whose last batch was cut by a crash; it had not been flushed."""
    damaged_files: int = 0
    """Segments and logs with contents that could not be read: put aside, or skipped where that cannot be done."""
    segments_expired: int = 0
    """Segments past their retention by age or bytes."""
    segments_shed: int = 0
    """Segments deleted before their time because the disk was nearly full."""
    segments_compacted: int = 0
    rollups_made: int = 0
    """Spans (hours, days) whose sums were made or made anew."""
