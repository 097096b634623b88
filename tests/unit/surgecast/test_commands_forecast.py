import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from surgecast.cli import app
from surgecast.errors import CommandError, Exit


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    lines = ["ds,y"]
    for hour in range(45 * 24):
        mean = 60 + 40 * np.sin(hour % 24 / 24 * 2 * np.pi)
        lines.append(f"{np.datetime64('2024-01-01T00') + hour}:00:00Z,{random.poisson(mean)}")
    path = tmp_path / "calls.csv"
    path.write_text("\n".join(lines))
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(
        app, ["forecast", "backtest", *arguments], catch_exceptions=False, standalone_mode=False
    )
    return result.stdout


def test_json_has_the_keys_of_the_contract(calls: Path) -> None:
    got = json.loads(run("--series", str(calls), "--test-days", "5", "--horizons", "1h,24h", "--json"))
    keys = ["n", "wape", "wape_floor", "mase", "pinball", "coverage", "bias", "skill_vs_seasonal_naive", "model"]
    assert (["1h", "24h"], keys, ["q50", "q80", "q90", "q95", "q99"]) == (
        list(got["horizons"]), list(got["horizons"]["1h"]), list(got["horizons"]["1h"]["coverage"])
    )  # fmt: skip


def test_json_says_how_long_a_fit_takes(calls: Path) -> None:
    assert (
        json.loads(run("--series", str(calls), "--test-days", "3", "--horizons", "1h", "--json"))["fit_seconds"]
        > 0
    )


def test_a_table_is_printed_without_json(calls: Path) -> None:
    assert "WAPE/floor" in run("--series", str(calls), "--test-days", "3", "--horizons", "1h")


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["--series", "nowhere.csv"], "No such file", Exit.NOT_FOUND),
        (["--slot", "10x"], "10x", Exit.USAGE),
        (["--slot", "15m"], "coarser", Exit.USAGE),
        (["--horizons", "soon"], "--horizons", Exit.USAGE),
        (["--horizons", ""], "horizons must be positive", Exit.USAGE),
        (["--tz", "Mars/Base"], "Europe/Berlin", Exit.USAGE),
        (["--country", "XX"], "no holidays known", Exit.USAGE),
        (["--test-days", "900"], "do not fit", Exit.USAGE),
    ],
)
def test_mistakes_are_named(calls: Path, arguments: list[str], says: str, code: Exit) -> None:
    series = [] if "--series" in arguments else ["--series", str(calls)]
    with pytest.raises(CommandError, match=says) as caught:
        run(*series, *arguments)
    assert code == caught.value.code
