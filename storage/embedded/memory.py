"""Remembers the points that were written last, to tell new ones from those that may be rewrites.

Memory of a fixed size, taken once: buckets of 32 places that are filled in turn, 8 bytes a point (32 bits of its
key, 32 of its time). What is overwritten is forgotten, and from then on every row up to its time counts as
written before. A mark too many costs a query time, a missing one would return a row twice: so everything here
errs to marking.
"""

import numpy as np
import numpy.typing as npt

from storage.embedded.points import Int64s

_PLACES = 32
"""Buckets fill unevenly. With so many places the first point is forgotten at about half of what a bucket holds."""
_UNIT_BITS = 30
"""Times are kept in units of 2^30 ns, a little over a second: 32 bits then reach `layout.END_NS`."""
_ODD_ENTRIES = 4_096

UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]


class Memory:
    """The newest points of one measurement and writer."""

    def __init__(self, horizon_ns: int, points: int) -> None:
        """Remember about so many; whatever is earlier than `horizon_ns` counts as written before."""
        self.horizon_ns = horizon_ns
        bits = max((points // _PLACES - 1).bit_length(), 1)
        self._shift = np.uint64(64 - bits)
        # `full` and not `zeros`: the pages are taken now, so that the process does not seem to grow for an hour.
        self._tags = np.full((1 << bits, _PLACES), 0, dtype=np.uint32)
        self._units = np.full((1 << bits, _PLACES), 0, dtype=np.uint32)
        self._next = np.full(1 << bits, 0, dtype=np.int64)
        self._odd: dict[int, int] = {}
        """Keys, and times, of points that were overwritten and are ahead of what is written now: wrong clocks."""
        self._at_once = max(len(self._next) * 2, 1)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._tags.nbytes + self._units.nbytes + self._next.nbytes

    def seen(self, times_ns: Int64s, keys: UInt64s) -> npt.NDArray[np.bool_]:
        """Return which of these points may have been written before, and remember them; keys differ."""
        parts = range(0, len(keys), self._at_once)
        found = [self._seen(times_ns[at : at + self._at_once], keys[at : at + self._at_once]) for at in parts]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)

    def _seen(self, times_ns: Int64s, keys: UInt64s) -> npt.NDArray[np.bool_]:
        before: npt.NDArray[np.bool_] = times_ns < self.horizon_ns
        buckets = (keys >> self._shift).astype(np.int64)
        tags = keys.astype(np.uint32) | np.uint32(1)  # an empty place is 0
        before |= (self._tags[buckets] == tags[:, None]).any(axis=1)
        names = self._names(buckets, tags)
        if self._odd:
            before |= np.isin(names, np.fromiter(self._odd, dtype=np.uint64))
        # What is before the horizon is marked anyway: it needs no place.
        kept = times_ns >= self.horizon_ns
        if kept.any():
            self._remember(buckets[kept], tags[kept], (times_ns[kept] >> _UNIT_BITS).astype(np.uint32))
        return before

    def _remember(self, buckets: Int64s, tags: UInt32s, units: UInt32s) -> None:
        order = np.argsort(buckets, kind="stable")
        buckets, tags, units = buckets[order], tags[order], units[order]
        starts = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1])))
        counts = np.diff(np.append(starts, len(buckets)))
        rank = np.arange(len(buckets)) - np.repeat(starts, counts)
        fits = rank >= np.repeat(counts, counts) - _PLACES  # of more than there are places, the last ones
        self._forget(buckets[~fits], tags[~fits], units[~fits], units)
        places = (self._next[buckets] + rank)[fits] % _PLACES
        rows = buckets[fits]
        old_tags, old_units = self._tags[rows, places], self._units[rows, places]
        used = old_tags != 0
        self._forget(rows[used], old_tags[used], old_units[used], units)
        self._tags[rows, places] = tags[fits]
        self._units[rows, places] = units[fits]
        self._next[buckets[starts]] += counts

    def _forget(self, buckets: Int64s, tags: UInt32s, units: UInt32s, written: UInt32s) -> None:
        """Raise the horizon over what is forgotten, but for points ahead of half of what is written now."""
        if not len(units):
            return
        odd = units > np.median(written)
        if odd.any():
            if len(self._odd) + int(odd.sum()) <= _ODD_ENTRIES:
                names = self._names(buckets[odd], tags[odd])
                self._odd.update(zip(names.tolist(), units[odd].tolist(), strict=True))
            else:
                odd[:] = False
        if not odd.all():
            self.horizon_ns = max(self.horizon_ns, (int(units[~odd].max()) + 1) << _UNIT_BITS)
            horizon = self.horizon_ns >> _UNIT_BITS
            self._odd = {name: unit for name, unit in self._odd.items() if unit >= horizon}

    @staticmethod
    def _names(buckets: Int64s, tags: UInt32s) -> UInt64s:
        return buckets.astype(np.uint64) << np.uint64(32) | tags
