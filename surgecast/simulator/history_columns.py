"""Columns of numbers and tags to record batches of the storage contract, and batches to a writer."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from storage.schema import MEASUREMENTS, Measurement
from storage.seam import Writer
from surgecast.simulator.profile import Floats, Ints

Columns = dict[str, "Ints | Floats | pa.Array"]
"""By field; tags are Arrow text, histograms 2-D arrays, `time` is in ns."""

_BATCH_ROWS = 50_000


class Batches:
    """Gathers rows into few large batches, which a store takes faster than many small ones."""

    def __init__(self, writer: Writer, counts: dict[str, int]) -> None:
        self._writer = writer
        self._counts = counts
        self._waiting: dict[str, list[pa.RecordBatch]] = {}

    def add(self, name: str, columns: Columns) -> None:
        """Take rows of a measurement."""
        batch = record_batch(MEASUREMENTS[name], columns)
        waiting = self._waiting.setdefault(name, [])
        waiting.append(batch)
        self._counts[name] = self._counts.get(name, 0) + batch.num_rows
        if sum(b.num_rows for b in waiting) >= _BATCH_ROWS:
            self._write(name)

    def flush(self) -> None:
        """Write everything that waits."""
        for name in self._waiting:
            self._write(name)
        self._writer.flush()

    def _write(self, name: str) -> None:
        if self._waiting[name]:
            self._writer.write(name, pa.concat_batches(self._waiting[name]))
            self._waiting[name] = []
            self._writer.flush()


def record_batch(measurement: Measurement, columns: Columns) -> pa.RecordBatch:
    """Return columns as rows of a measurement: tags as Arrow text, histograms as 2-D arrays, time in ns."""
    arrays = []
    for entry in measurement.schema:
        column = columns[entry.name]
        if entry.name in measurement.histograms:
            flat = pa.array(np.ascontiguousarray(column, dtype=np.uint32).ravel())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=entry.type))
        elif entry.name == "time":
            arrays.append(pa.array(np.asarray(column, dtype=np.int64)).cast(entry.type))
        elif entry.name in measurement.tags:
            arrays.append(column)
        else:
            arrays.append(pa.array(np.asarray(column)).cast(entry.type))
    return pa.RecordBatch.from_arrays(arrays, schema=measurement.schema)


def tags(names: Sequence[str], rows: Ints) -> pa.Array:
    """Return the tag of each row from its index into the names."""
    return pa.array(names, pa.string()).take(pa.array(rows))
