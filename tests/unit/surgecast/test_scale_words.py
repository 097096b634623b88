"""Whatever the scaler can say about a decision, the scaling page and the documents have words for."""

from pathlib import Path

from dashboards.components.scaling import HOLD_WORDS, LIMIT_WORDS
from dashboards.queries.scaling import SOURCES
from scaler.decision import Hold, Limit
from scaler.journal import NEED_COLUMNS


def test_the_page_has_the_scalers_own_words_for_every_hold() -> None:
    assert {hold.value: hold.words for hold in Hold} == HOLD_WORDS


def test_the_page_names_every_limit() -> None:
    assert {limit.value for limit in Limit} == set(LIMIT_WORDS)


def test_the_page_draws_every_source_that_is_written_down() -> None:
    assert {name.removeprefix("need_") for name in NEED_COLUMNS} == set(SOURCES)


def test_every_source_hold_and_limit_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text()
    told = [each.value for kind in (Hold, Limit) for each in kind]
    assert [] == [name for name in told if f"`{name}`" not in page]
