from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.backtest import Report, backtest
from forecast.leads import lead_bins
from forecast.panel import Panel
from forecast.regressor_points import Regressor
from forecast.regressors import RegressorTable
from forecast.rolling import Rolling
from forecast.series import Series, State

UTC = ZoneInfo("UTC")
PER_DAY = 48
SLOT_S = 1800
MONDAY_S = 1_704_067_200
DAYS = 84
RANDOM = np.random.default_rng(5)
MAILINGS = (RANDOM.random(DAYS + 8) < 0.4).astype(np.float64)
NOISE = RANDOM.standard_normal((4, DAYS + 8))


def daily(name: str, values: np.ndarray) -> Regressor:
    return Regressor(name, MONDAY_S + 86_400 * np.arange(values.size), values, 86_400)


def load(effect: float = 1.3, days: int = DAYS) -> np.ndarray:
    """Return half-hourly Poisson calls, each day 4 % off, times `effect` on days with a mailing."""
    slots = np.arange(days * PER_DAY)
    random = np.random.default_rng(3)
    mean = 60 * (1 + 0.7 * np.sin((slots % PER_DAY / PER_DAY - 0.3) * 2 * np.pi))
    mean *= np.exp(0.04 * random.standard_normal(DAYS))[slots // PER_DAY] * effect ** MAILINGS[slots // PER_DAY]
    return random.poisson(mean).astype(np.float64)


def series(y: np.ndarray) -> Series:
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return Series(MONDAY_S, SLOT_S, UTC, y, state)


def report_of(*regressors: Regressor) -> Report:
    return backtest(series(load()), test_days=28, regressors=regressors)


def wapes(report: Report) -> np.ndarray:
    return 100 * np.array([accuracy.wape for accuracy in report.horizons.values()])


@pytest.fixture(scope="module")
def without() -> Report:
    return report_of()


@pytest.fixture(scope="module")
def with_mailings() -> Report:
    return report_of(daily("mailings", MAILINGS))


def test_a_regressor_that_moves_the_load_improves_the_day_and_the_week_ahead(
    without: Report, with_mailings: Report
) -> None:
    assert (wapes(without) - wapes(with_mailings))[-2:].min() > 2


def test_and_no_horizon_is_worse(without: Report, with_mailings: Report) -> None:
    assert (wapes(with_mailings) - wapes(without)).max() < 0.1


def test_its_effect_is_found(with_mailings: Report) -> None:
    assert with_mailings.regressors[0].per_unit == pytest.approx(0.3, abs=0.05)


def test_quantiles_stay_honest(with_mailings: Report) -> None:
    under = np.array([accuracy.coverage[3] for accuracy in with_mailings.horizons.values()])
    np.testing.assert_allclose(under, 0.95, atol=0.025)


def test_noise_costs_less_than_half_a_point(without: Report) -> None:
    noise = [daily(f"noise {place}", values) for place, values in enumerate(NOISE)]
    assert (wapes(report_of(*noise)) - wapes(without)).max() < 0.5


def test_with_gaps_it_still_helps(without: Report) -> None:
    holes = np.where(np.random.default_rng(1).random(MAILINGS.size) < 0.2, np.nan, MAILINGS)
    assert (wapes(without) - wapes(report_of(daily("mailings", holes))))[-2:].min() > 1


def test_one_given_twice_shares_the_effect(with_mailings: Report) -> None:
    twice = report_of(daily("a", MAILINGS), daily("b", MAILINGS * 1000))
    np.testing.assert_allclose(wapes(twice), wapes(with_mailings), atol=0.3)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full(DAYS, 7.0), "it did not vary where the load was measured"),
        (np.full(DAYS, np.nan), "nothing is known of it in the time of the series"),
        (np.r_[np.full(DAYS - 5, np.nan), MAILINGS[:5] + np.arange(5)], "too little history: 4 of 14 days"),
    ],
    ids=["constant", "unknown", "young"],
)
def test_what_cannot_be_learned_is_left_out_and_says_why(values: np.ndarray, why: str, without: Report) -> None:
    report = report_of(daily("x", values))
    assert (why, wapes(without).tolist()) == (report.regressors[0].left_out, wapes(report).tolist())


