"""`surgecast alerts backtest` as a user runs it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from typer.testing import CliRunner

from storage.open import open_store
from storage.rows import batch
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
    answer = json.loads(result.stdout)
    alerts = answer["alerts"]
    assert (answer["status"], answer["history_days"]) == ("normal", 56.0)
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


def tried(store: Path, *arguments: str) -> dict[str, object]:
    config = store.parent / "surgecast.yaml"
    config.write_text(
        f"storage: {{url: 'embedded:{store}'}}\n"
        "alerts:\n"
        "  rules:\n"
        "    - {name: few_answers, signal: answer_ratio, scope: trunk, below: 0.4, for: 10m, minimum_n: 50}\n"
    )
    result = CliRunner().invoke(app, ["alerts", "test", *arguments, "-c", str(config), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return six hours in which a trunk answers little from 03:00 to 03:30."""
    path = tmp_path_factory.mktemp("rules") / "store"
    opened = open_store(f"embedded:{path}")
    start_s = 1_790_000_000 // 86_400 * 86_400
    place = {"tenant": "acme", "region": "eu", "node": "edge-1"}
    times = range(start_s, start_s + 6 * 3600, 60)
    writer = opened.writer("collect")
    loads = [{"time": t * 10**9, **place, "pool": "media"} for t in times]
    writer.write("load_minute", batch("load_minute", loads))
    sessions = [
        {
            "time": t * 10**9, **place, "trunk": "carrier-a", "attempts": 20,
            "answered": 2 if 180 <= (t - start_s) // 60 < 210 else 12,
        }
        for t in times
    ]  # fmt: skip
    writer.write("session_minute", batch("session_minute", sessions))
    writer.close()
    opened.close()
    return path


WINDOW = ("--from", "2026-09-21T00:00:00Z", "--to", "2026-09-21T06:00:00Z")


def test_rule_is_tried_on_the_past(store: Path) -> None:
    answer = tried(store, "few_answers", *WINDOW)
    (alert,) = cast("list[dict[str, object]]", answer["alerts"])
    assert (alert["scope"], alert["start"], alert["end"]) == (
        "carrier-a", "2026-09-21T03:05:00.000000000Z", "2026-09-21T03:30:00.000000000Z"
    )  # fmt: skip
    assert (alert["observed"], alert["expected"], alert["n"]) == (0.1, 0.4, 200.0)


def test_learned_rule_with_too_little_history_says_so(store: Path) -> None:
    answer = tried(store, "answer_ratio", *WINDOW)
    assert (answer["alerts"], answer["scopes"], answer["learning"]) == ([], 4, 4)


def test_rule_that_nobody_knows_is_not_found(store: Path) -> None:
    with pytest.raises(CommandError, match=r"no rule 'typo'; there is .*few_answers") as error:
        tried(store, "typo", *WINDOW)
    assert error.value.code == Exit.NOT_FOUND
