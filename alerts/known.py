"""What moves a signal and is no incident: announced events, and capture that began anew.

Slots that are explained so are seen, but neither judged nor learned from; nothing is judged here. Both are read
from the store, through the reader's scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from alerts.catalog import Rule, Source, Watched
from alerts.incidents import Scope
from alerts.signals import Kind
from forecast.events import Event
from forecast.localtime import DAY_S, Bools
from forecast.stored import announced
from storage.schema import CAPTURE_BEGAN, ActionKind
from storage.seam import Reader, Window

_SECOND_NS = 1_000_000_000
_LEAST_SHARE = 0.05
"""Share of an event's tenants in the attempts of a scope from which the event is seen there."""
_SHARE_S = 28 * DAY_S
_CENSORED_S = 3600
"""A collector that begins anew knows of no call but those that began since: for this long the mean length of the
calls that ended is that of the short ones."""


@dataclass(slots=True)
class Known:
    """What is known of the time that signals were read of."""

    configured: Sequence[Event] = ()
    """Events of the configuration, beside those that were recorded."""
    _began: set[int] = field(default_factory=set)
    """First seconds of the slots in which a collector began."""
    _events: tuple[Event, ...] = ()
    _shares: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    """By kind and name of a scope: the share of each tenant in its attempts."""

    def read(self, reader: Reader, window: Window, slot_s: int) -> None:
        """Take in what is known of a window, the newest that signals are read of."""
        table = reader.sums(
            "finding", window, step_seconds=slot_s, where={"kind": (CAPTURE_BEGAN,)}, fields=("count",)
        )
        self._began.update(t // _SECOND_NS for t in table["time"].cast(pa.int64()).to_pylist())
        until_s = window.until_ns // _SECOND_NS
        recorded = [
            one.event for one in announced(reader, window.until_ns + DAY_S * _SECOND_NS)
            if one.kind is ActionKind.EVENT
        ]  # fmt: skip
        events = tuple(e for e in (*self.configured, *recorded) if e.start_s < until_s)
        if any(event.tenants for event in events if event not in self._events):
            since = Window(max(0, window.until_ns - _SHARE_S * _SECOND_NS), window.until_ns)
            self._shares = {**_shares(reader, since, "trunk"), **_shares(reader, since, "node")}
        self._events = events

    def explained(self, rule: Watched, scope: Scope, start_s: int, slot_s: int, count: int) -> Bools:
        """Return which of `count` slots of a signal from `start_s` (UTC) on are explained."""
        found = np.zeros(count, np.bool_)
        if rule.source is not Source.SUMS or rule.kind is Kind.RATIO:
            return found  # what begins or surges late takes its amount and what it is counted against with it
        censored = _CENSORED_S // slot_s if rule.kind is Kind.MEAN else 0
        for second in self._began:
            slot = (second - start_s) // slot_s
            # The one before too: who ends and begins within a slot's length leaves both incomplete.
            found[max(slot - 1, 0) : max(slot + 1 + censored, 0)] = True
        if rule.rule is Rule.ATTEMPTS:
            for event in self._events:
                if self._concerns(event, scope):
                    first, last = (event.start_s - start_s) // slot_s, -((start_s - event.end_s) // slot_s)
                    found[max(first, 0) : max(last, 0)] = True
        return found

    def _concerns(self, event: Event, scope: Scope) -> bool:
        if not event.tenants or scope.kind == "platform":
            return True
        if scope.kind == "tenant":
            return scope.name in event.tenants
        shares = self._shares.get((scope.kind, scope.name), {})
        return sum(shares.get(tenant, 0.0) for tenant in event.tenants) >= _LEAST_SHARE


def _shares(reader: Reader, window: Window, kind: str) -> dict[tuple[str, str], dict[str, float]]:
    table = reader.sums("session_minute", window, step_seconds=0, by=(kind, "tenant"), fields=("attempts",))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.select([kind, "tenant", "attempts"]).to_pylist():
        found.setdefault((kind, row[kind]), {})[row["tenant"]] = float(row["attempts"] or 0)
    return {
        place: {tenant: count / total for tenant, count in tenants.items()}
        for place, tenants in found.items()
        if (total := sum(tenants.values())) > 0
    }
