"""Fixed limits: how long, how many, which side, and when it is over."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.catalog import STARTER, Rule
from alerts.incidents import Severity
from alerts.limits import BUILT_IN, Limit, LimitWatch, runbook_of
from alerts.signals import Direction, Kind, Signal
from forecast.series import Series, State

LOW = Limit("low", "Low", Rule.ANSWER_RATIO, "trunk", Direction.DOWN, 0.5, 600.0, Severity.WARNING, least_n=20)


def signal(amounts: list[float], base: list[float] | None = None, kind: Kind = Kind.RATIO) -> Signal:
    y = np.asarray(amounts, np.float64)
    series = Series(0, 300, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return Signal(series, kind, None if kind is Kind.COUNT else np.asarray(base or [20.0] * y.size))


def episodes(limit: Limit, watched: Signal) -> list[tuple[int, int | None]]:
    watch = LimitWatch(limit)
    watch.advance(watched)
    return [(alert.start, alert.end) for alert in watch.alerts]


@pytest.mark.parametrize(
    ("amounts", "base", "expected"),
    [
        ([15, 5, 15, 5, 15], None, []),
        ([15, 5, 5, 15], None, [(2, None)]),
        ([15, 5, 5, 15, 15, 15], None, [(2, 3)]),
        ([15, 5, 5, 15, 5, 15, 15], None, [(2, 5)]),
        ([5, 2, 2, 2], [20, 8, 8, 8], [(1, None)]),
        ([1, 1, 1, 1, 1, 1], [4] * 6, [(4, None)]),
        ([5, 0, 5, 15], [20, 0, 20, 20], [(2, None)]),
    ],
)
def test_below(amounts: list[float], base: list[float] | None, expected: list[tuple[int, int | None]]) -> None:
    assert episodes(LOW, signal(amounts, base)) == expected


def test_missing_slots_say_nothing() -> None:
    assert episodes(LOW, signal([5, float("nan"), 5, 15])) == [(2, None)]


def test_counts_are_per_minute() -> None:
    limit = replace(LOW, side=Direction.UP, value=10.0, signal=Rule.ATTEMPTS)
    assert episodes(limit, signal([49, 51, 51, 49], kind=Kind.COUNT)) == [(2, None)]


def test_only_what_had_data_can_miss_it() -> None:
    assert episodes(replace(LOW, no_data=True), signal([0, 0, 0, 0])) == []


def test_what_is_gone_for_good_is_forgotten() -> None:
    limit = replace(LOW, no_data=True, forget_s=1200.0)
    assert episodes(limit, signal([20, 0, 0, 0, 0, 0, 0, 0, 0])) == [(2, 7)]


def test_slot_by_slot_is_as_all_at_once() -> None:
    whole = signal([15, 5, 5, 15, 15, 5, 5, 5, 15, 15])
    watch = LimitWatch(LOW)
    for count in range(1, len(whole) + 1):
        watch.advance(whole.until(count))
    assert [(a.start, a.end) for a in watch.alerts] == episodes(LOW, whole)


def test_every_rule_has_a_runbook_and_every_runbook_a_rule() -> None:
    books = {page.stem for page in (Path(__file__).parents[3] / "docs" / "runbooks").glob("*.md")}
    learned = {str(w.rule) for w in STARTER if w.learned}
    assert books == learned | {limit.name for limit in BUILT_IN}
    assert {runbook_of("mine", w.rule) for w in STARTER} <= books
