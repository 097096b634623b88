"""What all pages have in common, on a page made up for it."""

from typing import Any

import pytest
import sample_hour
from dash import Dash, Input, Output, no_update

from dashboards.components.wiring import WrongType, on_server
from dashboards.pages.rendered import Rendered
from dashboards.pages.ticking import TickingPage
from dashboards.services import Services
from dashboards.snapshots import Key, SnapshotCache
from storage.seam import OutOfScope, Scope, StoreUnavailable

NOW_NS = sample_hour.NOW_NS
KEY = Key.of(Scope.everything("test"), "made-up", "?a=1")
PAGE = TickingPage(
    "made-up",
    panels=("one", "two"),
    charts=("two",),
    areas=("left", "right"),
    own={"more": Output("more", "data")},
    absent=lambda key, snapshot: {"more": f"no {key.subject}: {snapshot.not_found}"},
)


def content(right: str = "right") -> Rendered:
    return Rendered.of(
        panels={"one": {"note": "n = 1"}},
        charts={"two": {"figure": {}}},
        areas={"left": "left", "right": right},
        own={"more": [1]},
    )


def cache_of(*answers: Any) -> SnapshotCache[Rendered]:
    """Return a cache whose readings give these answers one after another, or raise them."""
    left = iter(answers)

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SnapshotCache(load, every_seconds=2.0, idle_seconds=20.0, capacity=4)


def ticked(services: Services, cache: SnapshotCache[Rendered], heard: Any = None) -> dict[str, Any]:
    """Let the background read, and tick."""
    cache.read(KEY, NOW_NS)
    cache.refresh(NOW_NS)
    return PAGE.answer(services, cache, KEY, heard)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.pages.ticking.FIRST_ANSWER_SECONDS", 0.0)


def test_another_view_is_loading_until_its_first_answer(empty_services: Services) -> None:
    """Figures of the view before would be taken for those of this one."""
    said = PAGE.answer(empty_services, cache_of(), KEY, {"view": "?a=2", "version": 3})
    assert [True, True] == ["loading" in str(panel["block"]) for panel in said["panels"].values()]


def test_what_was_heard_of_the_same_view_stays_until_the_answer(empty_services: Services) -> None:
    said = PAGE.answer(empty_services, cache_of(), KEY, {"view": "?a=1", "version": 3})
    assert no_update is said["panels"]["one"]["block"]


def test_only_what_changed_is_sent_again(empty_services: Services) -> None:
    first = ticked(empty_services, cache_of(content()))
    again = ticked(empty_services, cache_of(content("other")), first["heard"] | {"version": -1})
    assert [first["areas"]["left"], first["more"], first["charts"]] == ["left", [1], {"two": {"figure": {}}}]
    assert [no_update, "other", no_update, no_update] == [
        again["areas"]["left"], again["areas"]["right"], again["more"], again["charts"],
    ]  # fmt: skip


@pytest.mark.parametrize(("n", "known"), [(None, None), (0, None), (1, {"version": 3})])
def test_the_first_tick_of_a_frame_has_heard_nothing(
    monkeypatch: pytest.MonkeyPatch, n: int | None, known: Any
) -> None:
    """The answer to a frame before may land in this one, and says that it was heard."""
    wired: list[Any] = []
    monkeypatch.setattr("dashboards.pages.ticking.on_server", lambda *_, **__: wired.append)

    def on_tick(_n: int | None, search: str | None, heard: dict[str, Any] | None) -> dict[str, Any]:
        return {"search": search, "heard": heard}

    PAGE.register(Dash(__name__), on_tick, search=Input("url", "search"))
    assert {"search": "?a=1", "heard": known} == wired[0](_n=n, search="?a=1", heard={"version": 3})


@pytest.mark.parametrize("digests", [None, [], "x", 1])
def test_forged_digests_bring_everything(empty_services: Services, digests: Any) -> None:
    heard = {"view": KEY.subject, "version": -1, "digests": digests}
    assert [1] == ticked(empty_services, cache_of(content()), heard)["more"]


@pytest.mark.parametrize(
    ("error", "why", "more"),
    [
        (StoreUnavailable("gone"), "gone", "no ?a=1: False"),
        (OutOfScope("no"), "This view does not exist.", "no ?a=1: True"),
    ],
)
def test_a_view_that_is_not_there_says_why(
    empty_services: Services, error: Exception, why: str, more: str
) -> None:
    said = ticked(empty_services, cache_of(error))
    assert (why, more) == (said["panels"]["two"]["summary"], said["more"])


def test_a_callback_takes_values_of_its_types_alone() -> None:
    app = Dash(__name__)
    taken = []

    @on_server(app, Output("a", "children"), Input("b", "value"), Input("c", "value"))
    def on_value(number: float | None, names: list[str]) -> str:
        taken.append((number, names))
        return "done"

    checked = app.callback_map["a.children"]["callback"].__wrapped__
    checked(1, ["x"])
    for wrong in (("1", []), (None, [1]), (True, []), (None, None)):
        with pytest.raises(WrongType):
            checked(*wrong)
    assert [(1, ["x"])] == taken
