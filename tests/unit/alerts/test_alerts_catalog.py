"""The starter pack and what it counts."""

from alerts.catalog import STARTER, Rule
from storage.counted import COUNTED


def test_every_rule_is_watched_and_counts_something() -> None:
    assert {rule.value for rule in Rule} == {one.rule.value for one in STARTER} == COUNTED.keys()


def test_media_is_worth_an_alert_from_five_intervals_on() -> None:
    """Its seconds come in intervals of ten: one bad interval is one observation."""
    media = {Rule.DEGRADED_MEDIA, Rule.QUALITY_RATING, Rule.MEDIA_LOSS}
    assert {(one.least_volume, one.least_excess) for one in STARTER if one.rule in media} == {(300.0, 50.0)}
