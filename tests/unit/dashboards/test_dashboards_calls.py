"""The search of calls: its address, its pages and what it says when nothing is found."""

import json
from typing import Any

import pytest
import sample_hour
from plotly.utils import PlotlyJSONEncoder

from dashboards.call_search import MOST_PAGES, PAGE_ROWS, CallSearch
from dashboards.pages import calls
from dashboards.queries.call_search import FoundCalls, found_calls
from dashboards.services import Services
from dashboards.snapshots import Key
from dashboards.views import PanelState
from storage.seam import Scope, Store

NOW_NS = sample_hour.NOW_NS
ENGINEER = Scope.everything("engineer")


def found(store: Store, search: str, scope: Scope = ENGINEER) -> FoundCalls:
    return found_calls(store.reader(scope), CallSearch.from_search(search), NOW_NS)


def answered(services: Services, search: str = "", scope: Scope = ENGINEER) -> dict[str, Any]:
    """Open the page, let the background read once, and tick."""
    services.searches.read(Key.of(scope, "calls", CallSearch.from_search(search).to_search()), NOW_NS)
    services.searches.refresh(NOW_NS)
    return calls.tick(services, scope, search, None)


def text(component: Any) -> str:
    return json.dumps(component, cls=PlotlyJSONEncoder, ensure_ascii=False)


@pytest.mark.parametrize(
    "search",
    [
        "",
        "?range=30d&tenant=acme&tenant=globex&trunk=t",
        "?outcome=busy&code=4xx%2C503&mos=3.5&number=%2B49&to=44&page=3&until=1790000000",
    ],
)
def test_the_address_says_all_of_a_search(search: str) -> None:
    assert search == CallSearch.from_search(search).to_search()


@pytest.mark.parametrize(
    "search",
    ["?code=999", "?mos=nan", "?mos=-1", "?page=0", "?page=x", "?until=1e9", "?outcome=odd", "?range=9y", "?x=1"],
)
def test_what_cannot_be_read_is_left_out(search: str) -> None:
    assert CallSearch() == CallSearch.from_search(search)


def test_pages_end_somewhere() -> None:
    assert MOST_PAGES == CallSearch.from_search("?page=99999999").page


def test_a_class_of_codes_is_all_of_them() -> None:
    assert (200, *range(500, 600)) == CallSearch.from_search("?code=200,5xx").match().sip_codes


def test_calls_are_found_newest_first(sample_store: Store) -> None:
    rows = found(sample_store, "").rows
    assert len(rows) > 20
    assert sorted((r.ended_ns for r in rows), reverse=True) == [r.ended_ns for r in rows]


@pytest.mark.parametrize(
    ("search", "holds"),
    [
        ("?tenant=acme", lambda call: call.tenant == "acme"),
        ("?code=200", lambda call: call.sip_code == 200),
        ("?mos=3", lambda call: call.mos_min < 3),
        ("?to=44", lambda call: "44" in call.destination),
        ("?number=44", lambda call: "44" in call.from_masked + call.to_masked),
        ("?outcome=answered", lambda call: call.outcome == "answered"),
    ],
)
def test_filters_hold_for_every_call(sample_store: Store, search: str, holds: Any) -> None:
    rows = found(sample_store, search).rows
    assert rows
    assert all(holds(call) for call in rows)


def test_other_tenants_calls_are_not_found(sample_store: Store) -> None:
    view = found(sample_store, "?tenant=globex", Scope.of("cs", "acme"))
    assert ((), 0, PanelState.EMPTY) == (view.rows, view.total, view.status.state)


def test_nothing_found_says_what_was_looked_for(services: Services) -> None:
    block = text(answered(services, "?range=7d&code=5xx&tenant=acme")["panels"]["found"]["block"])
    assert "No call ended in the last 7 days with tenant acme, code 5xx" in block


def test_the_note_has_the_total(services: Services) -> None:
    answer = answered(services)
    assert f"1–{len(answer['rows'])} of n = {len(answer['rows'])} calls" in answer["panels"]["found"]["note"]


def test_a_tick_without_news_is_almost_nothing(services: Services) -> None:
    first = answered(services)
    assert len(text(calls.tick(services, ENGINEER, "", first["heard"])["heard"])) < 300


def test_pages_do_not_overlap_and_hold_their_end(sample_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.queries.call_search.PAGE_ROWS", 10)
    first = found(sample_store, "")
    second = found(sample_store, first.search.at_page(2, NOW_NS).to_search())
    assert (10, NOW_NS // 10**9) == (len(second.rows), second.search.until_s)
    assert not {call.call_id for call in first.rows} & {call.call_id for call in second.rows}


def test_more_than_a_page_has_a_pager() -> None:
    from dashboards.pages.calls_state import render
    from dashboards.settings import DashboardSettings
    from dashboards.views import READY

    view = FoundCalls(READY, CallSearch(page=2), NOW_NS, (), 3 * PAGE_ROWS)
    pager = text(render(view, DashboardSettings()).areas["pager"])
    assert ("Page 2 of 3" in pager, "page=3&until=1790000000" in pager) == (True, True)
