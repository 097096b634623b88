"""Recorded HEP datagrams: a file of u32 big-endian length + datagram, repeated."""

import threading
from pathlib import Path

import numpy as np

from collectors.capture.base import Sink, SourceStats
from collectors.capture.reading import open_binary, read_some
from collectors.wire.hep import HepParser

MAX_DATAGRAM_BYTES = 65_535
_READ_BYTES = 1 << 20


class HepFileSource:
    """Feeds the datagrams of a file, a megabyte at a time.

    A length beyond 65,535 ends the reading (`bad_record`): there is no way to find the next record.
    An incomplete last record is counted as `truncated_file`. Datagrams that state no time (HEP1) get
    the file's modification time.
    """

    def __init__(self, path: Path, parser: HepParser) -> None:
        self.name = str(path)
        self._path = path
        self._parser = parser
        self._stats = SourceStats()

    def stats(self) -> SourceStats:
        """Return the figures so far."""
        snapshot = SourceStats()
        snapshot.add(self._stats)
        snapshot.accepted = self._parser.accepted
        snapshot.errors += self._parser.errors
        return snapshot

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Feed the whole file, or until `stop`."""
        with open_binary(self._path) as file:
            received_ns = self._path.stat().st_mtime_ns
            pending = b""
            while not stop.is_set():
                data = read_some(file, self._path, _READ_BYTES)
                if not data:
                    if pending:
                        self._stats.errors["truncated_file"] += 1
                    return
                pending += data
                used, whole = self._feed(pending, received_ns, sink)
                if not whole:
                    self._stats.errors["bad_record"] += 1
                    return
                pending = pending[used:]

    def _feed(self, data: bytes, received_ns: int, sink: Sink) -> tuple[int, bool]:
        """Feed the complete records of `data`; return the bytes used, and False where a length is impossible."""
        offsets: list[int] = []
        lengths: list[int] = []
        at = 0
        whole = True
        while at + 4 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            if length > MAX_DATAGRAM_BYTES:
                whole = False
                break
            if at + 4 + length > len(data):
                break
            offsets.append(at + 4)
            lengths.append(length)
            at += 4 + length
        if offsets:
            self._stats.frames += len(offsets)
            self._stats.bytes += sum(lengths)
            buffer = np.frombuffer(data, np.uint8)
            batch = self._parser.parse(
                buffer, np.array(offsets, np.uint32), np.array(lengths, np.uint32), received_ns
            )
            if len(batch.rows):
                sink(batch)
        return at, whole
