"""The starter pack and what it counts."""

from alerts.catalog import STARTER, Rule
from storage.counted import COUNTED


def test_every_rule_is_watched_and_counts_something() -> None:
    assert {rule.value for rule in Rule} == {one.rule.value for one in STARTER} == COUNTED.keys()


def test_media_is_counted_in_stream_minutes_by_every_rule() -> None:
    """Sums and histograms alike are of stream-seconds: of a stream's seconds none is an observation of its own."""
    media = [COUNTED[rule] for rule in (Rule.DEGRADED_MEDIA, Rule.QUALITY_RATING, Rule.MEDIA_LOSS)]
    assert {(one.amount_unit, one.base_unit, one.counts) for one in media} == {(1 / 60, 1 / 60, "stream-minutes")}
