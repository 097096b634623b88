"""`surgecast web password`: a hash that the pages take."""

import io

import pytest
from cli_runner import surgecast

from dashboards.access.passwords import matches


@pytest.mark.parametrize("line", ["correct horse\n", "correct horse", "correct horse\r\n"])
def test_a_line_of_stdin_becomes_a_hash(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    ran = surgecast("web", "password")
    assert (0, True) == (ran.code, matches("correct horse", ran.out.strip()))


def test_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert matches("correct horse", surgecast("web", "password", "--json").json["password_hash"])


@pytest.mark.parametrize("line", ["", "short\n", "x" * 1025])
def test_a_password_of_the_wrong_length_is_refused(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    ran = surgecast("web", "password")
    assert (2, "", True) == (ran.code, ran.out, "it needs 8 to 1024" in ran.err)
