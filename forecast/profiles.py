"""Weekly profiles: what a time of the week usually shows, from its last weeks, robust to a bad one.

Tables are [local day, slot of day]. Row T is made of the same weekday one and more weeks before T and of nothing
else, so it may be used by any forecast made in the week that ends with T. Smoothing over neighbouring slots stays
within a day: across midnight it would take in a day that such a forecast has not seen.
"""

import numpy as np

from forecast.localtime import Floats

WEEK = 7


def smoothed(table: Floats, reach: int) -> Floats:
    """Return triangle-weighted means over `reach` slots on both sides within each day; unknown stays unknown."""
    known = np.isfinite(table)
    weight = known.astype(np.float64)
    total, mass = np.where(known, table, 0.0), weight.copy()
    values = total.copy()
    for step in range(1, min(reach, table.shape[1] - 1) + 1):
        share = 1 - step / (reach + 1)
        for to, back in ((np.s_[:, step:], np.s_[:, :-step]), (np.s_[:, :-step], np.s_[:, step:])):
            total[to] += share * values[back]
            mass[to] += share * weight[back]
    return np.where(known, total / np.maximum(mass, 1e-12), np.nan)


def past_weeks(table: Floats, weeks: int) -> Floats:
    """Return [week back, day, slot]: element k is the table k + 1 weeks earlier, NaN before its beginning."""
    shifted = np.full((weeks, *table.shape), np.nan)
    for back in range(1, weeks + 1):
        if back * WEEK < table.shape[0]:
            shifted[back - 1, back * WEEK :] = table[: -back * WEEK]
    return shifted


def known_mean(stack: Floats) -> Floats:
    """Return the mean over the first axis of what is known, NaN where nothing is."""
    count = np.isfinite(stack).sum(axis=0)
    return np.where(count > 0, np.nansum(stack, axis=0) / np.maximum(count, 1), np.nan)


def trimmed_mean(ordered: Floats, trim: float) -> Floats:
    """Return means over the first axis without the `trim` share at either end; 0.5 is the median.

    `ordered` is sorted along the first axis with the unknown last, as `np.sort` leaves it.
    """
    count = np.isfinite(ordered).sum(axis=0)
    cut = np.minimum(np.floor(trim * count).astype(np.int64), np.maximum(count - 1, 0) // 2)
    rank = np.arange(ordered.shape[0])[:, None, None]
    kept = (rank >= cut) & (rank < count - cut)
    total = np.where(kept, ordered, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(kept.sum(axis=0), 1), np.nan)


MEMORIES = ("last 2 weeks", "median of 6", "median of 6, sharp", "20 weeks", "20 weeks, sharp", "20 weeks, broad")
BASE_OF = (1, 4)
"""The two that the base is the mean of."""
TELLING = (0, 1, 2, 3, 5)
"""Those that say anything beyond the base: the second of the two it is made of is as far off it as the first."""
_CHUNK = 96


def weekly_profiles(table: Floats) -> Floats:
    """Return [memory, day, slot] in the order of `MEMORIES`; sharp ones are not smoothed, broad ones more."""
    near, broad = smoothed(table, 1), smoothed(table, 3)
    weeks = max(6, min(20, table.shape[0] // WEEK))
    out = np.empty((len(MEMORIES), *table.shape))
    # In stripes of slots: twenty weeks of a year of minutes at once would take hundreds of megabytes.
    for first in range(0, table.shape[1], _CHUNK):
        part = np.s_[:, first : first + _CHUNK]
        soft, sharp = past_weeks(near[part], weeks), past_weeks(table[part], weeks)
        out[0][part] = known_mean(soft[:2])
        out[1][part] = trimmed_mean(np.sort(soft[:6], axis=0), 0.5)
        out[2][part] = trimmed_mean(np.sort(sharp[:6], axis=0), 0.5)
        out[3][part] = trimmed_mean(np.sort(soft, axis=0), 0.25)
        out[4][part] = trimmed_mean(np.sort(sharp, axis=0), 0.25)
        out[5][part] = known_mean(past_weeks(broad[part], weeks))
    return out


def base_profile(profiles: Floats) -> Floats:
    """Return the profile that residuals are taken from: half robust and recent, half long; gaps from other days.

    A time of the week without history takes the mean of the six days before, then the mean of all earlier days.
    """
    base = known_mean(profiles[list(BASE_OF)])
    earlier = np.full((6, *base.shape), np.nan)
    for back in range(1, 7):
        earlier[back - 1, back:] = base[:-back]
    base = np.where(np.isfinite(base), base, known_mean(earlier))
    known = np.isfinite(base)
    total = np.cumsum(np.where(known, base, 0.0).sum(axis=1))
    count = np.cumsum(known.sum(axis=1))
    overall = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.where(known, base, overall[:, None])
