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


@pytest.fixture
def mailings(tmp_path: Path) -> Path:
    path = tmp_path / "mailings.csv"
    random = np.random.default_rng(2)
    days = [f"{np.datetime64('2024-01-01') + day},{random.integers(0, 3)},7" for day in range(60)]
    path.write_text("\n".join(["ds,mailings,price", *days]))
    return path


def test_json_says_what_regressors_do_and_which_are_left_out(calls: Path, mailings: Path) -> None:
    arguments = ("--series", str(calls), "--regressors", str(mailings), "--test-days", "5", "--horizons", "1h")
    found = json.loads(run(*arguments, "--json"))["regressors"]
    keys = ["name", "per_unit", "usual", "learned_days", "left_out"]
    got = [(list(each), each["name"], each["left_out"]) for each in found]
    assert [(keys, "mailings", None), (keys, "price", "it did not vary where the load was measured")] == got


def test_the_table_names_each_regressor(calls: Path, mailings: Path) -> None:
    shown = run("--series", str(calls), "--regressors", str(mailings), "--test-days", "5", "--horizons", "1h")
    assert "mailings" in shown


def test_regressors_that_cannot_be_read_are_a_usage_error(calls: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("when,how much\n1,2\n")
    with pytest.raises(CommandError, match=r"bad\.csv: needs the columns ds") as raised:
        run("--series", str(calls), "--regressors", str(bad))
    assert raised.value.code is Exit.USAGE


def test_a_file_of_regressors_that_is_missing_is_not_found(calls: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as raised:
        run("--series", str(calls), "--regressors", str(tmp_path / "none.csv"))
    assert raised.value.code is Exit.NOT_FOUND
