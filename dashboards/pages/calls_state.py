"""What the cache keeps for a search of calls: everything already rendered."""

from collections.abc import Callable
from typing import Any

from dash import dcc, html

from dashboards.call_search import PAGE_ROWS, CallSearch
from dashboards.components.panel import panel_update
from dashboards.components.rows import found_row
from dashboards.components.wiring import aria
from dashboards.numbers import count
from dashboards.pages.rendered import Rendered
from dashboards.queries.call_search import FoundCalls, found_calls
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from storage.seam import Store

PANELS = ("found",)
AREAS = ("pager",)


def load_calls(store: Store, settings: DashboardSettings) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of the cache of searches; a key's subject is the query string of its search."""

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        search = CallSearch.from_search(key.subject)
        return render(found_calls(store.reader(key.scope), search, now_ns), settings)

    return load


def render(found: FoundCalls, settings: DashboardSettings) -> Rendered:
    """Draw a page of what was found."""
    last = found.first + len(found.rows) - 1
    shown = f"{count(found.first)}–{count(last)} of " if found.rows else ""
    note = f"{shown}n = {count(found.total)} calls · last {found.search.span.words} · {settings.zone}"
    return Rendered.of(
        panels={"found": panel_update(found.status, note)},
        areas={"pager": _pager(found)},
        own={
            "rows": [found_row(call, settings.time_zone) for call in found.rows],
            "tenants": list(found.tenants),
            "trunks": list(found.trunks),
        },
    )


def _pager(found: FoundCalls) -> html.Nav | None:
    if found.total <= PAGE_ROWS:
        return None

    def step(words: str, page: int) -> Any:
        if not 1 <= page <= found.pages:
            return html.Span(words, className="tool tool-solid off", **aria(disabled="true"))
        href = f"/calls{found.search.at_page(page, found.at_ns).to_search()}"
        return dcc.Link(words, href=href, className="tool tool-solid")

    here = found.search.page
    return html.Nav(
        [
            step("Newest", 1),
            step("Newer", here - 1),
            html.Span(f"Page {count(here)} of {count(found.pages)}", className="panel-note"),
            step("Older", here + 1),
        ],
        className="pager",
        **aria(label="Pages of calls"),
    )
