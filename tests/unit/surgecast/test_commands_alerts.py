"""`surgecast alerts backtest` as a user runs it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from surgecast.cli import app
from surgecast.errors import CommandError, Exit


def written(path: Path, days: int) -> Path:
    hour = np.arange(days * 96) / 4
    y = np.random.default_rng(1).poisson(200 * (1 + 0.5 * np.sin(2 * np.pi * hour / 24)))
    y[60 * 96 + 40 : 60 * 96 + 44] = 0
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [f"{start + timedelta(minutes=15 * n):%Y-%m-%d %H:%M:%S},{count}" for n, count in enumerate(y)]
    path.write_text("\n".join(["ds,y", *rows]))
    return path


def test_json_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    file = written(tmp_path / "calls.csv", 63)
    result = CliRunner().invoke(app, ["alerts", "backtest", "--series", str(file), "--json"])
    assert result.exit_code == 0, result.output
    alerts = json.loads(result.stdout)["alerts"]
    assert [a["start"] for a in alerts if a["start"].startswith("2024-03-01")] == ["2024-03-01T10:15:00Z"]
    assert {
        "start", "end", "direction", "observed", "expected", "low", "high", "score", "detectable_change"
    } <= alerts[0].keys()  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [("absent.csv", Exit.NOT_FOUND), ("short.csv", Exit.USAGE)])
def test_unusable_series_is_named(tmp_path: Path, name: str, code: Exit) -> None:
    (tmp_path / "short.csv").write_text("ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n")
    result = CliRunner().invoke(app, ["alerts", "backtest", "--series", str(tmp_path / name)])
    assert isinstance(result.exception, CommandError)
    assert (result.exception.code, name in str(result.exception)) == (code, True)
