"""What the kernel dropped before any socket could see it: the backlog queues of its CPUs.

A ring's own statistics know nothing of these drops. They are of the machine, not of an interface, so any stream
may have been hurt.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

SOFTNET_STAT = Path("/proc/net/softnet_stat")
_REFRESH_NS = 100_000_000
_DROPPED = 1
"""Column of /proc/net/softnet_stat, hexadecimal, a line for each CPU."""


def read_softnet_drops(path: Path = SOFTNET_STAT) -> int:
    """Return how many packets the backlogs of all CPUs refused since the machine started; 0 where unknown."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[_DROPPED], 16) for line in lines)
    except (OSError, ValueError, IndexError):
        return 0


class SoftnetDrops:
    """The backlog drops since it was made, for many threads; reads again after a tenth of a second."""

    def __init__(self, read: Callable[[], int] = read_softnet_drops) -> None:
        self._read = read
        self._lock = Lock()
        self._before = read()
        self._total = 0
        self._slot = 0

    def total(self, now_ns: int) -> int:
        """Return the drops so far; never older than the last tenth of a second, which no interval straddles."""
        slot = now_ns // _REFRESH_NS
        with self._lock:
            if slot != self._slot:
                self._slot = slot
                now = self._read()
                # the columns are 32 bits wide, and a CPU taken off line takes its line with it
                self._total += max(now - self._before, 0)
                self._before = now
            return self._total
