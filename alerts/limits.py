"""Fixed limits beside what is learned: those of the starter pack that need no history, and the operator's own.

A limit is broken while every slot lies beyond it for as long as it says; it is kept again after as long on the
good side. Slots in which nothing was counted say nothing. Time comes with the slots; no clock is read.
"""

from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from alerts.catalog import Rule, watched
from alerts.episode import Alert, later_than
from alerts.incidents import Severity
from alerts.signals import Direction, Kind, Signal
from alerts.watch import Status
from forecast.localtime import DAY_S, Floats

FORGOTTEN_S = 3.0 * DAY_S
"""An agent that is silent for this long is gone."""
_SURE = 100.0
"""Score of what is not there at all: it is the cause of what else is unusual in its scope."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that a signal must not be beyond; counts are per minute."""

    name: str
    title: str
    signal: Rule
    scope_kind: str
    side: Direction
    value: float
    hold_s: float
    severity: Severity
    scope_name: str = ""
    """Each scope of the kind where empty."""
    least_n: float = 30.0
    """Least base over the time it must hold; not asked of counts."""
    explicit: bool = False
    """Set by the operator: never inhibited by another one."""
    no_data: bool = False
    """It tells of data that are missing; only what had data before can miss them."""
    forget_s: float | None = None


BUILT_IN: tuple[Limit, ...] = (
    Limit(
        "no_data", "Measured minutes", Rule.WATCHED_MINUTES, "platform", Direction.DOWN, 0.9, 600.0,
        Severity.CRITICAL, least_n=0.0, no_data=True,
    ),
    Limit(
        "silent_agent", "Minutes with a sign of life of a capture agent", Rule.AGENT_MINUTES, "node",
        Direction.DOWN, 0.1, 600.0, Severity.WARNING, least_n=0.0, no_data=True, forget_s=FORGOTTEN_S,
    ),
    Limit(
        "capture_drops", "Share of traffic that capture itself dropped", Rule.CAPTURE_DROPS, "node", Direction.UP,
        0.01, 300.0, Severity.WARNING, least_n=1000.0,
    ),
    Limit(
        "auth_attack", "Share of registrations that fail authentication", Rule.AUTH_FAILURE_SHARE, "platform",
        Direction.UP, 0.5, 600.0, Severity.WARNING, least_n=100.0,
    ),
    Limit(
        "trunk_unreachable", "Share of answered OPTIONS heartbeats", Rule.HEARTBEATS, "trunk", Direction.DOWN, 0.5,
        600.0, Severity.CRITICAL, least_n=4.0,
    ),
)  # fmt: skip


def runbook_of(rule: str, signal: str) -> str:
    """Return the name of the runbook of a rule: its own, or for the operator's rules that of the signal.

    >>> runbook_of("carrier_a_answers", "answer_ratio"), runbook_of("agents", "agent_minutes")
    ('answer_ratio', 'silent_agent')
    """
    if any(limit.name == rule for limit in BUILT_IN):
        return rule
    known = watched(signal)
    if known is None or known.learned:
        return signal or rule
    return next(limit.name for limit in BUILT_IN if limit.signal == known.rule)


@dataclass(slots=True)
class LimitWatch:
    """The state of one limit in one scope. `advance` with ever longer versions of the signal."""

    limit: Limit
    alerts: list[Alert] = field(default_factory=list)
    """All so far; the last may be open."""
    status: Status = Status.NORMAL
    _next: int = 0
    _run: int = 0
    """Slots in a row beyond, or while an alert is open within, the limit."""
    _amount: float = 0.0
    _base: float = 0.0
    """Of that run."""
    _first: int = 0
    _kept_once: bool = False

    def skip_to(self, slot: int) -> None:
        """Leave out the slots before `slot`."""
        self._next = slot

    def forget(self, slots: int) -> None:
        """Go on with a signal that lacks its first slots."""
        self._next, self._first = self._next - slots, self._first - slots
        self.alerts = later_than(self.alerts, slots)

    def advance(self, signal: Signal) -> None:
        """Judge the slots that are new."""
        need = max(1, ceil(self.limit.hold_s / signal.series.slot_s))
        base = _base(signal)
        for slot in range(self._next, len(signal)):
            amount = float(signal.series.y[slot])
            if not np.isfinite(amount) or not base[slot] > 0:
                continue
            self._judge(slot, amount, float(base[slot]), need, signal)
        self._next = max(self._next, len(signal))

    @property
    def _open(self) -> bool:
        return bool(self.alerts) and self.alerts[-1].end is None

    def _judge(self, slot: int, amount: float, base: float, need: int, signal: Signal) -> None:
        value = amount / base
        beyond = value > self.limit.value if self.limit.side is Direction.UP else value < self.limit.value
        self._kept_once |= not beyond
        if beyond is self._open:
            self._run = 0
            self._amount = self._base = 0.0
        else:
            if not self._run:
                self._first = slot
            self._run += 1
            self._amount += amount
            self._base += base
        if self._open:
            self._go_on(slot, amount, base, need, signal.series.slot_s)
            return
        self.status = Status.PENDING if self._run else Status.NORMAL
        enough = signal.kind is Kind.COUNT or self._base >= self.limit.least_n
        if self._run >= need and enough and (self._kept_once or not self.limit.no_data):
            self.alerts.append(self._alert(slot, signal.kind))
            self._run = 0
            self._amount = self._base = 0.0
            self.status = Status.FIRING

    def _go_on(self, slot: int, amount: float, base: float, need: int, slot_s: int) -> None:
        last = self.alerts[-1]
        forgotten = self.limit.forget_s is not None and (slot - last.start) * slot_s >= self.limit.forget_s
        if self._run >= need or forgotten:
            self.alerts[-1] = replace(last, end=slot + 1 if forgotten else self._first, adopted=forgotten)
            self._run = 0
            self._amount = self._base = 0.0
            self._kept_once = not forgotten
            self.status = Status.NORMAL
        elif not self._run:
            self.alerts[-1] = replace(last, excess=last.excess + amount - self.limit.value * base)

    def _alert(self, slot: int, kind: Kind) -> Alert:
        limit = self.limit
        up = limit.side is Direction.UP
        return Alert(
            start=slot, onset=self._first, end=None, direction=limit.side, observed=self._amount / self._base,
            expected=limit.value, low=0.0 if up else limit.value,
            high=limit.value if up or kind is not Kind.RATIO else 1.0,
            score=_SURE if limit.no_data else 0.0, detectable_change=0.0,
            n=self._amount if kind is Kind.COUNT else self._base, pool=self._run,
            excess=self._amount - limit.value * self._base,
        )  # fmt: skip


def _base(signal: Signal) -> Floats:
    """Return what amounts are divided by: for counts the minutes of a slot."""
    if signal.base is None:
        return np.full(len(signal), signal.series.slot_s / 60)
    return np.nan_to_num(signal.base)
