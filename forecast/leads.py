"""Leads grouped into bins that share one regression and one set of error quantiles.

Near leads differ from slot to slot and stand alone; far ones are alike and share a bin. Bins never straddle an
asked horizon, so that each horizon's figures come from whole bins.
"""

from dataclasses import dataclass

import numpy as np

from forecast.localtime import DAY_S, Ints

_PARTS_OF_DAY_S = (3600, 7200, 14_400, 28_800, 57_600, 86_400)
_DAYS = (2, 3, 5, 7, 10, 14, 21, 28)


@dataclass(frozen=True, slots=True)
class LeadBins:
    """Bins of leads in slots: bin i holds the leads after `edges[i]` up to `edges[i + 1]`."""

    edges: Ints

    def __len__(self) -> int:
        return int(self.edges.size) - 1

    def of(self, leads: Ints) -> Ints:
        """Return each lead's bin; leads beyond the last edge belong to the last."""
        return np.minimum(np.searchsorted(self.edges[1:], leads), len(self) - 1)


def lead_bins(slot_s: int, longest: int, asked: tuple[int, ...] = ()) -> LeadBins:
    """Return the bins up to `longest` slots ahead, with an edge at every asked lead (in slots).

    >>> lead_bins(900, 96).edges.tolist()
    [0, 1, 2, 4, 8, 16, 32, 64, 96]
    """
    edges = {1, 2, longest, *asked}
    edges.update(-(-part // slot_s) for part in _PARTS_OF_DAY_S)
    edges.update(days * DAY_S // slot_s for days in _DAYS)
    return LeadBins(np.array([0, *sorted(edge for edge in edges if 0 < edge <= longest)], np.int64))
