"""A pool of pods that start as real ones do: asked for now, ready after the lead time, gone at once.

Backtests and the demo scale it in place of a cluster. Time is a parameter.
"""

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class SimulatedPool:
    """Pods by the time from which they are ready."""

    lead_time_s: float
    ready_at_s: list[float] = field(default_factory=list)
    """Ascending: the youngest pod is the last."""

    @property
    def replicas(self) -> int:
        """Pods asked for, ready or not."""
        return len(self.ready_at_s)

    def ready(self, now_s: float) -> int:
        """Return how many pods are ready."""
        return bisect_right(self.ready_at_s, now_s)

    def scale(self, replicas: int, now_s: float) -> None:
        """Ask for a number of pods; those that are not ready go first, as in a ReplicaSet."""
        if replicas < len(self.ready_at_s):
            del self.ready_at_s[max(replicas, 0) :]
        else:
            self.ready_at_s += [now_s + self.lead_time_s] * (replicas - len(self.ready_at_s))
