"""Stamps without an offset: by the wall clock the day keeps its place over a change; by UTC it moves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.clock import reads_as_utc
from forecast.points import from_rows

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2024, 3, 31, tzinfo=UTC)


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


@pytest.mark.parametrize("count", [0, 1, 200])
def test_without_a_change_to_compare_it_is_utc(count: int) -> None:
    stamps = 1_704_067_200 + 900 * np.arange(count)
    assert reads_as_utc(stamps, np.ones(count), BERLIN)
