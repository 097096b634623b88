"""The policies that ours is measured beside: fixed pods, the HPA's rule, a seasonal quantile, and one that knows.

Each returns pods asked for at the start of every slot, from the slots before it alone (but for the oracle).
"""

from collections import deque

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HPA_TOLERANCE = 0.1
HPA_STABILISATION_S = 300.0
HPA_UTILISATION = 0.8
HYBRID_QUANTILE = 0.9
HYBRID_WEEKS = 8
HYBRID_UTILISATION = 0.85


def pods(load: Floats, pod_calls: float, utilisation: float = 1.0) -> Ints:
    """Return the pods that carry a load [slots] with each at most `utilisation` full; at least 1."""
    known = np.nan_to_num(load)
    return np.maximum(np.ceil(known / (pod_calls * utilisation) - 1e-9), 1).astype(np.int64)


def static(load: Floats, pod_calls: float, before: int) -> Ints:
    """Return the peak of the history before, for ever."""
    peak = np.nanmax(load[:before], initial=0.0)
    return np.full(load.size, pods(np.array([peak]), pod_calls)[0])


def reactive(load: Floats, pod_calls: float, slot_s: float, utilisation: float = HPA_UTILISATION) -> Ints:
    """Return what a HorizontalPodAutoscaler (autoscaling/v2 defaults) asks for.

    Nothing within a tenth of the target, else ceil(load / target); down only to the highest of the last 300 s.
    """
    wanted = pods(_seen(load), pod_calls, utilisation)
    exact = np.nan_to_num(_seen(load)) / (pod_calls * utilisation)
    asked = np.empty(load.size, np.int64)
    window: deque[int] = deque(maxlen=int(HPA_STABILISATION_S // slot_s) + 1)
    current = int(wanted[0])
    for slot in range(load.size):
        within = abs(exact[slot] / current - 1) <= HPA_TOLERANCE
        window.append(current if within else int(wanted[slot]))
        current = max(window) if window[-1] < current else window[-1]
        asked[slot] = current
    return asked


def seasonal_quantile(load: Floats, slots_per_week: int, ahead: int) -> Floats:
    """Return the q0.9 of the same slot over the last eight weeks, for the slot `ahead` of each."""
    weeks = np.full((HYBRID_WEEKS, load.size), np.nan)
    for week in range(1, HYBRID_WEEKS + 1):
        back = week * slots_per_week - ahead
        if 0 < back < load.size:
            weeks[week - 1, back:] = load[:-back]
    ordered = np.sort(weeks, axis=0)  # NaN last
    known = np.isfinite(weeks).sum(axis=0)
    place = np.clip(np.ceil(HYBRID_QUANTILE * known) - 1, 0, HYBRID_WEEKS - 1).astype(np.int64)
    return np.where(known > 0, np.take_along_axis(ordered, place[None], axis=0)[0], 0.0)


def hybrid(
    load: Floats, pod_calls: float, slots_per_week: int, ahead: int, utilisation: float = HYBRID_UTILISATION
) -> Ints:
    """Return the larger of the seasonal quantile over the lead time and of the load now."""
    coming = np.max([seasonal_quantile(load, slots_per_week, lead) for lead in range(ahead + 1)], axis=0)
    return pods(np.maximum(coming, np.nan_to_num(_seen(load))), pod_calls, utilisation)


def oracle(load: Floats, pod_calls: float) -> Ints:
    """Return exactly what each slot needs."""
    return pods(load, pod_calls)


def _seen(load: Floats) -> Floats:
    """Return at each slot the load of the one before, or the last known: an HPA without a metric does nothing."""
    known = np.maximum.accumulate(np.where(np.isfinite(load), np.arange(load.size), 0))
    seen: Floats = np.r_[load[:1], load[known][:-1]]
    return seen
