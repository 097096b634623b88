"""The verbs: listed without being imported, each doing what its line of help says."""

import subprocess
import sys

import pytest
import typer
from cli_runner import surgecast

from surgecast.cli import VERBS

HEAVY = {"numpy", "numba", "pyarrow", "duckdb", "dash", "pydantic_settings", "prometheus_client"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_line_of_help_is_the_beginning_of_the_verbs_own(verb: typer.core.TyperCommand) -> None:
    ran = surgecast(verb.name, "--help")
    assert 0 == ran.code
    own = " ".join(ran.out.partition("\n\n")[2].split())
    assert own.startswith(str(verb.help).rstrip("."))


def test_the_help_lists_every_verb() -> None:
    ran = surgecast("--help")
    assert 0 == ran.code
    assert [verb.name for verb in VERBS] == [
        line.split()[0] for line in ran.out.partition("Commands:")[2].splitlines() if line.strip()
    ]


def test_without_a_verb_it_shows_the_help_and_fails() -> None:
    ran = surgecast()
    assert 2 == ran.code
    assert "Commands:" in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("rpelay",), "Did you mean 'replay'?"),
        (("mos",), "Missing option '--codec'"),
        (("mos", "--codec", "PCMA", "--loss", "101"), "less than or equal to 100"),
        (("mos", "--codec", "PCMA", "--loss", "nan"), "--loss"),
        (("mos", "--codec", "PCMA", "--scale", "hd"), "--scale"),
        (("config", "nix"), "No such command 'nix'"),
        (("up", "--roles", "nix"), "unknown role; there is collect, forecast, scale, alert, web"),
        (("up", "--roles", ","), "unknown role"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_why(arguments: tuple[str, ...], reason: str) -> None:
    ran = surgecast(*arguments)
    assert 2 == ran.code
    assert reason in " ".join(ran.err.split())
    assert "" == ran.out


def loaded_by(*arguments: str) -> set[str]:
    """Return which heavy packages a fresh process has imported after a command."""
    code = (
        "import sys\nfrom surgecast.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


@pytest.mark.parametrize(
    "arguments", [("--help",), ("mos", "--codec", "G729", "--loss", "2", "--json")], ids=["help", "mos"]
)
def test_help_and_mos_bring_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert set() == loaded_by(*arguments)


def test_the_configuration_is_checked_without_kernels_and_pages() -> None:
    assert set() == {"numba", "duckdb", "dash"} & loaded_by("config", "check")
