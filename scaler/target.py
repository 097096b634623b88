"""The seam to what is scaled: a Deployment in a cluster, or pods that exist only in this process.

Errors:

    TargetError
    ├── TargetGone         there is no such object: the pool has nothing to scale
    ├── TargetForbidden    we lack the right; asking again does not help
    ├── TargetFenced       another instance leads now: it decides
    ├── TargetConflict     it changed since it was read: decide again from what it is now
    └── TargetUnavailable  the cluster does not answer, or asks to wait
"""

from dataclasses import dataclass
from typing import Protocol

from scaler.simulated import SimulatedPool


class TargetError(Exception):
    """Base of what can go wrong with a target; the message names it."""


class TargetGone(TargetError):
    """There is no such object."""


class TargetForbidden(TargetError):
    """We may not do this; the message names the missing right."""


class TargetFenced(TargetError):
    """Another instance leads now, and nothing was written."""


class TargetConflict(TargetError):
    """The object changed since it was read."""


class TargetUnavailable(TargetError):
    """No answer in time, or too many requests."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class DrainMark:
    """What is noted on a pod that is being emptied, so that whoever leads next can go on or undo it."""

    since_s: float
    """UTC seconds."""
    limit: int | None
    """The relay's limit of sessions from before; None while new calls have not been stopped."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a target; times are UTC seconds."""

    name: str
    created_at_s: float
    ready_at_s: float | None
    """When it first became ready; None while it is not."""
    ready: bool
    address: str = ""
    drain: DrainMark | None = None
    """That it is being emptied; None where it is not."""
    preferred: bool = False
    """It is marked as the first to go."""
    grace_s: float | None = None
    """How long it may take to end, preStop hooks included (terminationGracePeriodSeconds); None: not known."""
    pre_stop: bool = False
    """One of its containers has a preStop hook, which may wait for calls."""

    @property
    def draining(self) -> bool:
        """Whether it is being emptied."""
        return self.drain is not None


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target as it was read."""

    replicas: int
    """Pods asked for."""
    version: str
    """What `scale` must hand back: a write to anything newer is refused."""
    pods: tuple[Pod, ...]
    owner: str = ""
    """Another autoscaler that writes the replicas; empty where there is none."""

    @property
    def grace_s(self) -> float | None:
        """The shortest time that a pod gets to end; None where that is not known."""
        return min((pod.grace_s for pod in self.pods if pod.grace_s is not None), default=None)

    @property
    def ready(self) -> int:
        """Pods that are ready."""
        return sum(pod.ready for pod in self.pods)


class ScaleTarget(Protocol):
    """Something with replicas."""

    def read(self, now_s: float) -> TargetState:
        """Return replicas and pods. Raises TargetError."""

    def scale(self, replicas: int, version: str, now_s: float) -> None:
        """Ask for replicas, if nothing changed since `version`. Raises TargetError."""


class PodMarks(Protocol):
    """What is noted on the pods of a target."""

    def mark_draining(self, pod: str, mark: DrainMark | None) -> None:
        """Note that a pod is being emptied, or no longer. Raises TargetError."""

    def prefer_to_delete(self, pod: str, prefer: bool) -> None:
        """Make a pod the first to go when replicas are lowered, or one like the others. Raises TargetError."""


class SimulatedTarget:
    """Pods that exist in this process only: for the demo, and for trying out a policy."""

    def __init__(self, name: str, lead_time_s: float, replicas: int, now_s: float) -> None:
        self._name = name
        self._pool = SimulatedPool(lead_time_s, [now_s] * replicas)
        self._version = 0

    def read(self, now_s: float) -> TargetState:
        """Return its pods."""
        lead_s = self._pool.lead_time_s
        pods = tuple(
            Pod(
                f"{self._name}-{number}",
                created_at_s=at - lead_s,
                ready_at_s=at if at <= now_s else None,
                ready=at <= now_s,
            )
            for number, at in enumerate(self._pool.ready_at_s)
        )
        return TargetState(self._pool.replicas, str(self._version), pods)

    def scale(self, replicas: int, version: str, now_s: float) -> None:
        """Ask for replicas."""
        if version != str(self._version):
            raise TargetConflict(f"{self._name} was scaled since it was read")
        self._version += 1
        self._pool.scale(replicas, now_s)
