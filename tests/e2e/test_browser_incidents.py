"""The incident pages in Debian's Chromium: read, acknowledge, silence and release as an engineer does."""

from typing import Any

import pytest
import sample_incidents as sample

from storage.actions import actions
from storage.schema import ActionKind
from storage.seam import Scope, Store

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
SAMPLE = sample


def told(store: Store) -> list[tuple[str, str, str, str, bool]]:
    """Return what was told: kind, target, author, reason, and whether it was released."""
    found = actions(store.reader(Scope.everything("test")), list(ActionKind), sample.NOW_NS + 10**12)
    return [(a.kind.value, a.target, a.author, a.reason, a.withdrawn) for a in found if a.target != "sbc-3"]


def test_an_incident_is_acknowledged_silenced_and_released(page: Any, url: str, store: Store) -> None:
    """From the live page on; the evidence is drawn, and its table is the same in figures."""
    page.goto(f"{url}live")
    page.click("#live-incidents a:has-text('3 open incidents')")
    page.click("#incidents-list a:has-text('Answer-seizure ratio below normal')")
    page.wait_for_url(f"**/incidents/{sample.CAUSE}")
    page.wait_for_selector("#evidence-graph .scatterlayer .trace")
    page.click("#evidence-as-table")
    page.wait_for_selector("#evidence-table tbody tr:has-text('onset')")

    page.click("#incident-acknowledge")
    page.wait_for_selector("#incident-said:has-text('give a reason')")
    page.fill("#incident-reason", "carrier called")
    page.click("#incident-acknowledge")
    page.wait_for_selector("#incident-head .incident-state-acknowledged")
    page.fill("#incident-reason", "known until tonight")
    page.click("#incident-target")
    page.click("text=All of trunk carrier-blue")
    page.click("#incident-silence")
    page.wait_for_selector("#incident-told tr:has-text('trunk carrier-blue')")
    assert [
        ("acknowledge", sample.CAUSE, "engineer", "carrier called", False),
        ("silence", "carrier-blue", "engineer", "known until tonight", False),
    ] == told(store)

    page.click("a.back")
    page.focus("#incidents-silences tr:has-text('carrier-blue') button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#incidents-said:has-text('Released by engineer')")
    page.wait_for_selector("#incidents-silences tr:has-text('carrier-blue')", state="detached")
    assert [False, True] == [released for *_, released in told(store)]


def test_filters_live_in_the_address(page: Any, url: str) -> None:
    """Choosing changes the address; back undoes it."""
    page.goto(f"{url}incidents")
    page.wait_for_selector("#incidents-list tbody tr:nth-child(3)")
    page.click("label:has-text('Resolved')")
    page.wait_for_url("**/incidents?state=resolved")
    page.wait_for_selector("#incidents-list tr.over")
    page.go_back()
    page.wait_for_selector("#incidents-list .incident-state-firing")
    page.goto(f"{url}incidents?severity=critical")
    page.wait_for_selector("#incidents-list tbody tr")
    assert 1 == page.locator("#incidents-list tbody tr").count()


def test_an_unknown_incident_is_not_found(page: Any, url: str) -> None:
    page.goto(f"{url}incidents/i-none")
    page.wait_for_selector("#incident-missing:has-text('Not found')")
    assert page.locator("#incident-body").is_hidden()


def test_a_phone_can_read_it(page: Any, url: str) -> None:
    """Nothing sticks out to the side at 390 px."""
    page.set_viewport_size({"width": 390, "height": 844})
    for path, drawn in (
        ("incidents", "#incidents-list tbody tr"),
        (f"incidents/{sample.CAUSE}", "#incident-head h1"),
    ):
        page.goto(f"{url}{path}")
        page.wait_for_selector(drawn)
        assert 390 == page.evaluate("document.documentElement.scrollWidth")
