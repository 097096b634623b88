"""One alert, from the slots that raised it to the first normal one: how far it goes, and whether it is over.

It is over when half of its shift is gone. Nothing here raises alerts, or knows what came before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.baseline import Baseline
from alerts.detectors import Pool
from alerts.signals import Direction

_RECOVERED = 0.5
_LEAST_CLOSING = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode. Slots count from the signal's first; amounts are per slot for counts, else ratio or mean."""

    start: int
    """The slot at whose end the alert was raised."""
    onset: int
    """First slot of the pool that raised it."""
    end: int | None
    """First slot that is normal again; None while it lasts."""
    direction: Direction
    observed: float
    expected: float
    low: float
    high: float
    score: float
    """Surprise: about minus the log of how often such comes by itself."""
    detectable_change: float
    n: float
    """Calls, or what the ratio is counted against, in the pool that raised it."""
    pool: int
    excess: float
    """Units beyond (or short of, negative) the expected, over the episode."""
    adopted: bool = False
    """It ended because it is the new normal."""

    def earlier(self, slots: int) -> "Alert":
        """Return it as it is called where the first slots were forgotten; it may have begun before the first."""
        end = None if self.end is None else self.end - slots
        return replace(self, start=self.start - slots, onset=self.onset - slots, end=end)


def later_than(alerts: Sequence[Alert], slots: int) -> list[Alert]:
    """Return the alerts that had not ended before the first slots, which were forgotten."""
    return [alert.earlier(slots) for alert in alerts if alert.end is None or alert.end > slots]


@dataclass(slots=True)
class Episode:
    """An alert that lasts."""

    alert: Alert
    pool: Pool
    level: float
    """That of before, which it is measured against."""
    first: int
    """Its first slot, not before the end of the last one."""
    closing: int
    """Slots over which its end is judged: of the shortest pool that shows it, so that a clear end is seen soon."""
    peak: float = 0.0
    """The widest shift so far."""

    def shift(self, known: Baseline, first: int, last: int) -> float:
        """Return the excess over [first, last], relative to the weight: what the level would have to be."""
        span = slice(first, last + 1)
        mass = known.weight[span]
        excess = (known.observed[span] - known.expected[span] - self.level * mass) * (mass > 0)
        return float(excess.sum() / max(mass.sum(), 1e-9))

    def go_on(self, known: Baseline, slot: int) -> bool:
        """Take in a slot; False where half of the shift is gone by then."""
        shift = self.shift(known, self._closing_from(slot), slot)
        if shift * self.peak > 0 and abs(shift) > abs(self.peak):
            self.peak = shift
        mass = known.weight[self.first : slot + 1]
        excess = self.shift(known, self.first, slot) * float(mass.sum())
        self.alert = replace(self.alert, excess=excess)
        return self._shows(shift)

    def end(self, known: Baseline, slot: int) -> int:
        """Return the slot from which all to `slot` lie on the normal side of half the shift; after its start."""
        gone = slot + 1
        for place in range(slot, self._closing_from(slot) - 1, -1):
            if not self._shows(self.shift(known, place, slot)):
                gone = place
        return max(gone, self.alert.start + 1)

    def _closing_from(self, slot: int) -> int:
        return max(slot - max(_LEAST_CLOSING, self.closing) + 1, self.first)

    def _shows(self, shift: float) -> bool:
        return bool(shift * np.sign(self.peak) >= _RECOVERED * abs(self.peak))
