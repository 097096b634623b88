"""Scores of forecasts by horizon, class of lead and model; and those that a fit gets from rehearsing on the past.

A fit forecasts the last weeks as if they were to come, to learn its errors. Scored, these rehearsals say from the
first day how good a model is, long before what it issued can be compared with what came.
"""

from dataclasses import dataclass

import numpy as np

from forecast.accuracy import LEVELS, Score, poisson_mean_deviation
from forecast.horizons import lead_class
from forecast.ladder import PROFILE
from forecast.localtime import DAY_S, Bools, Floats, Ints
from forecast.series import Series

REHEARSED = "rehearsed"
"""In place of a horizon: made on the past before the fact, never issued."""
_WEEK_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Group:
    """What sums are of."""

    horizon: str
    """A `Horizon`, or `REHEARSED`."""
    lead: str
    """Class of leads."""
    model: str


def score_slots(series: Series, places: Ints, leads_s: Ints, quantiles: Floats, is_count: bool) -> Score:
    """Return the score of forecasts of slots [rows], their leads to the slot's end, quantiles [rows, levels]."""
    score = Score()
    actual = series.learned[places]
    back = places - _WEEK_S // series.slot_s * -(-leads_s // _WEEK_S)
    naive = np.where(back >= 0, series.learned[np.maximum(back, 0)], np.nan)
    score.add(actual, quantiles, floor_of(series, places) if is_count else np.zeros(places.size), naive)
    return score


def floor_of(series: Series, places: Ints) -> Floats:
    """Return E|Y - mean| of Poisson counts at some slots, the mean taken from each and its neighbours."""
    around = np.clip(places[:, None] + np.array([-1, 0, 1]), 0, len(series) - 1)
    values: Floats = series.learned[around]
    known: Bools = np.isfinite(values)
    mean = np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return poisson_mean_deviation(mean)


class Rehearsal:
    """Scores what a fit rehearses over the last days of a series; see `forecast.rolling.Told`."""

    def __init__(self, series: Series, days: int, is_count: bool) -> None:
        self._series = series
        self._day = series.grid.day
        self._from = int(self._day[-1]) - days + 1
        self._is_count = is_count
        self._scores: dict[int, dict[Group, Score]] = {}

    def __call__(self, targets: Ints, leads: Ints, model: str, quantiles: Floats, profile: Floats) -> None:
        """Take the rehearsed forecasts of a day's slots."""
        held = np.isfinite(self._series.learned[targets])
        targets, leads, quantiles, profile = targets[held], leads[held], quantiles[held], profile[held]
        day = int(self._day[targets[0]]) if targets.size else self._from - 1
        if day < self._from:
            return
        leads_s = leads * self._series.slot_s
        distinct, where = np.unique(leads_s, return_inverse=True)
        classes = np.array([lead_class(lead) for lead in distinct.tolist()])[where]
        scores = self._scores.setdefault(day, {})
        # The profile has no quantiles of its own: its median stands for all, and its coverage says nothing.
        flat = np.repeat(profile[:, None], len(LEVELS), axis=1)
        for name in np.unique(classes):
            rows = classes == name
            for label, values in ((model, quantiles), (PROFILE, flat)):
                if label == PROFILE and model == PROFILE and values is flat:
                    continue
                group = Group(REHEARSED, str(name), label)
                scores[group] = score_slots(
                    self._series, targets[rows], leads_s[rows], values[rows], self._is_count
                )

    def days(self) -> tuple[tuple[int, dict[Group, Score]], ...]:
        """Return the scores by the start of their day (UTC second)."""
        starts = {day: int(np.searchsorted(self._day, day)) for day in self._scores}
        return tuple(
            (self._series.start_s + starts[day] * self._series.slot_s, scores)
            for day, scores in sorted(self._scores.items())
        )
