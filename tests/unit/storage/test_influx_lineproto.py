"""Record batches to line protocol, beside a plain reference and beside influxdb-client's own."""

import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client import Point

from storage.influx.lineproto import encode, histogram_texts, histograms_of, list_texts, lists_of
from storage.influx.tagtext import as_stored, as_told

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
AWKWARD = st.text(st.sampled_from(list(',= "\\\n\r\t\0\x7fü€\u2060\u29f5\u240a𝄞ab')), max_size=8)
ANY_TEXT = TEXT | AWKWARD
INTEGER = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats() | st.integers(-(10**9), 10**9).map(lambda i: i / 1000)
NAME = st.text(st.sampled_from("ab_,= ü"), min_size=1, max_size=6)
TIME = st.integers(0, 2**62)


def reference(measurement: str, row: dict[str, Any], tags: list[str]) -> str:
    """Return the line of a row in plain Python; empty where it has no field."""

    def key(text: str) -> str:
        return "".join("\\" + c if c in ",= " else c for c in text)

    name = "".join("\\" + c if c in ", " else c for c in measurement)
    told = "".join(f",{key(t)}={key(as_stored(row[t]))}" for t in sorted(tags) if row[t])
    fields = []
    for field in sorted(set(row) - set(tags) - {"time"}):
        value = row[field]
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        if isinstance(value, str):
            shown = '"' + "".join("\\" + c if c in '"\\' else c for c in value) + '"'
        elif isinstance(value, bool):
            shown = str(value).lower()
        else:
            shown = repr(value).removesuffix(".0") if isinstance(value, float) else f"{value}i"
        fields.append(f"{key(field)}={shown}")
    return f"{name}{told} {','.join(fields)} {row['time']}\n" if fields else ""


def row_batch(rows: list[dict[str, Any]], types: dict[str, pa.DataType]) -> pa.RecordBatch:
    columns = {"time": pa.int64(), **types}
    return pa.record_batch([pa.array([r[n] for r in rows], t) for n, t in columns.items()], names=list(columns))


TYPES = {
    "tag": pa.string(), "other tag": pa.string(), "text": pa.string(), "i": pa.int64(), "f": pa.float64(),
    "b": pa.bool_(), "a,b=c": pa.string(),
}  # fmt: skip
TAGS = ["tag", "other tag"]


def row_strategy(text: st.SearchStrategy[str], tag: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "time": TIME,
            "tag": tag,
            "other tag": tag,
            "text": st.none() | text,
            "i": st.none() | INTEGER,
            "f": st.none() | FLOAT,
            "b": st.none() | st.booleans(),
            "a,b=c": st.none() | text,
        }
    )


@given(st.lists(row_strategy(ANY_TEXT, ANY_TEXT), max_size=12), NAME, st.integers(0, 12))
def test_lines_are_those_of_the_reference(rows: list[dict[str, Any]], measurement: str, skip: int) -> None:
    """A slice of a batch, too: its columns start in the middle of their buffers."""
    expected = "".join(reference(measurement, row, TAGS) for row in rows[skip:])
    assert expected == encode(row_batch(rows, TYPES).slice(skip), measurement, TAGS).lines.decode()


@given(st.lists(row_strategy(TEXT, st.text(st.sampled_from('abü€ ,="')).map(str)), max_size=8))
def test_lines_are_those_of_the_client(rows: list[dict[str, Any]]) -> None:
    lines = []
    for row in rows:
        point = Point("m").time(row["time"])
        for tag in TAGS:
            point.tag(tag, row[tag])
        for name in TYPES.keys() - set(TAGS):
            point.field(name, row[name])
        lines.append(point.to_line_protocol())
    expected = [line for line in lines if line]
    found = encode(row_batch(rows, TYPES), "m", TAGS).lines.decode()
    assert "".join(line + "\n" for line in expected) == found


@given(st.lists(FLOAT | st.integers(0, 2**64 - 1).map(lambda b: struct.unpack("<d", struct.pack("<Q", b))[0])))
def test_doubles_are_the_shortest_decimals(values: list[float]) -> None:
    finite = [v for v in values if math.isfinite(v)]
    encoded = encode(row_batch([{"time": 0, "f": v} for v in values], {"f": pa.float64()}), "m", [])
    assert [f"m f={repr(v).removesuffix('.0')} 0" for v in finite] == encoded.lines.decode().splitlines()
    assert (len(finite), len(values) - len(finite)) == (encoded.rows, encoded.values_not_finite)


@pytest.mark.parametrize(
    "value",
    [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 1e23, 9007199254740993.0, 1e16,
     1e15, 0.0001, 0.00001, 999999999.999, 1e9, 2.0**60, 1 / 3, 100.0, 1000.5, -123.456],
)  # fmt: skip
def test_doubles_at_the_edges_read_back_the_same(value: float) -> None:
    text = encode(row_batch([{"time": 0, "f": value}], {"f": pa.float64()}), "m", []).lines.decode()
    assert f"m f={repr(value).removesuffix('.0')} 0\n" == text


