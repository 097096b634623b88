"""The detector on made-up loads: what it finds, when, and what it keeps quiet about."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from alert_series import PER_DAY, load

from alerts.backtest import backtest
from alerts.episode import Alert
from alerts.signals import Direction, Kind, Signal
from alerts.watch import Sensitivity, Status, Watch
from forecast.series import BadSeries, Series, State

TRAIN = 56 * PER_DAY
DAYS = 84
AT = 60 * PER_DAY + 48
"""Noon of a Friday after the history."""


def changed(series: Series, first: int, last: int, factor: float) -> Series:
    y = series.y.copy()
    y[first:last] = np.round(y[first:last] * factor)
    return replace(series, y=y)


def inside(alerts: list[int], first: int, last: int) -> list[int]:
    return [a for a in alerts if first <= a < last]


def starts(series: Series) -> list[int]:
    return [alert.start for alert in backtest(series).alerts]


def test_clean_weeks_stay_within_the_budget() -> None:
    weeks = DAYS / 7 - 8
    counts = [len(starts(load(DAYS, seed=seed))) for seed in range(4)]
    assert sum(counts) / (4 * weeks) <= 1.0


@pytest.mark.parametrize(
    ("factor", "slots", "within", "direction"),
    [
        (0.0, 4, 2, Direction.DOWN),
        (0.5, 4, 2, Direction.DOWN),
        (0.75, 8, 6, Direction.DOWN),
        (1.5, 4, 3, Direction.UP),
        (1.25, 8, 6, Direction.UP),
    ],
)
def test_incident_is_found(factor: float, slots: int, within: int, direction: Direction) -> None:
    report = backtest(changed(load(DAYS), AT, AT + slots, factor))
    found = [a for a in report.alerts if AT <= a.start < AT + slots]
    assert [a.direction for a in found] == [direction]
    assert found[0].start - AT + 1 <= within


def test_alert_is_raised_once_and_ends_with_the_incident() -> None:
    report = backtest(changed(load(DAYS), AT, AT + 8, 0.4))
    found = [a for a in report.alerts if AT <= a.start < AT + 20]
    assert len(found) == 1
    assert found[0].end is not None
    assert abs(found[0].end - (AT + 8)) <= 2


def test_incident_does_not_echo_a_week_later() -> None:
    week = 7 * PER_DAY
    assert inside(starts(changed(load(DAYS), AT, AT + 12, 0.3)), AT + week - 4, AT + week + 16) == []


def test_level_shift_is_adopted() -> None:
    report = backtest(changed(load(DAYS), AT, DAYS * PER_DAY, 1.5))
    assert len(report.alerts) >= 1
    assert [a for a in report.alerts if a.start > AT + 14 * PER_DAY] == []


def unruly(days: int) -> Series:
    """Return a load that is a fifth up for one hour in every six from `AT` on: nothing like its history."""
    series = load(days)
    y = series.y.copy()
    for first in range(AT, AT + 5 * PER_DAY, 24):
        y[first : first + 4] = np.round(y[first : first + 4] * 1.3)
    return replace(series, y=y)


def test_many_alerts_in_a_few_days_make_the_next_ones_rarer() -> None:
    first_days, later = (0, 36), (36, 5 * PER_DAY)
    found = [len(inside(starts(unruly(DAYS)), AT + a, AT + b)) / (b - a) for a, b in (first_days, later)]
    assert found[1] < found[0] / 2


def test_outage_among_many_alerts_is_found_at_once() -> None:
    at = AT + 3 * PER_DAY + 12
    found = inside(starts(changed(unruly(DAYS), at, at + 4, 0.0)), at, at + 4)
    assert found == [at + 1]


def test_missing_slots_are_no_outage() -> None:
    series = load(DAYS)
    y, state = series.y.copy(), series.state.copy()
    y[AT : AT + 8], state[AT : AT + 8] = np.nan, State.MISSING
    assert inside(starts(replace(series, y=y, state=state)), AT, AT + 8) == []


def test_missing_slots_are_a_status_of_their_own() -> None:
    series = load(61)
    y, state = series.y.copy(), series.state.copy()
    y[-3:], state[-3:] = np.nan, State.MISSING
    watch = Watch()
    signal = Signal(replace(series, y=y, state=state))
    watch.skip_to(TRAIN, signal)
    watch.advance(signal)
    assert watch.status is Status.NO_DATA


def rounded(alert: Alert) -> list[object]:
    """Return its figures but for what sums over a longer or shorter stretch round differently."""
    return [round(value, 9) if isinstance(value, float) else value for value in astuple(alert)]


def test_slot_by_slot_and_all_at_once_agree() -> None:
    series = changed(load(63), AT, AT + 6, 0.4)
    whole, stepped = Watch(), Watch()
    whole.skip_to(TRAIN, Signal(series))
    whole.advance(Signal(series))
    stepped.skip_to(TRAIN, Signal(series.until(TRAIN + 1)))
    for count in range(TRAIN + 1, len(series) + 1, 16):
        stepped.advance(Signal(series.until(count)))
    stepped.advance(Signal(series))
    assert [rounded(alert) for alert in stepped.alerts] == [rounded(alert) for alert in whole.alerts]


def test_the_future_changes_no_alert_of_the_past() -> None:
    series = changed(load(DAYS), AT, AT + 6, 0.4)
    later = changed(series, AT + 5 * PER_DAY, len(series), 3.0)
    cut = AT + 4 * PER_DAY
    assert inside(starts(later), 0, cut) == inside(starts(series), 0, cut)


def test_small_volume_says_nothing() -> None:
    quiet = changed(load(DAYS, mean=0.3), AT, AT + 4, 0.0)
    assert inside(starts(quiet), AT, AT + 4) == []


def test_detectable_change_shrinks_with_volume() -> None:
    small, large = (backtest(load(DAYS, mean=mean)).detectable_change for mean in (20.0, 2000.0))
    assert large < small


def test_no_history_is_learning() -> None:
    watch = Watch()
    watch.advance(Signal(load(6)))
    assert (watch.status, watch.alerts) == (Status.LEARNING, [])


def appearing(days: int, *, tried: bool = False) -> Series:
    """Return the load of a new tenant, with eight weeks before: not measured, or `tried` for an hour."""
    series, before = load(days), 56 * PER_DAY
    first = np.zeros(before) if tried else np.full(before, np.nan)
    first[20 : 24 if tried else 20] = 200.0
    return replace(
        series,
        start_s=series.start_s - before * series.slot_s,
        y=np.r_[first, series.y],
        state=np.r_[np.where(np.isfinite(first), State.OPEN, State.MISSING).astype(np.uint8), series.state],
    )


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize(("factor", "found"), [(3.0, []), (0.5, []), (0.0, [Direction.DOWN])])
def test_days_without_traffic_are_no_history(factor: float, found: list[Direction], tried: bool) -> None:
    series = appearing(13, tried=tried)
    last = len(series)
    signal = Signal(changed(series, last - 8, last, factor))
    watch = Watch()
    watch.skip_to(last - 3 * PER_DAY, signal)
    watch.advance(signal)
    assert [alert.direction for alert in watch.alerts if alert.start >= last - 8] == found


def test_a_threshold_stands_on_the_weeks_that_were_measured() -> None:
    calibrated = []
    for series in (load(28), appearing(28)):
        watch = Watch()
        watch.skip_to(len(series), Signal(series))
        assert watch.calibration is not None
        calibrated.append((round(watch.calibration.weeks, 6), round(watch.calibration.threshold, 6)))
    assert calibrated[1] == calibrated[0]


@pytest.mark.parametrize("days", [3, 84, 200])
def test_training_days_that_do_not_fit_are_refused(days: int) -> None:
    with pytest.raises(BadSeries, match="training days"):
        backtest(load(DAYS), train_days=days)


def ratio(days: int, good: float = 0.97) -> Signal:
    attempts = load(days)
    answered = np.random.default_rng(3).binomial(attempts.y.astype(np.int64), good).astype(np.float64)
    return Signal(replace(attempts, y=answered), Kind.RATIO, attempts.y)


def watched(signal: Signal, sensitivity: Sensitivity | None = None) -> Watch:
    watch = Watch(sensitivity or Sensitivity(directions=(Direction.DOWN,)))
    watch.skip_to(TRAIN, signal)
    watch.advance(signal)
    return watch


def test_fallen_ratio_is_found_though_the_load_is_usual() -> None:
    signal = ratio(70)
    signal.series.y[AT : AT + 4] = np.floor(signal.series.y[AT : AT + 4] * 0.9)
    found = [a for a in watched(signal).alerts if AT <= a.start < AT + 4]
    assert [a.direction for a in found] == [Direction.DOWN]
    assert found[0].expected == pytest.approx(0.97, abs=0.01)


def test_ratio_of_few_says_nothing() -> None:
    signal = ratio(70)
    assert signal.base is not None
    signal.base[AT : AT + 4], signal.series.y[AT : AT + 4] = 3.0, 0.0
    assert [a for a in watched(signal).alerts if AT <= a.start < AT + 4] == []


def test_only_the_asked_direction_alerts() -> None:
    signal = Signal(changed(load(70), AT, AT + 4, 2.0))
    assert [a for a in watched(signal).alerts if AT <= a.start < AT + 4] == []


def test_fallen_mean_duration_is_found() -> None:
    calls = load(70)
    total = calls.y * np.random.default_rng(5).normal(180, 180 / np.sqrt(np.maximum(calls.y, 1)))
    total[AT : AT + 4] *= 0.6
    signal = Signal(replace(calls, y=total), Kind.MEAN, calls.y)
    found = [a for a in watched(signal).alerts if AT <= a.start < AT + 4]
    assert [a.direction for a in found] == [Direction.DOWN]


def test_end_of_a_burst_is_seen_soon_though_a_long_pool_raised_it() -> None:
    """A ratio that is nearly always 0 surprises most over the longest pool."""
    base = load(70)
    rare = np.zeros_like(base.y)
    rare[::200] = 1.0
    rare[AT : AT + 4] = np.floor(0.05 * base.y[AT : AT + 4])
    signal = Signal(replace(base, y=rare), Kind.RATIO, base.y)
    watch = watched(signal.until(AT + 6), Sensitivity(directions=(Direction.UP,)))
    assert [a.end is not None for a in watch.alerts if AT <= a.start < AT + 4] == [True]


@pytest.mark.parametrize("gone_by", [AT + 3, AT + 12])
def test_an_incident_goes_on_where_the_first_weeks_are_forgotten(gone_by: int) -> None:
    """Between its beginning and its end, and after it."""
    series = changed(load(70), AT, AT + 8, 0.4)
    weeks = 14 * PER_DAY
    watch = Watch()
    watch.skip_to(TRAIN, Signal(series))
    watch.advance(Signal(series.until(gone_by)))
    watch.forget(weeks)
    later = replace(
        series, start_s=series.start_s + weeks * series.slot_s, y=series.y[weeks:], state=series.state[weeks:]
    )
    watch.advance(Signal(later))
    whole = watched(Signal(series), Sensitivity())
    first, last = AT - weeks, AT + 8 - weeks
    assert [(a.start, a.end) for a in watch.alerts if first <= a.start < last] == [
        (a.start - weeks, None if a.end is None else a.end - weeks) for a in whole.alerts if AT <= a.start < AT + 8
    ]
