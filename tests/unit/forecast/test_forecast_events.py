from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.events import BadEvents, Event, EventTable, event_of, parse_declared
from forecast.leads import lead_bins
from forecast.panel import Panel
from forecast.rolling import Rolling
from forecast.series import Series, State

UTC = ZoneInfo("UTC")
PER_DAY = 48
MONDAY_S = 1_704_067_200
DAY_S = 86_400


def load(days: int, factors: dict[int, float] | None = None) -> np.ndarray:
    """Return half-hourly calls; on the days named 10:00 to 16:00 lies higher or lower by the factor."""
    slots = np.arange(days * PER_DAY)
    mean = 200 * (1 + 0.7 * np.sin((slots % PER_DAY / PER_DAY - 0.3) * 2 * np.pi))
    for day, factor in (factors or {}).items():
        mean[day * PER_DAY + 20 : day * PER_DAY + 32] *= factor
    return np.random.default_rng(3).poisson(mean).astype(np.float64)


def series(y: np.ndarray) -> Series:
    return Series(MONDAY_S, 1800, UTC, y, np.full(y.size, State.OPEN, np.uint8))


def sale(day: int, uplift: float | None = None, decay_s: float = 0.0) -> Event:
    start = MONDAY_S + day * DAY_S + 36_000
    return Event(f"sale {day}", start, start + 6 * 3600, kind="sale", uplift=uplift, decay_s=decay_s)


def forecast(y: np.ndarray, events: tuple[Event, ...], day: int) -> np.ndarray:
    """Return quantiles of `day` as forecast at its midnight."""
    panel = Panel(series(y), 7 * PER_DAY, events=events)
    rolling = Rolling(panel, lead_bins(1800, 7 * PER_DAY))
    for begun in range(day - 20, day):
        rolling.start_day(begun)
        rolling.rehearse()
    origin = day * PER_DAY - 1
    return rolling.quantiles(np.full(PER_DAY, origin), origin + 1 + np.arange(PER_DAY))


PAST = {20: 1.5, 34: 1.5}


def test_a_declared_uplift_lifts_the_forecast_of_its_slots() -> None:
    y = load(60)
    plain, lifted = (forecast(y, events, 58)[20:32, 0].sum() for events in ((), (sale(58, 0.4),)))
    assert lifted / plain == pytest.approx(1.4, abs=0.01)


def test_other_slots_are_not_touched() -> None:
    y = load(60)
    plain, lifted = (forecast(y, events, 58)[:19] for events in ((), (sale(58, 0.4),)))
    np.testing.assert_array_equal(plain, lifted)


def test_an_uplift_is_learned_from_past_events_of_its_kind() -> None:
    events = (sale(20), sale(34), sale(58))
    quantiles = forecast(load(60, PAST), events, 58)
    usual = forecast(load(60), (), 58)
    # Two events are mixed with a quarter of one without effect: 1.5 ** (2 / 2.25).
    assert quantiles[20:32, 0].sum() / usual[20:32, 0].sum() == pytest.approx(1.434, abs=0.05)


def test_past_events_leave_no_trace_in_the_profile() -> None:
    events = (sale(44), sale(51))
    lifted = forecast(load(60, {44: 2.0, 51: 2.0}), events, 58)[20:32, 0].sum()
    assert lifted == pytest.approx(forecast(load(60), (), 58)[20:32, 0].sum(), rel=0.02)


def test_an_event_not_seen_before_is_wide() -> None:
    y = load(60)
    plain, wide = (forecast(y, events, 58) for events in ((), (sale(58),)))
    assert (wide[20:32, 3] > 1.3 * plain[20:32, 3]).all()


def test_quantiles_never_cross_in_an_event() -> None:
    assert (np.diff(forecast(load(60), (sale(58, 0.4),), 58), axis=1) >= 0).all()


def test_the_effect_fades_after_the_end() -> None:
    y = load(60)
    plain, fading = (forecast(y, events, 58)[:, 0] for events in ((), (sale(58, 1.0, decay_s=7200.0),)))
    # Two hours after the end, half of the logarithm of 2 is left.
    assert fading[36] / plain[36] == pytest.approx(2**0.46, rel=0.03)


def test_an_event_teaches_nothing_before_it_is_over() -> None:
    events = (sale(34), sale(58))
    ended = forecast(load(60, {34: 3.0}), events, 34)
    np.testing.assert_array_equal(ended, forecast(load(60), events, 34))


def test_effects_name_what_was_learned_from_what() -> None:
    y = load(60, PAST)
    usual = 200 * (1 + 0.7 * np.sin((np.arange(y.size) % PER_DAY / PER_DAY - 0.3) * 2 * np.pi))
    # Room for the events that are still to come.
    ahead = np.full(15 * PER_DAY, np.nan)
    day = np.arange(75 * PER_DAY) // PER_DAY
    table = EventTable((sale(20), sale(34), sale(70), sale(72, 0.1)), MONDAY_S, 1800, day)
    table.learn(np.r_[y, ahead], np.r_[usual, ahead])
    effects = table.effects(60)
    assert [2, 2, 2, 0] == [effect.learned_from for effect in effects]
    assert effects[2].uplift == pytest.approx(0.434, abs=0.04)


@pytest.mark.parametrize("poison", [np.nan, 0.0, 1e6])
def test_events_open_no_view_of_the_future(poison: float) -> None:
    y = load(70, PAST)
    changed = y.copy()
    changed[58 * PER_DAY :] = poison
    events = (sale(20), sale(34), sale(58), sale(60), sale(62, 0.5, decay_s=7200.0))
    np.testing.assert_array_equal(forecast(y, events, 58), forecast(changed, events, 58))


YAML = """
events:
  - name: sale
    start: 2024-03-01T09:00
    end: 2024-03-01 18:00:00
    tenants: [acme]
    uplift: 0.4
    decay: 12h
"""


def test_times_without_offset_are_local() -> None:
    (event,) = (event_of(each, ZoneInfo("Europe/Berlin")) for each in parse_declared(YAML).events)
    assert Event("sale", 1_709_280_000, 1_709_312_400, ("acme",), "", 0.4, 43_200.0) == event


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- {name: a, start: soon, end: 2024-01-01}", "is no time"),
        ("- {name: a, start: 2024-01-02, end: 2024-01-01}", "ends before it starts"),
        ("- {name: a, start: 2024-01-01}", "events.0.end: Field required"),
        ("- {name: a, start: 2024-01-01, end: 2024-01-02, uplift: -2}", "greater than -1"),
        ("- {name: a, start: 2024-01-01, end: 2024-01-02, lift: 1}", "events.0.lift: Extra"),
        ("[", "not YAML"),
        ("7", "valid dictionary"),
    ],
)
def test_what_is_no_event_says_why(text: str, says: str) -> None:
    with pytest.raises(BadEvents, match=says):
        tuple(event_of(each, UTC) for each in parse_declared(text).events)


def test_no_events_is_none() -> None:
    assert () == parse_declared("").events
