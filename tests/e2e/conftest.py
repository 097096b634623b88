"""The lab as a fixture: a fresh one for each test, skipped with the reason where it cannot be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.namespace import NamespaceRefused
from lab.relays import Calls, running_relays
from lab.stack import LabStack

from scaler.rtpengine import Rtpengine


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


@pytest.fixture
def relays(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Rtpengine]:
    """Return the controls of two running relays."""
    with running_relays(require_program("rtpengine"), tmp_path) as running:
        yield running


@pytest.fixture
def calls(relays: Rtpengine) -> Calls:
    """Return what sets up calls on them."""
    return Calls(relays)
