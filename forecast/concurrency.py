"""Calls in progress up to an hour ahead: who of the live calls is still there, and who comes meanwhile.

The M/G/infinity view (Eick, Massey and Whitt 1993): a call of age a lives another u with probability
S(a + u) / S(a), S being the survival function of holding times; arrivals at rate r(s) add the integral of
r(s) S(u - s). Integrals are trapezoids: a left rectangle counts calls as alive a step too long. Beyond an hour the
live calls are gone and offered load, forecast arrivals times mean holding time, says the same.
"""

from dataclasses import dataclass

import numpy as np

from forecast.localtime import Bools, Floats

STEP_S = 15.0
LONGEST_S = 6 * 3600.0
_ENOUGH_CALLS = 300.0
"""Calls of a day-part that weigh as much as those of the whole day."""


@dataclass(frozen=True, slots=True)
class Survival:
    """Probability that a call lasts longer than k * `step_s` seconds; falls from 1 to 0."""

    step_s: float
    probability: Floats

    def at(self, ages_s: Floats) -> Floats:
        """Return the probability of lasting longer than each age, linear between steps, 0 beyond the last."""
        ages = np.arange(self.probability.size) * self.step_s
        return np.interp(ages_s, ages, self.probability, right=0.0)

    @property
    def mean_s(self) -> float:
        """Mean holding time: the area under the curve."""
        return float(np.trapezoid(self.probability, dx=self.step_s))


def learn_survival(ages_s: Floats, ended: Bools, step_s: float = STEP_S) -> Survival:
    """Return the survival of calls (Kaplan and Meier 1958); those still live (not `ended`) count up to their age.

    Leaving live calls out would make holding times look shorter than they are. Ages beyond six hours are cut.
    """
    steps = int(LONGEST_S / step_s) + 1
    place = np.clip(np.ceil(ages_s / step_s).astype(np.int64), 1, steps - 1)
    deaths = np.bincount(place[ended], minlength=steps)
    leavers = np.bincount(place, minlength=steps)
    at_risk = leavers[::-1].cumsum()[::-1]
    chance = np.where(at_risk > 0, 1 - deaths / np.maximum(at_risk, 1), 0.0)
    probability: Floats = np.cumprod(chance, dtype=np.float64)
    probability[0] = 1.0
    return Survival(step_s, probability)


def binned_survival(counts: Floats, edges_s: Floats, step_s: float = STEP_S) -> Survival:
    """Return the survival of ended calls counted in buckets between edges; exact at the edges, linear between.

    Ages beyond six hours are cut; without calls it ends at once.
    """
    ages: Floats = np.arange(int(LONGEST_S / step_s) + 1, dtype=np.float64) * step_s
    longer = 1 - np.cumsum(counts) / max(float(counts.sum()), 1e-12)
    probability = np.interp(ages, edges_s, np.r_[1.0, np.clip(longer, 0.0, 1.0)] if counts.any() else edges_s == 0)
    probability[-1] = 0.0
    return Survival(step_s, probability)


def pooled(own: Survival, calls: int, whole: Survival) -> Survival:
    """Return a day-part's survival drawn to the whole day's while it has few calls; both with equal steps."""
    share = calls / (calls + _ENOUGH_CALLS)
    return Survival(own.step_s, share * own.probability + (1 - share) * whole.probability)


def still_live(survival: Survival, ages_s: Floats, after_s: Floats) -> Floats:
    """Return how many of the live calls (of these ages) are expected to live still, at each time ahead."""
    now = np.maximum(survival.at(ages_s), 1e-12)
    return np.asarray((survival.at(ages_s[None, :] + after_s[:, None]) / now).sum(axis=1))


def newly_live(survival: Survival, arrivals: Floats, slot_s: float, after_s: Floats) -> Floats:
    """Return how many calls that arrive from now on are expected live, at each time ahead (rising).

    `arrivals` are forecast calls in the slots from now; they are spread evenly within a slot, and beyond the last
    slot none come.
    """
    step = survival.step_s
    far = int(np.ceil(float(after_s.max(initial=0.0)) / step)) + 1
    # Arrivals up to each edge of the fine grid; their differences are exact whatever the slot length.
    edges: Floats = np.arange(far + 1, dtype=np.float64) * float(step)
    upto = np.interp(edges, np.arange(arrivals.size + 1) * slot_s, np.r_[0.0, np.cumsum(arrivals)])
    per_step = np.diff(upto)
    alive = survival.at(edges)
    held = (alive[:-1] + alive[1:]) / 2
    live_at_edges = np.r_[0.0, np.convolve(per_step, held)[:far]]
    return np.interp(after_s, edges, live_at_edges)


@dataclass(frozen=True, slots=True)
class SlotConcurrency:
    """Expected calls in progress per slot ahead."""

    mean: Floats
    maximum: Floats
    """The highest number within the slot: what capacity must hold."""


def forecast_concurrency(
    survival: Survival, ages_s: Floats, arrivals: Floats, slot_s: float, slots: int, worth: float = 1.0
) -> SlotConcurrency:
    """Return mean and maximum of calls in progress in each of the next `slots` slots.

    `ages_s` are the ages of the calls now live, each standing for `worth` calls, `arrivals` the calls forecast for
    the coming slots. Within a slot
    the number swings around its path like a Poisson one; seen every 15 s over minutes, its maximum lies about one
    standard deviation above the slot's mean, and not under the path's own top.
    """
    fine = max(2, round(slot_s / survival.step_s))
    after: Floats = np.arange(slots * fine + 1, dtype=np.float64) * float(slot_s / fine)
    path = worth * still_live(survival, ages_s, after) + newly_live(survival, arrivals, slot_s, after)
    within = np.stack([path[slot * fine : slot * fine + fine + 1] for slot in range(slots)])
    mean = (within[:, :-1] + within[:, 1:]).mean(axis=1) / 2
    return SlotConcurrency(mean, np.maximum(mean + np.sqrt(mean), within.max(axis=1)))
