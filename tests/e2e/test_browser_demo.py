"""The demo as people start it, and everybody in it: each persona opens every page of its menu while it runs."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chrome import Visit

from dashboards.access.areas import Actor, Area
from surgecast.demo_pages import personas
from surgecast.simulator.demo_network import DEMO_NETWORK

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

START_SECONDS = 400.0
"""A quiet machine takes fifteen seconds; the first start of all compiles kernels."""
END_SECONDS = 120.0
ADDRESS = re.compile(r"live page: (http://127\.0\.0\.1:\d+)")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """Start it, return the address that it tells, and end it as Ctrl-C does; it must have ended well."""
    said = tmp_path / "said"
    options = {"seconds": 1800, "calls": 60, "weeks": 1, "port": 0, "data": tmp_path / "data"}
    command = [sys.executable, "-m", "surgecast", "demo"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield told_address(process, said)
        process.terminate()
        assert process.wait(END_SECONDS) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()


def told_address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while (found := ADDRESS.search(said.read_text(errors="replace"))) is None:
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)
    return found[1]


@pytest.fixture
def visit(browser: Any, demo: str) -> Iterator[Visit]:
    opened = Visit(browser)
    opened.open(f"{demo}/sign-in")
    yield opened
    opened.close()


def wrong_with(visit: Visit, foreign: list[str]) -> list[str]:
    """Return what is wrong with the page as it stands; nothing in it, seen or not, may name a foreign tenant."""
    visit.settle()
    content, path = visit.page.content(), visit.page.evaluate("location.pathname")
    wrong = [f"{path} names {name}" for name in foreign if name in content]
    return wrong + [f"{path}: {text}" for text in visit.page.locator(".state-error").all_inner_texts() if text]


def walked(visit: Visit, persona: Actor) -> list[str]:
    """Open every page of a persona's menu, a tenant, and a call; return what was wrong."""
    page = visit.page
    foreign = (
        [] if persona.tenants is None else [t.name for t in DEMO_NETWORK.tenants if t.name not in persona.tenants]
    )
    wrong, menu = [], [link.get_attribute("href") for link in page.locator("#nav a").all()]
    if menu != [each.href for each in persona.pages]:
        wrong.append(f"its menu is {menu}")
    for path in menu:
        visit.go(path)
        wrong += wrong_with(visit, foreign)
    if persona.may(Area.TENANTS):
        visit.go("/tenants")
        page.click("#body tbody a >> nth=0")
        page.wait_for_url("**/tenant/**")
        wrong += wrong_with(visit, foreign)
    if persona.may(Area.CALL):
        visit.go("/live")
        page.click("#worst-grid .ag-row[row-index='0'] .ag-cell[col-id='state']")
        page.wait_for_selector("#call-head h1")
        wrong += wrong_with(visit, foreign)
    return wrong


def test_every_persona_walks_through_the_running_demo(visit: Visit) -> None:
    """One click makes a persona of whoever looks; nothing fails, and the confined see their tenants alone."""
    wrong = []
    for key, persona in personas().items():
        visit.page.click(f"button[name=persona][value={key}]")
        visit.page.wait_for_selector("#nav a")
        wrong += [f"{persona.name}: {each}" for each in walked(visit, persona)]
        visit.page.click("a:has-text('Switch')")
    assert ([], []) == (wrong, visit.faults)
