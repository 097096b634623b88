"""Concurrency is integrated, not sampled: mean, maximum and erlangs of a minute are exact."""

import pytest

from collectors.tracking.concurrency import Concurrency
from collectors.tracking.rollups import MinuteTable, Row
from storage.schema import LOAD_MINUTE

KEY = ("t", "p", "r", "n")
S = 1_000_000_000


def rows_of(table: MinuteTable) -> dict[int, Row]:
    return {int(str(row["time"])) // (60 * S): row for row in table.take()}


def test_mean_is_the_time_integral_and_maximum_catches_a_spike() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    calls.change(KEY, 0, +10, 1000)
    calls.change(KEY, 30 * S, +20, 2000)
    calls.change(KEY, 30 * S + S // 10, -20, -2000)
    calls.advance(61 * S)
    row = rows_of(table)[0]
    assert pytest.approx((10 * 60 + 20 * 0.1) / 60) == row["concurrent_mean"]
    assert 30 == row["concurrent_max"]
    assert row["erlangs"] == row["concurrent_mean"]
    assert pytest.approx((1000 * 60 + 2000 * 0.1) / 60, abs=0.1) == row["packets_per_second"]


def test_calls_that_last_carry_into_the_next_minutes() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    calls.change(KEY, 0, +2)
    calls.advance(150 * S)
    rows = rows_of(table)
    assert [2.0, 2.0, 2.0] == [rows[minute]["concurrent_mean"] for minute in range(3)]
    assert [2, 2, 2] == [rows[minute]["concurrent_max"] for minute in range(3)]


def test_arrivals_and_the_busiest_second() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    for at_ns in (0, 1, 2, 5 * S, 6 * S):
        calls.arrival(KEY, at_ns)
    row = rows_of(table)[0]
    assert (5, 3) == (row["arrivals"], row["cps_max"])


def test_a_late_change_never_runs_time_backwards() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    calls.change(KEY, 40 * S, +1)
    calls.change(KEY, 20 * S, +1)
    calls.advance(60 * S)
    assert pytest.approx(2 * 20 / 60) == rows_of(table)[0]["concurrent_mean"]
    assert 2 == calls.current()[KEY]


def test_a_fact_of_the_far_future_counts_now_and_does_not_stop_the_minutes() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    calls.advance(5 * S)
    calls.arrival(KEY, 10**18)
    calls.change(KEY, 10**18, +3)
    calls.advance(119 * S)
    rows = rows_of(table)
    assert [0, 1] == sorted(rows)
    assert (1, 3, 3.0) == (rows[0]["arrivals"], rows[1]["concurrent_max"], rows[1]["concurrent_mean"])


def test_after_a_long_gap_the_minutes_between_are_unknown() -> None:
    table = MinuteTable(LOAD_MINUTE, keep_minutes=10, max_rows_per_minute=10)
    calls = Concurrency(table)
    calls.change(KEY, 0, +3)
    calls.advance(30 * S)
    later = 1_000_000 * 60 * S
    calls.advance(later)
    calls.advance(later + 30 * S)
    assert [0, 1_000_000] == sorted(rows_of(table))
    assert {KEY: 3} == calls.current()
