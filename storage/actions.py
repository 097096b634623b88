"""What operators told the other parts, as records in the store: nothing here acts, scaler and alerts obey.

An action holds from its start until its end unless it was withdrawn; the newest record of an id counts, so that
every change stays in the store with its author, as an audit.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from storage.rows import batch, shard_of
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Window, Writer
from telephony.model import UNASSIGNED

NO_END_NS = 2**63 - 1
_LOOK_BACK_NS = 400 * 86_400 * 1_000_000_000
_TIMES = ("time", "starts_at", "until")
EVERY_TARGET = "*"
"""Stands for all targets of a kind."""


@dataclass(frozen=True, slots=True)
class Action:
    """One record of `operator_action`; times are UTC nanoseconds."""

    kind: ActionKind
    target_kind: str
    target: str
    author: str
    reason: str
    starts_ns: int
    until_ns: int = NO_END_NS
    value: float | None = None
    details: str = ""
    tenant: str = UNASSIGNED
    id: str = ""
    withdrawn: bool = False
    recorded_ns: int = 0

    def holds(self, now_ns: int) -> bool:
        """Whether it is in force."""
        return not self.withdrawn and self.starts_ns <= now_ns < self.until_ns

    def concerns(self, names: Mapping[str, str], tenant: str) -> bool:
        """Whether it is about something with these names (by kind of target) that belongs to this tenant."""
        name = names.get(self.target_kind)
        return self.tenant in (UNASSIGNED, tenant) and name is not None and self.target in (name, EVERY_TARGET)


def record(writer: Writer, action: Action, now_ns: int) -> Action:
    """Write an action, with a new id where it has none, and return it as written."""
    return record_all(writer, [action], now_ns)[0]


def record_all(writer: Writer, told: Iterable[Action], now_ns: int) -> list[Action]:
    """Write actions that were told together, as `record` does."""
    # A nanosecond apart: two of a tenant and kind whose ids fall on one shard would else be one point.
    written = [
        replace(action, id=action.id or f"a-{secrets.token_hex(5)}", recorded_ns=now_ns + place)
        for place, action in enumerate(told)
    ]
    writer.write("operator_action", batch("operator_action", [_row(action) for action in written]))
    writer.flush()
    return written


def _row(action: Action) -> Mapping[str, object]:
    return {
        "time": action.recorded_ns,
        "tenant": action.tenant,
        "kind": action.kind.value,
        "shard": shard_of(action.id),
        "action_id": action.id,
        "target_kind": action.target_kind,
        "target": action.target,
        "author": action.author,
        "reason": action.reason,
        "starts_at": action.starts_ns,
        "until": action.until_ns,
        "value": action.value,
        "details": action.details,
        "withdrawn": action.withdrawn,
    }


def actions(reader: Reader, kinds: Collection[ActionKind], now_ns: int) -> list[Action]:
    """Return the newest record of every action of these kinds in the scope, oldest first; withdrawn ones too."""
    table = reader.latest(
        "operator_action",
        Window(now_ns - _LOOK_BACK_NS, now_ns + 1),
        by=["action_id"],
        where={"kind": sorted(kind.value for kind in kinds)},
    )
    for name in _TIMES:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    found = [_action(row) for row in table.to_pylist()]
    return sorted(found, key=lambda action: (action.recorded_ns, action.id))


def withdraw(reader: Reader, writer: Writer, id_: str, author: str, now_ns: int) -> Action:
    """End an action before its time. Raises OutOfScope where the reader's scope has none of this id."""
    for action in actions(reader, list(ActionKind), now_ns):
        if action.id == id_:
            return record(writer, replace(action, withdrawn=True, author=author), now_ns)
    raise OutOfScope(f"no action {id_[:60]!r}")


def _action(row: Mapping[str, object]) -> Action:
    value = row["value"]
    return Action(
        kind=ActionKind(str(row["kind"])),
        target_kind=str(row["target_kind"] or ""),
        target=str(row["target"] or ""),
        author=str(row["author"] or ""),
        reason=str(row["reason"] or ""),
        starts_ns=_ns(row["starts_at"], 0),
        until_ns=_ns(row["until"], NO_END_NS),
        value=float(value) if isinstance(value, int | float) else None,
        details=str(row["details"] or ""),
        tenant=str(row["tenant"]),
        id=str(row["action_id"] or ""),
        withdrawn=bool(row["withdrawn"]),
        recorded_ns=_ns(row["time"], 0),
    )


def _ns(value: object, missing: int) -> int:
    return value if isinstance(value, int) else missing
