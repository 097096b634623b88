"""Which load can be believed: one that is fresh, sane, and did not leap without saying so twice.

A wrong figure must not take pods away. Doubt never lowers a need: while the newest load is not believed, the last
believed one stands, and the decision carries the reason.
"""

from dataclasses import dataclass, replace

from scaler.capacity import Load, pods_for
from scaler.decision import Forecast, Hold, PoolInputs
from scaler.settings import PoolSettings

JUMP = 3.0
"""A load that needs this many times the pods of the one before, or a part so small, must be seen twice."""
_JUMP_PODS = 2
"""Beyond the ratio: small pools double and halve by chance."""
_ALIKE = 0.3


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next; all of it can be written down and read back."""

    load: Load | None = None
    """The last load that was believed."""
    suspect: Load | None = None
    """One that leapt, waiting to be seen again."""
    suspect_since_s: float = 0.0
    wanted: tuple[tuple[float, int], ...] = ()
    """Seconds and pods wanted, newest last, as far back as stabilisation looks."""
    watching_since_s: float | None = None
    """Since when the load was believed without a break."""
    forecast_at_s: float | None = None
    """Issue of the last forecast that was believed."""


def believe_load(
    inputs: PoolInputs, pool: PoolSettings, memory: Memory, now_s: float
) -> tuple[Memory, list[Hold]]:
    """Return the memory with the load that is believed now, and why the newest one is not."""
    load = inputs.load
    if load is None or not load.known:
        return replace(memory, watching_since_s=None), [Hold.LOAD_MISSING]
    if not load.sane:
        return replace(memory, watching_since_s=None), [Hold.LOAD_INVALID]
    if now_s - inputs.load_at_s > pool.load_age:
        return replace(memory, watching_since_s=None), [Hold.LOAD_STALE]
    pods = pods_for(load, pool.pod, pool.target_utilisation).pods
    before = 0 if memory.load is None else pods_for(memory.load, pool.pod, pool.target_utilisation).pods
    leap = _leap(pods, before) if memory.load is not None else None
    if leap is None or _confirmed(pods, before, pool, memory, now_s):
        since = now_s if memory.watching_since_s is None else memory.watching_since_s
        return replace(memory, load=load, suspect=None, watching_since_s=since), []
    if memory.suspect is None or not _alike(pods, _pods_of_suspect(pool, memory)):
        memory = replace(memory, suspect=load, suspect_since_s=now_s)
    return memory, [leap]


def _leap(pods: int, before: int) -> Hold | None:
    if pods == 0 and before > 0:
        return Hold.LOAD_ZERO
    high, low = max(pods, before), min(pods, before)
    return Hold.LOAD_JUMPED if high > JUMP * low + _JUMP_PODS else None


def _confirmed(pods: int, before: int, pool: PoolSettings, memory: Memory, now_s: float) -> bool:
    """A leap up is believed when seen again, one down after the stabilisation: too many pods cost, too few cut."""
    if memory.suspect is None or not _alike(pods, _pods_of_suspect(pool, memory)):
        return False
    wait_s = 0.0 if pods > before else pool.stabilisation
    return now_s > memory.suspect_since_s and now_s - memory.suspect_since_s >= wait_s


def _pods_of_suspect(pool: PoolSettings, memory: Memory) -> int:
    return pods_for(memory.suspect or Load(), pool.pod, pool.target_utilisation).pods


def _alike(pods: int, other: int) -> bool:
    return abs(pods - other) <= max(1, _ALIKE * max(pods, other))


def believe_forecast(
    forecast: Forecast | None, pool: PoolSettings, memory: Memory, now_s: float, until_s: float
) -> tuple[Load, Load, Memory, list[Hold]]:
    """Return the highest quantile and median load forecast for [now, until], and why a forecast is not believed.

    A pool that never had a forecast goes by its load alone. One that had one, and has none now, keeps its pods
    for twice the time after which a forecast is stale; then its load alone counts again.
    """
    if forecast is None or now_s - forecast.issued_at_s > pool.forecast_age:
        last = memory.forecast_at_s
        waiting = last is not None and now_s - last <= 3 * pool.forecast_age
        return Load(), Load(), memory, [Hold.FORECAST_STALE] if waiting else []
    high, median = Load(), Load()
    for slot in forecast.slots:
        # The slot that begins when pods asked for now are ready is the first that they can serve.
        if slot.start_s <= until_s and slot.end_s > now_s:
            high, median = high.at_least(slot.high), median.at_least(slot.median)
            if not (slot.high.sane and slot.median.sane):
                return Load(), Load(), memory, [Hold.FORECAST_INVALID]
    if not high.known:
        return Load(), Load(), memory, [Hold.FORECAST_INVALID]
    return high, median, replace(memory, forecast_at_s=forecast.issued_at_s), []
