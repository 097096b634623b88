"""`surgecast scale backtest` as a user calls it."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runner import surgecast

CONTRACT = {
    "under_time_ratio",
    "under_calls_ratio",
    "violation_minutes",
    "cost_vs_oracle",
    "theta_u",
    "theta_o",
    "tau_u",
    "tau_o",
    "scalings",
    "instability",
}


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    lines = ["ds,y"]
    for hour in range(30 * 24):
        mean = 6000 + 4000 * np.sin(hour % 24 / 24 * 2 * np.pi)
        lines.append(f"{np.datetime64('2024-01-01T00') + hour}:00:00Z,{random.poisson(mean)}")
    path = tmp_path / "calls.csv"
    path.write_text("\n".join(lines))
    return path


def test_json_has_the_policies_and_keys_of_the_contract(calls: Path) -> None:
    policies = surgecast("scale", "backtest", "--series", calls, "--lead", "20m", "--json").json["policies"]
    assert {"static", "reactive", "surgecast", "oracle"} <= set(policies)
    assert [CONTRACT | {"slots"}] * len(policies) == [set(figures) for figures in policies.values()]


def test_a_plot_is_one_file_with_the_script_the_pods_and_the_figures(calls: Path, tmp_path: Path) -> None:
    ran = surgecast("scale", "backtest", "--series", calls, "--policy", "static", "--plot", tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert (0, True, []) == (ran.code, "drawn: " in ran.err, re.findall(r'(?:src|href)="[^"]+"', page[:2000]))
    assert ["Plotly.newPlot", '"too few"', "calls.csv: 15 days"] == [
        text for text in ("Plotly.newPlot", '"too few"', "calls.csv: 15 days") if text in page
    ]


def test_a_plot_that_cannot_be_written_is_told(calls: Path, tmp_path: Path) -> None:
    ran = surgecast(
        "scale", "backtest", "--series", calls, "--policy", "oracle", "--plot", tmp_path / "a" / "p.html"
    )
    assert (1, True) == (ran.code, "--plot" in ran.err)


def test_one_policy_can_be_asked_for(calls: Path) -> None:
    ran = surgecast("scale", "backtest", "--series", calls, "--policy", "oracle", "--pod-calls", 50, "--json")
    assert ["oracle"] == list(ran.json["policies"])


def test_the_table_names_every_policy(calls: Path) -> None:
    out = surgecast("scale", "backtest", "--series", calls).out
    assert [] == [
        name for name in ("static", "reactive", "naive_hybrid", "surgecast", "oracle") if name not in out
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--policy", "magic"], 2, "there are static, reactive"),
        (["--pod-calls", "0"], 2, "--pod-calls"),
        (["--pod-calls", "nan"], 2, "--pod-calls"),
        (["--pod-calls", "0.0001"], 2, "pods of 0.0001 calls; at most 100,000"),
        (["--lead", "soon"], 2, "--lead"),
        (["--lead", "0s"], 2, "--lead"),
        (["--lead", "90d"], 2, "--lead 90d is over 4h"),
        (["--hold", "-4m"], 2, "--hold"),
        (["--quantile", "0.42"], 2, "forecast_quantile must be one of"),
        (["--utilisation", "0"], 2, "--utilisation: Input should be greater than 0"),
        (["--history", "-3"], 2, "-3 days of history leave nothing"),
        (["--history", "99"], 2, "99 days of history leave nothing"),
        (["--country", "ZZ"], 2, "ZZ"),
    ],
)
def test_wrong_options_are_told(calls: Path, arguments: list[str], code: int, says: str) -> None:
    ran = surgecast("scale", "backtest", "--series", calls, *arguments)
    assert (code, True) == (ran.code, says in ran.err)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert 3 == surgecast("scale", "backtest", "--series", tmp_path / "none.csv").code
