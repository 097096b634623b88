"""The lab and the browser as fixtures, skipped with the reason where they cannot be."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chrome
import pytest
from lab.namespace import NamespaceRefused
from lab.relays import Calls, running_relays
from lab.stack import LabStack

from scaler.rtpengine import Rtpengine
from storage.seam import Store


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


@pytest.fixture(scope="module")
def browser(require_program: Callable[[str], str]) -> Iterator[Any]:
    """Return a running Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason=chrome.WANTED)
    with chrome.chromium(playwright, require_program("chromium")) as started:
        yield started


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a store with the SAMPLE of the test's module."""
    with chrome.filled(tmp_path, request.module.SAMPLE) as opened:
        yield opened


@pytest.fixture
def url(request: pytest.FixtureRequest, store: Store) -> Iterator[str]:
    """Return the address of the pages over that store, at the time that its sample is of."""
    with chrome.served(store, chrome.clock_from(request.module.SAMPLE.NOW_NS)) as address:
        yield address


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """Return a page; whatever its console says beyond information fails the test."""
    visit = chrome.Visit(browser)
    yield visit.page
    visit.close()
    assert [] == visit.faults