def test_powers_of_two_read_back_the_same() -> None:
    values = [2.0**k for k in range(-1074, 1024)]
    lines = encode(row_batch([{"time": 0, "f": v} for v in values], {"f": pa.float64()}), "m", []).lines.decode()
    assert values == [float(line.split("=")[1].split(" ")[0]) for line in lines.splitlines()]


def test_what_has_no_form_is_left_out_and_counted() -> None:
    rows = [
        {"time": 1, "f": math.nan, "i": None},
        {"time": 2, "f": math.inf, "i": 5},
        {"time": 3, "f": None, "i": None},
        {"time": 4, "f": 1.0, "i": -1},
    ]
    encoded = encode(row_batch(rows, {"f": pa.float64(), "i": pa.int64()}), "m", [])
    assert "m i=5i 2\nm f=1,i=-1i 4\n" == encoded.lines.decode()
    assert (2, 2, 2) == (encoded.rows, encoded.rows_without_fields, encoded.values_not_finite)


def test_the_presence_mask_says_which_fields_have_a_value() -> None:
    rows = [
        {"time": 1, "z": None, "a": None},
        {"time": 2, "z": 1, "a": math.nan},
        {"time": 3, "z": 1, "a": 2.5},
    ]
    encoded = encode(row_batch(rows, {"z": pa.int64(), "a": pa.float64()}), "m", [], presence="_fields")
    assert ["m _fields=0i 1", "m z=1i,_fields=1i 2", "m a=2.5,z=1i,_fields=3i 3"] == encoded.lines.decode().split(
        "\n"
    )[:-1]


def test_more_fields_than_a_mask_has_bits_are_refused() -> None:
    types = {f"f{i}": pa.int64() for i in range(64)}
    with pytest.raises(ValueError, match="at most 63"):
        encode(row_batch([], types), "m", [])


def test_a_column_of_no_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no form"):
        encode(row_batch([], {"f": pa.binary()}), "m", [])


def test_other_arrow_types_are_numbers_and_texts() -> None:
    batch = pa.record_batch(
        {
            "time": pa.array([1, 2], pa.timestamp("ns", tz="UTC")),
            "t": pa.array(["x", "y"]).dictionary_encode(),
            "at": pa.array([5, None], pa.timestamp("ns", tz="UTC")),
            "small": pa.array([1, 2], pa.uint8()),
            "half": pa.array([0.5, None], pa.float32()),
            "word": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    expected = 'm,t=x at=5i,half=0.5,small=1i,word="a" 1\nm,t=y small=2i,word="b" 2\n'
    assert expected == encode(batch, "m", ["t"]).lines.decode()


def test_text_at_the_end_of_its_buffer_is_not_read_beyond() -> None:
    """Buffers of other makers have no padding: the last values are copied exactly."""
    offsets = np.array([0, 3, 5], np.int32)
    column = pa.StringArray.from_buffers(2, pa.py_buffer(offsets), pa.py_buffer(b"abcde"))
    batch = pa.record_batch([pa.array([1, 2]), column], names=["time", "s"])
    assert 'm s="abc" 1\nm s="de" 2\n' == encode(batch, "m", []).lines.decode()


@given(ANY_TEXT)
def test_tag_values_come_back_and_hold_nothing_untold(value: str) -> None:
    stored = as_stored(value)
    assert value == as_told(stored)
    assert not any(c < " " or c == "\x7f" for c in stored)
    assert not stored.endswith("\\")


@given(ANY_TEXT, ANY_TEXT)
def test_two_tag_values_are_never_stored_as_one(one: str, other: str) -> None:
    assert (one == other) == (as_stored(one) == as_stored(other))


COUNTS = st.lists(st.none() | st.lists(st.integers(0, 2**32 - 1) | st.just(0), min_size=5, max_size=5), max_size=6)


@given(COUNTS, st.integers(0, 3))
def test_histograms_come_back(histograms: list[list[int] | None], skip: int) -> None:
    column = pa.array(histograms, pa.list_(pa.uint32(), 5)).slice(skip)
    texts = histogram_texts(column)
    assert histograms[skip:] == histograms_of(texts, 5).to_pylist()


def test_histograms_are_readable() -> None:
    column = pa.array([[0, 3, 0, 12], None, [0, 0, 0, 0]], pa.list_(pa.uint32(), 4))
    assert ["1:3 3:12", None, ""] == histogram_texts(column).to_pylist()


def test_buckets_without_a_place_are_left_out() -> None:
    texts = pa.array(["0:1 9:7", "nonsense", "1:2"])
    assert [[1, 0], [0, 0], [0, 2]] == histograms_of(texts, 2).to_pylist()


@given(st.lists(st.none() | st.lists(st.none() | ANY_TEXT, max_size=3), max_size=5))
def test_lists_come_back(values: list[list[str | None] | None]) -> None:
    assert values == lists_of(list_texts(pa.array(values, pa.list_(pa.string())))).to_pylist()


def test_a_text_that_is_no_list_is_null() -> None:
    assert [None, None] == lists_of(pa.array(["nonsense", None])).to_pylist()
