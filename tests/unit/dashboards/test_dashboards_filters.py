"""The query string is the only home of a view."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.filters import PLACES, RANGES, Filters

NOW_NS = 1_790_000_001_500_000_000
names = st.lists(st.text(min_size=1, max_size=20), max_size=4, unique=True).map(lambda v: tuple(sorted(v)))
views = st.builds(Filters, st.sampled_from(sorted(RANGES)), names, names, names, names)


@given(views)
def test_a_link_reproduces_the_view(view: Filters) -> None:
    """Whatever the names of trunks and tenants are."""
    assert Filters.from_search(view.to_search()) == view


@given(st.text(max_size=200))
def test_any_query_string_opens_something(search: str) -> None:
    """Links come from other versions and other people."""
    assert Filters.from_search(search).range_key in RANGES


def test_no_query_string_is_the_default_view() -> None:
    """`/live` alone."""
    assert Filters.from_search(None) == Filters()


@pytest.mark.parametrize("key", RANGES)
def test_window_is_whole_steps_up_to_now(key: str) -> None:
    """So that the oldest bar is never cut."""
    view = Filters(key)
    window = view.window(NOW_NS)
    assert window.since_ns % (view.range.step_seconds * 10**9) == 0
    assert NOW_NS - view.range.seconds * 10**9 <= window.since_ns < NOW_NS < window.until_ns


def test_where_names_only_what_is_chosen() -> None:
    """An empty choice is no restriction."""
    view = Filters("1h", tenant=("acme",), node=("a", "b"))
    assert view.where() == {"tenant": ("acme",), "node": ("a", "b")}
    assert view.where("tenant") == {"tenant": ("acme",)}


def test_words_say_the_restriction() -> None:
    """For the reasons of empty panels."""
    assert Filters("1h", tenant=("acme",), trunk=("a", "b")).words() == "tenant acme, trunk a or b"


@pytest.mark.parametrize("place", PLACES)
def test_narrowing_replaces_one_choice(place: str) -> None:
    """A click on a name in the ranking."""
    view = Filters("15m", ("t",), ("k",), ("r",), ("n",)).narrowed_to(place, "x")
    assert getattr(view, place) == ("x",)
    assert sum(getattr(view, other) == ("x",) for other in PLACES) == 1


def test_too_many_values_are_cut() -> None:
    """A hostile link cannot make a query of a million values."""
    assert len(Filters.from_search("&".join(f"trunk={i}" for i in range(400))).trunk) == 50
