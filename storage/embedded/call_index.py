"""An index of Call-IDs over many segments: which of them hold a call is told by a page or two of one file.

    <root>/index/<measurement>/<fingerprint>.calls

Segments never change and their names are never used again, so an index is right for ever about the segments that
it names, and silent about others. It is made by upkeep (see `indexing`); queries look through the digests, or the
bloom filters, of segments that no index names yet.

The file, little endian:

    magic, entries (u32), bits (u32), bytes of names (u32)
    names of segments, one a line; their order gives their numbers
    2^bits + 1 starts (u32) and 2^bits checksums (u32) of buckets
    CRC-32 of all above
    entries in order: CRC-32 of a Call-ID (u32), number of a segment that has it (u16)

The first `bits` bits of an entry are its bucket. Each part is checked when it is read; what is damaged tells
nothing.
"""

import os
import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from storage.embedded.whole import written_whole

INDEX_SUFFIX = ".calls"
MOST_ENTRIES = 1 << 21
"""Of an index of several segments: making one takes some times its 12 MB of memory."""
MOST_SEGMENTS = 1 << 16
UInt64s = npt.NDArray[np.uint64]
_MAGIC = b"surgcid1"
_FIXED = struct.Struct("<8sIII")
_CHECK = struct.Struct("<I")
_ENTRY = np.dtype([("crc", "<u4"), ("segment", "<u2")])
_NUMBER_BITS = 16
_BUCKET_ENTRIES = 1_024
_MOST_BITS = 24
_FIRST_READ = 65_536
"""Most heads are shorter: one read."""


class IndexDamaged(Exception):
    """What an index says cannot be trusted."""


class CallIndex:
    """The head of an index: what it names, and where the entries are that a Call-ID needs."""

    def __init__(self, path: Path) -> None:
        """Read the head; raises IndexDamaged, FileNotFoundError, OSError."""
        self.path = path
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(_FIRST_READ) or b""
            if len(data) < _FIXED.size:
                raise IndexDamaged("it is cut short")
            magic, self.entries, bits, names_bytes = _FIXED.unpack_from(data)
            if magic != _MAGIC or bits > _MOST_BITS:
                raise IndexDamaged("it does not begin as an index")
            starts_at = _FIXED.size + names_bytes
            checks_at = starts_at + 4 * ((1 << bits) + 1)
            end = checks_at + 4 * (1 << bits)
            self._entries_at = end + _CHECK.size
            if size != self._entries_at + self.entries * _ENTRY.itemsize:
                raise IndexDamaged(f"it has {size} bytes")
            while len(data) < self._entries_at and (more := file.read(self._entries_at - len(data))):
                data += more
        if len(data) < self._entries_at or _CHECK.unpack_from(data, end)[0] != crc32(memoryview(data)[:end]):
            raise IndexDamaged("its head does not match its checksum")
        self.names = data[_FIXED.size : starts_at].decode("utf-8").split("\n")
        self._shift = 32 - bits
        self._starts = np.frombuffer(data, "<u4", (1 << bits) + 1, starts_at).astype(np.int64)
        self._checks = np.frombuffer(data, "<u4", 1 << bits, checks_at).copy()

    def find(self, crcs: Iterable[int]) -> dict[int, list[str]]:
        """Return the names of the segments that may have each Call-ID; raises as `__init__`."""
        found: dict[int, list[str]] = {}
        with self.path.open("rb", buffering=0) as file:
            by_bucket = groupby(sorted(set(crcs)), lambda crc: crc >> self._shift)
            wanted = [(bucket, list(own)) for bucket, own in by_bucket]
            for bucket, _ in wanted if len(wanted) > 1 else []:  # of all before the first is waited for
                at, size = self._place(bucket)
                if size > 0:  # none would be all of the file
                    os.posix_fadvise(file.fileno(), at, size, os.POSIX_FADV_WILLNEED)
            for bucket, own in wanted:
                entries = self._bucket(file.fileno(), bucket)
                for crc in own:
                    numbers = entries["segment"][entries["crc"] == crc]
                    found[crc] = [self.names[number] for number in numbers.tolist()]
        return found

    def packed(self, kept: Sequence[str], first: int) -> UInt64s:
        """Return the entries of some of the segments, renumbered from `first` on; raises as `find`."""
        with self.path.open("rb", buffering=0) as file:
            parts = [self._bucket(file.fileno(), bucket) for bucket in range(len(self._checks))]
        entries = np.concatenate(parts)
        places = {name: number for number, name in enumerate(kept, first)}
        renumbered = np.array([places.get(name, MOST_SEGMENTS) for name in self.names], dtype=np.uint64)
        numbers = renumbered[entries["segment"]]
        kept_here: UInt64s = packed(entries["crc"].astype(np.uint64), numbers)[numbers < MOST_SEGMENTS]
        return kept_here

    def _place(self, bucket: int) -> tuple[int, int]:
        """Return where a bucket begins, and its bytes."""
        start, end = int(self._starts[bucket]), int(self._starts[bucket + 1])
        return self._entries_at + start * _ENTRY.itemsize, (end - start) * _ENTRY.itemsize

    def _bucket(self, descriptor: int, bucket: int) -> "npt.NDArray[np.void]":
        at, size = self._place(bucket)
        data = os.pread(descriptor, size, at) if size > 0 else b""
        if len(data) != size or crc32(data) != self._checks[bucket]:
            raise IndexDamaged(f"bucket {bucket} does not match its checksum")
        return np.frombuffer(data, _ENTRY)


def packed(crcs: UInt64s, numbers: UInt64s | np.uint64) -> UInt64s:
    """Return entries as numbers that sort as they lie in an index."""
    entries: UInt64s = crcs << np.uint64(_NUMBER_BITS) | numbers
    return entries


def write_index(directory: Path, names: Sequence[str], entries: UInt64s) -> Path:
    """Write an index of these segments; `entries` are `packed`, in any order, and are sorted in place.

    Raises OSError and leaves nothing half written under its name.
    """
    entries.sort()
    rows = np.empty(len(entries), _ENTRY)
    rows["crc"] = entries >> np.uint64(_NUMBER_BITS)
    rows["segment"] = entries & np.uint64(MOST_SEGMENTS - 1)
    bits = (len(rows) // _BUCKET_ENTRIES).bit_length()
    bounds = np.arange((1 << bits) + 1, dtype=np.uint64) << np.uint64(32 - bits + _NUMBER_BITS)
    starts = np.searchsorted(entries, bounds).astype("<u4")
    stored = rows.view(np.uint8).data
    size = _ENTRY.itemsize
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    checks = np.array([crc32(stored[start * size : end * size]) for start, end in pairs], "<u4")
    named = "\n".join(names).encode("utf-8")
    head = b"".join([_FIXED.pack(_MAGIC, len(rows), bits, len(named)), named, starts.tobytes(), checks.tobytes()])
    mark = blake2b("\n".join(sorted(names)).encode("utf-8"), digest_size=8).hexdigest()
    path = directory / f"{mark}{INDEX_SUFFIX}"
    with written_whole(path, f".{os.getpid()}") as file:
        file.writelines([head, _CHECK.pack(crc32(head)), stored])
    return path
