"""Keeps indexes of Call-IDs over the segments there are: few files, none about segments that are gone.

New segments get an index at the next turn. It takes in those that are not larger than itself, as a binary counter
carries: of so many segments there are as many indexes as their number has bits, and each entry is written again as
often. An index of mostly gone segments is taken in too. Several processes may do this at once: what two of them
made of the same segments says the same, and the one that says nothing more goes at the next turn.
"""

import logging
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.embedded.call_index import (
    INDEX_SUFFIX,
    MOST_ENTRIES,
    MOST_SEGMENTS,
    CallIndex,
    IndexDamaged,
    UInt64s,
    packed,
    write_index,
)
from storage.embedded.digests import crcs_of
from storage.embedded.layout import END_NS, TEMPORARY, Layout, Segment
from storage.embedded.quarantine import put_aside
from storage.embedded.stats import StoreStats
from storage.schema import CALL, FINDING, SIP_MESSAGE, STREAM_INTERVAL

logger = logging.getLogger(__name__)
INDEXED = (CALL, FINDING, SIP_MESSAGE, STREAM_INTERVAL)
"""What is asked for by call."""
_SEGMENTS_A_TURN = 128
"""A store of an older version is indexed over some turns; a full segment takes about 50 ms."""
_LEFT_BEHIND_SECONDS = 3_600.0


class _Held(NamedTuple):
    """An index, and the segments that no larger one tells of."""

    opened: CallIndex
    names: list[str]


class Indexing:
    """Keeps the indexes of one store."""

    def __init__(self, layout: Layout, stats: StoreStats) -> None:
        self._layout = layout
        self._stats = stats

    def turn(self) -> None:
        """Index what is new, newest first, and delete what tells of nothing any more; raises OSError."""
        left = _SEGMENTS_A_TURN
        for measurement in INDEXED:
            directory = self._layout.indexes / measurement.name
            _remove_left_behind(directory)
            segments = self._layout.list_segments(measurement.name, 0, END_NS)
            held = self._held(measurement.name, directory, {s.path.name for s in segments})
            known = {name for one in held for name in one.names}
            missing = [s for s in segments if s.path.name not in known]
            missing.sort(key=lambda s: s.max_ns, reverse=True)
            self._index(measurement.name, directory, missing[:left], held)
            left -= min(left, len(missing))

    def _held(self, measurement: str, directory: Path, live: set[str]) -> list[_Held]:
        """Return the indexes that tell something, smallest first; delete the others."""
        opened = []
        for path in directory.glob(f"*{INDEX_SUFFIX}"):
            try:
                opened.append(CallIndex(path))
            except FileNotFoundError:
                continue
            except IndexDamaged as error:
                put_aside(self._layout, measurement, path, str(error), self._stats)
        held = []
        told: set[str] = set()
        for index in sorted(opened, key=lambda index: (-index.entries, index.path.name)):
            names = [name for name in index.names if name in live and name not in told]
            if names:
                told.update(names)
                held.append(_Held(index, names))
            else:
                index.path.unlink(missing_ok=True)  # a query that misses it looks into the segments themselves
        return held[::-1]

    def _index(self, measurement: str, directory: Path, segments: list[Segment], held: list[_Held]) -> None:
        names: list[str] = []
        parts: list[UInt64s] = []
        entries = 0
        for segment in segments:
            try:
                crcs = _crcs_in(segment)
            except (FileNotFoundError, pa.ArrowException):
                continue  # expired meanwhile, or damaged: the next query finds out
            if names and (entries + len(crcs) > MOST_ENTRIES or len(names) == MOST_SEGMENTS):
                write_index(directory, names, np.concatenate(parts))
                names, parts, entries = [], [], 0
            names.append(segment.path.name)
            parts.append(packed(crcs, np.uint64(len(names) - 1)))
            entries += len(crcs)
        taken = []
        for index, own in held:
            mostly_gone = 2 * len(own) < len(index.names)
            fits = entries + index.entries <= MOST_ENTRIES and len(names) + len(own) <= MOST_SEGMENTS
            if not fits or not (mostly_gone or index.entries <= entries):
                continue
            try:
                parts.append(index.packed(own, len(names)))
            except FileNotFoundError:
                continue  # another process took it in
            except IndexDamaged as error:
                put_aside(self._layout, measurement, index.path, str(error), self._stats)
                continue
            names += own
            entries += len(parts[-1])
            taken.append(index.path)
        if names:
            made = write_index(directory, names, np.concatenate(parts))
            for path in taken:
                if path != made:
                    path.unlink(missing_ok=True)


def _crcs_in(segment: Segment) -> UInt64s:
    """Return the checksums of the Call-IDs in a segment; raises OSError, pyarrow.ArrowException."""
    with segment.path.open("rb") as file:
        table = pq.read_table(
            file, columns=["call_id"], read_dictionary=["call_id"], page_checksum_verification=True
        )
    distinct: set[str] = set()
    for chunk in table["call_id"].chunks:
        distinct.update(chunk.dictionary.to_pylist())
    distinct -= {"", None}
    return np.unique(crcs_of(sorted(distinct))).astype(np.uint64)


def _remove_left_behind(directory: Path) -> None:
    """Delete what a process that died left half written."""
    for path in directory.glob(f"*{TEMPORARY}"):
        try:
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # renamed meanwhile
