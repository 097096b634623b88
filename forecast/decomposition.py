"""What a series is made of, by MSTL of statsmodels: trend, day, week and what is left, with diagnostics.

For the eye and for doubt, not for forecasts: the models here do better (see `docs/forecast.md`). Slots that are
not open are filled from the slots a week apart, or of the same time of day, so that the season does not shift.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from forecast.localtime import DAY_S, Floats, Ints, local_grid
from forecast.panel import to_root
from forecast.profiles import WEEK
from forecast.series import BadSeries, Series

LEAST_WEEKS = 3
_MOST_WEEKS = 12
_MOST_SLOTS_PER_DAY = 96
"""Finer slots are put together: an hour of daily season at one-minute slots takes minutes to find."""
_LEAST_KNOWN = 0.3


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Parts of sqrt(y + 3/8) over the last weeks, and figures on them."""

    since_s: int
    """UTC second of the first slot."""
    slot_s: int
    filled_ratio: float
    """Share of the slots that were not open, and filled."""
    trend: Floats
    daily: Floats
    weekly: Floats
    remainder: Floats
    """NaN where the slot was filled."""
    trend_strength: float
    """1 - Var(remainder) / Var(trend + remainder), 0 to 1 (Wang, Smith and Hyndman 2006)."""
    daily_strength: float
    weekly_strength: float
    autocorrelation: dict[int, float]
    """Of the remainder, by lag in slots: one slot, an hour, a day, a week."""
    ljung_box_p: float
    """Probability of such autocorrelation over a day (or 20 slots) if there were none (Ljung and Box 1978)."""
    remainder_deviation: float
    """0.5 is that of Poisson counts (Anscombe 1948); less over few weeks, whose noise the season takes in."""


def decompose(series: Series, *, is_count: bool = True) -> Decomposition:
    """Decompose the last twelve weeks of a series; raises BadSeries for less than three, or too little measured.

    Fine slots are added up, or averaged where they are not counts (`is_count`).
    """
    values, start_s, slot_s = _regular(series, is_count)
    per_day = DAY_S // slot_s
    known = np.isfinite(values)
    if known.mean() < _LEAST_KNOWN:
        raise BadSeries(f"{100 * known.mean():.0f} % of the slots are open: too few to decompose")
    z = _filled(to_root(values), per_day)
    # Some seconds of imports that other commands never need.
    from statsmodels.stats.diagnostic import acorr_ljungbox
    from statsmodels.tsa.seasonal import MSTL
    from statsmodels.tsa.stattools import acf
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        # A constant series has no scale to speak of; its strengths are then zero.
        warnings.simplefilter("ignore", RuntimeWarning)
        # Smooth parts are computed at every few slots: it takes 0.3 s instead of minutes.
        jumps = {"trend_jump": per_day // 4, "low_pass_jump": per_day // 4, "seasonal_jump": 2, "seasonal_deg": 0}
        found = MSTL(z, periods=(per_day, WEEK * per_day), stl_kwargs=jumps).fit()
        trend, seasonal, left = (
            np.asarray(part, np.float64) for part in (found.trend, found.seasonal, found.resid)
        )
        lags = sorted({1, max(1, 3600 // slot_s), per_day, WEEK * per_day})
        own = np.where(known, left, 0.0)
        constant = float(own.std()) < 1e-9
        over = np.zeros(lags[-1] + 1) if constant else np.asarray(acf(own, nlags=lags[-1], fft=True), np.float64)
        test = 1.0 if constant else float(acorr_ljungbox(own, lags=[max(20, per_day)])["lb_pvalue"].iloc[0])
    daily, weekly = seasonal[:, 0], seasonal[:, 1]
    return Decomposition(
        since_s=start_s,
        slot_s=slot_s,
        filled_ratio=float(1 - known.mean()),
        trend=trend,
        daily=daily,
        weekly=weekly,
        remainder=np.where(known, left, np.nan),
        trend_strength=_strength(trend[known], left[known]),
        daily_strength=_strength(daily[known], left[known]),
        weekly_strength=_strength(weekly[known], left[known]),
        autocorrelation={lag: float(over[lag]) for lag in lags},
        ljung_box_p=test,
        remainder_deviation=float(left[known].std()),
    )


def _regular(series: Series, is_count: bool) -> tuple[Floats, int, int]:
    """Return amounts of the last whole weeks by the local clock, NaN where not open, in slots not too fine."""
    slot_s = max(series.slot_s, DAY_S // _MOST_SLOTS_PER_DAY)
    together = -(-slot_s // series.slot_s)
    values = series.learned
    if together > 1:
        first = len(values) % together
        table = values[first:].reshape(-1, together)
        values = table.sum(axis=1) if is_count else table.mean(axis=1)
    slot_s = together * series.slot_s
    end_s = series.start_s + len(series) * series.slot_s
    weeks = min(values.size * slot_s // (WEEK * DAY_S), _MOST_WEEKS)
    if weeks < LEAST_WEEKS:
        raise BadSeries(
            f"{values.size * slot_s / DAY_S:.0f} days are too few to decompose; it takes {7 * LEAST_WEEKS}"
        )
    count = weeks * WEEK * DAY_S // slot_s
    start_s = end_s - count * slot_s
    return _by_clock(values[-count:], start_s, slot_s, series), start_s, slot_s


def _by_clock(values: Floats, start_s: int, slot_s: int, series: Series) -> Floats:
    """Return the values by the local clock over its changes: an hour is left out or missing."""
    grid = local_grid(start_s, slot_s, values.size, series.zone)
    place: Ints = (grid.day - grid.day[0]) * grid.slots_per_day + grid.slot - int(grid.slot[0])
    out = np.full(values.size, np.nan)
    held = (place >= 0) & (place < values.size)
    out[place[held]] = values[held]
    return out


def _filled(z: Floats, per_day: int) -> Floats:
    """Return z with gaps filled by the median of that time of the week, else of the day, else of all."""
    out = z.copy()
    for period in (WEEK * per_day, per_day, 1):
        gaps = ~np.isfinite(out)
        if not gaps.any():
            break
        key = np.arange(z.size) % period
        by_key = np.full((-(-z.size // period), period), np.nan)
        by_key.ravel()[: z.size] = z
        seen = np.isfinite(by_key).any(axis=0)
        usual = np.full(period, np.nan)
        usual[seen] = np.nanmedian(by_key[:, seen], axis=0)
        out[gaps] = usual[key[gaps]]
    return out


def _strength(part: Floats, remainder: Floats) -> float:
    whole = float(np.var(part + remainder))
    return max(0.0, 1 - float(np.var(remainder)) / whole) if whole > 1e-12 else 0.0
