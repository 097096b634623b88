"""Digests as readers have them open: mapped into memory, and of a cold one little more is read than is asked for.

A page that is not in memory would be fetched with megabytes around it, and one after another. So a map is told to
fetch nothing around, and what most questions need (the head, the checksums of calls, the directory) is asked of
the disk when the file is opened: of many digests at once. So are the pages of calls that lie deep, once it is
known where.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.digests import CRC, HEAD_CALLS, SCHEMA, STORED, UInt32s, crcs_of, digest_path
from storage.embedded.points import Int64s

_MOST_OPEN = 256
_BEGINNING_BYTES = 192 * 1024
"""With the head, of some 130 bytes a call."""
_END_BYTES = 256 * 1024
"""With the directory of the file and, of a full segment, the checksums of its calls: the last column."""
_GAP_PAGES = 4
"""Pages that are read though nobody needs them, rather than asking the disk once more."""
_LOW_BITS = 0xFFFF


class Found(NamedTuple):
    """Rows of a part of a digest."""

    batch: pa.RecordBatch
    places: Int64s
    """In order."""


class MappedDigest:
    """One digest; safe for several threads."""

    def __init__(self, path: Path) -> None:
        """Map it and have the disk begin; raises FileNotFoundError, OSError, pyarrow.ArrowInvalid."""
        with path.open("rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise pa.ArrowInvalid("it is empty") from error
        self._address = pa.py_buffer(self._map).address
        self._table: pa.Table | None = None
        self._looked_through = 0
        end = max(len(self._map) - _END_BYTES, 0) // mmap.PAGESIZE * mmap.PAGESIZE
        self._map.madvise(mmap.MADV_RANDOM)
        self._map.madvise(mmap.MADV_WILLNEED, 0, min(_BEGINNING_BYTES, len(self._map)))
        self._map.madvise(mmap.MADV_WILLNEED, end, len(self._map) - end)

    @property
    def sound(self) -> bool:
        """Whether it was read, and nothing was wrong with what was looked through."""
        return self._table is not None

    def table(self) -> pa.Table:
        """Return it as it is stored, not looked through; raises pyarrow.ArrowException."""
        if self._table is None:
            with pa.ipc.open_file(pa.py_buffer(self._map)) as reader:
                table = reader.read_all()
            if table.schema != STORED:
                raise pa.ArrowInvalid("no digest of this version")
            table.validate()
            self._table = table
        return self._table

    def head(self, count: int) -> pa.Table:
        """Return so many rows, looked through once: what points beyond the file would end the process."""
        rows = self.table().slice(0, count)
        if rows.num_rows > self._looked_through:
            if rows.num_rows > HEAD_CALLS:
                self._map.madvise(mmap.MADV_WILLNEED)
            try:
                rows.validate(full=True)
            except pa.ArrowException:
                self._table = None
                raise
            self._looked_through = rows.num_rows
        return rows

    def find(self, wanted: "_Wanted") -> list[Found]:
        """Return where rows of these calls are, and of others with their checksums; raises as `table`."""
        # Taking of a table would copy all of its columns first.
        found = [Found(batch, wanted.places_in(batch[CRC].to_numpy())) for batch in self.table().to_batches()]
        return [part for part in found if len(part.places)]

    def fetch(self, found: Found, columns: Sequence[str]) -> None:
        """Have the disk begin with these columns of rows, but for the texts of Call-IDs."""
        addresses, bits = [], []
        for column in found.batch.select(columns).columns:
            indices = column.indices if pa.types.is_dictionary(column.type) else column
            valid, values, *_ = indices.buffers()
            if valid is not None:
                addresses.append(valid.address)
                bits.append(1)
            addresses.append(values.address)
            bits.append(32 if pa.types.is_string(column.type) else indices.type.bit_width)
        offsets = np.array(bits)[:, None] * found.places // 8
        self._fetch(np.sort((np.array(addresses)[:, None] + offsets).ravel()))

    def fetch_texts(self, found: Found) -> None:
        """Have the disk begin with the Call-IDs of rows; raises as `table`."""
        address, starts, ends = self._texts(found)
        self._fetch(address + np.unique(np.concatenate([starts, np.maximum(ends - 1, starts)])))

    def rows(self, found: Found, columns: Sequence[str]) -> pa.RecordBatch:
        """Return these columns of rows, looked through; raises as `table`."""
        self._texts(found)
        rows = found.batch.select(columns).take(pa.array(found.places))
        try:
            rows.validate(full=True)
        except pa.ArrowException:
            self._table = None
            raise
        return rows

    def _texts(self, found: Found) -> tuple[int, Int64s, Int64s]:
        """Return where the Call-IDs of rows lie: address, starts, ends; raises as `table`."""
        column = found.batch["call_id"]
        _, offsets, texts = column.buffers()
        bounds = np.frombuffer(offsets, "<i4", len(column) + 1, 4 * column.offset)
        starts, ends = bounds[found.places].astype(np.int64), bounds[found.places + 1].astype(np.int64)
        size = 0 if texts is None else texts.size
        if ((starts < 0) | (ends < starts) | (ends > size)).any():
            self._table = None
            raise pa.ArrowInvalid("a Call-ID lies beyond it")
        return 0 if texts is None else texts.address, starts, ends

    def _fetch(self, addresses: Int64s) -> None:
        """Have the disk begin with the pages at these addresses, which are in order."""
        pages = (addresses - self._address) // mmap.PAGESIZE
        breaks = np.flatnonzero(np.diff(pages) > _GAP_PAGES)
        firsts, lasts = pages[np.append(0, breaks + 1)], pages[np.append(breaks, len(pages) - 1)]
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            self._map.madvise(mmap.MADV_WILLNEED, first * mmap.PAGESIZE, (last - first + 1) * mmap.PAGESIZE)

    def held(self, wanted: "_Wanted") -> set[int]:
        """Return the checksums that it has among those wanted; raises as `table`."""
        chunks = [chunk.to_numpy() for chunk in self.table()[CRC].chunks]
        return {crc for crcs in chunks for crc in crcs[wanted.places_in(crcs)].tolist()}


class _Wanted:
    """Calls to look for by their checksums, in many digests."""

    def __init__(self, call_ids: Sequence[str]) -> None:
        self.crcs = crcs_of(call_ids)
        self._sorted = np.append(np.sort(self.crcs), np.uint32(0))  # whatever is beyond the last is compared too
        self._likely = np.zeros(_LOW_BITS + 1, dtype=np.bool_)
        self._likely[self.crcs & _LOW_BITS] = True

    def places_in(self, crcs: UInt32s) -> Int64s:
        """Return the places of the calls wanted, in order."""
        places = np.flatnonzero(self._likely[crcs & _LOW_BITS])
        likely = crcs[places]
        same: Int64s = places[self._sorted[np.searchsorted(self._sorted[:-1], likely)] == likely]
        return same


class Digests:
    """The digests that the readers of one process have open; its methods raise as `MappedDigest`."""

    def __init__(self) -> None:
        self._open: dict[Path, MappedDigest] = {}
        self._lock = Lock()

    def heads(self, segments: Sequence[Path], depth: int) -> tuple[pa.Table, float | None]:
        """Return so many of the worst calls of each segment, and the least R of those left out.

        None where no call with an R is left out.
        """
        tables, rest = [STORED.empty_table()], []
        for digest in [self._of(segment) for segment in segments]:
            tables.append(digest.head(depth))
            table = digest.table()
            if table.num_rows > depth and (r_min := table["r_min"][depth].as_py()) is not None:
                rest.append(r_min)
        return _told(pa.concat_tables(tables)), min(rest, default=None)

    def calls(
        self, segments: Sequence[Path], call_ids: Sequence[str], columns: Sequence[str] = SCHEMA.names
    ) -> pa.Table:
        """Return the rows of some calls, in these columns of a digest; `call_id` is one of them."""
        wanted = _Wanted(call_ids)
        found = [(digest, part) for digest in [self._of(s) for s in segments] for part in digest.find(wanted)]
        for digest, part in found:
            digest.fetch(part, columns)
        for digest, part in found:
            digest.fetch_texts(part)
        schema = pa.schema([STORED.field(name) for name in columns])
        table = pa.Table.from_batches([digest.rows(part, columns) for digest, part in found], schema)
        return _told(table.filter(pc.is_in(table["call_id"], pa.array(call_ids, pa.string()))), columns)

    def held(self, segment: Path, call_ids: Sequence[str]) -> list[str]:
        """Return those of the calls that a segment may have rows of."""
        wanted = _Wanted(call_ids)
        held = self._of(segment).held(wanted)
        return [call_id for call_id, crc in zip(call_ids, wanted.crcs.tolist(), strict=True) if crc in held]

    def _of(self, segment: Path) -> MappedDigest:
        path = digest_path(segment)
        with self._lock:
            digest = self._open.pop(path, None)
            if digest is not None and digest.sound:  # else another may lie there by now
                self._open[path] = digest
                return digest
        digest = MappedDigest(path)
        with self._lock:
            self._open[path] = digest
            while len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
        return digest


def _told(stored: pa.Table, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
    return stored.select(columns).cast(pa.schema([SCHEMA.field(name) for name in columns]))
