"""Which segments may hold rows of a call, as well as it can be told without reading rows.

Never wrong towards "no": a segment that nothing is known of may hold any call. An index that is damaged is put
aside, said and counted, and the next turn of upkeep makes another; it costs a query time, no rows.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from storage.embedded.call_index import INDEX_SUFFIX, CallIndex, IndexDamaged
from storage.embedded.digest_maps import Digests
from storage.embedded.digests import crcs_of
from storage.embedded.layout import Layout, Segment
from storage.embedded.quarantine import put_aside
from storage.embedded.stats import StoreStats
from storage.schema import Measurement

_MANY_CALLS = 64
"""Of so many calls a segment an index is read nearly whole, and a digest tells them by its checksums alone."""


class CallFinder:
    """The indexes that the readers of one process have looked into."""

    def __init__(self, layout: Layout, digests: Digests, stats: StoreStats) -> None:
        self._layout = layout
        self._digests = digests
        self._stats = stats
        self._known: dict[Path, CallIndex | None] = {}
        """None where it is damaged and could not be put aside."""
        self._lock = Lock()

    def held(
        self, measurement: Measurement, segments: Sequence[Segment], call_ids: Sequence[str]
    ) -> Mapping[Path, list[str]]:
        """Return, of each segment, those of the calls that it may have rows of.

        Raises OSError, pyarrow.ArrowException where a digest is gone or damaged.
        """
        many = len(call_ids) > _MANY_CALLS * len(segments)
        indexed = [segment for segment in segments if not (many and segment.digested)]
        found = self._indexed(measurement, {s.path.name: s.path for s in indexed}, call_ids)
        for segment in segments:
            if segment.path not in found:
                digested = segment.digested
                found[segment.path] = self._digests.held(segment.path, call_ids) if digested else list(call_ids)
        return found

    def _indexed(
        self, measurement: Measurement, wanted: dict[str, Path], call_ids: Sequence[str]
    ) -> dict[Path, list[str]]:
        found: dict[Path, list[str]] = {}
        crcs = crcs_of(call_ids).tolist()
        for path in self._listed(measurement) if wanted else []:
            try:
                index = self._opened(path)
                named = wanted.keys() & set(index.names) if index is not None else set()
                if index is None or not named:
                    continue
                holders = index.find(dict.fromkeys(crcs))
            except FileNotFoundError:
                continue  # merged into another, or its segments went
            except IndexDamaged as error:
                self._set_aside(measurement, path, str(error))
                continue
            found |= {wanted[name]: [] for name in named if wanted[name] not in found}
            for call_id, crc in zip(call_ids, crcs, strict=True):
                for name in named.intersection(holders[crc]):
                    found[wanted[name]].append(call_id)
            for name in named:  # another index says the same of them
                del wanted[name]
        return found

    def _listed(self, measurement: Measurement) -> list[Path]:
        """Return the indexes there are, and let go of those that are not there any more."""
        directory = self._layout.indexes / measurement.name
        try:
            names = os.listdir(directory)  # noqa: PTH208 - names only, on the path of a query
        except FileNotFoundError:
            names = []
        paths = [directory / name for name in names if name.endswith(INDEX_SUFFIX)]
        with self._lock:
            for gone in [p for p in self._known if p.parent == directory and p not in paths]:
                del self._known[gone]
        return paths

    def _opened(self, path: Path) -> CallIndex | None:
        with self._lock:
            if path in self._known:
                return self._known[path]
        index = CallIndex(path)
        with self._lock:
            self._known[path] = index
        return index

    def _set_aside(self, measurement: Measurement, path: Path, why: str) -> None:
        away = put_aside(self._layout, measurement.name, path, why, self._stats)
        with self._lock:
            self._known.pop(path, None)
            if not away:
                self._known[path] = None
