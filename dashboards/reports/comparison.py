"""Whether a period may be held against the one before: only where both were measured to a comparable share.

Against a period half of which nobody watched everything grows. It is decided by the parts (days, of one day hours)
of which anything is stored, in the rows asked about alone: every reader of a tenant gets the same answer, whatever
else it may see. A tenant's own rows do not tell quiet from not watched: where it had calls on much fewer days than
before, both values are told and no change. This must not read the store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

_LEAST_SHARE = 7 / 8
"""How much of the share of one period that of the other must be: of two weeks no day may be missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of how many of its parts anything is stored."""

    stored: int
    parts: int
    part: str = "day"
    """What a part is called."""

    @classmethod
    def of(cls, times_ns: npt.NDArray[np.int64], edges_ns: Sequence[int], part: str = "day") -> Self:
        """Count the parts that hold a time of a row; `edges_ns` are their starts and the end of the last."""
        at = np.searchsorted(np.asarray(edges_ns, np.int64), times_ns, side="right") - 1
        parts = max(len(edges_ns) - 1, 0)
        return cls(np.unique(at[(at >= 0) & (at < parts)]).size, parts, part)

    @property
    def share(self) -> float:
        """Parts with data of all parts."""
        return self.stored / self.parts if self.parts else 0.0

    def like(self, other: "Measured") -> bool:
        """Tell whether both were measured, and neither much less than the other."""
        less, more = sorted((self.share, other.share))
        return less > 0 and less >= _LEAST_SHARE * more


def why_not_compared(now: Measured, before: Measured) -> str:
    """Return why two periods are not compared; empty where they are.

    >>> why_not_compared(Measured(28, 28), Measured(3, 28))
    'only 3 of 28 days of the period before have data'
    >>> why_not_compared(Measured(4, 7), Measured(7, 7))
    'only 4 of 7 days of this period have data'
    """
    if now.like(before):
        return ""
    less, other, which = (
        (before, now, "the period before") if before.share <= now.share else (now, before, "this period")
    )
    if not less.stored:
        return f"nothing is stored of {which}"
    have = "has" if less.stored == 1 else "have"
    text = f"only {less.stored} of {less.parts} {less.part}s of {which} {have} data"
    return text if other.stored == other.parts else f"{text}, of the other {other.stored} of {other.parts}"
