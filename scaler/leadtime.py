"""How long a new pod takes to be ready: the p95 of what was seen, which says how far ahead to look.

Nodes that must be started make it minutes instead of seconds, so the high quantile counts, not the mean.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from math import ceil

from scaler.target import Pod

_SAMPLES = 100
_ENOUGH = 5
"""Fewer than these say too little: the configured lead time counts as a sample until then."""
_MOST_PODS = 10_000


class LeadTime:
    """The lead time of one pool, learned from its pods."""

    def __init__(self, configured_s: float, last_known_s: float | None = None) -> None:
        """Begin with the configured lead time, or with what was known before a restart."""
        self._first_s = configured_s if last_known_s is None else last_known_s
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._seen: OrderedDict[str, None] = OrderedDict()

    def observe(self, pods: Iterable[Pod]) -> None:
        """Learn from pods that became ready and were not seen ready before."""
        for pod in pods:
            if pod.ready_at_s is None or pod.name in self._seen:
                continue
            self._seen[pod.name] = None
            if len(self._seen) > _MOST_PODS:
                self._seen.popitem(last=False)
            self._samples.append(max(0.0, pod.ready_at_s - pod.created_at_s))

    @property
    def samples(self) -> int:
        """Pods that it was learned from."""
        return len(self._samples)

    @property
    def seconds(self) -> float:
        """The p95 from creation to ready; the first lead time is among the samples while they are few."""
        samples = sorted([*self._samples, self._first_s] if len(self._samples) < _ENOUGH else self._samples)
        return samples[ceil(0.95 * len(samples)) - 1]
