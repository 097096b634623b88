"""The lab as a fixture: a fresh one for each test, skipped with the reason where it cannot be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.namespace import NamespaceRefused
from lab.stack import LabStack


@pytest.fixture
def lab(tmp_path: Path, require_root: None, require_program: Callable[[str], str]) -> Iterator[LabStack]:
    """Return a running lab of kamailio, rtpengine and sipp."""
    for program in ("ip", "kamailio", "rtpengine", "sipp"):
        require_program(program)
    stack = LabStack(tmp_path / "lab", require_program)
    try:
        stack.__enter__()
    except NamespaceRefused as refused:
        pytest.skip(f"missing: the right to make network namespaces ({refused})")
    try:
        yield stack
    finally:
        stack.__exit__(None, None, None)
