"""A report as PDF: its HTML printed by Chromium, in a process that is bounded in time and reaches nothing.

Chromium prints what the page looks like, so that both are one design. It gets a file and a profile in a directory
of its own that is deleted afterwards; the document's policy allows no script, and no name is resolved.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

_ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_SAID_CHARACTERS = 300


class PdfUnavailable(Exception):
    """No PDF can be made here; the message says what is missing."""


class PdfFailed(Exception):
    """The program that prints did not make a PDF; the message says what it said."""


def report_pdf(html: str, *, program: str, timeout_seconds: float) -> bytes:
    """Return an HTML document as PDF.

    Args:
        html: The document.
        program: Name or path of Chromium.
        timeout_seconds: After this it is ended.

    Raises:
        PdfUnavailable: There is no such program.
        PdfFailed: It took too long or made nothing.
    """
    path = shutil.which(program)
    if path is None:
        raise PdfUnavailable(
            f"PDF needs Chromium and there is no {program!r} on this machine: install it (apt-get install "
            "chromium), set web.reports.pdf_program, or ask for html, which prints the same"
        )
    with tempfile.TemporaryDirectory(prefix="surgecast-pdf-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        page, printed = folder / "report.html", folder / "report.pdf"
        page.write_text(html, encoding="utf-8")
        arguments = [
            path,
            *_ARGUMENTS,
            *_unconfined(),
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={printed}",
            page.as_uri(),
        ]
        said = _run(arguments, folder, timeout_seconds)
        content = printed.read_bytes() if printed.is_file() else b""
    if not content.startswith(b"%PDF-"):
        raise PdfFailed(f"{program} made no PDF: {said or 'it said nothing'}")
    return content


def _unconfined() -> tuple[str, ...]:
    # Chromium refuses its sandbox to root, as which containers often run. It opens our own page without script.
    return ("--no-sandbox",) if os.geteuid() == 0 else ()


def _run(arguments: list[str], folder: Path, timeout_seconds: float) -> str:
    """Run to the end and return the last of what was said; ends the whole group of processes after the time."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
    }
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise PdfFailed(f"{arguments[0]} did not print within {timeout_seconds:g} s") from None
    return said.decode(errors="replace").strip()[-_SAID_CHARACTERS:]
