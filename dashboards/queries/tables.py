"""Small helpers between Arrow tables and the series of a view."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dashboards.numbers import SECOND_NS
from storage.seam import Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps of a window: the x axis of every series of a page."""

    starts_ns: tuple[int, ...]
    step_seconds: int

    @classmethod
    def of(cls, window: Window, step_seconds: int) -> "Grid":
        """Return the steps that cover a window, aligned to the epoch."""
        step_ns = step_seconds * SECOND_NS
        first = window.since_ns // step_ns * step_ns
        return cls(tuple(range(first, window.until_ns, step_ns)), step_seconds)

    def __len__(self) -> int:
        return len(self.starts_ns)

    def index(self, times_ns: Ints) -> Ints:
        """Return the step of each time; out-of-window times are clamped to the ends."""
        if not self.starts_ns:
            return np.zeros(len(times_ns), np.int64)
        steps = (times_ns - self.starts_ns[0]) // (self.step_seconds * SECOND_NS)
        return np.clip(steps, 0, len(self) - 1)


def times_ns(table: pa.Table, column: str = "time") -> Ints:
    """Return a timestamp column as UTC nanoseconds."""
    values = table[column].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    return np.asarray(values.combine_chunks().to_numpy(zero_copy_only=False), np.int64)


def floats(table: pa.Table, column: str) -> Floats:
    """Return a numeric column as floats, null as NaN."""
    return np.asarray(table[column].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def ints(table: pa.Table, column: str) -> Ints:
    """Return a numeric column as integers, null as 0 (for counts that add up)."""
    return np.nan_to_num(floats(table, column)).astype(np.int64)


def strings(table: pa.Table, column: str) -> list[str]:
    """Return a text column, null as the empty string."""
    return [value or "" for value in table[column].to_pylist()]


def histograms(table: pa.Table, column: str, buckets: int) -> Ints:
    """Return a histogram column as a matrix of rows by buckets; a null histogram counts nothing."""
    found = np.zeros((table.num_rows, buckets), np.int64)
    for i, counts in enumerate(table[column].to_pylist()):
        if counts is not None and len(counts) == buckets:
            found[i] = counts
    return found


def summed(rows: Ints, at: Ints, size: int) -> Ints:
    """Add up the rows of a matrix (or vector) that fall on the same step."""
    out = np.zeros((size, *rows.shape[1:]), np.int64)
    np.add.at(out, at, rows)
    return out


def known(values: Iterable[float]) -> tuple[float | None, ...]:
    """Return floats with NaN as None."""
    return tuple(None if v != v else float(v) for v in values)


def optional(value: Any) -> float | None:
    """Return a scalar from a row as a float, or None."""
    return None if value is None else float(value)


def total(table: pa.Table, column: str) -> int:
    """Return the sum of a count over a table."""
    return int(ints(table, column).sum())


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows without timestamp columns (their nanoseconds do not fit a datetime): see `times_ns`."""
    plain = [field.name for field in table.schema if not pa.types.is_timestamp(field.type)]
    found: list[dict[str, Any]] = table.select(plain).to_pylist()
    return found


def names(values: Sequence[str]) -> tuple[str, ...]:
    """Return sorted distinct non-empty names."""
    return tuple(sorted({v for v in values if v}))
