"""Record batches to line protocol.

    measurement,tag=value field=1.5,other=3i,text="..." 1790000040000000000

Keys are in order of their names, as servers like them. Empty tags and null, NaN and infinite values are left out
(line protocol has no word for them); a row that has no field left has no line. With a *presence mask* each line
carries one more integer with a bit per field that has a value: rewriting a point with fewer values then takes the
others away (servers merge the fields of equal points), and a row of nulls is a row.

This module speaks no HTTP and knows no measurement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.influx.kernels import lines
from storage.influx.kernels.decimals import FLOAT_BYTES, INTEGER_BYTES, TABLES
from storage.influx.kernels.histograms import CELL_BYTES, read_histograms, write_histograms
from storage.influx.kernels.memory import ROOM
from storage.influx.tagtext import as_stored

_KEY_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_NAME_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_BOOLEAN_BYTES = 5
_LINE_BYTES = 2 * INTEGER_BYTES + 8
_MOST_FIELDS = 63
_LISTS = msgspec.json.Encoder()
_TEXTS = msgspec.json.Decoder(list[str | None])


@dataclass(frozen=True, slots=True)
class Encoded:
    """Lines, and what did not become one."""

    lines: bytes
    """UTF-8, each line with its newline."""
    rows: int
    """Lines there are."""
    rows_without_fields: int = 0
    values_not_finite: int = 0


def encode(
    rows: pa.RecordBatch,
    measurement: str,
    tags: Sequence[str],
    *,
    presence: str | None = None,
    bits: Mapping[str, int] | None = None,
) -> Encoded:
    """Return the rows as lines; `time` is their time, columns that are neither time nor `tags` are fields.

    `presence` names the mask field; `bits` gives each field's bit in it (default: the order of the columns).

    Raises ValueError for a column type that has no form in line protocol.
    """
    names = [name for name in rows.schema.names if name != "time" and name not in tags]
    if len(names) > _MOST_FIELDS:
        raise ValueError(f"{measurement}: {len(names)} fields; a line has at most {_MOST_FIELDS}")
    places = bits if bits is not None else {name: i for i, name in enumerate(names)}
    layout = _Layout(rows.num_rows)
    for tag in sorted(tags):
        layout.add_tag(tag, rows[tag])
    for name in sorted(names):
        layout.add_field(name, rows[name], places[name])
    times = rows["time"].cast(pa.int64()).to_numpy()
    name = _bytes(measurement.translate(_NAME_ESCAPES))
    mask = _bytes(f"{presence.translate(_KEY_ESCAPES)}=") if presence is not None else _bytes("")
    size = layout.bytes + rows.num_rows * (len(name) + len(mask) + _LINE_BYTES) + ROOM
    out = np.empty(size, np.uint8)
    counters = np.zeros(2, np.uint64)
    columns = layout.columns()
    end = lines.encode(
        _at(columns), np.uint64(layout.tags), np.uint64(len(columns) - layout.tags), np.uint64(rows.num_rows),
        _at(times), _at(name), np.uint64(len(name) - ROOM),
        _at(mask) if presence is not None else np.uint64(0), np.uint64(len(mask) - ROOM),
        _at(out), _at(TABLES), counters,
    )  # fmt: skip
    dropped = int(counters[lines.ROWS_WITHOUT_FIELDS])
    return Encoded(
        out[: int(end) - out.ctypes.data].tobytes(),
        rows.num_rows - dropped,
        dropped,
        int(counters[lines.VALUES_NOT_FINITE]),
    )


def prepare() -> None:
    """Compile the kernels, or load what was compiled: the first rows shall not wait for it."""
    empty = pa.record_batch({"time": pa.array([], pa.int64()), "i": pa.array([], pa.int64())})
    encode(empty, "m", [], presence="p")
    histogram_texts(pa.array([], pa.list_(pa.uint32(), 1)))


def histogram_texts(column: pa.FixedSizeListArray) -> pa.StringArray:
    """Return histograms as text (see `kernels.histograms`); null stays null."""
    buckets = column.type.list_size
    if column.null_count:
        filled = column.fill_null(pa.scalar([0] * buckets, column.type))
    else:
        filled = column
    counts = filled.flatten().fill_null(0).to_numpy().reshape(-1, buckets)
    offsets = np.empty(len(column) + 1, np.int32)
    out = np.empty(int(np.count_nonzero(counts)) * CELL_BYTES + ROOM, np.uint8)
    end = write_histograms(counts, offsets, _at(out), _at(TABLES))
    data = out[: int(end) - out.ctypes.data]
    texts = pa.StringArray.from_buffers(len(column), pa.py_buffer(offsets), pa.py_buffer(data))
    return pa.compute.if_else(column.is_valid(), texts, None) if column.null_count else texts


def histograms_of(
    texts: pa.StringArray, buckets: int, count_type: pa.DataType | None = None
) -> pa.FixedSizeListArray:
    """Return the histograms of texts, of 32-bit counts unless told.

    Buckets beyond `buckets`, which no version of ours writes, are left out.
    """
    filled = texts.fill_null("")
    _, offsets, data = filled.buffers()
    count_type = count_type or pa.uint32()
    counts = np.zeros((len(filled), buckets), count_type.to_pandas_dtype())
    at = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1] if len(filled) else None
    if at is not None:
        read_histograms(np.frombuffer(data or b"", np.uint8), at, counts)
    values = pa.array(counts.ravel())
    type_ = pa.list_(count_type, buckets)
    found = pa.FixedSizeListArray.from_arrays(values, type=type_)
    return pa.compute.if_else(texts.is_valid(), found, pa.scalar(None, type_)) if texts.null_count else found


def list_texts(column: pa.ListArray) -> pa.StringArray:
    """Return lists of texts as JSON."""
    return pa.array([None if v is None else _LISTS.encode(v).decode() for v in column.to_pylist()], pa.string())


def lists_of(texts: pa.StringArray) -> pa.ListArray:
    """Return the lists of JSON texts; one that is no list of texts, which we never wrote, is null."""
    return pa.array([None if v is None else _list_of(v) for v in texts.to_pylist()], pa.list_(pa.string()))


def _list_of(text: str) -> list[str | None] | None:
    try:
        return _TEXTS.decode(text)
    except msgspec.DecodeError:
        return None


class _Layout:
    """Descriptors of the columns, what they need to stay alive, and the room their text can take."""

    def __init__(self, rows: int) -> None:
        self.bytes = 0
        self.tags = 0
        self._rows = rows
        self._columns: list[tuple[int, ...]] = []
        self._alive: list[object] = []

    def columns(self) -> npt.NDArray[np.void]:
        return np.array(self._columns, lines.COLUMN)

    def add_tag(self, name: str, column: pa.Array) -> None:
        text = column.cast(pa.string())
        if text.null_count:
            text = text.fill_null("")
        found = _classes(text)
        if found & lines.UNTOLD_IN_TAGS:
            encoded = text.dictionary_encode()
            stored = pa.array([as_stored(value) for value in encoded.dictionary.to_pylist()], pa.string())
            text = stored.take(encoded.indices)
            found = _classes(text)
        self._add_text(
            lines.TAG, f",{name.translate(_KEY_ESCAPES)}=", text, bool(found & lines.ESCAPED_IN_TAGS), 0
        )
        self.tags += 1

    def add_field(self, name: str, column: pa.Array, bit: int) -> None:
        key = f"{name.translate(_KEY_ESCAPES)}="
        type_ = column.type
        if pa.types.is_fixed_size_list(type_):
            column = histogram_texts(column)
        elif pa.types.is_list(type_):
            column = list_texts(column)
        elif pa.types.is_dictionary(type_) or pa.types.is_large_string(type_):
            column = column.cast(pa.string())
        type_ = column.type
        if pa.types.is_string(type_):
            escape = bool(_classes(column) & lines.ESCAPED_IN_TEXT)
            self._add_text(lines.TEXT, f'{key}"', column, escape, bit)
        elif pa.types.is_boolean(type_):
            self._add(lines.BOOLEAN, key, column, column.buffers()[1], _BOOLEAN_BYTES, bit)
        elif pa.types.is_floating(type_):
            column = column.cast(pa.float64())
            self._add(lines.FLOAT, key, column, column.buffers()[1], FLOAT_BYTES, bit)
        elif pa.types.is_integer(type_) or pa.types.is_timestamp(type_):
            column = column.cast(pa.int64())
            self._add(lines.INTEGER, key, column, column.buffers()[1], INTEGER_BYTES + 1, bit)
        else:
            raise ValueError(f"{name}: line protocol has no form for {type_}")

    def _add_text(self, kind: int, prefix: str, column: pa.StringArray, escape: bool, bit: int) -> None:
        _, offsets, data = column.buffers()
        size = data.size if data is not None else 0
        self.bytes += _span(column)[1] * (2 if escape else 1)
        self._add(kind, prefix, column, data, 1, bit, offsets.address if offsets is not None else 0, size, escape)

    def _add(
        self,
        kind: int,
        prefix: str,
        column: pa.Array,
        values: pa.Buffer | None,
        value_bytes: int,
        bit: int,
        offsets: int = 0,
        size: int = 0,
        escape: bool = False,
    ) -> None:
        before = _bytes(prefix)
        valid = column.buffers()[0]
        address = values.address if values is not None else 0
        self._alive += [column, before]
        self.bytes += self._rows * (len(before) - ROOM + value_bytes + 1)
        self._columns.append(
            (
                kind, address, offsets, valid.address if valid is not None and column.null_count else 0,
                column.offset, before.ctypes.data, len(before) - ROOM, address + size, int(escape), bit,
            )
        )  # fmt: skip


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    """Return UTF-8 with room behind it, as copying in words wants."""
    return np.frombuffer(text.encode() + bytes(ROOM), np.uint8)


def _span(column: pa.StringArray) -> tuple[int, int]:
    """Return the first byte and the bytes of a text column's values."""
    offsets = column.buffers()[1]
    if not len(column) or offsets is None:
        return 0, 0
    at = np.frombuffer(offsets, np.int32)
    first = int(at[column.offset])
    return first, int(at[column.offset + len(column)]) - first


def _classes(column: pa.StringArray) -> int:
    data = column.buffers()[2]
    first, size = _span(column)
    return int(lines.classify(np.frombuffer(data, np.uint8)[first : first + size])) if data is not None else 0


def _at(array: npt.NDArray[np.generic]) -> np.uint64:
    return np.uint64(array.ctypes.data)
