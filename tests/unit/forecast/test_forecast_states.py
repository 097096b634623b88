from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.series import Series, State
from forecast.states import mark_closed, outages, spikes

MONDAY_S = 1_704_067_200


def hourly(y: np.ndarray) -> Series:
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, state)


def office(days: int, outside: float) -> np.ndarray:
    hours = np.arange(days * 24)
    worked = ((hours // 24) % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18)
    return np.where(worked, 40.0, outside)


def test_business_hours_are_learned_from_what_is_not_measured() -> None:
    marked = mark_closed(hourly(office(28, np.nan)))
    assert (office(28, np.nan) == 40).tolist() == (marked.state == State.OPEN).tolist()


def test_business_hours_are_learned_from_zeros_but_for_their_edges() -> None:
    state = mark_closed(hourly(office(28, 0.0))).state[:24]
    assert ([State.CLOSED] * 6, [State.OPEN] * 14) == (state[:6].tolist(), state[6:20].tolist())


def test_a_gap_in_business_hours_is_missing_not_closed() -> None:
    y = office(28, np.nan)
    y[24 + 10] = np.nan
    assert State.MISSING == mark_closed(hourly(y)).state[24 + 10]


def test_zeros_of_a_quiet_line_are_not_closed() -> None:
    y = np.zeros(28 * 24)
    y[::50] = 1.0
    assert 0 == (mark_closed(hourly(y)).state == State.CLOSED).sum()


def test_calls_outside_business_hours_stay_open() -> None:
    y = office(28, 0.0)
    y[-1] = 3.0
    assert State.OPEN == mark_closed(hourly(y), history=27 * 24).state[-1]


def test_weeks_without_any_value_say_nothing_of_the_hours() -> None:
    y = np.r_[office(28, 0.0), np.full(70 * 24, np.nan), office(14, 0.0)]
    marked = mark_closed(hourly(y))
    assert (office(14, 0.0) == 40).sum() == (marked.state[-14 * 24 :][office(14, 0.0) == 40] == State.OPEN).sum()


def test_hours_are_not_closed_because_slots_lack_everywhere() -> None:
    y = np.where(np.random.default_rng(5).random(112 * 24) < 0.4, office(112, np.nan), np.nan)
    worked = np.isfinite(office(112, np.nan))
    closed = mark_closed(hourly(y)).state == State.CLOSED
    assert (True, True) == (bool(closed[~worked].all()), bool(closed[worked].mean() < 0.1))


def test_days_given_as_closed_are_closed() -> None:
    y = np.full(28 * 24, 5.0)
    y[:24] = np.nan
    marked = mark_closed(hourly(y), closed_days=[MONDAY_S // 86_400])
    assert 24 == (marked.state == State.CLOSED).sum()


@pytest.mark.parametrize(
    ("observed", "expected", "dead"),
    [
        ([20.0, 0, 0, 20], [20.0, 20, 20, 20], [False, True, True, False]),
        ([1.0, 0, 0, 0, 0], [5.0, 5, 5, 5, 5], [False, False, False, True, True]),
        ([0.0, 0, 0], [1.0, 1, 1], [False, False, False]),
        ([0.0, np.nan, 0], [8.0, 8, 8], [False, False, True]),
        ([0.0, 0], [np.nan, np.nan], [False, False]),
    ],
)
def test_outages_are_runs_longer_than_chance(
    observed: list[float], expected: list[float], dead: list[bool]
) -> None:
    assert dead == outages(np.array(observed), np.array(expected)).tolist()


def day_of(size: int, per_day: int = 24) -> np.ndarray:
    return np.arange(size) // per_day


def test_a_slot_of_absurd_size_is_not_believed() -> None:
    observed = np.full(240, 50.0)
    observed[[100, 150]] = 1e9
    assert [100, 150] == np.flatnonzero(spikes(observed, day_of(240)).absurd).tolist()


def test_a_level_that_stays_is_believed_after_four_slots() -> None:
    observed = np.full(240, 50.0)
    observed[100:] = 1e5
    assert [100, 101, 102, 103] == np.flatnonzero(spikes(observed, day_of(240)).absurd).tolist()


def test_a_surge_is_no_spike() -> None:
    observed = np.full(240, 50.0)
    observed[100:104] = 1200.0
    assert not spikes(observed, day_of(240)).absurd.any()


def test_an_hour_of_work_a_day_is_no_spike() -> None:
    observed = np.where(np.arange(240) % 24 < 2, 5000.0, 0.0)
    assert not spikes(observed, day_of(240)).absurd.any()


def test_frequent_spikes_do_not_make_each_other_usual() -> None:
    observed = np.where(np.arange(960) % 50 == 0, 1e9, 50.0)
    assert np.arange(50, 960, 50).tolist() == np.flatnonzero(spikes(observed, day_of(960)).absurd).tolist()


def test_nothing_measured_is_no_spike() -> None:
    assert not spikes(np.full(48, np.nan), day_of(48)).absurd.any()
