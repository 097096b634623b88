"""The threshold that a budget of alerts asks of a history."""

from math import log

import numpy as np
from alert_series import PER_DAY, load

from alerts.baseline import baseline
from alerts.detectors import calibrate
from alerts.signals import Signal


def threshold(budget_per_week: float, burst: float = 1.0) -> float:
    series = load(21)
    series.y[15 * PER_DAY : 15 * PER_DAY + 8] *= burst
    return calibrate(baseline(Signal(series)), series.slot_s, budget_per_week=budget_per_week).threshold


def test_a_budget_that_no_history_can_show_is_drawn_out_from_its_tail() -> None:
    """Ten times rarer takes log 10 more of what is about minus the log of how often, or half as much again."""
    higher = np.diff([threshold(budget) for budget in (1e-1, 1e-2, 1e-3)])
    assert all(log(10) - 0.1 <= step <= 1.5 * log(10) + 0.1 for step in higher)


def test_an_incident_that_nobody_noticed_does_not_draw_the_tail_out_without_end() -> None:
    rarer = [threshold(1e-4, burst) - threshold(1e-1, burst) for burst in (1.0, 3.0)]
    assert rarer[1] <= 1.5 * log(1e3) + 0.1
