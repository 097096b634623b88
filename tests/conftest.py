"""What every test may ask for: the captures laid beside the checkout, and Debian's programs.

A test that lacks one of them skips with a reason that says what to install; the end of the run lists what was
missing and how many tests wanted it, so that a green run never hides that half of it did not happen.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))  # before anything imports numba

settings.register_profile("surgecast", deadline=None)  # a busy machine is no failure
settings.load_profile("surgecast")

DEBIAN_PACKAGE = {
    "baresip": "baresip-core",
    "chromium": "chromium",
    "etcd": "etcd-server",
    "influxd": "influxdb",
    "ip": "iproute2",
    "kamailio": "kamailio kamailio-extra-modules kamailio-utils-modules kamailio-json-modules",
    "pdftotext": "poppler-utils",
    "rtpengine": "rtpengine-daemon",
    "sipp": "sip-tester",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "victoria-metrics": "victoria-metrics",
}
"""Where each program that tests use comes from on Debian and Ubuntu."""

MISSING = "missing: "


def program_path(program: str) -> str | None:
    """Return where a program is; daemons live in sbin, which is not on every user's PATH."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """Return a function that gives a program's path, or skips the test where it is not installed."""

    def require(program: str) -> str:
        path = program_path(program)
        if path is None:
            package = DEBIAN_PACKAGE.get(program, program)
            pytest.skip(f"{MISSING}{program} (apt-get install {package})")
        return path

    return require


@pytest.fixture(scope="session")
def require_root() -> None:
    """Skip where we may not make network namespaces."""
    if os.geteuid() != 0:
        pytest.skip(f"{MISSING}root (network namespaces)")


@pytest.fixture
def small_disk(tmp_path: Path, require_root: None) -> Iterator[Path]:
    """Return a directory on a disk of 2 MB; skip where we may not mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"{MISSING}the right to mount ({mounted.stderr.decode().strip()})")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def _beside(name: str, variable: str) -> Path:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not path.is_dir():
        pytest.skip(f"{MISSING}{name} ({variable} or ../shared/{name})")
    return path


@pytest.fixture(scope="session")
def captures() -> Path:
    """Return the folder of captures with known truth."""
    return _beside("captures", "SURGECAST_CAPTURES")


@pytest.fixture(scope="session")
def series() -> Path:
    """Return the folder of load series."""
    return _beside("series", "SURGECAST_SERIES")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was missing and how many tests skipped for it."""
    wanted: Counter[str] = Counter(_missing(terminalreporter))
    if not wanted:
        return
    terminalreporter.section("tests skipped for want of")
    for what, tests in sorted(wanted.items()):
        terminalreporter.line(f"{tests:5d}  {what}")


def _missing(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _, found, what = reason.partition(MISSING)
        if found:
            yield what
