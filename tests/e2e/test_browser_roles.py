"""Everybody signs in and walks: each role in Debian's Chromium, over one store with calls, incidents and pools.

Each opens every page of its menu and every address of the others', follows what leads further, and sees nothing
break: no fault in the console, no failed request, nothing wider than the window, no panel without its state.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import chrome
import pytest
import sample_hour
import sample_incidents
import sample_scaling
from chrome import Visit, page_count
from pydantic import SecretStr

from dashboards.access.areas import Area
from dashboards.access.passwords import hash_password
from dashboards.access.roles import CONFINED, Role
from dashboards.access.settings import UserSettings

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "correct horse battery"
OWN, FOREIGN = "acme", "globex"
PAGES = {area: area.value.href for area in Area if area.value.href}
DEEPER = {
    Area.CALL: f"/call/{quote(sample_hour.TRACED_CALL, safe='')}",
    Area.INCIDENTS: f"/incidents/{sample_incidents.CAUSE}",
    Area.TENANTS: f"/tenant/{OWN}",
}
UNCOUNTED = {"capture", "media", "ranking", "now", "decision", "basis", "tell", "why", "controls"}
"""Panels of one thing, or whose every figure has an n of its own."""
PANELS = """() => [...document.querySelectorAll("[id$='-note']")]
  .filter((note) => note.parentElement.checkVisibility())
  .map((note) => note.id.replace(/-note$/, ""))
  .map((id) => [id, document.getElementById(`${id}-block`).innerText.trim(),
    document.getElementById(`${id}-note`).innerText])"""
"""Of every panel in view: its name, what covers it, and its note."""
CHARTS = """() => [...document.querySelectorAll(".chart[id$='-chart']")]
  .filter((chart) => chart.checkVisibility())
  .map((chart) => chart.id.replace(/-chart$/, ""))
  .filter((id) => !document.getElementById(`${id}-block`)?.innerText.trim())
  .map((id) => [id, document.getElementById(`${id}-as-table`) !== null,
    document.getElementById(`${id}-chart`).getAttribute("aria-label")])"""
"""Of every chart in view: its name, whether it turns into a table, and what it says in words."""
NAMED = "(each) => each.id || `${each.tagName} ${[...document.querySelectorAll('*')].indexOf(each)}`"
CONTROLS = f"""() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")]
  .filter((each) => each.checkVisibility() && each.tabIndex >= 0 && !each.disabled)
  .filter((each) => each.id && each.type !== "radio")
  .map({NAMED})"""
"""Names of what can be worked; of radio buttons the keyboard reaches the group."""
FOCUS = f"""async () => {{
  const each = document.activeElement, probe = document.createElement("i");
  probe.style.color = "var(--accent)";
  document.body.append(probe);
  const accent = getComputedStyle(probe).color;
  probe.remove();
  const ring = (one) => one && getComputedStyle(one).outlineStyle !== "none";
  const seen = () => ring(each) || ring(each.nextElementSibling) || getComputedStyle(each).borderColor === accent;
  for (let i = 0; i < 50 && !seen(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  return [({NAMED})(each), Boolean(seen())];
}}"""
"""The name of what has the focus, and whether that is seen: by a ring, or by a border of the accent's colour."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    hashed = SecretStr(hash_password(PASSWORD))
    users = tuple(
        UserSettings(name=role.value, password_hash=hashed, role=role, tenants=(OWN,) if role in CONFINED else ())
        for role in Role
    )
    with (
        chrome.filled(tmp_path_factory.mktemp("roles"), sample_hour, sample_scaling, sample_incidents) as store,
        chrome.served(store, lambda: sample_hour.NOW_NS, users=users) as address,
    ):
        yield address.rstrip("/")


@pytest.fixture
def visit(browser: Any, request: pytest.FixtureRequest) -> Iterator[Visit]:
    called = getattr(request.node, "callspec", None)
    light = called is not None and called.params.get("role") in (Role.EXECUTIVE, Role.CLIENT_SUCCESS)
    opened = Visit(browser, scheme="light" if light else "dark")
    yield opened
    opened.close()


def sign_in(visit: Visit, url: str, role: Role) -> Any:
    page = visit.open(f"{url}/")
    page.fill("#name", role.value)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("#nav a")
    return page


def look(visit: Visit, name: str) -> list[str]:
    """Return what is wrong with the page as it stands, at both widths.

    Pictures of it are kept in the folder that SURGECAST_PICTURES names, for people to look at.
    """
    page, wrong = visit.page, []
    for size in (chrome.DESKTOP, chrome.PHONE):
        page.set_viewport_size(size)
        if not visit.fits():
            wrong.append(f"{name}: {visit.sideways_px()} px too wide at {size['width']}")
        if folder := os.environ.get("SURGECAST_PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}-{size['width']}.png", full_page=True)
    page.set_viewport_size(chrome.DESKTOP)
    for id_, covered, note in page.evaluate(PANELS):
        if covered and not re.fullmatch(r"(Nothing to show|Cannot read|Not allowed)\n+.{10,}", covered):
            wrong.append(f"{name}: panel {id_} says {covered!r}")
        if not covered and "n = " not in note and id_ not in UNCOUNTED:
            wrong.append(f"{name}: panel {id_} has no n but {note!r}")
    for id_, has_table, words in page.evaluate(CHARTS):
        if not has_table or len(words or "") < 20:
            wrong.append(f"{name}: chart {id_}, table {has_table}, in words {words!r}")
    return wrong


@pytest.mark.parametrize("role", list(Role))
def test_everybody_walks_through_all_of_it(visit: Visit, url: str, role: Role) -> None:
    page, wrong = sign_in(visit, url, role), []
    for area, path in (*PAGES.items(), *DEEPER.items()):
        name = path.strip("/").split("/")[0] + ("-one" if path.count("/") > 1 else "")
        visit.go(path)
        if role in area.value.roles:
            visit.settle()
            wrong += look(visit, f"{role.value}-{name}")
        else:
            page.wait_for_selector("#page h1:has-text('Not allowed')")
    menu = [link.get_attribute("href") for link in page.locator("#nav a").all()]
    assert [path for area, path in PAGES.items() if role in area.value.roles] == menu
    assert ([], []) == (wrong, visit.faults)


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.CLIENT_SUCCESS, Role.TENANT_VIEWER])
def test_controls_lead_further(visit: Visit, url: str, role: Role) -> None:
    """Range, filter and table of the live page; a call; an incident; a tenant and its report as a file."""
    page = sign_in(visit, url, role)
    visit.go("/live")
    page.click("label:has-text('15m')")
    page.wait_for_url("**/live?range=15m")
    page.click("#filter-trunk")
    page.click("[role=option]:has-text('carrier')")
    page.wait_for_url("**trunk=carrier**")
    page.keyboard.press("Escape")
    page.click("#loss-as-table")
    page.wait_for_selector("#loss-table tbody tr")
    page.click("#worst-grid .ag-row[row-index='0'] .ag-cell[col-id='state']")
    page.wait_for_url("**/call/**")
    page.wait_for_selector("#call-head h1")
    page.click("#nav-incidents")
    page.click("#incidents-list tbody a >> nth=0")
    page.wait_for_selector("#incident-head h1")
    page.click("#nav-tenants")
    page.click(f"#body a:has-text('{OWN}')")
    page.wait_for_url(f"**/tenant/{OWN}**")
    with page.expect_download() as started:
        page.click("#body a:has-text('CSV')")
    text = Path(started.value.path()).read_text(encoding="utf-8")
    assert (OWN in text, FOREIGN in text, []) == (True, False, visit.faults)


