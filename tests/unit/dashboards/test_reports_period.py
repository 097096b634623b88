"""Periods: whole days of a zone's calendar, whatever the clocks do."""

from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.reports.period import BadPeriod, Period, parse_period
from storage.seam import Window

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
NOW_NS = 1_795_248_000 * 10**9
"""21 November 2026, 08:00 UTC, a Saturday."""
HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "first", "last", "hours"),
    [
        ("2026-11", "2026-11-01", "2026-11-30", 720),
        ("2026-10", "2026-10-01", "2026-10-31", 745),  # summer time ends on the 25th
        ("2026-03", "2026-03-01", "2026-03-31", 743),  # and begins on the 29th
        ("2024-02", "2024-02-01", "2024-02-29", 696),
        ("2026-W47", "2026-11-16", "2026-11-22", 168),
        ("2026-W43", "2026-10-19", "2026-10-25", 169),
        ("2020-W53", "2020-12-28", "2021-01-03", 168),
        ("2026-11-01..2026-11-20", "2026-11-01", "2026-11-20", 480),
        ("2026-11-20..2026-11-20", "2026-11-20", "2026-11-20", 24),
        ("last-month", "2026-10-01", "2026-10-31", 745),
        ("last-7d", "2026-11-14", "2026-11-20", 168),
        ("last-1d", "2026-11-20", "2026-11-20", 24),
        ("today", "2026-11-21", "2026-11-21", 24),
        ("this-week", "2026-11-16", "2026-11-22", 168),
        ("this-month", "2026-11-01", "2026-11-30", 720),
    ],
)
def test_a_period_is_whole_local_days(text: str, first: str, last: str, hours: int) -> None:
    found = parse_period(text, BERLIN, NOW_NS)
    window = found.window
    assert (first, last, hours) == (
        str(found.first),
        str(found.until.fromordinal(found.until.toordinal() - 1)),
        (window.until_ns - window.since_ns) // HOUR_NS,
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "2026", "2026-13", "2026-00", "2026-W54", "2027-W53", "2026-11-31..2026-12-01", "last-0d", "last-401d",
        "2026-11-20..2026-11-01", "2024-01-01..2026-01-01", "yesterday", "0001-01", "9999-12", "2026-12",
        "2026-11-01..", "=1+1",
    ],
)  # fmt: skip
def test_what_is_no_period_says_how_one_is_written(text: str) -> None:
    with pytest.raises(BadPeriod, match=r"period"):
        parse_period(text, BERLIN, NOW_NS)


@given(st.text(max_size=30))
def test_any_text_is_a_period_or_refused(text: str) -> None:
    try:
        found = parse_period(text, BERLIN, NOW_NS)
    except BadPeriod:
        return
    assert found == parse_period(found.text, BERLIN, NOW_NS)


@pytest.mark.parametrize("text", ["2026-11", "2026-W47", "2026-11-02..2026-11-20"])
def test_the_canonical_text_reads_back(text: str) -> None:
    assert text == parse_period(text, BERLIN, NOW_NS).text


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("2026-10", "2026-09"),
        ("2026-W43", "2026-W42"),
        ("2026-11-11..2026-11-20", "2026-11-01..2026-11-10"),
        ("today", "2026-11-14..2026-11-14"),
    ],
)
def test_the_period_before(text: str, before: str) -> None:
    assert before == parse_period(text, BERLIN, NOW_NS).previous().text


def test_a_running_month_is_compared_with_the_same_part_of_the_one_before() -> None:
    compared = parse_period("2026-11", BERLIN, NOW_NS).compared_with(NOW_NS)
    # 09:00 local on both: on 21 October summer time still held.
    since = parse_period("2026-10", BERLIN, NOW_NS).window.since_ns
    assert Window(since, since + (20 * 24 + 9) * HOUR_NS) == compared


def test_today_is_compared_with_the_same_whole_minutes_of_the_week_before() -> None:
    now_ns = NOW_NS + 59 * 10**9
    today = parse_period("today", BERLIN, now_ns)
    since = today.window.since_ns
    week_ns = 7 * 24 * HOUR_NS
    assert (Window(since, NOW_NS), Window(since - week_ns, NOW_NS - week_ns)) == (
        today.elapsed(now_ns),
        today.compared_with(now_ns),
    )


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23), ("2026-11-20", 24)])
def test_one_day_is_told_by_the_hour(day: str, hours: int) -> None:
    parts = parse_period(f"{day}..{day}", BERLIN, NOW_NS).parts_ns()
    assert [HOUR_NS] * hours == [b - a for a, b in pairwise(parts)]


def test_days_begin_at_local_midnights() -> None:
    midnights = parse_period("2026-W43", BERLIN, NOW_NS).midnights_ns()
    assert [24] * 6 + [25] == [(b - a) // HOUR_NS for a, b in pairwise(midnights)]


def test_a_day_without_midnight_begins_with_the_change() -> None:
    """In Beirut the clocks went from 00:00 to 01:00 on 27 March 2022."""
    found = parse_period("2022-03-26..2022-03-27", ZoneInfo("Asia/Beirut"), NOW_NS)
    assert [24, 23] == [(b - a) // HOUR_NS for a, b in pairwise(found.midnights_ns())]


def test_a_period_ends_now_while_it_runs() -> None:
    assert NOW_NS == parse_period("2026-11", UTC, NOW_NS).elapsed(NOW_NS).until_ns


def test_a_period_knows_its_length() -> None:
    found = parse_period("2026-11", UTC, NOW_NS)
    assert (30, True) == (found.days, isinstance(found, Period))
