"""How surprising the last slots are, pooled over several lengths, and how much surprise a budget of alerts allows.

A short pool finds an outage at once, a long one a small change that lasts. Each pool is compared with what the
level before the pool lets expect: a level of within it would have learned the incident already. How far a pool
strays by itself is learned per part of the day, its tails per side, and the threshold from how often the clean
history would have been alerted on. This module keeps no state and knows no incidents.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from alerts.baseline import Baseline
from alerts.signals import BOTH, Direction, Kind
from forecast.localtime import Bools, Floats, Ints

POOLS = (1, 3, 6, 12, 24, 48)
"""Slots pooled."""
_LONGEST_POOL_S = 4 * 3600
_LONGEST_SHORT = 24
LEAST_DAYS = 14
"""Days of history below which a scope is learning."""
_SKIPPED_DAYS = 21
_LEAST_SKIPPED_DAYS = 8
"""Days at the beginning whose own baseline was still too young to be judged by."""
_LEVEL_RANGE = (-0.5, 1.0)
_RIDGE = 0.02
_RELATIVE_VARIANCE = 0.002
_TAIL = 0.95
_LEAST_TAIL = 0.15
_LONG_POOL_BONUS = 0.5
"""A long pool that exceeds does so for longer: fewer episodes for the same share of time."""
_PART_HOURS = 1
_PART_PRIOR = 30
_LEAST_SCALE = 0.7
"""Of the scatter that chance alone makes (1)."""
_LEAST_PART = 20
_LEAST_THRESHOLD = 5.0
_MANY, _MANY_TIMES = 10, 4
_LEAST_COUNTED = 0.5
"""Alerts in a whole history below which it cannot show how rare they are: from there on its tail is drawn out."""
_SLOPES_BEYOND = (1.0, 1.5)
"""Surprise by which alerts get e times rarer: surprise is about minus the log of how often, so 1 is as designed.
More where the history thins out more slowly; yet an incident that nobody noticed must not make this large."""
_SPENT_WEEKS, _SPENT_SHARE = (2.0, 6.0, 12.0), (0.4, 0.7, 1.0)
"""Weeks of history, and the share of the budget that it may use: a short one has not seen what is to come."""
REJOIN_S = 2 * 3600
"""An alert in the same direction within this time of the last one is the same one again."""
_CROWD_HALF_LIFE_S = 2 * 86_400
_CROWD_COUNTED_S = 14 * 86_400
_CROWD_BELIEVED = 2.0
"""Alerts, counted by half as much every half-life, that a scope may have before the next ones cost more."""
_CROWD_POWER = 2


@dataclass(frozen=True, slots=True)
class Pool:
    """How the pool of `slots` behaves by itself."""

    slots: int
    gain: Floats
    """What part of each level carries over into the pool."""
    middle: Floats
    """[hour]: usual value."""
    scale: Floats
    """[hour]: usual scatter."""
    tail_from: dict[Direction, float]
    """Score beyond which `1 - _TAIL` of the history lay."""
    tail_mean: dict[Direction, float]
    """How far beyond, on average."""

    def surprise(self, scores: Floats, side: Direction) -> Floats:
        """Return about minus the log of how often such a score comes by itself."""
        signed = scores if side is Direction.UP else -scores
        return (
            -log(1 - _TAIL)
            + _LONG_POOL_BONUS * log(self.slots)
            + (signed - self.tail_from[side]) / self.tail_mean[side]
        )

    def score_at(self, surprise: float, side: Direction) -> float:
        """Return the unsigned score that surprises this much."""
        over = surprise + log(1 - _TAIL) - _LONG_POOL_BONUS * log(self.slots)
        return max(0.0, self.tail_from[side] + over * self.tail_mean[side])


@dataclass(frozen=True, slots=True)
class Calibration:
    """All that was learned from a history: pools and the threshold on surprise."""

    pools: tuple[Pool, ...]
    threshold: float
    weeks: float
    """Clean history that the threshold stands on."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Surprise of every slot from `first` on; arrays are [side, slot], sides in the order up, down."""

    surprise: Floats
    pool: npt.NDArray[np.int8]
    """Which pool surprises most."""
    first: int = 0

    def at(self, slot: int) -> tuple[int, float, int]:
        """Return the side that surprises most in a slot, how much, and in which pool."""
        place = slot - self.first
        side = int(self.surprise[:, place].argmax())
        return side, float(self.surprise[side, place]), int(self.pool[side, place])


