"""The scaling and capacity pages in Debian's Chromium, over an hour of a pool that the policy itself scaled."""

from typing import Any

import pytest
import sample_scaling

from storage.actions import actions
from storage.schema import ActionKind
from storage.seam import Scope, Store

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
SAMPLE = sample_scaling


def test_a_decision_is_opened_and_explained(page: Any, url: str) -> None:
    page.goto(f"{url}scaling")
    page.wait_for_selector("#replicas-graph .scatterlayer .trace")
    page.wait_for_selector("#needs-graph .scatterlayer .trace")
    page.wait_for_selector("#demand-graph .scatterlayer .trace")
    page.click("#log-panel tbody tr:nth-child(3) th a")
    page.wait_for_url(lambda url: "decision=media-eu-" in url)
    page.wait_for_selector("#log-panel tbody tr.chosen:nth-child(3)")
    assert "sessions now, pods 90% full" in page.locator("#decision-panel").inner_text()
    page.click("#log-panel .pager >> text=Older")
    page.wait_for_url(lambda url: "page=1" in url)
    page.wait_for_selector("#log-panel >> text=page 2")
    page.click("#replicas-as-table")
    page.wait_for_selector("#replicas-table tbody tr")


def test_an_operator_sets_pods_and_releases_them(page: Any, url: str, store: Store) -> None:
    page.goto(f"{url}scaling")
    page.wait_for_selector(f"#scaling-controls >> text={sample_scaling.FROZEN_BY}")
    page.click("#tell")
    page.wait_for_selector("#told >> text=say why")
    page.fill("#tell-reason", "televote")
    page.click("#tell-what")
    page.click("text=set its pods by hand")
    page.fill("#tell-pods", "21")
    page.click("#tell")
    page.wait_for_selector("#told >> text=Recorded: set its pods by hand")
    reader = store.reader(Scope.everything("test"))
    (told,) = (
        a for a in actions(reader, [ActionKind.OVERRIDE], sample_scaling.NOW_NS + 600 * sample_scaling.S_NS)
    )
    assert (21.0, "engineer", "televote") == (told.value, told.author, told.reason)
    page.wait_for_selector("#scaling-controls >> text=override 21 pods")
    page.click(f"#scaling-controls tr:has-text('{sample_scaling.FROZEN_BY}') button")
    page.wait_for_selector("#told >> text=Released: freeze")


def test_capacity_and_scaling_lead_to_each_other(page: Any, url: str) -> None:
    page.goto(f"{url}capacity")
    page.wait_for_selector("#outlook-graph .scatterlayer .trace")
    page.click("#nav-scaling")
    page.wait_for_selector("#now-panel .tile")
    page.go_back()
    page.wait_for_selector("#outlook-graph .scatterlayer .trace")


@pytest.mark.parametrize("width", [390, 800])
def test_it_fits_small_screens(page: Any, url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(f"{url}scaling")
    page.wait_for_selector("#replicas-graph .scatterlayer .trace")
    assert width == page.evaluate("document.documentElement.scrollWidth")
