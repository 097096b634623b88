"""Empties pods before they go, so that a scale-down cuts no call.

    choose  the pods that would go first anyway (not ready), those begun, then the emptiest
    stop    new calls on them (limit of sessions 0), noted on the pod with the time and the limit from before
    wait    until one has no call, or its deadline has passed
    mark    it as the first to go, and see the mark in the next round, as the controller will by then
    lower   replicas by so many and no more
    verify  that these went; undo what is no longer to go, at once

All that must be remembered stands on the pods: another instance, or the same one restarted, goes on where this one
stopped. Replicas are lowered by the caller, with its own checks. Time is a parameter.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import structlog

from scaler.relay import RelayControl, RelayError
from scaler.target import DrainMark, Pod, PodMarks, TargetFenced, TargetState

log = structlog.get_logger()

_ASKED_AT_ONCE = 16
"""Relays asked for their calls at the same time: one that does not answer costs seconds."""


@dataclass(slots=True)
class DrainStats:
    """Counters since the start."""

    begun: int = 0
    undone: int = 0
    removed: int = 0
    given_up_calls: int = 0
    """Calls of pods that were let go at their deadline."""
    relay_errors: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a pod is."""

    pod: Pod
    since_s: float
    stopped: bool
    """It takes no new calls."""
    sessions: int | None
    """Calls up; None where it does not tell."""

    def may_go(self, now_s: float, deadline_s: float) -> bool:
        """Whether it has no calls, or had its time. Who still takes calls and is ready never may."""
        if self.stopped and self.sessions == 0:
            return True
        return now_s - self.since_s >= deadline_s and (self.stopped or not self.pod.ready)


@dataclass(frozen=True, slots=True)
class Drained:
    """What a step came to."""

    removable: int
    """Replicas may be lowered by so many."""
    why: str
    """What keeps the others."""
    error: str = ""
    """That a pod went which should have stayed."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What lowering replicas takes away."""

    replicas: int
    pods: frozenset[str] = frozenset()


class VictimOrder(Protocol):
    """In which order a controller takes pods away when replicas are lowered."""

    def choose(self, pods: Collection[Pod], calls: Mapping[str, int], count: int) -> list[Pod]:
        """Return at most `count` pods to empty; `calls` by pod, as far as relays told."""

    def removal(self, pods: Collection[Pod], empty: Collection[str], missing: int) -> Removal:
        """Return how far replicas can be lowered so that only `empty` pods go; `missing` ones are not there."""


class ReplicaSetOrder:
    """Not ready before ready, and of equals by deletion cost: those that we marked."""

    def choose(self, pods: Collection[Pod], calls: Mapping[str, int], count: int) -> list[Pod]:
        """Return those that are not ready, those begun, and the emptiest that tell their calls."""
        possible = [pod for pod in pods if not pod.ready or pod.draining or pod.name in calls]

        def rank(pod: Pod) -> tuple[bool, bool, bool, float, str]:
            return *self._class(pod), not pod.draining, calls.get(pod.name, math.inf), pod.name

        return sorted(possible, key=rank)[:count]

    def removal(self, pods: Collection[Pod], empty: Collection[str], missing: int) -> Removal:
        """Return the empty ones before which nobody else would go: one that is not ready goes before all ready."""
        order = sorted(pods, key=lambda pod: (*self._class(pod), pod.name not in empty))
        first = takewhile(lambda pod: pod.name in empty, order)
        names = frozenset(pod.name for pod in first)
        return Removal(missing + len(names), names)

    @staticmethod
    def _class(pod: Pod) -> tuple[bool, bool]:
        return pod.ready, bool(pod.address)


class StatefulSetOrder:
    """The highest ordinal goes, whatever it carries."""

    def choose(self, pods: Collection[Pod], calls: Mapping[str, int], count: int) -> list[Pod]:
        """Return the highest ordinals."""
        return sorted(pods, key=_ordinal, reverse=True)[:count]

    def removal(self, pods: Collection[Pod], empty: Collection[str], missing: int) -> Removal:
        """Return the empty ones from the highest down; none while an ordinal is missing."""
        order = sorted(pods, key=_ordinal, reverse=True) if not missing else []
        names = frozenset(pod.name for pod in takewhile(lambda pod: pod.name in empty, order))
        return Removal(len(names), names)


def _ordinal(pod: Pod) -> int:
    tail = pod.name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


@dataclass(frozen=True, slots=True)
class _Expected:
    """Which pods were there when replicas were lowered, and which of them shall go."""

    before: frozenset[str]
    victims: frozenset[str]


