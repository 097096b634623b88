"""What marks of the worst intervals say of the rows that they were made of."""

import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_support import NOW

from storage.influx.worst import HUNDREDTHS, WORST, worst_marks
from storage.schema import STREAM_INTERVAL
from telephony.bands import R_DIVISOR
from telephony.model import INTERVAL_NS

_START = NOW // INTERVAL_NS * INTERVAL_NS
_RATINGS = st.one_of(
    st.none(), st.floats(-10, 130), st.sampled_from([0.0, 93.2, 57.0, float("nan"), float("inf")])
)
_ROWS = st.tuples(
    st.integers(0, 3 * INTERVAL_NS),
    st.sampled_from(["acme", "globex", ""]),
    st.one_of(st.none(), st.sampled_from(["", "a", 'b"\n,= \\', "ü"]), st.integers(0, 60).map(str)),
    _RATINGS,
    st.sampled_from([None, *(scale.value for scale in R_DIVISOR)]),
)
Row = tuple[int, str, str | None, float | None, str | None]


def _batch(rows: list[Row]) -> pa.RecordBatch:
    values = {
        "time": [_START + row[0] for row in rows],
        "tenant": [row[1] for row in rows],
        "call_id": [row[2] for row in rows],
        "r_factor": [row[3] for row in rows],
        "mos_scale": [row[4] for row in rows],
    }
    missing = {f.name: [""] * len(rows) for f in STREAM_INTERVAL.schema if f.name in STREAM_INTERVAL.tags}
    columns = {**missing, **values}
    arrays = [pa.array(columns.get(f.name, [None] * len(rows)), f.type) for f in STREAM_INTERVAL.schema]
    return pa.RecordBatch.from_arrays(arrays, schema=STREAM_INTERVAL.schema)


def _told(rows: list[Row]) -> list[tuple[tuple[str, int], int, int | None, dict[str, int]]]:
    """Return the marks: tenant and interval, lowest, beyond, calls."""
    marks = worst_marks(_batch(rows))
    if marks is None:
        return []
    assert WORST.schema == marks.schema
    columns = [marks["time"].cast(pa.int64()), *(marks[name] for name in WORST.schema.names[1:])]
    return [
        ((tenant, at // INTERVAL_NS), lowest, beyond, msgspec.json.decode(calls, type=dict[str, int]))
        for at, tenant, lowest, beyond, calls in zip(*(column.to_pylist() for column in columns), strict=True)
    ]


def _rated(rows: list[Row]) -> list[tuple[tuple[str, int], str, float]]:
    divisors: dict[str | None, float] = {scale.value: divisor for scale, divisor in R_DIVISOR.items()}
    return [
        ((tenant, (_START + at) // INTERVAL_NS), call_id, rating / divisors.get(scale, 1.0))
        for at, tenant, call_id, rating, scale in rows
        if call_id and rating is not None and abs(rating) < 1e9
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(_ROWS, max_size=150))
def test_no_row_is_below_what_its_mark_says(rows: list[Row]) -> None:
    marks = {key: (beyond, calls) for key, _, beyond, calls in _told(rows)}
    for key, call_id, rating in _rated(rows):
        beyond, calls = marks[key]
        said = calls.get(call_id, beyond)
        assert said is not None
        assert said / HUNDREDTHS <= rating


@settings(max_examples=60, deadline=None)
@given(st.lists(_ROWS, max_size=150))
def test_marks_are_those_of_their_rows(rows: list[Row]) -> None:
    rated = _rated(rows)
    for key, lowest, beyond, calls in _told(rows):
        own = [(call_id, rating * HUNDREDTHS) for at, call_id, rating in rated if at == key]
        assert 0 <= min(rating for _, rating in own) - lowest <= 1.001
        assert all(
            min(r for name, r in own if name == call_id) - value <= 1.001 for call_id, value in calls.items()
        )
        assert beyond is None or len(calls) <= len(own)


def test_marks_are_few_and_name_the_worst() -> None:
    rows: list[Row] = [(i, "acme", f"c{i}", 50.0 + i % 4_000 / 100, "nb") for i in range(8_000)]
    ((_, lowest, beyond, calls),) = _told(rows)
    assert (4_999, [4_999, 4_999], 137) == (lowest, sorted(calls.values())[:2], len(calls))
    assert {f"c{i}" for n in range(68) for i in (n, n + 4_000)} < set(calls)
    assert beyond == 4_999 + 68


def test_the_same_rows_make_the_same_points_and_others_make_others() -> None:
    rows: list[Row] = [(i, "acme", f"c{i}", 80.0 - i, "nb") for i in range(40)]
    again, other = worst_marks(_batch(rows)), worst_marks(_batch(rows[:39]))
    assert worst_marks(_batch(rows)) == again
    assert again is not None
    assert other is not None
    assert again["time"] != other["time"]


def test_texts_of_marks_are_bounded() -> None:
    rows: list[Row] = [(i, "acme", f"{i % 9}" * 5_000, 70.0 + i, "nb") for i in range(12)]
    ((_, lowest, beyond, calls),) = _told(rows)
    assert (6_999, 7_199, [6_999, 7_099]) == (lowest, beyond, sorted(calls.values()))
    ((_, lowest, beyond, calls),) = _told([(0, "acme", "x" * 20_000, 70.0, "nb")])
    assert (6_999, 6_999, {}) == (lowest, beyond, calls)


def test_rows_without_rating_or_call_have_no_marks() -> None:
    assert worst_marks(_batch([(0, "acme", "a", None, "nb"), (1, "acme", "", 50.0, "nb")])) is None
    assert worst_marks(_batch([])) is None
