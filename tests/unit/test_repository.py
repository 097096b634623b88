"""What the repository promises about itself: locked dependencies, small modules, nothing of anybody's machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
LONGEST_MODULE = 600
REGISTRY = re.compile(r"(https?://|index-url[ =]+)\S*(pypi|pythonhosted|npmjs|crates\.io|golang|maven)")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Return every file under version control that is text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8192]]


def _lines_matching(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def _name(requirement: str) -> str:
    return re.split(r"[ \[<>=!~;]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def _pins(lock: str) -> dict[str, str]:
    """Return the version of every package that a lock file pins."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {_name(name): version for name, version in pins}


def test_no_file_names_a_package_registry(tracked: list[Path]) -> None:
    assert _lines_matching(REGISTRY, tracked) == []


def test_no_file_names_a_path_of_one_machine(tracked: list[Path]) -> None:
    assert _lines_matching(MACHINE_PATH, tracked) == []


def test_modules_stay_readable(tracked: list[Path]) -> None:
    lengths = {file: len(file.read_bytes().splitlines()) for file in tracked if file.suffix == ".py"}
    assert {str(file.relative_to(ROOT)): n for file, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    groups = project["dependency-groups"]
    assert {_name(r) for r in runtime} - _pins("requirements.lock").keys() == set()
    assert {_name(r) for group in groups.values() for r in group} - _pins("requirements-dev.lock").keys() == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", (ROOT / lock).read_text().strip())
    assert [entry.split()[0] for entry in entries if entry[0] != "#" and "--hash=sha256:" not in entry] == []


def test_both_locks_agree() -> None:
    runtime, dev = (_pins(lock) for lock in LOCKS)
    shared = runtime.keys() & dev.keys()
    assert {name: runtime[name] for name in shared} == {name: dev[name] for name in shared}


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    decisions = sorted(file.name for file in (ROOT / "docs/adr").glob("[0-9]*.md"))
    assert decisions
    assert [name for name in decisions if f"({name})" not in index] == []


def test_changelog_has_room_for_the_next_release() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_readme_tree_names_what_is_there() -> None:
    tree = re.search(r"```text tree\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tree is not None
    named = re.findall(r"^([\w./-]+)", tree.group(1), re.MULTILINE)
    assert [name for name in named if not (ROOT / name).exists()] == []
