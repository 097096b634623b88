"""`surgecast store` as a user drives it."""

import json
import shutil
from pathlib import Path

import pytest
from cli_runner import surgecast
from typer.testing import CliRunner

from surgecast.cli import app

_STORE = Path(__file__).parents[2] / "data" / "store_format_1"
_ROWS = {"stream_interval": 60, "session_minute": 2}


@pytest.fixture
def url(tmp_path: Path) -> str:
    shutil.copytree(_STORE, tmp_path / "store")
    return f"embedded:{tmp_path / 'store'}"


def _json(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["store", *arguments, "--json"], catch_exceptions=False)
    assert 0 == result.exit_code
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_status(url: str) -> None:
    found = _json("status", "--store", url)
    assert 3 == found["format"]
    assert _ROWS == {m["measurement"]: m["rows"] for m in found["measurements"]}  # type: ignore[attr-defined]
    keys = {"bytes", "oldest", "newest", "segments", "quarantined", "next_at", "next_why", "keep_seconds"}
    assert keys <= set(found["measurements"][0])  # type: ignore[index]


def test_an_export_goes_into_another_store(url: str, tmp_path: Path) -> None:
    out, other = str(tmp_path / "out"), f"embedded:{tmp_path / 'other'}"
    assert {"server": "embedded", "made": [other]} == _json("init", "--store", other)
    assert {"files": 2, "rows": _ROWS} == _json("export", out, "--store", url)
    assert {"files": 2, "rows": _ROWS} == _json("import", out, "--store", other)
    found = _json("status", "--store", other)
    assert _ROWS == {m["measurement"]: m["rows"] for m in found["measurements"]}  # type: ignore[attr-defined]
    assert {"files": 1, "rows": {"session_minute": 2}} == _json(
        "export", f"{out}-2", "--store", url, "--measurement", "session_minute"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "{out}", "--measurement", "nope"), "no measurement 'nope'; there are stream_interval"),
        (("export", "{out}-2", "--measurement", "nope"), "no measurement 'nope'; there are stream_interval"),
        (("export", "{out}-2", "--from", "now", "--to", "-1h"), "--from now is not before --to -1h"),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    out = tmp_path / "out"
    assert 0 == surgecast("store", "export", out, "--store", url).code
    ran = surgecast("store", *(argument.format(out=out) for argument in arguments), "--store", url)
    assert (2, "") == (ran.code, ran.out)
    assert says in " ".join(ran.err.split())