@pytest.mark.parametrize("role", [Role.CLIENT_SUCCESS, Role.TENANT_VIEWER])
def test_another_tenants_things_are_not_there(visit: Visit, url: str, role: Role) -> None:
    page = sign_in(visit, url, role)
    visit.go(f"/tenant/{FOREIGN}")
    page.wait_for_selector("#page h1:has-text('Not found')")
    assert FOREIGN not in page.locator("#page").inner_text().replace(f"There is no tenant {FOREIGN}.", "")
    asked = page.request.get(f"{url}/export/report?tenant={FOREIGN}&period=last-7d&format=csv")
    assert (404, []) == (asked.status, visit.faults)


@pytest.mark.parametrize("path", ["/", *PAGES.values(), *DEEPER.values()])
def test_nobody_sees_the_sign_in_alone(visit: Visit, url: str, path: str) -> None:
    page = visit.open(url + path)
    page.wait_for_selector("#password")
    assert ("/sign-in", []) == (page.evaluate("location.pathname"), visit.faults)


def test_the_executive_page_prints_on_one_sheet(visit: Visit, url: str) -> None:
    page = sign_in(visit, url, Role.EXECUTIVE)
    page.wait_for_selector(".card >> nth=7")
    printed = page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
    assert (1, []) == (page_count(printed), visit.faults)


def test_the_keyboard_reaches_every_control(visit: Visit, url: str) -> None:
    """The first stop leads past the navigation; each stop is seen to have the focus, and none is a trap."""
    page = sign_in(visit, url, Role.OPERATOR)
    visit.go("/scaling")
    visit.settle()
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate(CONTROLS)
    reached: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        name, seen = page.evaluate(FOCUS)
        if name in reached or name.startswith("BODY"):
            break  # all around
        reached.append(name)
        assert seen, f"focus on {name} is not seen"
    assert [] == sorted(set(wanted) - set(reached))
    page.focus(".skip-link")
    page.keyboard.press("Enter")
    assert "page" == page.evaluate("document.activeElement.id")
