"""How well supply followed demand: the elasticity metrics of SPEC RG (Herbst et al. 2016) and what operators ask.

Arrays run over equal slots; demand and supply are in pods, load in calls.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Elasticity:
    """What one policy achieved."""

    slots: int
    """Slots that were judged."""
    under_time_ratio: float
    """Share of slots in which fewer pods were ready than needed."""
    under_calls_ratio: float
    """Share of calls beyond what the ready pods could carry."""
    violation_minutes: float
    cost_vs_oracle: float
    """Ready pod-hours over those of a policy that knows the future; starting up is left out for both."""
    theta_u: float
    """Under-provisioning accuracy: mean of lacking over needed pods, percent."""
    theta_o: float
    """Over-provisioning accuracy: mean of spare over needed pods, percent."""
    tau_u: float
    """Share of time under-provisioned."""
    tau_o: float
    """Share of time over-provisioned."""
    scalings: int
    """Times that the number of pods asked for changed."""
    instability: float
    """SPEC's upsilon: share of steps in which pods ready and pods needed changed in different directions."""


def elasticity(
    demand: Ints, ready: Ints, asked: Ints, load: Floats, pod_calls: float, slot_s: float
) -> Elasticity:
    """Return the metrics over slots [n]: pods needed (what the oracle has), ready and asked for, calls at once."""
    lacking, spare = np.maximum(demand - ready, 0), np.maximum(ready - demand, 0)
    needed = np.maximum(demand, 1)
    under = lacking > 0
    beyond = np.maximum(load - ready * pod_calls, 0.0)
    return Elasticity(
        slots=int(demand.size),
        under_time_ratio=float(under.mean()),
        under_calls_ratio=float(beyond.sum() / max(load.sum(), 1e-9)),
        violation_minutes=float(under.sum() * slot_s / 60),
        cost_vs_oracle=float(ready.sum() / max(demand.sum(), 1)),
        theta_u=float(100 * (lacking / needed).mean()),
        theta_o=float(100 * (spare / needed).mean()),
        tau_u=float(under.mean()),
        tau_o=float((spare > 0).mean()),
        scalings=int((np.diff(asked) != 0).sum()),
        instability=float((np.sign(np.diff(ready)) != np.sign(np.diff(demand))).mean())
        if demand.size > 1
        else 0.0,
    )
