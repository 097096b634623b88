"""A followed series: forecast from its new slots as from its whole history; anew where that no longer holds."""

import json
import pickle
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.followed import REREAD, Followed
from forecast.horizons import Horizon
from forecast.issue import Known, Outcome, Task, perform
from forecast.masks import Mask
from forecast.regressor_points import Regressor
from forecast.series import Series, State
from forecast.states import mark_closed
from forecast.targets import Kind, SeriesId, Signal

MONDAY_S = 1_704_067_200
KEY = SeriesId(Kind.POOL, "media-eu", Signal.ARRIVALS)
DAYS = 20
NOTHING = Known()
NIGHT = DAYS * 24 + 9
NEAR = (Horizon.SHORT, Horizon.MEDIUM)
HOURS = np.arange(NIGHT + 12)
LOAD = np.where(HOURS % 24 < 6, 0.0, np.random.default_rng(1).poisson(50, HOURS.size)).astype(np.float64)


def series(count: int, y: np.ndarray = LOAD) -> Series:
    state = np.where(np.isfinite(y[:count]), State.OPEN, State.MISSING).astype(np.uint8)
    return mark_closed(Series(MONDAY_S, 3600, ZoneInfo("UTC"), y[:count], state), watched=True)


def fitted(known: Known = NOTHING) -> Outcome:
    return perform(Task(KEY, series(NIGHT), known, NEAR, None))


def gone_on(outcome: Outcome, y: np.ndarray, known: Known = NOTHING) -> Outcome:
    """Return the outcome after the slots up to the end of `y`, from these alone."""
    followed = outcome.followed
    assert followed is not None
    slots = followed.next(y[(followed.end_s - MONDAY_S) // 3600 - REREAD :])
    assert slots is not None
    return perform(Task(KEY, slots, known, NEAR, outcome.night, followed=followed))


DAILY = Regressor("mailings", MONDAY_S + 86_400 * np.arange(DAYS + 3), np.arange(DAYS + 3) % 3.0, 86_400)


@pytest.mark.parametrize("steps", [(1, 1, 1), (3,), (0, 2)], ids=["slot by slot", "after a pause", "again"])
@pytest.mark.parametrize(
    "known",
    [
        NOTHING,
        Known(masks=(Mask(MONDAY_S + NIGHT * 3600, MONDAY_S + (NIGHT + 2) * 3600, "", "load test"),)),
        Known(regressors=(DAILY,), regressor_troubles=(("price", "no such file"),)),
    ],
    ids=["", "masked", "with a regressor"],
)
def test_it_is_forecast_as_from_its_whole_history(steps, known) -> None:
    y = LOAD.copy()
    y[NIGHT + 1] = np.nan
    outcome, count = fitted(known), NIGHT
    for step in steps:
        count += step
        outcome = gone_on(outcome, y[:count], known)
    anew = perform(Task(KEY, series(count, y), known, NEAR, outcome.night))
    for issue, expected in zip(outcome.issues, anew.issues, strict=True):
        np.testing.assert_array_equal(expected.quantiles, issue.quantiles)
        assert expected.first_s == issue.first_s
    assert (anew.watermark_s, anew.model) == (outcome.watermark_s, outcome.model)
    assert told(anew) == told(outcome)


def told(outcome: Outcome) -> dict:
    return {name: value for name, value in json.loads(outcome.inputs).items() if name != "digest"}


def test_every_slot_changes_the_digest() -> None:
    before = fitted()
    after = gone_on(before, LOAD[: NIGHT + 1])
    assert json.loads(before.inputs)["digest"] != json.loads(after.inputs)["digest"]


def followed() -> Followed:
    found = fitted().followed
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("place", "amount"), [(NIGHT - 2, 7.0), (NIGHT - 1, np.nan)], ids=["another number", "no longer watched"]
)
def test_a_slot_that_was_corrected_asks_for_a_new_start(place, amount) -> None:
    y = LOAD[: NIGHT + 1].copy()
    y[place] = amount
    assert followed().next(y[NIGHT - REREAD :]) is None


def test_the_next_day_asks_for_a_new_start() -> None:
    assert followed().next(np.full(REREAD + 16, 50.0)) is None


def test_traffic_in_closed_hours_asks_for_a_new_start() -> None:
    night = DAYS * 24 + 1
    found = perform(Task(KEY, series(night), Known(), NEAR, None)).followed
    assert found is not None
    assert found.next(np.r_[LOAD[night - REREAD : night], 5.0]) is None


def test_a_series_with_too_little_history_is_not_followed() -> None:
    young = perform(Task(KEY, series(5 * 24), Known(), NEAR, None))
    assert young.followed is None


def test_what_goes_on_is_kept_small() -> None:
    whole = replace(fitted(), night=None, issues=())
    assert len(pickle.dumps(whole)) < 60_000