@dataclass(frozen=True, slots=True)
class Window:
    """A pool of slots beside what was expected of it, in amounts."""

    observed: float
    expected: float
    base: float
    low: float
    high: float


def pool_lengths(slot_s: int) -> tuple[int, ...]:
    """Return the pools for slots of this length: up to 4 h, and up to 24 slots where those are longer.

    >>> pool_lengths(300), pool_lengths(900)
    ((1, 3, 6, 12, 24, 48), (1, 3, 6, 12, 24))
    """
    return tuple(n for n in POOLS if n <= _LONGEST_SHORT or n * slot_s <= _LONGEST_POOL_S)


def calibrate(
    known: Baseline, slot_s: int, *, budget_per_week: float, threshold: float | None = None
) -> Calibration:
    """Return what a history teaches; a `threshold` that is given is kept.

    Raises ValueError where the history holds too little to learn from.
    """
    train = _training(known)
    if not train.any():
        raise ValueError(f"fewer than {_LEAST_SKIPPED_DAYS} days of history to learn from")
    levels = known.levels.between(0, known.usable.size)
    learned = [_learn_pool(known, length, train, levels) for length in pool_lengths(slot_s)]
    pools = tuple(pool for pool, _ in learned)
    per_week = known.slots_per_day * 7 * float(known.usable[known.began :].mean())
    weeks = float(train.sum()) / max(per_week, 1.0)
    if threshold is None:
        surprise = _most(known, pools, [stray for _, stray in learned]).surprise
        surprise = np.where(train, surprise, -np.inf)
        spent = float(np.interp(weeks, _SPENT_WEEKS, _SPENT_SHARE))
        threshold = _threshold(surprise, train, budget_per_week * weeks * spent, slot_s)
    return Calibration(pools, threshold, weeks)


