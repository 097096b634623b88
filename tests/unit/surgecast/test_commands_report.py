"""`surgecast report build`: a file with the tenant's figures, and the exit codes of the contract."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runner import surgecast

sys.path.append(str(Path(__file__).parents[2]))

import sample_hour

from storage.open import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report-store")
    opened = open_store(str(folder))
    sample_hour.fill(opened)
    opened.close()
    return folder


def build(store: Path, out: Path, *more: str, tenant: str = "acme", period: str = "2026-09"):
    return surgecast(
        "report", "build", "--tenant", tenant, "--period", period, "--store", store, "--out", out, *more
    )


@pytest.mark.parametrize("kind", ["html", "csv"])
def test_it_writes_a_file_and_says_where(store: Path, tmp_path: Path, kind: str) -> None:
    found = build(store, tmp_path / "new", "--format", kind, "--json").json
    path = Path(found["path"])
    assert (tmp_path / "new", f".{kind}", True) == (path.parent, path.suffix, found["id"] in path.name)
    assert "acme" in path.read_text()


def test_nobody_else_can_read_it(store: Path, tmp_path: Path) -> None:
    path = Path(build(store, tmp_path, "--json").json["path"])
    assert 0o600 == path.stat().st_mode & 0o777


def test_every_format_has_the_same_id(store: Path, tmp_path: Path) -> None:
    assert 1 == len({build(store, tmp_path, "--format", kind, "--json").json["id"] for kind in ("html", "csv")})


def test_it_prints_pdf(store: Path, tmp_path: Path, require_program: Callable[[str], str]) -> None:
    require_program("chromium")
    found = build(store, tmp_path, "--format", "pdf", "--json").json
    content = Path(found["path"]).read_bytes()
    assert (b"%PDF-", True) == (content[:5], b"/Title (acme: 2026-09)" in content)


def test_without_json_the_path_is_all_of_stdout(store: Path, tmp_path: Path) -> None:
    ran = build(store, tmp_path)
    assert (0, True, True) == (ran.code, Path(ran.out.strip()).is_file(), "session attempts" in ran.err)


def test_days_are_of_the_tenants_zone(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "surgecast.yaml"
    config.write_text("forecast: {clocks: [{kind: tenant, name: acme, zone: America/New_York}]}")
    found = build(store, tmp_path, "-c", str(config), "--json").json
    assert ("America/New_York", "2026-09-01T04:00:00.000000000Z") == (found["zone"], found["from"])


def test_a_configured_tenant_may_have_nothing_stored(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "surgecast.yaml"
    config.write_text("collect: {tenants: [{name: newcomer, networks: [198.51.100.0/24]}]}")
    found = build(store, tmp_path, "-c", str(config), "--json", tenant="newcomer").json
    assert "Nothing was ever stored of tenant newcomer" in found["empty"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ({"tenant": "nobody"}, 3, "'nobody' not found"),
        ({"tenant": "unassigned"}, 3, "not found"),
        ({"period": "soon"}, 2, "write for example 2026-11"),
        ({"period": "2199-01"}, 2, "has not begun"),
        ({"more": ("--format", "docx")}, 2, "--format"),
        ({"more": ("--tz", "Mars/Base")}, 2, "--tz"),
    ],
)
def test_errors_say_what_to_do(store: Path, tmp_path: Path, arguments: dict, code: int, says: str) -> None:
    more = arguments.pop("more", ())
    ran = build(store, tmp_path, *more, **arguments)
    assert (code, True, "") == (ran.code, says in ran.err, ran.out), ran.err


def test_a_missing_chromium_is_a_dependency_that_cannot_be_reached(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "surgecast.yaml"
    config.write_text("web: {reports: {pdf_program: no-such-browser}}")
    ran = build(store, tmp_path, "-c", str(config), "--format", "pdf")
    assert (5, True) == (ran.code, "install it" in ran.err)


def test_a_folder_that_cannot_be_written_is_a_failure(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = build(store, tmp_path / "file")
    assert (1, True) == (ran.code, "cannot write" in ran.err)
