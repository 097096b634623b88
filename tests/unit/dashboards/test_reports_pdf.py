"""PDF: really printed, within its time, and clear about what is missing."""

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from chrome import page_count

from dashboards.reports.as_pdf import PdfFailed, PdfUnavailable, report_pdf

PAGE = "<!DOCTYPE html><title>acme &amp; sons</title><h1>acme &amp; sons</h1>"


@pytest.fixture(scope="module")
def printed(require_program: Callable[[str], str]) -> bytes:
    return report_pdf(PAGE, program=require_program("chromium"), timeout_seconds=60)


def test_a_pdf_has_pages(printed: bytes) -> None:
    assert (b"%PDF-", 1) == (printed[:5], page_count(printed))


def test_the_pdf_has_the_title(printed: bytes) -> None:
    assert re.search(rb"/Title \(acme & sons\)", printed)


def test_the_pdf_has_the_text(printed: bytes, require_program: Callable[[str], str], tmp_path: Path) -> None:
    pdftotext = require_program("pdftotext")
    path = tmp_path / "report.pdf"
    path.write_bytes(printed)
    shown = subprocess.run([pdftotext, str(path), "-"], capture_output=True, text=True, check=True)
    assert "acme & sons" in shown.stdout


def test_without_the_program_it_says_what_to_install() -> None:
    with pytest.raises(PdfUnavailable, match="apt-get install chromium"):
        report_pdf(PAGE, program="no-such-browser", timeout_seconds=1)


def program(folder: Path, text: str) -> str:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    hangs = program(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(PdfFailed, match="did not print within"):
        report_pdf(PAGE, program=hangs, timeout_seconds=0.5)
    child = int((tmp_path / "child").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_program_that_makes_nothing_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(PdfFailed, match="no fonts here"):
        report_pdf(PAGE, program=program(tmp_path, "echo no fonts here >&2"), timeout_seconds=10)


def test_nothing_of_our_environment_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGECAST__STORAGE__INFLUX__TOKEN", "secret")
    with pytest.raises(PdfFailed) as failure:
        report_pdf(PAGE, program=program(tmp_path, "env >&2"), timeout_seconds=10)
    assert "secret" not in str(failure.value)
    assert os.environ["SURGECAST__STORAGE__INFLUX__TOKEN"] == "secret"
