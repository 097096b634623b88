"""Zeros that a file of counts leaves out: lists of events, and tables made by counting the rows of each slot.

Such a file has no row where nothing came. Taken as missing, a quiet hour would be forecast by its busy ones
alone. That zeros are left out shows in the counts themselves: counts as low as these do not go without a zero for
so long.
This module reads points and knows nothing of slots' states or of models.
"""

from zoneinfo import ZoneInfo

import numpy as np

from forecast.localtime import DAY_S, Bools, Floats, Ints, utc_offsets_s
from forecast.states import OUTAGE_LOST

_SURELY = 20.0
"""Zeros that Poisson counts as low as those seen would have had, from which their lack is no chance."""
_HOURS = 168
_LEAST_S = 14 * DAY_S
"""A shorter file has not shown what is usual at an hour of the week."""
_MOST = 6_000_000
_ROUNDS = 20


def absent_zeros(times_s: Ints, values: Floats, step_s: int, zone: ZoneInfo) -> Ints:
    """Return the stamps (UTC) of the steps without a point that are rather zero than missing, rising.

    `times_s` is sorted. Steps are counted from the local midnight for points that keep no step themselves. None
    where a zero was named, where values are no counts or never above one, or where counts are too high to have had
    zeros. A gap that lacks as much as an outage stays missing.
    """
    none = np.zeros(0, np.int64)
    known = values[np.isfinite(values)]
    if not known.size or (known < 1).any() or (known % 1 > 0).any():
        return none
    first_s = int(times_s[0])
    first_s -= (first_s + int(utc_offsets_s(times_s[:1], zone)[0])) % step_s
    phases = (times_s - first_s) % step_s
    if (phases == phases[0]).all():
        first_s += int(phases[0])
    place = (times_s - first_s) // step_s
    count = int(place[-1]) + 1
    if not _LEAST_S <= count * step_s or count > _MOST:
        return none
    held = np.bincount(place, minlength=count) > 0
    amount = np.bincount(place, weights=np.nan_to_num(values), minlength=count)
    if amount.max() <= 1:
        return none
    all_s = first_s + step_s * np.arange(count, dtype=np.int64)
    hour = (all_s + utc_offsets_s(all_s, zone)) // 3600 % _HOURS
    seen = np.bincount(hour[held], minlength=_HOURS)
    rate = _untruncated(np.bincount(hour, weights=amount, minlength=_HOURS) / np.maximum(seen, 1))
    if float((seen / np.maximum(np.expm1(np.minimum(rate, 50.0)), 1e-9)).sum()) < _SURELY:
        return none
    return np.asarray(all_s[_believed(held, np.where(seen > 0, rate, 0.0)[hour])])


def _untruncated(mean: Floats) -> Floats:
    """Return the means of Poisson counts whose means without their zeros are given, by fixed-point iteration."""
    rate = np.maximum(mean, 1.0)
    for _ in range(_ROUNDS):
        rate = mean * -np.expm1(-rate)
    return np.asarray(rate)


def _believed(held: Bools, rate: Floats) -> Bools:
    """Return True at the steps without a point in runs that chance may bring."""
    edges = np.flatnonzero(np.diff(np.r_[True, held, True]))
    total = np.r_[0.0, np.cumsum(np.where(held, 0.0, rate))]
    believed = np.zeros(held.size, np.bool_)
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        believed[first:last] = total[last] - total[first] < OUTAGE_LOST
    return believed