def test_a_value_seen_on_a_single_day_is_hardly_believed() -> None:
    once = np.zeros(DAYS)
    once[40] = 1
    y = load(1.0)
    y[40 * PER_DAY : 41 * PER_DAY] *= 3
    report = backtest(series(y), test_days=28, regressors=[daily("once", once)])
    assert 0 <= report.regressors[0].per_unit < 2 / 3


def quantiles_from(y: np.ndarray, origin: int) -> np.ndarray:
    regressors = [daily("mailings", MAILINGS), daily("noise", NOISE[0])]
    panel = Panel(series(y), 7 * PER_DAY, regressors=regressors)
    rolling = Rolling(panel, lead_bins(SLOT_S, 7 * PER_DAY))
    day = origin // PER_DAY
    for begun in range(day - 5, day + 1):
        rolling.start_day(begun)
        rolling.rehearse()
    return rolling.quantiles(np.full(7 * PER_DAY, origin), origin + 1 + np.arange(7 * PER_DAY))


@pytest.mark.parametrize("poison", [np.nan, 0.0, 1e6])
@pytest.mark.parametrize("days", [12, 25, 60])
def test_the_future_of_an_origin_changes_no_bit_of_its_forecast(poison: float, days: int) -> None:
    y = load(days=days + 10)
    origin = days * PER_DAY + 19
    changed = y.copy()
    changed[origin + 1 :] = poison
    np.testing.assert_array_equal(quantiles_from(y, origin), quantiles_from(changed, origin))


def learned(values: np.ndarray) -> RegressorTable:
    """Return what is believed of a regressor by which the load moves by a fifth per unit."""
    y = load(1.0) * np.repeat(1 + 0.2 * MAILINGS[:DAYS], PER_DAY)
    return Panel(series(y), 7 * PER_DAY, regressors=[daily("x", values)]).regressors


def test_a_value_far_beyond_what_was_seen_counts_half_a_range_more() -> None:
    future = DAYS * PER_DAY + np.arange(PER_DAY)
    made = np.full(PER_DAY, DAYS)
    far, near = (np.r_[MAILINGS[:DAYS], np.full(7, value)] for value in (1e9, 1.5))
    np.testing.assert_allclose(learned(near).log_factor(made, future), learned(far).log_factor(made, future))


def test_what_is_unknown_ahead_is_the_mean_of_four_weeks() -> None:
    made, future = np.full(PER_DAY, DAYS), DAYS * PER_DAY + np.arange(PER_DAY)
    unknown = learned(MAILINGS[:DAYS])
    mean = learned(np.r_[MAILINGS[:DAYS], np.full(7, MAILINGS[DAYS - 28 : DAYS].mean())])
    np.testing.assert_allclose(mean.log_factor(made, future), unknown.log_factor(made, future))


@pytest.mark.parametrize(
    ("step_s", "values", "expected"),
    [
        (900, [1, 3, 5, 7], [2, 6, np.nan, np.nan]),
        (900, [1, np.nan, np.nan, np.nan], [1, np.nan, np.nan, np.nan]),
        (1800, [1, np.nan, 3], [1, np.nan, 3, np.nan]),
        (3600, [1, 2], [1, 1, 2, 2]),
    ],
    ids=["averaged", "averaged over what is known", "as they are", "held for their own step"],
)
def test_rows_become_slots(step_s: int, values: list[float], expected: list[float]) -> None:
    found = Regressor("x", MONDAY_S + step_s * np.arange(len(values)), np.array(values, np.float64), step_s)
    np.testing.assert_array_equal(np.array(expected), found.on(MONDAY_S, SLOT_S, 4))


def test_the_digest_changes_with_a_value() -> None:
    before = daily("x", MAILINGS)
    assert before.digest != replace(before, values=MAILINGS + 1).digest
