"""What people feed a forecaster by mistake: an answer with its width, or a clear refusal; never a crash."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from surgecast.cli import app
from surgecast.errors import CommandError, Exit

Rows = list[tuple[str, object]]
START = datetime(2024, 1, 1, tzinfo=UTC)


def rows(values: np.ndarray, step_min: int = 60) -> Rows:
    return [
        ((START + timedelta(minutes=step_min * i)).isoformat(), "nan" if np.isnan(v) else v)
        for i, v in enumerate(values)
    ]


def pool(days: int = 40, mean: float = 60.0) -> np.ndarray:
    hours = np.arange(days * 24)
    expected = mean * (1 + 0.6 * np.sin((hours % 24 / 24 - 0.3) * 2 * np.pi))
    return np.random.default_rng(1).poisson(expected).astype(np.float64)


def changed(change: Callable[[np.ndarray], None], days: int = 40) -> np.ndarray:
    values = pool(days)
    change(values)
    return values


def put(part: slice, value: float) -> Callable[[np.ndarray], None]:
    def change(values: np.ndarray) -> None:
        values[part] = value

    return change


def backtest(path: Path, given: Rows, *more: str) -> dict:
    path.write_text("ds,y\n" + "\n".join(f"{stamp},{value}" for stamp, value in given))
    arguments = ["forecast", "backtest", "--series", str(path), "--horizons", "1h,24h", "--json", *more]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)
    return json.loads(result.stdout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "no points"),
        ([("2024-01-01T00:00", 5)], "fit a series of 1 days"),
        ([("yesterday", 5), ("today", 6)], "no points"),
        ([("2024-01-01", "x"), ("2024-01-02", "y"), ("2024-01-03", "")], "no slot of the series has a value"),
        (rows(np.full(200, -3.0)), "no slot of the series has a value"),
        ([("1905-01-01", 5), ("2190-01-01", 5)], "stray dates"),
    ],
    ids=["empty", "one point", "no times", "no numbers", "all negative", "stray dates"],
)
def test_what_cannot_be_forecast_is_refused_with_the_reason(path: Path, given: Rows, says: str) -> None:
    with pytest.raises(CommandError, match=says) as raised:
        backtest(path, given)
    assert Exit.USAGE == raised.value.code


@pytest.mark.parametrize(
    "values",
    [
        np.full(40 * 24, 7.0),
        np.zeros(40 * 24),
        changed(put(slice(600, 640), np.nan)),
        changed(put(slice(0, None, 3), np.nan)),
        changed(put(slice(800, None), np.nan)),
        changed(put(slice(700, 704), -5.0)),
        changed(put(slice(700, 701), 1e15)),
        changed(put(slice(0, None, 50), 1e9)),
        pool(2),
        pool(9),
        np.where(np.arange(960) == 30, 1.0, 0.0),
        pool() / 1000,
        pool() * 1e9,
    ],
    ids=[
        "constant", "all zero", "hours of NaN", "every third NaN", "ends in NaN", "negative", "absurd spike",
        "many spikes", "two days", "nine days", "one call", "fractions", "huge",
    ],
)  # fmt: skip
def test_odd_values_are_answered_with_finite_figures(path: Path, values: np.ndarray) -> None:
    figures = backtest(path, rows(values))["horizons"]["24h"]
    losses = [loss for loss in figures["pinball"].values() if loss is not None]
    assert len(losses) == len(figures["coverage"])
    assert all(np.isfinite(losses))


def test_an_absurd_spike_does_not_spoil_the_days_after(path: Path) -> None:
    clean, spiked = pool(), changed(put(slice(500, 501), 1e12))
    wapes = [backtest(path, rows(values), "--test-days", "14")["horizons"]["24h"]["wape"]
             for values in (clean, spiked)]  # fmt: skip
    assert wapes[1] < wapes[0] + 0.02


def test_the_order_of_rows_does_not_matter(path: Path) -> None:
    given = rows(pool())
    shuffled = [given[i] for i in np.random.default_rng(2).permutation(len(given))]
    figures = [backtest(path, each)["horizons"] for each in (given, shuffled)]
    assert figures[0] == figures[1]


def test_doubles_are_counted_and_the_last_holds(path: Path) -> None:
    given = rows(pool())
    doubled = [(stamp, 1e6) for stamp, _ in given[:100]] + given
    got = backtest(path, doubled)
    assert got["notes"] == ["100 points with the stamp of a later row"]
    assert got["horizons"] == backtest(path, given)["horizons"]


def test_stamps_of_several_zones_meet(path: Path) -> None:
    given = rows(pool())
    mixed = [
        (datetime.fromisoformat(stamp).astimezone(tz=None if i % 2 else UTC).isoformat(), value)
        for i, (stamp, value) in enumerate(given)
    ]
    assert backtest(path, mixed)["horizons"] == backtest(path, given)["horizons"]


def test_negative_values_and_nan_are_counted(path: Path) -> None:
    values = changed(put(slice(10, 13), -1.0))
    values[20:25] = np.nan
    assert ["3 negative values", "5 values that are no number"] == backtest(path, rows(values))["notes"]


def test_all_zero_has_no_relative_error_rather_than_none(path: Path) -> None:
    figures = backtest(path, rows(np.zeros(960)))["horizons"]["24h"]
    assert (None, 1.0) == (figures["wape"], figures["coverage"]["q99"])


def test_few_hours_of_history_come_with_wide_quantiles(path: Path) -> None:
    figures = backtest(path, rows(pool(2)))["horizons"]["1h"]
    assert figures["coverage"]["q99"] > 0.9


def test_a_year_of_minutes_is_answered(path: Path) -> None:
    minutes = np.arange(365 * 1440)
    mean = 5 * (1 + 0.6 * np.sin((minutes % 1440 / 1440 - 0.3) * 2 * np.pi))
    values = np.random.default_rng(1).poisson(mean).astype(np.float64)
    figures = backtest(path, rows(values, 1), "--slot", "1m", "--test-days", "1")["horizons"]["1h"]
    assert figures["wape"] / figures["wape_floor"] < 1.1
