"""The Numenta score and the judge of incidents."""

import pytest

from alerts.scoring import Found, judge, nab_score

WINDOWS = [(200, 220), (500, 520)]


def test_all_at_once_is_the_best_score() -> None:
    assert nab_score([200, 500], WINDOWS, 1000) == pytest.approx(100.0)


def test_silence_scores_nothing() -> None:
    assert nab_score([], WINDOWS, 1000) == pytest.approx(0.0)


def test_only_the_earliest_alert_of_a_window_counts() -> None:
    assert nab_score([200, 205, 210, 500], WINDOWS, 1000) == pytest.approx(100.0)


def test_a_late_alert_is_worth_less() -> None:
    assert nab_score([219, 500], WINDOWS, 1000) < nab_score([205, 500], WINDOWS, 1000)


def test_a_false_alert_costs_its_weight() -> None:
    assert nab_score([200, 400, 500], WINDOWS, 1000) == pytest.approx(100 - 100 * 0.11 / 4, abs=1e-6)


def test_alerts_in_the_probation_are_not_scored() -> None:
    assert nab_score([10, 50, 200, 500], WINDOWS, 1000) == pytest.approx(100.0)


def test_judge_counts_delays_and_strays() -> None:
    found, outside = judge([12, 13, 40], [("outage", 10, 20), ("creep", 60, 70)])
    assert found == {"outage": Found(1, 1, (3,)), "creep": Found(1, 0, ())}
    assert outside == 1
