"""What the InfluxDB store counts; `WriterHealth` carries it to the exporter."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class WriterStats:
    """Counters of one writer since it was opened."""

    rows_sent: int = 0
    """Rows that the server took."""
    bytes_sent: int = 0
    """Compressed."""
    requests: Counter[str] = field(default_factory=Counter)
    """Write requests by `WriteOutcome`."""
    rows_rejected: Counter[str] = field(default_factory=Counter)
    """Rows that the server took not, for good, by `WriteOutcome`: sending them again would not help."""
    rows_spooled: int = 0
    rows_replayed: int = 0
    """Rows of the spool that the server has taken since."""
    rows_shed: int = 0
    """Rows refused because server, spool and memory were all full."""
    values_not_finite: int = 0
    """NaN and infinite values, stored as null."""