class Drainer:
    """Empties the pods of one pool; call `step` each round, and `lowered` after replicas were written."""

    def __init__(
        self,
        marks: PodMarks,
        relays: RelayControl,
        order: VictimOrder,
        deadline_s: float,
        may_write: Callable[[], bool],
    ) -> None:
        """`may_write` is asked right before each command to a relay: the lease's fence."""
        self.stats = DrainStats()
        self._may_write = may_write
        self._marks, self._relays, self._order, self._deadline_s = marks, relays, order, deadline_s
        self._removal = Removal(0)
        self._standings: list[Standing] = []
        self._expected: _Expected | None = None

    def step(self, state: TargetState, count: int, now_s: float) -> Drained:
        """Empty `count` of the pods, and give the others back to their calls. Raises TargetError."""
        error = self._verify(state)
        excess = len(state.pods) - state.replicas
        leaving = [pod for pod in state.pods if pod.draining and pod.preferred][: max(excess, 0)]
        pods = [pod for pod in state.pods if pod not in leaving]
        missing = max(-excess, 0)
        chosen = self._order.choose(pods, self._calls(pods, count), max(count - missing, 0))
        for pod in pods:
            if pod not in chosen and (pod.draining or pod.preferred):
                self._undo(pod)
        self._standings = [self._stop(pod, now_s) for pod in chosen]
        empty = self._mark_first(now_s)
        if excess > 0:
            self._removal = Removal(0)
            return Drained(0, f"{excess} pods more than asked for are there", error)
        self._removal = self._order.removal(pods, empty, min(missing, count))
        return Drained(self._removal.replicas, self._waits(count), error)

    def lowered(self, state: TargetState) -> None:
        """Take note that replicas were lowered by what the last step allowed, which looked at `state`."""
        victims = self._removal.pods
        self._expected = _Expected(frozenset(pod.name for pod in state.pods), victims)
        self.stats.removed += len(victims)
        self.stats.given_up_calls += sum(s.sessions or 0 for s in self._standings if s.pod.name in victims)

    def _verify(self, state: TargetState) -> str:
        """Compare who went with who should have, once as many pods are there as asked for."""
        expected, there = self._expected, {pod.name for pod in state.pods}
        if expected is None or len(there) > state.replicas:
            return ""
        self._expected = None
        stayed, strangers = expected.victims & there, expected.before - expected.victims - there
        if not (stayed and strangers):
            return ""
        return f"wrong_victim: {_names(strangers)} went in place of {_names(stayed)}"

    def _calls(self, pods: list[Pod], count: int) -> dict[str, int]:
        """Ask relays for their calls: those begun always, the open ones only if more are to be emptied."""
        begun = sum(pod.draining or not pod.ready for pod in pods)
        asked = [pod for pod in pods if pod.address and (pod.draining or count > begun)]
        if not asked:
            return {}
        with ThreadPoolExecutor(min(len(asked), _ASKED_AT_ONCE)) as several:
            told = several.map(self._sessions, asked)
            return {pod.name: calls for pod, calls in zip(asked, told, strict=True) if calls is not None}

    def _sessions(self, pod: Pod) -> int | None:
        try:
            return self._relays.sessions(pod.address)
        except RelayError as error:
            self._failed(pod, error)
            return None

    def _stop(self, pod: Pod, now_s: float) -> Standing:
        """Stop new calls, again in each round: a relay that was restarted has forgotten it."""
        mark = pod.drain
        if mark is None:
            mark = DrainMark(now_s, None)
            self.stats.begun += 1
            log.info("drain begun", pod=pod.name)
        if not pod.address:
            # It never had an address, so nobody can have sent it a call.
            self._note(pod, mark)
            return Standing(pod, mark.since_s, stopped=True, sessions=0)
        try:
            if mark.limit is None:
                mark = DrainMark(mark.since_s, self._relays.limit(pod.address))
            # Noted before it is done: whoever comes after us knows what to undo.
            self._note(pod, mark)
            self._set_limit(pod, 0)
            return Standing(pod, mark.since_s, stopped=True, sessions=self._relays.sessions(pod.address))
        except RelayError as error:
            self._failed(pod, error)
            self._note(pod, mark)
            return Standing(pod, mark.since_s, stopped=False, sessions=None)

    def _set_limit(self, pod: Pod, limit: int) -> None:
        if not self._may_write():
            raise TargetFenced(f"relay of {pod.name}: another instance leads")
        self._relays.set_limit(pod.address, limit)

    def _note(self, pod: Pod, mark: DrainMark) -> None:
        if mark != pod.drain:
            self._marks.mark_draining(pod.name, mark)

    def _mark_first(self, now_s: float) -> set[str]:
        """Mark those that may go as the first to go; return those that were read with the mark."""
        seen = set()
        for standing in self._standings:
            pod, may_go = standing.pod, standing.may_go(now_s, self._deadline_s)
            if may_go != pod.preferred:
                self._marks.prefer_to_delete(pod.name, may_go)
            elif may_go:
                seen.add(pod.name)
        return seen

    def _undo(self, pod: Pod) -> None:
        """Let a pod take calls again; where its relay does not answer the note stays, and the next round tries."""
        if pod.preferred:
            self._marks.prefer_to_delete(pod.name, False)
        if pod.drain is None:
            return
        if pod.drain.limit is not None and pod.address:
            try:
                self._set_limit(pod, pod.drain.limit)
            except RelayError as error:
                self._failed(pod, error)
                return
        self._marks.mark_draining(pod.name, None)
        self.stats.undone += 1
        log.info("drain undone", pod=pod.name)

    def _failed(self, pod: Pod, error: RelayError) -> None:
        self.stats.relay_errors += 1
        log.warning("relay", pod=pod.name, kind=type(error).__name__.removeprefix("Relay").lower(), why=str(error))

    def _waits(self, count: int) -> str:
        """Say what keeps pods that shall go."""
        if self._removal.replicas == count:
            return ""
        calls = sum(standing.sessions or 0 for standing in self._standings)
        why = f"{len(self._standings)} of {count} being emptied, {calls} calls up"
        silent = [standing.pod.name for standing in self._standings if standing.sessions is None]
        return why + (f", no answer from {_names(silent)}" if silent else "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
