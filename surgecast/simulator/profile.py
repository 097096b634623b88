"""How load follows the clock: weekly shapes in a tenant's own zone, and the randomness on top of them.

Arrivals are doubly stochastic: a Poisson process whose rate is itself random, with an effect of the whole day
(gamma) and one that drifts within the day (lognormal, correlated over about two hours). Both are pure functions
of (seed, tenant, local day), so the past that is written as history and the calls that are sent live are one
process, whatever the pace or the order in which they are drawn.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from zlib import crc32
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES
_THURSDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
_KNOT_MINUTES = 15
_KNOTS = DAY_MINUTES // _KNOT_MINUTES
_CORRELATION_MINUTES = 120.0


@dataclass(frozen=True, slots=True)
class WeekShape:
    """Load over a local week, as levels relative to its busiest minute."""

    hours: tuple[float, ...]
    """24 levels, each of the middle of its hour, of an ordinary day."""
    days: tuple[float, ...] = (1.06, 1.0, 0.98, 0.99, 0.95, 0.2, 0.15)
    """Factor of each day, Monday first."""

    def minutes(self) -> Floats:
        """Return the level of each of the 10,080 minutes of a local week, the largest being 1."""
        return _minutes(self)


@lru_cache(maxsize=64)
def _minutes(shape: WeekShape) -> Floats:
    hours = np.outer(shape.days, shape.hours).ravel()
    middles = np.arange(hours.size) * 60.0 + 30.0
    levels: Floats = np.interp(np.arange(WEEK_MINUTES), middles, hours, period=WEEK_MINUTES)
    levels /= levels.max()
    levels.flags.writeable = False
    return levels


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Where UTC minutes fall in a zone."""

    minute_of_week: Ints
    day: Ints
    """Local days since 1970-01-01."""

    @classmethod
    def of(cls, zone: str, minutes: Ints) -> "LocalTime":
        """Return the local times of UTC minutes since the epoch (offsets are looked up once an hour)."""
        hours, inverse = np.unique(minutes // 60, return_inverse=True)
        info = ZoneInfo(zone)
        offsets = [_offset_minutes(info, int(hour) * 3600) for hour in hours]
        local = minutes + np.asarray(offsets, dtype=np.int64)[inverse]
        return cls((local + _THURSDAY * DAY_MINUTES) % WEEK_MINUTES, local // DAY_MINUTES)


def _offset_minutes(zone: ZoneInfo, at_s: int) -> int:
    return int((datetime.fromtimestamp(at_s, zone).utcoffset() or timedelta()).total_seconds()) // 60


def level(shape: WeekShape, local: LocalTime) -> Floats:
    """Return the expected level (0..1] at local times, without randomness."""
    return shape.minutes()[local.minute_of_week]


def random_effect(seed: int, tenant: str, local: LocalTime, day_cv: float, intraday_cv: float) -> Floats:
    """Return the random factor of the rate at local times; its mean over days is 1.

    With counts of mean m per slot the index of dispersion becomes 1 + m (day_cv^2 + intraday_cv^2), nearly
    the same at every length of slot up to the correlation time.
    """
    days, inverse = np.unique(local.day, return_inverse=True)
    # One more knot at the end so that the last quarter of an hour interpolates too.
    paths = np.stack([_day_path(seed, tenant, int(day), day_cv, intraday_cv) for day in days])
    at = local.minute_of_week % DAY_MINUTES / _KNOT_MINUTES
    knot = at.astype(np.int64)
    part = at - knot
    left, right = paths[inverse, knot], paths[inverse, knot + 1]
    return np.asarray(left + (right - left) * part, dtype=np.float64)


@lru_cache(maxsize=4096)
def _day_path(seed: int, tenant: str, day: int, day_cv: float, intraday_cv: float) -> Floats:
    rng = generator(seed, "day", tenant, day)
    factor = rng.gamma(1 / day_cv**2, day_cv**2) if day_cv else 1.0
    variance = np.log1p(intraday_cv**2)
    keep = np.exp(-_KNOT_MINUTES / _CORRELATION_MINUTES)
    noise = rng.standard_normal(_KNOTS + 1)
    path = np.empty(_KNOTS + 1)
    path[0] = noise[0]
    for i in range(1, _KNOTS + 1):
        path[i] = keep * path[i - 1] + np.sqrt(1 - keep**2) * noise[i]
    return np.asarray(factor * np.exp(np.sqrt(variance) * path - variance / 2))


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """Return the generator of one purpose: the same (seed, key) draws the same, whatever was drawn before."""
    words = [crc32(k.encode()) if isinstance(k, str) else k for k in key]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *words])))
