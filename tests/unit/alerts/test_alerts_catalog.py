"""The starter pack and what it counts."""

from alerts.catalog import STARTER, Rule
from storage.counted import COUNTED


def test_every_rule_is_watched_and_counts_something() -> None:
    assert {rule.value for rule in Rule} == {one.rule.value for one in STARTER} == COUNTED.keys()