def _training(known: Baseline) -> Bools:
    age = known.day - known.day[known.began]
    skipped = min(_SKIPPED_DAYS, max(_LEAST_SKIPPED_DAYS, (int(age[-1]) + 1) // 2))
    train: Bools = known.usable & (age >= skipped)
    return train


def _learn_pool(known: Baseline, length: int, train: Bools, levels: Floats) -> tuple[Pool, Floats]:
    """Return a pool, and how far each of it strays."""
    mass = pooled(known.weight * known.usable, length)
    excess = pooled((known.observed - known.expected) * known.usable, length)
    places = np.flatnonzero(train & (mass > 0))
    thin = places[:: max(1, length // 3)]
    shift = np.clip(excess[thin] / mass[thin], -0.3, 0.3)
    weight = mass[thin] / (1 + _RELATIVE_VARIANCE * mass[thin])
    before = levels[:, np.maximum(thin - length, 0)]
    square = (before * weight) @ before.T
    ridge = _RIDGE * float(np.trace(square)) / len(square) + 1e-12
    gain: Floats = np.asarray(
        np.linalg.solve(square + ridge * np.eye(len(square)), (before * weight) @ shift), np.float64
    )
    stray = _stray(known, length, gain, levels)
    middle, scale = _by_hour(stray, known, places, length)
    scores = ((stray - middle[known.hour]) / scale[known.hour])[places]
    tail_from, tail_mean = {}, {}
    for side in BOTH:
        signed = scores if side is Direction.UP else -scores
        tail_from[side] = float(np.quantile(signed, _TAIL))
        beyond = signed[signed > tail_from[side]] - tail_from[side]
        # By a quantile: an incident that nobody noticed lies far out and must not make the tail long.
        tail_mean[side] = max(_LEAST_TAIL, float(np.quantile(beyond, 0.75)) / log(4) if beyond.size else 0.0)
    return Pool(length, gain, middle, scale, tail_from, tail_mean), stray


def _by_hour(stray: Floats, known: Baseline, places: Ints, length: int) -> tuple[Floats, Floats]:
    """Return median and scaled MAD per local hour with its neighbours, shrunk to those of all hours."""
    values, hours = stray[places], known.hour[places]
    middle_all = float(np.median(values))
    scale_all = 1.4826 * float(np.median(np.abs(values - middle_all)))
    middle, scale = np.full(24, middle_all), np.full(24, scale_all)
    by_hour = [values[hours == hour] for hour in range(24)]
    for hour in range(24):
        part = np.concatenate([by_hour[(hour + near) % 24] for near in range(-_PART_HOURS, _PART_HOURS + 1)])
        if part.size < _LEAST_PART:
            continue
        centre = float(np.median(part))
        spread = 1.4826 * float(np.median(np.abs(part - centre)))
        own = part.size / length / (part.size / length + _PART_PRIOR)
        middle[hour] = own * centre
        scale[hour] = np.sqrt(own * spread**2 + (1 - own) * scale_all**2)
    return middle, np.maximum(scale, _LEAST_SCALE)


def evidence(known: Baseline, pools: tuple[Pool, ...], first: int = 0) -> Evidence:
    """Return how surprising every slot from `first` on is; minus infinity where it is not usable."""
    reach = max(first - max(pool.slots for pool in pools), 0)
    levels = known.levels.between(reach, known.usable.size)
    strays = (_stray(known, pool.slots, pool.gain, levels, reach)[first - reach :] for pool in pools)
    return _most(known, pools, strays, first)


def _most(known: Baseline, pools: Sequence[Pool], strays: Iterable[Floats], first: int = 0) -> Evidence:
    """Return the evidence of the pool that surprises most, from how far each strays from `first` on."""
    hour, usable = known.hour[first:], known.usable[first:]
    best = np.full((len(BOTH), usable.size), -np.inf)
    which = np.zeros(best.shape, np.int8)
    for number, (pool, stray) in enumerate(zip(pools, strays, strict=True)):
        scores = (stray - pool.middle[hour]) / pool.scale[hour]
        for place, side in enumerate(BOTH):
            surprise = np.where(usable, pool.surprise(scores, side), -np.inf)
            more = surprise > best[place]
            best[place][more] = surprise[more]
            which[place][more] = number
    return Evidence(best, which, first)


def pooled(values: Floats, length: int) -> Floats:
    """Return sums over each slot and the `length - 1` before it.

    >>> pooled(np.array([1.0, 2.0, 4.0]), 2)
    array([1., 3., 6.])
    """
    running = np.r_[0.0, np.cumsum(values)]
    after = np.arange(1, values.size + 1)
    return np.asarray(running[after] - running[np.maximum(after - length, 0)])


def level_before(known: Baseline, pool: Pool, slot: int) -> float:
    """Return the level that a pool ending with `slot` is judged by."""
    before = max(slot - pool.slots, 0)
    return float(np.clip(pool.gain @ known.levels.between(before, before + 1)[:, 0], *_LEVEL_RANGE))


def _stray(known: Baseline, length: int, gain: Floats, levels: Floats, first: int = 0) -> Floats:
    """Return how far each pool from `first` on lies from the expected, in standard deviations of pure chance.

    `levels` are of the same slots. The first `length` are of less than a pool, or too early a level.
    """
    usable = known.usable[first:]
    observed = pooled(known.observed[first:] * usable, length)
    level = np.clip(gain @ levels, *_LEVEL_RANGE)
    level = np.r_[np.full(min(length, level.size), level[0]), level[:-length]]
    due = pooled(known.expected[first:] * usable, length)
    base = mass = due  # of a count nothing else weighs, of a mean the base does not
    if known.kind is not Kind.COUNT:
        base = pooled(known.base[first:] * usable, length)
        mass = base if known.kind is Kind.RATIO else due
    return stray(known.kind, observed, np.maximum(due + level * mass, 0.0), base)


def stray(kind: Kind, observed: Floats, expected: Floats, base: Floats) -> Floats:
    """Return (observed - expected) on the scale where chance has a variance of about 1 (Anscombe).

    >>> stray(Kind.COUNT, np.array([0.0, 100.0]), np.array([25.0, 100.0]), np.ones(2)).round(1)
    array([-8.8,  0. ])
    """
    if kind is Kind.COUNT:
        return np.asarray(2 * (np.sqrt(observed + 0.375) - np.sqrt(expected + 0.375)))
    if kind is Kind.RATIO:
        seen = np.clip((observed + 0.375) / (base + 0.75), 0.0, 1.0)
        due = np.clip((expected + 0.375) / (base + 0.75), 0.0, 1.0)
        return np.asarray(2 * np.sqrt(base + 0.5) * (np.arcsin(np.sqrt(seen)) - np.arcsin(np.sqrt(due))))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.log(np.maximum(observed, 1e-3 * expected) / expected)
    return np.asarray(np.where(expected > 0, np.sqrt(base) * np.clip(relative, -3, 3), 0.0))


def amount_at(kind: Kind, value: float, expected: float, base: float) -> float:
    """Return the observed amount that strays by `value`: the inverse of `stray`, never negative.

    >>> round(amount_at(Kind.COUNT, 0.0, 25.0, 1.0), 6)
    25.0
    """
    if kind is Kind.COUNT:
        root = max(0.0, sqrt(expected + 0.375) + value / 2)
        return max(0.0, root * root - 0.375)
    if kind is Kind.RATIO:
        due = np.arcsin(np.sqrt(np.clip((expected + 0.375) / (base + 0.75), 0.0, 1.0)))
        angle = float(np.clip(due + value / (2 * (base + 0.5) ** 0.5), 0.0, np.pi / 2))
        return float(np.clip(np.sin(angle) ** 2 * (base + 0.75) - 0.375, 0.0, base))
    return float(expected * np.exp(np.clip(value / max(base, 1e-9) ** 0.5, -3, 3)))


def window(known: Baseline, pool: Pool, threshold: float, slot: int, *, first: int = 0) -> Window:
    """Return the pool that ends with `slot` (from `first` on) and the band in which it would not alert."""
    span = slice(max(slot - pool.slots + 1, first, 0), slot + 1)
    measured = known.usable[span] | (known.weight[span] > 0)
    observed = float((known.observed[span] * measured).sum())
    base = float((known.base[span] * measured).sum())
    level = level_before(known, pool, slot)
    expected = max(0.0, float(((known.expected[span] + level * known.weight[span]) * measured).sum()))
    middle, scale = float(pool.middle[known.hour[slot]]), float(pool.scale[known.hour[slot]])
    high = middle + scale * pool.score_at(threshold, Direction.UP)
    low = middle - scale * pool.score_at(threshold, Direction.DOWN)
    return Window(
        observed, expected, base,
        amount_at(known.kind, low, expected, base), amount_at(known.kind, high, expected, base),
    )  # fmt: skip


def detectable_change(known: Baseline, calibration: Calibration, slot: int) -> float:
    """Return the smallest lasting change, relative to the expected, that would be noticed at this time of day.

    Infinity where nothing is expected.
    """
    least = np.inf
    for pool in calibration.pools:
        seen = window(known, pool, calibration.threshold, slot)
        if seen.expected > 0:
            change = min((seen.high - seen.expected), (seen.expected - seen.low)) / seen.expected
            least = min(least, change if change > 0 else np.inf)
    return float(least)


def crowding(starts: Sequence[int], slot: int, slot_s: int) -> float:
    """Return what the threshold is multiplied with after alerts that began at slots `starts`, in order.

    Two at once, or five in a week, are believed. Where they come thicker, the time is unlike the history that the
    threshold stands on (a holiday, a new level), and only what stands out from that too is worth one more.

    >>> crowding([0, 10], 20, 300), round(crowding([0, 10, 20, 30], 40, 300), 1)
    (1.0, 3.8)
    """
    pressure = 0.0
    for start in reversed(starts):
        ago_s = (slot - start) * slot_s
        if ago_s > _CROWD_COUNTED_S:
            break
        pressure += 0.5 ** (ago_s / _CROWD_HALF_LIFE_S)
    return max(1.0, pressure / _CROWD_BELIEVED) ** _CROWD_POWER


def _threshold(surprise: Floats, train: Bools, allowed: float, slot_s: int) -> float:
    """Return the threshold at which such a history has `allowed` alerts.

    The few that the budget allows are a poor sample; the rate at which alerts thin out with the threshold, seen at
    several times as many, says the same with less chance in it. The more careful of both holds. What is to be
    rarer than a history of this length can show is taken from the same tail, drawn out.
    """
    pairs = _Pairs.of(surprise, train)
    counted = _threshold_of(pairs, int(allowed), slot_s)
    many = max(_MANY, int(_MANY_TIMES * allowed))
    few = max(1, int(allowed))
    low, high = _threshold_of(pairs, many, slot_s), _threshold_of(pairs, few, slot_s)
    slope = max(high - low, 0.0) / log(many / few)
    shown = max(allowed, _LEAST_COUNTED)
    beyond = float(np.clip(slope, *_SLOPES_BEYOND)) * log(shown / allowed)
    return max(counted, low + slope * log(many / shown), low + log(many / shown)) + beyond


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Two slots in a row that surprise on the same side, in order; those that say nothing are left out."""

    slot: Ints
    """The second one."""
    side: Ints
    surprise: Floats
    """The lesser: what both are over."""

    @classmethod
    def of(cls, surprise: Floats, train: Bools) -> "_Pairs":
        places = np.flatnonzero(train)
        values = surprise[:, places]
        both = np.minimum(values[:, 1:], values[:, :-1])
        at, side = np.nonzero(both.T >= 0)
        return cls(places[at + 1], side, both[side, at])


def _threshold_of(pairs: _Pairs, count: int, slot_s: int) -> float:
    """Return the least threshold at which the history would have had no more than `count` alerts."""
    low, high = 0.0, max(_LEAST_THRESHOLD, float(pairs.surprise.max(initial=0.0))) + 1
    if not _exceeds(pairs, _LEAST_THRESHOLD, slot_s, count):
        return _LEAST_THRESHOLD
    while high - low > 0.01:
        middle = (low + high) / 2
        if middle < _LEAST_THRESHOLD or _exceeds(pairs, middle, slot_s, count):
            low = middle
        else:
            high = middle
    return high


def _exceeds(pairs: _Pairs, threshold: float, slot_s: int, most: int) -> bool:
    """Tell whether there would have been more alerts: two slots in a row over the threshold on the same side."""
    over = pairs.surprise >= threshold
    found = (pairs.slot[over].tolist(), pairs.side[over].tolist(), pairs.surprise[over].tolist())
    starts: list[int] = []
    last = [-REJOIN_S // slot_s - 1] * len(BOTH)
    for slot, side, surprise in zip(*found, strict=True):
        if (slot - last[side]) * slot_s > REJOIN_S:
            if surprise < threshold * crowding(starts, slot, slot_s):
                continue
            starts.append(slot)
            if len(starts) > most:
                return True
        last[side] = slot
    return False
