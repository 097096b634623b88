"""Forecasts that add up: tenants sum to their pool at the median, and every quantile keeps its place around it.

A pool is forecast better than the sum of its tenants (noise cancels), and a tenant knows of itself what the pool
cannot see. The gap between the two is shared out by how unsure each forecast is: weighted least squares with
diagonal weights (Wickramasuriya, Athanasopoulos and Hyndman 2019, "WLS"), which is the least change in units of
each one's own deviation. What would become negative stays zero and the others carry its part. Only medians add
up: the quantile of a sum is not the sum of quantiles.
"""

from dataclasses import dataclass

import numpy as np

from forecast.accuracy import LEVELS, NORMAL_SCORES
from forecast.localtime import Floats

_SPREAD_LEVEL = LEVELS.index(0.9)
_TINY = 1e-9
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Coherent quantiles: `pool` [rows, levels], `tenants` [tenants, rows, levels]."""

    pool: Floats
    tenants: Floats


def reconcile(pool: Floats, tenants: Floats) -> Reconciled:
    """Return quantiles whose medians add up: of a pool [rows, levels] and its tenants [tenants, rows, levels].

    The tenants must be all of the pool's load; give what is unassigned as a tenant of its own. Without tenants the
    pool stays as it is.
    """
    if not tenants.shape[0]:
        return Reconciled(pool, tenants)
    medians = tenants[:, :, 0]
    pool_variance, variances = _variance(pool), _variance(tenants)
    total = pool_variance + variances.sum(axis=0)
    gap = pool[:, 0] - medians.sum(axis=0)
    pool_median = np.maximum(pool[:, 0] - gap * pool_variance / total, 0.0)
    return Reconciled(_moved(pool, pool_median), _moved(tenants, _shared(medians, variances, pool_median)))


def _variance(quantiles: Floats) -> Floats:
    deviation = (quantiles[..., _SPREAD_LEVEL] - quantiles[..., 0]) / NORMAL_SCORES[_SPREAD_LEVEL]
    return np.asarray(np.maximum(deviation, _TINY) ** 2)


def _shared(medians: Floats, variances: Floats, total: Floats) -> Floats:
    """Return medians [tenants, rows], none negative, that add up to `total` [rows]."""
    found = medians.copy()
    free = np.ones(found.shape, np.bool_)
    for _ in range(_ROUNDS):
        weight = np.where(free, variances, 0.0)
        mass = weight.sum(axis=0)
        gap = total - found.sum(axis=0)
        found = found + np.where(mass > 0, gap * weight / np.maximum(mass, _TINY**2), 0.0)
        free &= found > 0
        found = np.maximum(found, 0.0)
    # What rounds of cutting left over is within a hair of none: settle it in proportion.
    summed = found.sum(axis=0)
    return np.asarray(np.where(summed > 0, found * (total / np.maximum(summed, _TINY)), total / medians.shape[0]))


def _moved(quantiles: Floats, median: Floats) -> Floats:
    """Return quantiles around another median: as wide as they were in the scale of counting noise."""
    scale = np.sqrt((median + 1.0) / (quantiles[..., 0] + 1.0))
    moved = median[..., None] + (quantiles - quantiles[..., :1]) * scale[..., None]
    return np.asarray(np.maximum(moved, 0.0))
