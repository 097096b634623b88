"""What operators tell the scaler from the page: checked, and recorded in the store; nothing is scaled from here.

The scaler reads these records at its next decision. `surgecast scale freeze|override|mode|release` writes the
same.
"""

from dataclasses import dataclass

from flask import Request

from dashboards.auth import scope_of
from dashboards.numbers import SECOND_NS
from dashboards.queries.scaling import CONTROLS
from dashboards.services import Services
from dashboards.writes import Refused, check_may_write, recorded
from storage.actions import EVERY_TARGET, NO_END_NS, Action, actions, record, withdraw
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Scope, StoreError, Window, Writer

MOST_PODS = 10_000
_KNOWN_NS = 28 * 86_400 * SECOND_NS
_REASON_LENGTH = 200
_WHAT = "tell the scaler"


@dataclass(frozen=True, slots=True)
class What:
    """Something that can be told."""

    words: str
    kind: ActionKind
    details: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """How long it holds."""

    words: str
    seconds: int | None
    """None: until it is released."""


WHATS = {
    "freeze": What("keep its pods as they are", ActionKind.FREEZE),
    "override": What("set its pods by hand", ActionKind.OVERRIDE),
    "observe": What("mode observe", ActionKind.MODE, "observe"),
    "advise": What("mode advise", ActionKind.MODE, "advise"),
    "act": What("mode act", ActionKind.MODE, "act"),
}
PERIODS = {
    "15m": Period("15 minutes", 900),
    "1h": Period("an hour", 3600),
    "4h": Period("4 hours", 14_400),
    "24h": Period("a day", 86_400),
    "ever": Period("until released", None),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form said."""

    what: str
    target: str
    pods: float | None
    period: str
    reason: str

    @classmethod
    def of(
        cls,
        *,
        what: str | None,
        target: str | None,
        pods: float | str | None,
        period: str | None,
        reason: str | None,
    ) -> "Asked":
        """Return the form's values; a field that is not filled in is None or an empty text."""
        number = None if isinstance(pods, str) else pods
        return cls(what or "", target or "", number, period or "", (reason or "").strip()[:_REASON_LENGTH])


class BadAsk(ValueError):
    """What was asked makes no sense; the message says why."""


def tell(services: Services, request: Request, asked: Asked) -> tuple[str, bool]:
    """Record what an operator tells the scaler; return what came of it in words, and whether it was recorded."""
    scope, now_ns = scope_of(request), services.clock()
    try:
        check_may_write(scope, request, _WHAT)
        action = action_of(asked, scope, now_ns)
        recorded(services.store, scope, lambda reader, writer: _record(reader, writer, action, now_ns))
    except (BadAsk, Refused, OutOfScope) as error:
        return f"Not recorded: {error}.", False
    except StoreError as error:
        return f"Not recorded, the store does not take it: {error}.", False
    of = "all pools" if asked.target == EVERY_TARGET else asked.target
    return f"Recorded: {WHATS[asked.what].words}, {of}, {PERIODS[asked.period].words}.", True


def action_of(asked: Asked, scope: Scope, now_ns: int) -> Action:
    """Return what was asked as an action. Raises BadAsk."""
    what, period = WHATS.get(asked.what), PERIODS.get(asked.period)
    if what is None or period is None:
        raise BadAsk("this cannot be told")
    if not asked.target:
        raise BadAsk("choose a pool")
    if not asked.reason:
        raise BadAsk("say why, for those who find it later")
    value = None
    if what.kind is ActionKind.OVERRIDE:
        if asked.pods is None or not 0 <= asked.pods <= MOST_PODS or asked.pods != int(asked.pods):
            raise BadAsk(f"give a whole number of pods from 0 to {MOST_PODS}")
        value = float(asked.pods)
    until_ns = NO_END_NS if period.seconds is None else now_ns + period.seconds * SECOND_NS
    return Action(
        what.kind, "pool", asked.target, scope.actor, asked.reason, now_ns, until_ns, value, what.details
    )


def _record(reader: Reader, writer: Writer, action: Action, now_ns: int) -> None:
    window = Window(now_ns - _KNOWN_NS, now_ns + 1)
    pools = reader.tag_values("replica_decision", "pool", window)
    if action.target not in (EVERY_TARGET, *pools):
        raise OutOfScope(f"no pool {action.target[:60]!r}")
    record(writer, action, now_ns)


def release(services: Services, request: Request, id_: str) -> str:
    """End a control before its time; return what came of it in words."""
    scope, now_ns = scope_of(request), services.clock()

    def work(reader: Reader, writer: Writer) -> Action:
        mine = {each.id for each in actions(reader, CONTROLS, now_ns) if each.target_kind == "pool"}
        if id_ not in mine:
            raise OutOfScope("no such control")
        return withdraw(reader, writer, id_, scope.actor, now_ns)

    try:
        check_may_write(scope, request, _WHAT)
        gone = recorded(services.store, scope, work)
    except (Refused, OutOfScope) as error:
        return f"Not released: {error}."
    except StoreError as error:
        return f"Not released, the store does not take it: {error}."
    return f"Released: {gone.kind.value} of {'all pools' if gone.target == EVERY_TARGET else gone.target}."
