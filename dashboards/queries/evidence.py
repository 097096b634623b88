"""The evidence of an incident: its slots from the minutes of the store, beside the band of its own rows.

The band is what the alert role wrote: nothing here judges anything again. A slot in which no collector wrote is a
gap; a slot watched in which nothing came is zero.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dashboards.incident_views import BandStep, Evidence, IncidentRow
from dashboards.numbers import SECOND_NS, count
from dashboards.queries.asking import asked
from dashboards.queries.tables import Floats, Grid, floats, known, times_ns
from dashboards.views import READY, PanelState, Status
from storage.counted import COUNTED, Counted, Quantity
from storage.seam import Reader, Window

_HOUR_NS = 3600 * SECOND_NS
_MOST_SLOTS = 500
_LEAST_BEFORE_NS, _MOST_BEFORE_NS = 2 * _HOUR_NS, 12 * _HOUR_NS


def evidence(reader: Reader, one: IncidentRow, changes: Sequence[IncidentRow], now_ns: int) -> Evidence:
    """Return the slots from before the incident until after it; `changes` are its rows, oldest first."""
    slot_ns = one.slot_seconds * SECOND_NS
    end_ns = one.ended_ns or now_ns
    before_ns = min(max(end_ns - one.began_ns, _LEAST_BEFORE_NS), _MOST_BEFORE_NS)
    # Slots that are not over would look like a fall.
    until_ns = min(end_ns + before_ns // 2, now_ns) // slot_ns * slot_ns
    since_ns = (one.began_ns - before_ns) // slot_ns * slot_ns
    cut = until_ns - since_ns > _MOST_SLOTS * slot_ns
    if cut:
        since_ns = until_ns - _MOST_SLOTS * slot_ns
    rule = COUNTED.get(one.signal)
    if rule is None or not rule.amount:
        why = f"The slots of {one.title} are not in the minutes of the store; the history below has its figures."
        return Evidence(Status(PanelState.EMPTY, why))
    if until_ns <= since_ns:
        return Evidence(Status(PanelState.EMPTY, "Its first slot is not over yet."))
    slots = asked(lambda: _slots(reader, one, rule, Window(since_ns, until_ns)))
    if isinstance(slots, Status):
        return Evidence(slots)
    grid, observed, base = slots
    if not np.isfinite(observed).any():
        why = "The minutes of that time are no longer in the store, or hold nothing of it."
        return Evidence(Status(PanelState.EMPTY, why))
    status = READY
    if cut:
        status = Status(PanelState.PARTIAL, f"the last {count(_MOST_SLOTS)} slots are shown")
    elif np.isnan(observed[-1]) and one.is_open:
        status = Status(PanelState.STALE, "the newest slot holds nothing of it")
    return Evidence(
        status=status,
        quantity=one.quantity,
        title=one.title,
        starts_ns=grid.starts_ns,
        slot_seconds=one.slot_seconds,
        observed=known(observed),
        n=() if base is None else known(base),
        band=_band(one, changes, now_ns),
        began_ns=one.began_ns,
        raised_ns=one.raised_ns,
        ended_ns=one.ended_ns,
    )


def _slots(reader: Reader, one: IncidentRow, rule: Counted, window: Window) -> tuple[Grid, Floats, Floats | None]:
    grid = Grid.of(window, one.slot_seconds)
    where = {} if one.scope_kind == "platform" else {one.scope_kind: (one.scope,)}
    table = reader.sums(
        rule.measurement, window, step_seconds=one.slot_seconds, where=where, fields=(*rule.amount, *rule.base)
    )
    load = reader.load(window, step_seconds=one.slot_seconds)
    watched = np.zeros(len(grid), bool)
    watched[grid.index(times_ns(load))] = floats(load, "minutes") > 0
    places = grid.index(times_ns(table))
    watched[places] = True
    amount = _total(table, rule.amount, places, len(grid)) * rule.amount_unit
    if rule.quantity is Quantity.COUNT:
        return grid, np.where(watched, amount, np.nan), None
    base = _total(table, rule.base, places, len(grid)) * rule.base_unit
    ratio = np.divide(amount, base, out=np.full(len(grid), np.nan), where=base > 0)
    return grid, ratio, np.where(watched, base, np.nan)


def _total(table: pa.Table, fields: Sequence[str], places: np.ndarray, size: int) -> Floats:
    total = np.zeros(size)
    for name in fields:
        np.add.at(total, places, np.nan_to_num(floats(table, name)))
    return total


def _band(one: IncidentRow, changes: Sequence[IncidentRow], now_ns: int) -> tuple[BandStep, ...]:
    """Return the bands the incident was judged by, each until the next; the first holds from its onset on."""
    end_ns = one.ended_ns or now_ns
    steps: list[BandStep] = []
    for place, each in enumerate(changes):
        since_ns = one.began_ns if place == 0 else each.changed_ns
        until_ns = changes[place + 1].changed_ns if place + 1 < len(changes) else end_ns
        until_ns = min(until_ns, end_ns)
        if since_ns >= until_ns:
            continue
        if steps and (steps[-1].expected, steps[-1].low, steps[-1].high) == (each.expected, each.low, each.high):
            steps[-1] = BandStep(steps[-1].since_ns, until_ns, each.expected, each.low, each.high)
        else:
            steps.append(BandStep(since_ns, until_ns, each.expected, each.low, each.high))
    return tuple(steps)
