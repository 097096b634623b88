"""Arrivals are doubly stochastic as real ones were measured to be, and the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from surgecast.simulator.arrivals import Arrivals, draw_holding
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import EXAMPLE_START_NS
from surgecast.simulator.incidents import Incident, IncidentPlan, Place
from surgecast.simulator.network import HoldingTime
from surgecast.simulator.profile import DAY_MINUTES, LocalTime, WeekShape, generator, level, random_effect
from telephony.model import MINUTE_NS

NOW = EXAMPLE_START_NS // MINUTE_NS
FLAT = WeekShape((1.0,) * 24, (1.0,) * 7)


def arrivals(seed=1, calls=500.0, plan=None, network=DEMO_NETWORK):
    return Arrivals(network, seed=seed, calls=calls, now_ns=EXAMPLE_START_NS, plan=plan or IncidentPlan())


def test_a_minute_is_the_same_whenever_it_is_asked_for():
    one, other = arrivals(), arrivals()
    other.minute(NOW + 5)
    assert one.minute(NOW).tobytes() == other.minute(NOW).tobytes()


def test_another_seed_is_another_minute():
    assert arrivals(seed=1).minute(NOW).tobytes() != arrivals(seed=2).minute(NOW).tobytes()


def test_a_minute_is_in_order_and_inside_itself():
    at_ns = arrivals().minute(NOW)["at_ns"]
    assert (np.diff(at_ns) >= 0).all()
    assert (at_ns // MINUTE_NS == NOW).all()
    assert (at_ns % 1000 == 0).all()


def test_the_wanted_calls_are_up_on_average_now():
    made = arrivals(calls=777)
    now = np.asarray([NOW])
    assert sum(made.expected_concurrent(t, now)[0] for t in DEMO_NETWORK.tenants) == pytest.approx(777)


def test_a_campaign_multiplies_a_tenants_arrivals():
    surge = Incident("campaign", Place.TENANT, "harbour-ucaas", EXAMPLE_START_NS, 10 * MINUTE_NS, load_factor=2.0)
    tenant = DEMO_NETWORK.tenant("harbour-ucaas")
    minutes = np.arange(NOW - 5, NOW + 15)
    ratio = arrivals(plan=IncidentPlan([surge])).attempts_per_minute(
        tenant, minutes
    ) / arrivals().attempts_per_minute(tenant, minutes)
    assert ratio.tolist() == pytest.approx([1.0] * 5 + [2.0] * 10 + [1.0] * 5)


def _dispersion(day_cv, intraday_cv, mean, slot_minutes, days=1500):
    """Return the index of dispersion of counts per slot, before and after removing each day's level."""
    minutes = np.arange(days * DAY_MINUTES, step=slot_minutes)
    rate = random_effect(7, "t", LocalTime.of("UTC", minutes), day_cv, intraday_cv) * mean
    counts = generator(7, "counts").poisson(rate).reshape(days, -1)
    expected = counts.mean(axis=0)
    by_day = counts.mean(axis=1, keepdims=True) / counts.mean()
    raw = ((counts - expected) ** 2).mean() / expected.mean()
    inside = ((counts - expected * by_day) ** 2).mean() / expected.mean()
    return raw, inside


@pytest.mark.parametrize(
    ("slot_minutes", "mean", "measured", "measured_inside"),
    # A large bank's calls (mean 578 a quarter of an hour, 192 in 5 minutes, 2314 an hour).
    [(5, 192, 2.1, 1.34), (15, 578, 4.5, 2.2), (60, 2314, 14.5, 5.2)],
)
def test_dispersion_grows_with_aggregation_as_measured_on_real_calls(
    slot_minutes, mean, measured, measured_inside
):
    raw, inside = _dispersion(0.063, 0.044, mean, slot_minutes)
    assert measured == pytest.approx(raw, rel=0.15)
    assert measured_inside == pytest.approx(inside, rel=0.2)


def test_without_effects_arrivals_are_poisson():
    raw, _ = _dispersion(0.0, 0.0, 192, 5, days=100)
    assert raw == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("tenant", DEMO_NETWORK.tenants, ids=lambda t: t.name)
def test_the_mean_of_the_random_effect_is_one(tenant):
    minutes = np.arange(0, 3000 * DAY_MINUTES, 720)
    effect = random_effect(3, tenant.name, LocalTime.of("UTC", minutes), tenant.day_cv, tenant.intraday_cv)
    assert effect.mean() == pytest.approx(1, abs=0.02)


def test_shapes_follow_the_local_clock_over_a_clock_change():
    # 2026-03-29 01:00 UTC: Amsterdam goes from UTC+1 to UTC+2.
    change = 1_774_746_000 // 60
    local = LocalTime.of("Europe/Amsterdam", np.asarray([change - 1, change]))
    assert (local.minute_of_week % DAY_MINUTES).tolist() == [119, 180]


def test_the_week_begins_on_monday():
    monday = 1_795_392_000 // 60  # 2026-11-23 00:00 UTC
    assert LocalTime.of("UTC", np.asarray([monday])).minute_of_week.tolist() == [0]


def test_the_busiest_minute_of_a_shape_is_one():
    shape = WeekShape((0.1,) * 12 + (0.6,) + (0.1,) * 11)
    assert shape.minutes().max() == pytest.approx(1.0)
    assert level(FLAT, LocalTime.of("UTC", np.arange(10))).tolist() == [1.0] * 10


def test_holding_times_have_the_mean_that_is_said():
    holding = HoldingTime(200, cv=1.2, short_ratio=0.2, short_mean_s=15)
    drawn = draw_holding(generator(1, "holding"), holding, 400_000)
    assert drawn.mean() == pytest.approx(holding.overall_mean_s, rel=0.02)
    assert drawn.max() <= holding.longest_s


def test_the_long_mode_of_holding_times_has_the_variation_that_is_said():
    holding = HoldingTime(100, cv=1.2, short_ratio=0.0)
    drawn = draw_holding(generator(1, "holding"), holding, 400_000)
    assert drawn.std() / drawn.mean() == pytest.approx(1.2, rel=0.05)


def test_louder_days_are_louder_for_every_minute_of_them():
    quiet, loud = (replace(DEMO_NETWORK.tenants[0], share=share) for share in (0.1, 0.2))
    made = arrivals()
    minutes = np.arange(NOW, NOW + 60)
    assert made.attempts_per_minute(loud, minutes) == pytest.approx(2 * made.attempts_per_minute(quiet, minutes))
