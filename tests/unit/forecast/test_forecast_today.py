"""The panel of today: bit for bit what a panel built anew says, slot after slot."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.calendar import holiday_days
from forecast.issue import ahead_slots
from forecast.leads import lead_bins
from forecast.localtime import DAY_S
from forecast.panel import Panel
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


KINDS = ("plain", "outage", "outage over midnight", "spike", "gaps", "step", "closed", "clock change")


@pytest.mark.parametrize(
    ("kind", "days"),
    [*((kind, days) for kind in KINDS for days in (30, 80)), ("holiday", 80), ("holiday", 400)],
)
def test_every_slot_is_forecast_as_by_a_panel_built_anew(kind: str, days: int) -> None:
    series, holiday = load(kind, days)
    first = int(np.searchsorted(series.grid.day, series.grid.day[-1] - (kind == "clock change")))
    night_at = first + 2
    panel = Panel(series.until(night_at), ahead_slots(SLOT_S), holiday)
    rolling = Rolling(panel, lead_bins(SLOT_S, ahead_slots(SLOT_S)))
    rolling.start_day(int(panel.day[panel.known]))
    night = rolling.night()
    assert can_follow(panel)
    today = Today(panel, REACH)
    slots = today.room if days < 100 else 4
    for known in range(night_at + 1, night_at + slots + 1):
        today.append(float(series.learned[known - 1]))
        anew = Panel(series.until(known), ahead_slots(SLOT_S), holiday)
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
