"""The panel of today: bit for bit what a panel built anew says, slot after slot."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.calendar import holiday_days
from forecast.events import Event
from forecast.issue import ahead_slots
from forecast.leads import lead_bins
from forecast.localtime import DAY_S
from forecast.panel import Panel
from forecast.regressor_points import Regressor
from forecast.rolling import Rolling
from forecast.series import Series, State
from forecast.states import mark_closed
from forecast.today import Today, can_follow

SLOT_S = 3600
REACH = 4


def load(kind: str, days: int) -> tuple[Series, frozenset[int]]:
    """Return a load with what its name says on the last day, and the days of holiday."""
    random = np.random.default_rng(5)
    zone = ZoneInfo("Europe/Berlin" if kind == "clock change" else "UTC")
    # The last whole local day is 31 March 2024, on which Berlin lacks an hour.
    start_s = 1_711_843_200 - (days - 1) * DAY_S
    hours = np.arange(days * 24)
    level = np.exp(0.1 * np.repeat(random.normal(size=days), 24))
    y = random.poisson(40 * level * (1 + 0.7 * np.sin(hours / 24 * 2 * np.pi))).astype(np.float64)
    last = (days - 1) * 24
    if kind == "outage":
        y[last + 3 : last + 9] = 0.0
        y[last - 40 : last - 34] = 0.0
    elif kind == "outage over midnight":
        y[last - 3 : last + 4] = 0.0
    elif kind == "spike":
        y[last + 5 : last + 12] = 1e5
    elif kind == "gaps":
        y[last + 2 : last + 5] = np.nan
        y[random.random(y.size) < 0.1] = np.nan
    elif kind == "step":
        y[last + 2 :] *= 2.5
    elif kind == "holiday":
        y[last:] *= 0.5
        y[max(last - 365 * 24, 0) :][:24] *= 0.5
    elif kind == "closed":
        y[hours % 24 < 6] = 0.0
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    series = mark_closed(Series(start_s, SLOT_S, zone, y, state), watched=True)
    first_day, last_day = int(series.grid.day[0]), int(series.grid.day[-1])
    holiday = holiday_days("DE", first_day, last_day + 30)
    return series, holiday | {last_day, last_day - 365} if kind == "holiday" else holiday


DAYS = 80
MIDNIGHT_S = 1_711_843_200
"""Of the last day."""


def event(first_h: int, last_h: int, uplift: float | None = 0.5, decay_s: float = 0.0) -> Event:
    """Return a sale between hours of the last day."""
    return Event("sale", MIDNIGHT_S + first_h * 3600, MIDNIGHT_S + last_h * 3600, (), "", uplift, decay_s)


BEFORE = event(-200, -190, None)


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ((event(5, 9),), 0),
        ((event(-4, 2, decay_s=7200.0), event(6, 8, -0.4)), 1),
        ((BEFORE, event(-400, -380, None), event(6, 10, None)), 2),
        ((event(-300, 40),), 0),
        ((), 2),
    ],
    ids=["declared", "fading", "learned before", "a long one", "regressors alone"],
)
def test_events_and_regressors_are_taken_out_as_by_a_panel_built_anew(
    events: tuple[Event, ...], count: int
) -> None:
    moved = np.random.default_rng(2).random((2, DAYS + 3))
    times_s = MIDNIGHT_S + DAY_S * np.arange(1 - DAYS, 4)
    regressors = [Regressor(str(place), times_s, values, DAY_S) for place, values in enumerate(moved[:count])]
    series, _ = load("outage", DAYS)
    lifted = series.y * np.exp(np.repeat(moved[0, :DAYS], 24))
    check(replace(series, y=lifted), events=events, regressors=regressors)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((event(-3, 9, None),), False),
        ((event(-3, 9),), True),
        ((event(-3, 9), BEFORE), False),
        ((event(3, 9, None),), True),
        ((event(-30, -6, None),), True),
    ],
    ids=["to be learned", "declared", "teaches another", "begins today", "was over"],
)
def test_what_goes_on_since_before_and_is_learned_from_is_not_followed(
    events: tuple[Event, ...], expected: bool
) -> None:
    series, _ = load("plain", 40)
    assert expected == can_follow(Panel(series.until(len(series) - 20), ahead_slots(SLOT_S), events=events))


KINDS = ("plain", "outage", "outage over midnight", "spike", "gaps", "step", "closed", "clock change")


@pytest.mark.parametrize(
    ("kind", "days"),
    [*((kind, days) for kind in KINDS for days in (30, 80)), ("holiday", 80), ("holiday", 400)],
)
def test_every_slot_is_forecast_as_by_a_panel_built_anew(kind: str, days: int) -> None:
    series, holiday = load(kind, days)
    last_day = int(series.grid.day[-1] - (kind == "clock change"))
    check(series, holiday, last_day=last_day, slots=4 if days > DAYS else 24)


def check(
    series: Series,
    holiday: frozenset[int] = frozenset(),
    events: Sequence[Event] = (),
    regressors: Sequence[Regressor] = (),
    last_day: int = MIDNIGHT_S // DAY_S,
    slots: int = 24,
) -> None:
    """Follow a series through a day and compare each forecast, bit for bit."""

    def panel_of(count: int) -> Panel:
        return Panel(series.until(count), ahead_slots(SLOT_S), holiday, events, regressors)

    night_at = int(np.searchsorted(series.grid.day, last_day)) + 2
    panel = panel_of(night_at)
    rolling = Rolling(panel, lead_bins(SLOT_S, ahead_slots(SLOT_S)))
    rolling.start_day(int(panel.day[panel.known]))
    night = rolling.night()
    assert can_follow(panel)
    today = Today(panel, REACH)
    for known in range(night_at + 1, night_at + min(slots, today.room) + 1):
        today.append(float(series.learned[known - 1]))
        anew = panel_of(known)
        got, expected = (
            night.quantiles(each, np.full(REACH, each.known - 1), each.known + np.arange(REACH))
            for each in (today, anew)
        )
        np.testing.assert_array_equal(expected, got)
        assert anew.outage[known - 1] == today.outage[today.known - 1]


@pytest.mark.parametrize(("days", "expected"), [(10, False), (20, True)])
def test_a_young_series_is_not_followed(days: int, expected: bool) -> None:
    series, _ = load("plain", days)
    assert expected == can_follow(Panel(series.until(len(series) - 5), ahead_slots(SLOT_S)))
