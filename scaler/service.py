"""The scaler's round: for each pool read, decide, act as far as its mode allows, write down.

Time and the store are parameters, targets are seams; nothing here waits, but for the pause that the caller gives
between two tries. One pool's trouble never keeps another from its decision, and a conflict is answered by deciding
again from what the target is now. What is about to be done is written down before it is done: whoever dies in
between leaves a decision that says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from scaler.decision import Mode, PoolInputs, ReplicaDecision
from scaler.drain import Drainer, DrainStats
from scaler.guards import Memory
from scaler.journal import decision_batch, decision_row, last_lead_time_s
from scaler.leadtime import LeadTime
from scaler.policy import decide, limit_to_drained
from scaler.settings import PoolSettings, ScalerSettings
from scaler.target import (
    ScaleTarget,
    SimulatedTarget,
    TargetConflict,
    TargetError,
    TargetForbidden,
    TargetState,
    TargetUnavailable,
)
from scaler.view import CONTROLS, mode_of, pool_inputs
from scaler.warnings import warnings_of
from storage.actions import Action, actions
from storage.seam import Reader, Writer

log = structlog.get_logger()

_TRIES = 4
"""Decisions about one pool in one round, when others write to it meanwhile."""
_EVERY_S = 300.0
"""A decision that is like the one before is written down this often: the journal stays readable."""
_FORBIDDEN_S = 60.0
"""A right that we lack is not asked for again before: somebody has to grant it."""
_LONGEST_WAIT_S = 300.0
"""A cluster that asks for more patience than this is asked again all the same."""
UNFINISHED = "unfinished: this scaler ended before the cluster answered; the next decision says what came of it"

TargetOf = Callable[[PoolSettings], ScaleTarget]
DrainerOf = Callable[[PoolSettings], Drainer | None]
"""None for a pool whose pods go without being emptied."""
Tell = Callable[[PoolSettings, ReplicaDecision, str], None]
"""Is told of every change of replicas, and of every one that failed with the reason."""


@dataclass(slots=True)
class ScalerStats:
    """Counters since the start, and the last state of each pool."""

    decisions: int = 0
    scalings: int = 0
    conflicts: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """By kind of error."""
    last: dict[str, ReplicaDecision] = field(default_factory=dict)
    """By pool."""
    draining: dict[str, int] = field(default_factory=dict)
    """Pods being emptied, by pool."""
    drains: dict[str, DrainStats] = field(default_factory=dict)
    """By pool that empties its pods."""


@dataclass(slots=True)
class _Pool:
    settings: PoolSettings
    target: ScaleTarget
    lead_time: LeadTime
    drainer: Drainer | None
    memory: Memory = field(default_factory=Memory)
    state: TargetState = field(default_factory=lambda: TargetState(0, "", ()))
    """As read last."""
    written: tuple[object, ...] = ()
    written_at_s: float = 0.0
    wait_until_s: float = 0.0
    """Before this time the target is not asked, and `trouble` is why."""
    trouble: str = ""
    warned: tuple[str, ...] = ()
    told: str = ""
    told_at_s: float = 0.0

    def is_news(self, error: str, now_s: float) -> bool:
        """Whether this is to be told: every success, and a trouble once in a while."""
        if error and error == self.told and now_s - self.told_at_s < _EVERY_S:
            return False
        self.told, self.told_at_s = error, now_s
        return True

    def warn(self) -> None:
        """Say what an operator should know, once."""
        found = warnings_of(self.settings, self.state)
        for text in found:
            if text not in self.warned:
                log.warning("pool", pool=self.settings.name, why=text)
        self.warned = found

    def waits(self, now_s: float) -> str:
        """Return why the target is not to be asked now; empty where it is."""
        return self.trouble if now_s < self.wait_until_s else ""


@dataclass(frozen=True, slots=True)
class _Made:
    inputs: PoolInputs
    decision: ReplicaDecision
    applied: bool = False
    error: str = ""
    wrong_victim: str = ""


class Scaler:
    """Decides for all pools; call `round` every period."""

    def __init__(
        self,
        settings: ScalerSettings,
        reader: Reader,
        writer: Writer,
        target_of: TargetOf,
        now_ns: int,
        tell: Tell = lambda pool, decision, error: None,
        drainer_of: DrainerOf = lambda pool: None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """`pause` is a moment between a conflict and the next try."""
        self.stats = ScalerStats()
        self._pause = pause
        self._tell = tell
        self._mode = Mode(settings.mode)
        self._reader = reader
        self._writer = writer
        self._pools = {
            pool.name: _Pool(
                pool,
                target_of(pool),
                LeadTime(pool.lead_time, last_lead_time_s(reader, pool.name, now_ns)),
                drainer_of(pool),
            )
            for pool in settings.pools
        }
        for name, pool in self._pools.items():
            if pool.drainer is not None:
                self.stats.drains[name] = pool.drainer.stats

    def round(self, now_ns: int, may_act: bool = True) -> Mapping[str, ReplicaDecision]:
        """Decide once for every pool, and act where the mode says so and we `may_act`. Raises StoreError.

        Who may not act follows: it decides, to know the load when it leads, and leaves the journal to the leader.
        """
        told = actions(self._reader, CONTROLS, now_ns)
        for name, pool in self._pools.items():
            mode = mode_of(name, self._mode, told, now_ns)
            # Pods that exist only here harm nobody: they follow in every mode, to show what would be.
            acts = may_act and (mode is Mode.ACT or isinstance(pool.target, SimulatedTarget))
            made = self._decide(pool, told, mode, now_ns, acts, may_act)
            decision = self.stats.last[name] = made.decision
            self.stats.decisions += 1
            self.stats.draining[name] = made.inputs.draining
            error = "; ".join(filter(None, (made.error, made.wrong_victim)))
            if not (may_act or error):
                continue
            news = (
                decision.final, decision.current, decision.ready, decision.wanted, decision.reactive,
                decision.holds, mode, made.inputs.draining, made.applied, error,
            )  # fmt: skip
            if news != pool.written or decision.at_s - pool.written_at_s >= _EVERY_S:
                self._write_down(decision, made.inputs, pool.settings, made.applied, error)
                pool.written, pool.written_at_s = news, decision.at_s
            changes = made.applied or made.wrong_victim or (error and decision.final != decision.current)
            if changes and pool.is_news(error, decision.at_s):
                self._tell(pool.settings, decision, error)
        return dict(self.stats.last)

    def _write_down(
        self, decision: ReplicaDecision, inputs: PoolInputs, pool: PoolSettings, applied: bool, error: str
    ) -> None:
        row = decision_row(decision, inputs, pool, applied, error)
        self._writer.write("replica_decision", decision_batch([row]))
        self._writer.flush()

    def _decide(
        self, pool: _Pool, told: list[Action], mode: Mode, now_ns: int, acts: bool, may_act: bool
    ) -> _Made:
        memory, now_s, wrong = pool.memory, now_ns / 1e9, ""
        for _ in range(_TRIES):
            error = pool.waits(now_s)
            try:
                if not error:
                    pool.state = pool.target.read(now_s)
                    pool.lead_time.observe(pool.state.pods)
                    pool.warn()
            except TargetError as trouble:
                error = self._failed(pool, trouble, now_s)
            inputs = pool_inputs(self._reader, pool.settings, pool.state, told, pool.lead_time.seconds, now_ns)
            decision, pool.memory = decide(inputs, pool.settings, memory, now_s, mode)
            if error or not may_act:
                return _Made(inputs, decision, error=error)
            try:
                # Where we no longer act, what we began to empty is given back.
                decision, victim = self._drain(pool, decision, now_s, acts)
                wrong = victim or wrong
                if not acts or decision.final == decision.current:
                    return _Made(inputs, decision, wrong_victim=wrong)
                # Overwritten by what comes of it: a row of the same time is the same point.
                self._write_down(decision, inputs, pool.settings, False, UNFINISHED)
                pool.written = ()
                pool.target.scale(decision.final, pool.state.version, now_s)
            except TargetConflict as trouble:
                self.stats.conflicts += 1
                error = str(trouble)
                self._pause()
                continue
            except TargetError as trouble:
                return _Made(inputs, decision, error=self._failed(pool, trouble, now_s), wrong_victim=wrong)
            if pool.drainer is not None and decision.final < decision.current:
                pool.drainer.lowered(pool.state)
            self.stats.scalings += 1
            log.info("scaled", pool=pool.settings.name, before=decision.current, after=decision.final)
            return _Made(inputs, decision, applied=True, wrong_victim=wrong)
        return _Made(inputs, decision, error=f"conflict: {error}", wrong_victim=wrong)

    def _drain(
        self, pool: _Pool, decision: ReplicaDecision, now_s: float, acts: bool
    ) -> tuple[ReplicaDecision, str]:
        """Empty pods that shall go; return the decision as far as they are empty, and whether a wrong one went."""
        if pool.drainer is None:
            return decision, ""
        drained = pool.drainer.step(pool.state, decision.drain if acts else 0, now_s)
        if drained.error:
            self._count("wrong_victim")
            log.error("drain", pool=pool.settings.name, why=drained.error)
        if acts and decision.final < decision.current:
            decision = limit_to_drained(decision, drained.removable, drained.why)
        return decision, drained.error

    def _failed(self, pool: _Pool, trouble: TargetError, now_s: float) -> str:
        kind = type(trouble).__name__.removeprefix("Target").lower()
        self._count(kind)
        log.error("target", pool=pool.settings.name, kind=kind, why=str(trouble))
        if isinstance(trouble, TargetForbidden):
            pool.wait_until_s = now_s + _FORBIDDEN_S
        elif isinstance(trouble, TargetUnavailable):
            pool.wait_until_s = now_s + min(trouble.retry_after_s, _LONGEST_WAIT_S)
        pool.trouble = f"{kind}: {trouble}"
        return pool.trouble

    def _count(self, kind: str) -> None:
        self.stats.errors[kind] = self.stats.errors.get(kind, 0) + 1
