"""The pages in Debian's Chromium, over a store filled by the test: what unit tests cannot see."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chrome
import pytest
import sample_hour
from chrome import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
playwright = pytest.importorskip("playwright.sync_api", reason=chrome.WANTED)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        chrome.filled(tmp_path_factory.mktemp("busy"), sample_hour) as store,
        chrome.served(store, lambda: sample_hour.NOW_NS) as url,
    ):
        yield url


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    opened = Visit(browser)
    yield opened
    opened.close()


SLOWLY = """const ask = window.fetch.bind(window);
window.fetch = async (...request) => {
  const answer = await ask(...request);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return answer;
};"""


def text_of(page: Any, selector: str) -> str:
    return str(page.locator(selector).inner_text())


def test_the_live_page_draws_without_a_fault(visit: Visit, busy: str) -> None:
    """Charts, grid and tiles, nothing in the console, nothing from another host."""
    page = visit.open(busy)
    page.wait_for_selector("#quality-graph .heatmaplayer image, #quality-graph .heatmaplayer g")
    page.wait_for_selector("#worst-grid .ag-row")
    page.wait_for_selector("#outcomes-graph .barlayer .point")
    assert "336" in text_of(page, "#live-tiles .tile:first-child")
    assert ([], 1) == (visit.faults, len(visit.hosts))


def test_a_click_on_a_worst_call_opens_its_ladder(visit: Visit, busy: str) -> None:
    """And the way back leads to the same view."""
    page = visit.open(f"{busy}live?range=15m&trunk={sample_hour.BAD_TRUNK}")
    page.click("#worst-grid .ag-row[row-index='0'] .ag-cell[col-id='state']")
    page.wait_for_url("**/call/**")
    page.wait_for_selector("#lane-caller-graph .scatterlayer .trace")
    page.go_back()
    page.wait_for_selector("#worst-grid .ag-row")
    assert f"?range=15m&trunk={sample_hour.BAD_TRUNK}" == page.evaluate("location.search")
    assert [] == visit.faults


def test_enter_opens_a_call_too(visit: Visit, busy: str) -> None:
    """Without a mouse."""
    page = visit.open(busy)
    page.focus("#worst-grid .ag-row[row-index='0'] .ag-cell[col-id='r_min']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/call/**")


def test_the_traced_call_shows_its_ladder(visit: Visit, busy: str) -> None:
    """Found by its Call-ID in the search box."""
    page = visit.open(busy)
    page.fill("#call-search", sample_hour.TRACED_CALL)
    page.press("#call-search", "Enter")
    page.wait_for_selector(".ladder svg .message")
    assert 24 == page.locator(".ladder svg .message").count()
    assert "407 Proxy Authentication" in text_of(page, ".ladder")
    page.click("#ladder-as-table")
    page.wait_for_selector("#ladder-table tbody tr")
    assert 24 == page.locator("#ladder-table tbody tr").count()
    assert [] == visit.faults


def test_light_and_dark_need_no_server(visit: Visit, busy: str) -> None:
    """The system's choice at first; a click recolours page and charts; a reload remembers it."""
    page = visit.open(busy)
    page.wait_for_selector("#load-graph .barlayer .point")
    bar = page.locator("#load-graph .barlayer .point path").first
    scheme = "document.documentElement.getAttribute('data-mantine-color-scheme')"
    dark_page = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark_bar = bar.evaluate("element => getComputedStyle(element).fill")
    assert "dark" == page.evaluate(scheme)
    page.click("#scheme")
    playwright.expect(bar).not_to_have_css("fill", dark_bar)
    assert dark_page != page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert "light" == page.evaluate(scheme)
    assert [] == visit.faults


def test_filters_live_in_the_address(visit: Visit, busy: str) -> None:
    """Choosing changes the address; back undoes it; the table button shows the chart's data."""
    page = visit.open(f"{busy}live")
    page.wait_for_selector("#worst-grid .ag-row")
    page.click("text=24h")
    page.wait_for_url("**/live?range=24h")
    page.click(f"#live-ranking-trunk a[href*='range=24h'][href*='{sample_hour.BAD_TRUNK}']")
    page.wait_for_url(f"**/live?range=24h&trunk={sample_hour.BAD_TRUNK}")
    page.wait_for_selector("#load-chip .chip-partial")
    page.go_back()
    page.wait_for_url("**/live?range=24h")
    page.wait_for_selector("#load-chip .chip-partial", state="detached")
    page.click("#quality-as-table")
    page.wait_for_selector("#quality-table tbody tr")
    assert [] == visit.faults


def test_an_empty_installation_guides(visit: Visit, tmp_path: Path) -> None:
    """The exact lines, and a reason in every panel."""
    with chrome.filled(tmp_path) as store, chrome.served(store, lambda: sample_hour.NOW_NS) as url:
        page = visit.open(url)
        page.wait_for_selector(".guide")
        page.click("text=rtpengine")
        page.wait_for_selector("text=homer = 127.0.0.1:9060")
        page.wait_for_selector("#quality-block .state-empty")
        assert 0 == page.locator(".state-loading").count()
        visit.close()
    assert [] == visit.faults


def test_a_server_slower_than_its_ticks_is_heard(visit: Visit, tmp_path: Path) -> None:
    """Dash drops an answer once the next one is asked for."""
    with (
        chrome.filled(tmp_path, sample_hour) as store,
        chrome.served(store, lambda: sample_hour.NOW_NS, refresh_seconds=1.0) as url,
    ):
        visit.page.add_init_script(SLOWLY)
        page = visit.open(url)
        page.wait_for_selector("#worst-grid .ag-row")
        page.wait_for_function("() => document.getElementById('as-of').innerText")
        visit.close()
    assert [] == visit.faults


def test_a_phone_can_read_it(browser: Any, busy: str) -> None:
    """Nothing sticks out to the side at 390 px."""
    visit = Visit(browser, chrome.PHONE)
    visit.open(busy).wait_for_selector("#outcomes-graph .barlayer .point")
    assert (0, []) == (visit.sideways_px(), visit.faults)
    visit.close()
