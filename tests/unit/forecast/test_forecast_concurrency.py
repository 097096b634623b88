import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecast.concurrency import (
    STEP_S,
    Survival,
    forecast_concurrency,
    learn_survival,
    newly_live,
    pooled,
    still_live,
)
from forecast.leads import lead_bins
from forecast.panel import Panel
from forecast.points import read_csv
from forecast.rolling import Rolling

MEAN_S = 180.0


def exponential_calls(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(1).exponential(MEAN_S, count)


def everyone(calls: np.ndarray) -> np.ndarray:
    return np.ones(calls.size, np.bool_)


@pytest.fixture(scope="module")
def survival():
    calls = exponential_calls()
    return learn_survival(calls, everyone(calls))


def test_mean_holding_time_is_the_area_under_the_curve(survival) -> None:
    # Ages count to the end of their step, the trapezoid takes half a step back.
    assert survival.mean_s == pytest.approx(MEAN_S, rel=0.01)


def test_survival_starts_at_one_and_only_falls(survival) -> None:
    assert survival.probability[0] == 1.0
    assert (np.diff(survival.probability) <= 0).all()


def test_live_calls_do_not_shorten_holding_times() -> None:
    calls = exponential_calls()
    seen = np.minimum(calls, 150.0)
    learned = learn_survival(seen, calls <= 150.0)
    assert learned.at(np.array([120.0]))[0] == pytest.approx(np.exp(-120 / MEAN_S), abs=0.02)


def test_a_memoryless_call_lives_on_whatever_its_age(survival) -> None:
    got = still_live(survival, np.array([0.0, 300.0, 600.0]), np.array([60.0]))
    assert got[0] == pytest.approx(3 * np.exp(-60 / MEAN_S), rel=0.02)


def test_of_fixed_length_calls_those_old_enough_end() -> None:
    calls = np.full(500, 60.0)
    survival = learn_survival(calls, everyone(calls))
    assert [2.0, 0.0] == still_live(survival, np.array([0.0, 15.0, 45.0]), np.array([30.0, 61.0])).round(
        6
    ).tolist()


def test_steady_arrivals_fill_to_the_offered_load_without_bias(survival) -> None:
    arrivals = np.full(24, 300.0)
    got = newly_live(survival, arrivals, 300.0, np.array([7200.0]))[0]
    assert got == pytest.approx(300.0 * survival.mean_s / 300.0, rel=0.002)


def test_new_calls_build_up_as_theory_says(survival) -> None:
    after = np.array([0.0, 60.0, 300.0])
    expected = MEAN_S * (1 - np.exp(-after / MEAN_S))
    np.testing.assert_allclose(newly_live(survival, np.full(2, 300.0), 300.0, after), expected, atol=2.0)


def test_a_pool_in_balance_stays(survival) -> None:
    ages = np.random.default_rng(2).exponential(MEAN_S, 180)
    got = forecast_concurrency(survival, ages, np.full(12, 300.0), 300.0, 12)
    np.testing.assert_allclose(got.mean, 180, rtol=0.02)


def test_the_maximum_lies_a_standard_deviation_above_the_mean(survival) -> None:
    ages = np.random.default_rng(2).exponential(MEAN_S, 180)
    got = forecast_concurrency(survival, ages, np.full(12, 300.0), 300.0, 12)
    np.testing.assert_allclose(got.maximum - got.mean, np.sqrt(180), rtol=0.05)


def test_no_calls_and_no_arrivals_is_zero(survival) -> None:
    got = forecast_concurrency(survival, np.zeros(0), np.zeros(3), 300.0, 3)
    assert ([0.0] * 3, [0.0] * 3) == (got.mean.tolist(), got.maximum.tolist())


def test_a_day_part_with_few_calls_is_drawn_to_the_whole() -> None:
    calls = np.r_[exponential_calls(5000), np.full(10, 900.0)]
    whole, own = learn_survival(calls, everyone(calls)), learn_survival(calls[5000:], everyone(calls[5000:]))
    assert pooled(own, 10, whole).mean_s == pytest.approx(whole.mean_s, rel=0.2)


def test_learning_from_nothing_gives_a_curve_that_ends_at_once() -> None:
    got = learn_survival(np.zeros(0), np.zeros(0, np.bool_))
    assert got.mean_s <= STEP_S


@pytest.fixture(scope="module")
def real_pool(series: Path) -> dict[int, tuple[float, float, float]]:
    """Return lead in slots: WAPE of the forecast and of the last value, and bias, over the last days."""
    with (series / "technion_feb1999_calls.csv").open() as file:
        calls = [(_at(row["vru_entry"]), _at(row["end"])) for row in csv.DictReader(file)]
    start, end = (np.array(times) for times in zip(*sorted(calls)))
    with (series / "technion_feb1999_5min.csv").open() as file:
        concurrent = np.array([float(row["conc_mean"]) for row in csv.DictReader(file)])
    arrivals = read_csv(series / "technion_feb1999_5min.csv", 300)
    panel = Panel(arrivals, 24)
    rolling = Rolling(panel, lead_bins(300, 24))
    errors = {lead: np.zeros(4) for lead in (1, 6, 12)}
    for day in range(21, 28):
        rolling.start_day(day)
        morning = arrivals.start_s + 86_400 * day
        past = start < morning
        ended = end[past] <= morning
        survival = learn_survival(np.where(ended, end[past], morning) - start[past], ended)
        for origin in np.flatnonzero(panel.day[: panel.known - 24] == day)[::3]:
            now = arrivals.start_s + 300 * (origin + 1)
            ages = now - start[(start <= now) & (end > now)]
            coming = rolling.quantiles(np.full(24, origin), origin + 1 + np.arange(24))[:, 0]
            got = forecast_concurrency(survival, ages, coming, 300.0, 24).mean
            for lead, sums in errors.items():
                came = concurrent[origin + lead]
                sums += [abs(got[lead - 1] - came), abs(concurrent[origin] - came), got[lead - 1] - came, came]
    return {lead: (s[0] / s[3], s[1] / s[3], s[2] / s[3]) for lead, s in errors.items()}


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_on_a_real_small_pool_the_next_slot_is_a_sixth_better_than_the_last_value(real_pool) -> None:
    assert real_pool[1][0] < 0.26
    assert real_pool[1][0] < 0.85 * real_pool[1][1]


def test_on_a_real_small_pool_an_hour_ahead_is_a_tenth_better_than_the_last_value(real_pool) -> None:
    assert real_pool[12][0] < 0.9 * real_pool[12][1]


def test_on_a_real_small_pool_the_bias_is_small(real_pool) -> None:
    assert abs(real_pool[12][2]) < 0.10


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_on_a_flat_load_it_is_as_good_as_anything_can_be(minutes: int) -> None:
    random = np.random.default_rng(8)
    mean_s, calls, span_s, ahead_s = 230.0, 150.0, 20 * 86_400, 60.0 * minutes
    rate_hz = calls / mean_s
    began = np.sort(span_s * random.random(random.poisson(rate_hz * span_s)))
    ended = began + random.exponential(mean_s, began.size)
    ages = STEP_S * np.arange(int(6 * 3600 / STEP_S) + 1)
    survival = Survival(STEP_S, np.exp(-ages / mean_s))
    origins = np.arange(3 * 3600.0, span_s - 2 * 3600, 900.0)
    coming = newly_live(survival, np.full(4, rate_hz * 900), 900.0, np.array([ahead_s]))[0]
    live = np.searchsorted(began, [origins, origins + ahead_s], "right")
    live = live - np.searchsorted(np.sort(ended), [origins, origins + ahead_s], "right")
    last, came = live.astype(np.float64)
    # Calls of one mean duration are alike whatever their age, so that how many there are says it all.
    left = still_live(survival, np.full(1, 60.0), np.array([ahead_s]))[0]
    error = last * left + coming - came
    correlation = np.exp(-ahead_s / mean_s)
    least = np.sqrt((1 + correlation) / 2)
    assert np.abs(error).sum() / np.abs(last - came).sum() == pytest.approx(least, rel=0.05)
    assert abs(error.mean()) < 0.005 * calls
