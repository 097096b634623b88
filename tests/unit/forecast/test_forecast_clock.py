"""Stamps without an offset: by the wall clock the day keeps its place over a change; by UTC it moves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.clock import fixed_offset_s
from forecast.localtime import utc_offset_s, utc_offsets_s
from forecast.points import from_rows

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2024, 3, 31, tzinfo=UTC)
SPRING_S = int(SPRING.timestamp())


def rows(by_utc: bool, days: int = 30) -> list[tuple[str, str]]:
    """Return hourly rows around the change of 2024-03-31, every hour of every day stamped, the skipped one too."""
    found = []
    for hour in range(-24 * days, 24 * days):
        stamp = SPRING + timedelta(hours=hour)
        local = stamp.astimezone(BERLIN) if by_utc else stamp
        amount = 100 + 80 * np.sin((local.hour - 9) / 24 * 2 * np.pi) * (1 - 0.3 * (local.weekday() > 4))
        found.append((stamp.replace(tzinfo=None).isoformat(), f"{amount:.0f}"))
    return found


@pytest.mark.parametrize("by_utc", [True, False])
def test_the_shape_of_the_day_tells_the_clock(by_utc: bool) -> None:
    told = [note for note in from_rows(rows(by_utc), 3600, BERLIN).notes if "skips" in note]
    assert [by_utc] == ["read as UTC" in note for note in told]


def test_a_stamp_in_the_skipped_hour_of_a_wall_clock_is_left_out() -> None:
    series = from_rows(rows(by_utc=False), 3600, BERLIN)
    assert 2 * 30 * 24 - 1 == len(series)


def test_noon_stays_noon_after_the_change() -> None:
    series = from_rows(rows(by_utc=False), 3600, BERLIN)
    noon = series.y[(series.grid.slot == 15) & (series.grid.weekday == 2)]
    assert noon.min() == noon.max()


@pytest.mark.parametrize("name", ["Australia/Melbourne", "America/Los_Angeles"])
@pytest.mark.parametrize("ahead_h", [0, None], ids=["UTC", "winter time"])
def test_a_clock_that_is_never_changed_is_told_by_its_night(name: str, ahead_h: int | None) -> None:
    zone = ZoneInfo(name)
    winter_s = min(utc_offset_s(SPRING_S + quarter * 7_862_400, zone) for quarter in range(4))
    ahead_s = winter_s if ahead_h is None else ahead_h
    times_s = 1_704_067_200 + 3600 * np.arange(366 * 24)
    local_h = (times_s + utc_offsets_s(times_s, zone)) // 3600 % 24
    load = 100 + 60 * np.sin((local_h - 9) / 24 * 2 * np.pi)
    assert ahead_s == fixed_offset_s(times_s + ahead_s, load, zone)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_without_a_change_to_compare_it_is_utc(count: int) -> None:
    stamps = 1_704_067_200 + 900 * np.arange(count)
    assert fixed_offset_s(stamps, np.ones(count), BERLIN) == 0
