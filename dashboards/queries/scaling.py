"""What the scaling page asks the store, and how the answers become its view.

Decisions and controls are about pools, which carry every tenant: a scope of some tenants sees none of them. The
page knows of a pool what its decisions say, not what is configured: both can differ while a scaler is down.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dashboards.capacity_views import Span
from dashboards.numbers import SECOND_NS, duration
from dashboards.queries.asking import asked
from dashboards.queries.tables import Floats, Ints, floats, known, strings, times_ns
from dashboards.scaling_views import (
    LOG_ROWS,
    SOURCES,
    STABILISATION_S,
    Controls,
    Decision,
    Demand,
    LimitRow,
    Log,
    NeedRow,
    Pods,
    ScalingSubject,
    ScalingView,
    Told,
)
from dashboards.views import READY, PanelState, Series, Status
from forecast.announce import Announcement, listed
from forecast.stored import where
from forecast.targets import Kind, SeriesId, Signal
from storage.actions import EVERY_TARGET, NO_END_NS, Action, actions
from storage.schema import ActionKind
from storage.seam import Reader, Scope, Store, Window

CONTROLS = (ActionKind.FREEZE, ActionKind.OVERRIDE, ActionKind.MODE)
HOUR_NS, DAY_NS = 3600 * SECOND_NS, 86_400 * SECOND_NS
_POOLS_NS = 7 * DAY_NS
_LOG_NS = 28 * DAY_NS
_MOST_ROWS = 10_000
_STALE_S = 900
"""A scaler that is up writes at least every five minutes."""
_NO_DECISION = (
    "No decision is stored. Name pools under scale.pools and run the role `scale`; modes start at observe."
)
_ENGINEERS_ONLY = Status(
    PanelState.NOT_ALLOWED, "Pools carry every tenant: their scaling is shown to engineers and operators only."
)
_CHART_COLUMNS = (
    "time", "current", "ready", "final", "binding_limit", "lead_seconds", *(f"need_{s}" for s in SOURCES),
)  # fmt: skip


def scaling_view(
    store: Store, scope: Scope, subject: ScalingSubject, now_ns: int, declared: tuple[Announcement, ...] = ()
) -> ScalingView:
    """Return the view of the scaling page; `declared` are events of the configuration. Raises StoreError."""
    if scope.tenants is not None:
        return _barred(subject, now_ns)
    reader = store.reader(scope)
    pools = tuple(reader.tag_values("replica_decision", "pool", Window(now_ns - _POOLS_NS, now_ns + 1)))
    if not subject.pool and pools:
        subject = ScalingSubject(pools[0], subject.reach_key, subject.page, subject.decision)
    log = _log(reader, subject, now_ns)
    newest = _newest(reader, subject, now_ns)
    return ScalingView(
        at_ns=now_ns,
        subject=subject,
        pools=pools,
        newest=newest if isinstance(newest, Decision) else None,
        demand=_demand(reader, subject, declared, now_ns),
        pods=_pods(reader, subject, newest, now_ns),
        log=log,
        chosen=_chosen(reader, subject, newest),
        controls=_controls(reader, subject, now_ns),
    )


def _barred(subject: ScalingSubject, now_ns: int) -> ScalingView:
    no = _ENGINEERS_ONLY
    return ScalingView(now_ns, subject, (), None, Demand(no), Pods(no), Log(no), no, Controls(no))


# --- decisions ------------------------------------------------------------------------------------


def _newest(reader: Reader, subject: ScalingSubject, now_ns: int) -> Decision | Status:
    window = Window(now_ns - _POOLS_NS, now_ns + 1)
    table = asked(lambda: reader.latest("replica_decision", window, by=["pool"], where={"pool": (subject.pool,)}))
    if isinstance(table, Status):
        return table
    found = decisions(table)
    return found[0] if found else Status(PanelState.EMPTY, _NO_DECISION)


def _log(reader: Reader, subject: ScalingSubject, now_ns: int) -> Log:
    window = Window(now_ns - _LOG_NS, now_ns + 1)
    first, mine = subject.page * LOG_ROWS, {"pool": (subject.pool,)}
    table = asked(
        lambda: reader.select(
            "replica_decision", window, where=mine, limit=first + LOG_ROWS + 1, newest_first=True
        )
    )  # fmt: skip
    if isinstance(table, Status):
        return Log(table)
    rows = decisions(table.slice(first))
    if not rows:
        why = f"There is no page {subject.page + 1} of decisions." if subject.page else _NO_DECISION
        return Log(Status(PanelState.EMPTY, why), page=subject.page)
    return Log(READY, tuple(rows[:LOG_ROWS]), subject.page, len(rows) > LOG_ROWS)


def _chosen(reader: Reader, subject: ScalingSubject, newest: Decision | Status) -> Decision | Status:
    if not subject.decision:
        return newest
    pool, _, second = subject.decision.rpartition("-")
    if pool == subject.pool and second.isdecimal() and len(second) < 12:
        at_ns = int(second) * SECOND_NS
        table = asked(
            lambda: reader.select(
                "replica_decision", Window(at_ns, at_ns + SECOND_NS), where={"pool": (pool,)}, limit=1
            )
        )
        if isinstance(table, Status):
            return table
        if found := decisions(table):
            return found[0]
    return Status(PanelState.EMPTY, f"No decision {subject.decision[:80]} about this pool is stored.")


def decisions(table: pa.Table) -> list[Decision]:
    """Return rows of `replica_decision` as decisions; what is not JSON where it should be is left out."""
    times = times_ns(table).tolist()
    loads, issues = (_optional_times(table, name) for name in ("load_watermark", "forecast_issued_at"))
    plain = [f.name for f in table.schema if not pa.types.is_timestamp(f.type)]
    return [
        _decision(row, at, load, issued)
        for row, at, load, issued in zip(table.select(plain).to_pylist(), times, loads, issues, strict=True)
    ]


def _optional_times(table: pa.Table, name: str) -> list[int | None]:
    found: list[int | None] = table[name].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_pylist()
    return found


def _decision(row: Mapping[str, Any], at_ns: int, load_ns: int | None, forecast_ns: int | None) -> Decision:
    told = _object(row["limits"])
    return Decision(
        id=row["decision_id"] or "",
        at_ns=at_ns,
        mode=row["mode"] or "",
        current=row["current"] or 0,
        ready=row["ready"] or 0,
        draining=row["draining"] or 0,
        wanted=row["need"] or 0,
        final=row["final"] or 0,
        source=row["binding_source"] or "",
        term=row["binding_term"] or "",
        limit=row["binding_limit"] or "",
        verdict=row["reason"] or "",
        message=row["message"] or "",
        applied=bool(row["applied"]),
        error=row["error"] or "",
        lead_seconds=row["lead_seconds"] or 0.0,
        quantile=row["quantile"],
        cost_per_hour=row["cost_per_hour"],
        load_ns=load_ns,
        forecast_ns=forecast_ns,
        needs=tuple(
            NeedRow(
                str(n.get("source")), int(n.get("pods") or 0), str(n.get("term") or ""), str(n.get("why") or "")
            )
            for n in _items(told, "needs")
        ),
        holds=tuple(str(hold) for hold in told.get("holds") or ()),
        limits=tuple(
            LimitRow(
                str(n.get("limit")), int(n.get("before") or 0), int(n.get("after") or 0), str(n.get("why") or "")
            )
            for n in _items(told, "limits")
        ),
        inputs=row["inputs"] or "",
        digest=row["inputs_digest"] or "",
    )  # fmt: skip


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _items(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [item for item in told.get(name) or () if isinstance(item, dict)]


# --- pods over time -------------------------------------------------------------------------------


def _pods(reader: Reader, subject: ScalingSubject, newest: Decision | Status, now_ns: int) -> Pods:
    if isinstance(newest, Status):
        return Pods(newest)
    reach = subject.reach
    since_ns = now_ns - reach.back_seconds * SECOND_NS
    # One decision from before the range says what holds at its start.
    early = Window(since_ns - 2 * _STALE_S * SECOND_NS, now_ns + 1)
    table = asked(
        lambda: reader.select(
            "replica_decision", early, columns=_CHART_COLUMNS, where={"pool": (subject.pool,)}, limit=_MOST_ROWS,
            newest_first=True,
        )
    )  # fmt: skip
    if isinstance(table, Status):
        return Pods(table)
    age_s = (now_ns - newest.at_ns) / SECOND_NS
    status = READY
    if age_s > _STALE_S:
        status = Status(PanelState.STALE, f"the newest decision is {duration(age_s)} old: is the role `scale` up?")
    elif table.num_rows == _MOST_ROWS:
        status = Status(PanelState.PARTIAL, f"the newest {_MOST_ROWS:,} decisions only")
    table = table.sort_by("time")
    starts = times_ns(table)
    if not starts.size:
        return Pods(status, now_ns, since_ns)
    needs = {source: floats(table, f"need_{source}") for source in SOURCES}
    ready = floats(table, "ready")
    moments = np.arange(starts[0], now_ns + 1, _compared_every_ns(newest.lead_seconds, reach.back_seconds))
    place = np.searchsorted(starts, moments, side="right") - 1
    wanted = np.fmax(needs["reactive"], needs["minimum"])[place]
    step_s = float(moments[1] - moments[0]) / SECOND_NS if moments.size > 1 else 1.0
    alone = reactive_alone(wanted, newest.lead_seconds / step_s, STABILISATION_S / step_s)
    shown = moments >= since_ns
    kept = _changes(alone[shown])
    return Pods(
        status,
        now_ns,
        since_ns,
        starts_ns=tuple(starts.tolist()),
        needs={source: known(values) for source, values in needs.items()},
        decided=known(floats(table, "final")),
        ready=known(ready),
        limits=tuple(strings(table, "binding_limit")),
        decisions=int((starts >= since_ns).sum()),
        alone_ns=tuple(moments[shown][kept].tolist()),
        alone=known(alone[shown][kept]),
        short_pod_minutes=_short(wanted[shown], ready[place][shown], step_s),
        alone_short_pod_minutes=_short(wanted[shown], alone[shown], step_s),
    )


def _compared_every_ns(lead_s: float, back_s: int) -> int:
    """Return a step fine enough for the lead time, and of few enough points."""
    return round(max(min(lead_s / 8, 15.0), 1.0, back_s / 20_000) * SECOND_NS)


def reactive_alone(wanted: Floats, lead: float, stabilisation: float) -> Floats:
    """Return the pods ready at each step had only the load seen been followed.

    Pods are asked for at once when the load asks for them, go when it asked for less throughout the stabilisation,
    and are ready a lead time after they were asked for; at the start as many are ready as are wanted.

    Args:
        wanted: pods that the load asks for at each step; NaN holds what was wanted before.
        lead: steps from asking for a pod to a ready one.
        stabilisation: steps that less must be wanted before a pod goes.

    >>> reactive_alone(np.array([2.0, 2, 4, 4, 4, 2, 2, 2, 2]), 2, 1)
    array([2., 2., 2., 2., 4., 4., 2., 2., 2.])
    """
    if not wanted.size:
        return wanted
    last = np.maximum.accumulate(np.where(np.isnan(wanted), 0, np.arange(wanted.size)))
    held = wanted[last]
    asked_for = _over_past(held, round(stabilisation), np.max)
    return _over_past(asked_for, round(lead), np.min)


def _over_past(values: Floats, steps: int, of: Any) -> Floats:
    """Return the extreme of each value and so many before it; the first stands for what was before it."""
    padded = np.concatenate([np.full(steps, values[0]), values])
    return np.asarray(of(np.lib.stride_tricks.sliding_window_view(padded, steps + 1), axis=1), np.float64)


def _changes(values: Floats) -> Ints:
    """Return the places where a step line turns, its ends among them."""
    if not values.size:
        return np.zeros(0, np.int64)
    turns = np.flatnonzero(np.diff(np.nan_to_num(values, nan=-1.0))) + 1
    return np.unique(np.concatenate([[0], turns, [values.size - 1]])).astype(np.int64)


def _short(wanted: Floats, ready: Floats, step_s: float) -> float | None:
    missing = np.maximum(wanted - ready, 0.0)
    return float(np.nansum(missing) * step_s / 60) if np.isfinite(missing).any() else None


# --- demand ---------------------------------------------------------------------------------------


def _demand(reader: Reader, subject: ScalingSubject, declared: tuple[Announcement, ...], now_ns: int) -> Demand:
    if not subject.pool:
        return Demand(Status(PanelState.EMPTY, _NO_DECISION))
    found = asked(lambda: _read_demand(reader, subject, declared, now_ns))
    return Demand(found) if isinstance(found, Status) else found


def _read_demand(
    reader: Reader, subject: ScalingSubject, declared: tuple[Announcement, ...], now_ns: int
) -> Demand:
    reach, pool = subject.reach, {"pool": (subject.pool,)}
    step_ns = reach.step_seconds * SECOND_NS
    since_ns = (now_ns - reach.back_seconds * SECOND_NS) // step_ns * step_ns
    until_ns = now_ns + reach.ahead_seconds * SECOND_NS
    load = reader.load(Window(since_ns, now_ns), step_seconds=reach.step_seconds, where=pool)
    starts = tuple(range(since_ns, now_ns, step_ns))
    values = np.full(len(starts), np.nan)
    values[(times_ns(load) - since_ns) // step_ns] = floats(load, Signal.CONCURRENT_MAX.value)
    key = SeriesId(Kind.POOL, subject.pool, Signal.CONCURRENT_MAX)
    rows = reader.forecasts(Window(now_ns - HOUR_NS, until_ns), where=where(key)).sort_by("issued_at")
    newest = {slot: place for place, slot in enumerate(times_ns(rows, "slot").tolist())}
    seconds = floats(rows, "slot_seconds")
    ahead = sorted(slot for slot, place in newest.items() if slot + seconds[place] * SECOND_NS > now_ns)
    places = [newest[slot] for slot in ahead]
    q50, q95 = (known(floats(rows, name)[places]) for name in ("q50", "q95"))
    measured = known(values)
    return Demand(
        _demand_status(measured, bool(ahead), subject.pool),
        now_ns,
        reach.step_seconds,
        starts,
        measured,
        tuple(ahead),
        int(seconds[places[0]]) if places else 0,
        q50,
        q95,
        int(times_ns(rows, "issued_at")[places].max()) if places else None,
        _events(reader, subject.pool, declared, since_ns, until_ns, now_ns),
    )


def _demand_status(measured: Series, forecast: bool, pool: str) -> Status:
    seen = any(value is not None for value in measured)
    if not seen and not forecast:
        return Status(PanelState.EMPTY, f"Neither load nor forecast of {pool} is stored in this range.")
    if not forecast:
        return Status(PanelState.PARTIAL, "no forecast of this pool: is the role `forecast` up?")
    return READY if seen else Status(PanelState.PARTIAL, "no load was measured in this range")


def _events(
    reader: Reader,
    pool: str,
    declared: tuple[Announcement, ...],
    since_ns: int,
    until_ns: int,
    now_ns: int,
) -> tuple[Span, ...]:
    carried = frozenset(
        reader.tag_values("load_minute", "tenant", Window(now_ns - DAY_NS, now_ns), where={"pool": (pool,)})
    )
    spans = [
        Span(max(each.start_s * SECOND_NS, since_ns), min(each.end_s * SECOND_NS, until_ns), each.name)
        for each in (*listed(reader, now_ns), *declared)
        if each.kind is ActionKind.EVENT and (not each.tenants or carried.intersection(each.tenants))
    ]
    return tuple(sorted((s for s in spans if s.start_ns < s.end_ns), key=lambda span: span.start_ns))


# --- controls -------------------------------------------------------------------------------------


def _controls(reader: Reader, subject: ScalingSubject, now_ns: int) -> Controls:
    found = asked(lambda: actions(reader, CONTROLS, now_ns))
    if isinstance(found, Status):
        return Controls(found)
    return Controls(READY, tuple(_told(each) for each in found if holds_for(each, subject.pool, now_ns)))


def holds_for(action: Action, pool: str, now_ns: int) -> bool:
    """Tell whether a control is about a pool and in force."""
    return action.target_kind == "pool" and action.target in (pool, EVERY_TARGET) and action.holds(now_ns)


def _told(action: Action) -> Told:
    to = {ActionKind.OVERRIDE: f"{action.value or 0:.0f} pods", ActionKind.MODE: action.details}
    return Told(
        action.id,
        action.kind.value,
        action.target,
        to.get(action.kind, ""),
        action.author,
        action.reason,
        action.starts_ns,
        None if action.until_ns >= NO_END_NS else action.until_ns,
    )
