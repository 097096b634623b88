"""The collect role: sources in threads of their own, one consumer, the store behind it.

Everything that could grow is bounded: the batch queue (sources wait, the kernel then counts what it drops),
every table of the pipeline, and the store's log. What was shed is read here and exported.
"""

from collections import Counter
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

QUEUE_BATCHES = 256
_TICK_SECONDS = 0.1
_CAPTURE_ROWS_SECONDS = 2.0


@dataclass(slots=True)
class CaptureFigures:
    """What the sources of a collector did since it started."""

    frames: int = 0
    bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
