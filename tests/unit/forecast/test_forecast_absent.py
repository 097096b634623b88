"""Files that leave out zeros are read as if they named them; gaps of others stay gaps."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.points import from_rows

FIRST = datetime(2024, 3, 4, tzinfo=UTC)
CHICAGO = ZoneInfo("America/Chicago")
DAYS = 28


def hourly(mean: float) -> np.ndarray:
    hours = np.arange(24 * DAYS)
    return np.random.default_rng(3).poisson(mean * (1 + 0.6 * np.sin(hours / 24 * 2 * np.pi))).astype(np.float64)


def counted(y: np.ndarray, zeros: bool) -> list[tuple[str, str]]:
    return [((FIRST + timedelta(hours=h)).isoformat(), f"{v:g}") for h, v in enumerate(y.tolist()) if v or zeros]


def events(y: np.ndarray) -> list[tuple[str, str]]:
    random = np.random.default_rng(4)
    seconds = [s for hour, n in enumerate(y.tolist()) for s in 3600 * hour + random.choice(3600, int(n), False)]
    return [((FIRST + timedelta(seconds=int(s))).isoformat(), "1") for s in seconds]


@pytest.mark.parametrize("mean", [0.4, 2.0])
@pytest.mark.parametrize("zone", [ZoneInfo("UTC"), CHICAGO], ids=str)
def test_what_is_left_out_where_counts_are_low_is_zero(mean: float, zone: ZoneInfo) -> None:
    y = hourly(mean)
    y[0] = y[-1] = 1
    got = [from_rows(given, 3600, zone).y.tolist() for given in (counted(y, False), events(y))]
    assert [y.tolist(), y.tolist()] == got


def test_it_is_noted() -> None:
    notes = from_rows(counted(hourly(2.0), False), 3600).notes
    assert ["in a file of low counts that names no zero: taken as zero" in note for note in notes] == [True]


@pytest.mark.parametrize(
    ("y", "zeros"),
    [
        (np.maximum(hourly(40.0), 1), False),
        (hourly(2.0), True),
        (hourly(2.0) / 2, False),
        (np.ones(24 * DAYS), True),
    ],
    ids=["high counts", "zeros named", "no counts", "always one"],
)
def test_rows_that_lack_elsewhere_stay_missing(y: np.ndarray, zeros: bool) -> None:
    gap = slice(200, 204)
    given = counted(y, zeros)
    kept = [row for row in given if row not in given[gap]]
    assert np.isnan(from_rows(kept, 3600).y).sum() >= 4


def test_a_gap_as_long_as_an_outage_stays_missing() -> None:
    y = hourly(2.0)
    y[240:288] = 0
    series = from_rows(counted(y, False), 3600)
    assert 48 <= np.isnan(series.y).sum() < 60
