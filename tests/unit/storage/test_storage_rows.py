"""Facts become rows of the schema."""

import dataclasses

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_support import NOW, interval

from storage.rows import batch, call_batch, shard_of, stream_interval_batch
from storage.schema import CALL, MEASUREMENTS, SHARDS, STREAM_INTERVAL
from storage.seam import BadQuery
from telephony.model import (
    INTERVAL_NS,
    CallRecord,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    ReleasedBy,
    StreamInterval,
)


def _times(rows: pa.RecordBatch) -> list[int]:
    times: list[int] = rows["time"].cast(pa.int64()).to_pylist()
    return times


def test_intervals_have_the_schema() -> None:
    assert STREAM_INTERVAL.schema == stream_interval_batch([interval()]).schema
    assert STREAM_INTERVAL.schema == stream_interval_batch([]).schema


def test_an_interval_written_again_is_the_same_point() -> None:
    first = stream_interval_batch([interval(lost=1)])
    again = stream_interval_batch([interval(lost=2)])
    assert [first[name] for name in ("time", *STREAM_INTERVAL.tags)] == [
        again[name] for name in ("time", *STREAM_INTERVAL.tags)
    ]


def test_a_stream_keeps_its_offset_in_every_interval() -> None:
    facts = [interval(time_ns=NOW + i * INTERVAL_NS) for i in range(3)]
    first, *others = _times(stream_interval_batch(facts))
    assert [first + INTERVAL_NS, first + 2 * INTERVAL_NS] == others


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "b-call"},
        {"ssrc": 2},
        {"src": Endpoint("192.0.2.1", 4001)},
        {"dst": Endpoint("192.0.2.3", 5000)},
        {"observer": Observer.RTCP_XR},
    ],
)
def test_another_stream_has_another_offset(change: dict[str, object]) -> None:
    one = interval()
    other: StreamInterval = dataclasses.replace(one, **change)  # type: ignore[arg-type]
    first, second = _times(stream_interval_batch([one, other]))
    assert first != second


@given(st.text(max_size=20), st.integers(0, 2**32 - 1))
def test_the_offset_stays_within_the_interval(call_id: str, ssrc: int) -> None:
    start = NOW // INTERVAL_NS * INTERVAL_NS
    fact = interval(ssrc, time_ns=start, call_id=call_id)
    (time_ns,) = _times(stream_interval_batch([fact]))
    assert start <= time_ns < start + INTERVAL_NS


@given(st.text())
def test_shards_are_bounded_and_of_the_call_id(call_id: str) -> None:
    assert 0 <= int(shard_of(call_id)) < SHARDS
    rows = stream_interval_batch([interval(1, call_id=call_id), interval(2, call_id=call_id)])
    if call_id:
        assert [shard_of(call_id)] * 2 == rows["shard"].to_pylist()


def test_streams_of_no_call_are_spread_over_shards() -> None:
    rows = stream_interval_batch([interval(i, call_id="") for i in range(500)])
    assert len(set(rows["shard"].to_pylist())) > SHARDS // 2


def _call(call_id: str = "a-call") -> CallRecord:
    return CallRecord(
        labels=Labels("acme"),
        call_id=call_id,
        outcome=Outcome.BUSY,
        started_ns=NOW,
        ended_ns=NOW + 5,
        codec="PCMA",
        sip_code=486,
        q850=17,
        released_by=ReleasedBy.CALLEE,
        attempts=1,
        pdd_ms=12.5,
        setup_ms=None,
        duration_s=None,
        from_masked="x",
        to_masked="y",
        destination="+1",
        legs=1,
        hops=("a > b",),
        codecs=("PCMA",),
        one_way=None,
    )


def test_calls_have_the_schema() -> None:
    rows = call_batch([_call()])
    assert CALL.schema == rows.schema
    assert ("busy", ["a > b"], 486) == tuple(rows[name][0].as_py() for name in ("outcome", "hops", "sip_code"))


def test_calls_that_end_at_one_instant_stay_apart() -> None:
    rows = call_batch([_call(f"call-{i}") for i in range(1000)])
    points = set(zip(_times(rows), rows["shard"].to_pylist(), strict=True))
    assert 1000 == len(points)


@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("weather", {}, "no measurement 'weather'"),
        ("trunk_minute", {"rain": 1}, "trunk_minute has no column rain"),
        ("trunk_minute", {"time": 1, "tenant": "a", "trunk": "b", "region": "c"}, "node is missing"),
        ("trunk_minute", {"tenant": "a", "trunk": "b", "region": "c", "node": "d"}, "time is missing"),
    ],
)
def test_rows_that_do_not_fit_the_schema_are_refused(name: str, row: dict[str, object], says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        batch(name, [row])


@pytest.mark.parametrize(
    "field",
    [
        {"options_sent": "many"},
        {"options_sent": 2**70},
        {"options_rtt_ms_max": "long"},
        {"time": "noon"},
        {"node": 7},
    ],
)
def test_values_that_do_not_fit_their_column_are_refused(field: dict[str, object]) -> None:
    row = {"time": 1, "tenant": "a", "trunk": "b", "region": "c", "node": "d"} | field
    with pytest.raises(BadQuery, match=f"trunk_minute: {next(iter(field))} takes"):
        batch("trunk_minute", [row])


def test_a_histogram_of_another_length_is_refused() -> None:
    row = dict.fromkeys(MEASUREMENTS["quality_minute"].tags, "x") | {"time": 1, "r_histogram": [1, 2]}
    with pytest.raises(BadQuery, match="r_histogram"):
        batch("quality_minute", [row])


def test_no_rows_make_an_empty_batch() -> None:
    assert (0, CALL.schema) == (batch("call", []).num_rows, batch("call", []).schema)


def test_bytes_that_were_no_text_are_stored_without_costing_the_others() -> None:
    rows = call_batch([_call("good"), _call("b\udcffd")])
    assert ["good", "b?d"] == rows["call_id"].to_pylist()


def test_what_was_seen_of_packets_is_stored_and_null_for_reports() -> None:
    seen = dataclasses.replace(interval(), payload_types=(8, 101), markers=3, dscp=46, spacing_max_ms=41.5)
    names = ("payload_types", "markers", "dscp", "spacing_max_ms", "burst_density")
    rows = stream_interval_batch([seen, interval(2)])
    assert [["8 101", None], [3, None], [46, None], [41.5, None], [None, None]] == [
        rows[name].to_pylist() for name in names
    ]
