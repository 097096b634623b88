"""What a pool's decision looks at, read from the store: load, forecast, campaigns and what operators asked for."""

import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pyarrow as pa

from scaler.capacity import Load
from scaler.decision import Controls, Floor, Forecast, ForecastSlot, Mode, PoolInputs
from scaler.settings import PoolSettings
from scaler.target import TargetState
from storage.actions import EVERY_TARGET, NO_END_NS, Action
from storage.schema import ActionKind
from storage.seam import Reader, Window

_S_NS = 1_000_000_000
_MINUTE_NS = 60 * _S_NS
_NOW_NS = 30 * _S_NS
"""`load_now` rows come every 2 s; of each place the newest of this long counts."""
_SIGNALS = {
    "concurrent_max": "sessions",
    "packets_per_second": "packets_per_second",
    "cps_max": "calls_per_second",
    "transcodes": "transcoded_sessions",
}
CONTROLS = (ActionKind.FREEZE, ActionKind.OVERRIDE, ActionKind.MODE)


def pool_inputs(
    reader: Reader, pool: PoolSettings, state: TargetState, told: list[Action], lead_time_s: float, now_ns: int
) -> PoolInputs:
    """Return what is known of a pool at `now_ns`. Raises StoreError."""
    load, load_at_s, by_tenant = _load(reader, pool, now_ns)
    return PoolInputs(
        replicas=state.replicas,
        ready=state.ready,
        load=load,
        load_at_s=load_at_s,
        load_by_tenant=by_tenant,
        forecast=_forecast(reader, pool, lead_time_s, now_ns),
        floors=tuple(_floors(pool)),
        lead_time_s=lead_time_s,
        draining=sum(pod.draining for pod in state.pods),
        grace_s=state.grace_s,
        owner=state.owner,
        controls=controls_of(pool.name, told, now_ns),
    )


def _load(
    reader: Reader, pool: PoolSettings, now_ns: int
) -> tuple[Load | None, float, tuple[tuple[str, float], ...]]:
    window = Window(now_ns - _NOW_NS, now_ns + 1)
    rows = reader.latest("load_now", window, by=["tenant", "pool", "region", "node"], where={"pool": [pool.name]})
    if not rows.num_rows:
        return None, 0.0, ()
    sessions: dict[str, float] = defaultdict(float)
    for tenant, calls in zip(rows["tenant"].to_pylist(), rows["concurrent"].to_pylist(), strict=True):
        sessions[tenant] += calls or 0
    newest_ns = max(rows["time"].cast(pa.int64()).to_pylist())
    minutes = reader.load(
        Window(now_ns - 4 * _MINUTE_NS, now_ns), step_seconds=60, where={"pool": [pool.name]}
    ).to_pylist()  # fmt: skip
    whole: dict[str, Any] = minutes[-1] if minutes else {}
    load = Load(
        packets_per_second=_number(whole.get("packets_per_second")),
        sessions=sum(sessions.values()),
        calls_per_second=_number(whole.get("cps_max")),
    )
    reserved = tuple(
        (tenant, calls) for tenant, calls in sorted(sessions.items()) if tenant in pool.reserved_sessions
    )
    return load, newest_ns / 1e9, reserved


def _forecast(reader: Reader, pool: PoolSettings, lead_time_s: float, now_ns: int) -> Forecast | None:
    """Return the newest forecast that covers the lead time; slots that began before now count until their end."""
    horizon_ns = round((lead_time_s + 3600) * 1e9)
    where = {"target_kind": ["pool"], "target": [pool.name], "signal": list(_SIGNALS)}
    rows = reader.forecasts(
        Window(now_ns - 3600 * _S_NS, now_ns + horizon_ns), where=where, issued_until_ns=now_ns
    )
    if not rows.num_rows:
        return None
    high = f"q{round(100 * pool.forecast_quantile)}"
    slots: dict[tuple[int, int], tuple[dict[str, float], dict[str, float]]] = defaultdict(lambda: ({}, {}))
    issued_ns = 0
    # Of one slot's forecasts at several horizons the last issued counts.
    rows = rows.sort_by("issued_at")
    columns = ("slot", "slot_seconds", "issued_at", "signal", "q50", high)
    values = [
        (rows[name].cast(pa.int64()) if pa.types.is_timestamp(rows[name].type) else rows[name]).to_pylist()
        for name in columns
    ]
    for slot_ns, seconds, at_ns, signal, median, quantile in zip(*values, strict=True):
        resource = _SIGNALS[signal]
        highs, medians = slots[slot_ns, seconds]
        highs[resource], medians[resource] = _number(quantile), _number(median)
        issued_ns = max(issued_ns, at_ns)
    return Forecast(
        id=str(issued_ns // _S_NS),
        issued_at_s=issued_ns / 1e9,
        slots=tuple(
            ForecastSlot(slot_ns / 1e9, slot_ns / 1e9 + seconds, Load(**highs), Load(**medians))
            for (slot_ns, seconds), (highs, medians) in sorted(slots.items())
        ),
    )


def _floors(pool: PoolSettings) -> list[Floor]:
    return [
        Floor(
            floor.name,
            floor.start.timestamp(),
            floor.end.timestamp(),
            Load(**{name: _number(value) for name, value in floor.load.model_dump().items()}),
        )
        for floor in pool.floors
    ]


def controls_of(pool: str, told: list[Action], now_ns: int) -> Controls:
    """Return what operators asked for of a pool, as far as it holds now; of two the newer counts."""
    found = Controls()
    for action in _in_force(pool, told, now_ns):
        until_s = math.inf if action.until_ns >= NO_END_NS else action.until_ns / 1e9
        if action.kind is ActionKind.FREEZE and action.target == EVERY_TARGET:
            found = replace(found, kill_switch=True, author=action.author)
        elif action.kind is ActionKind.FREEZE:
            found = replace(found, frozen_until_s=until_s, author=action.author)
        elif action.kind is ActionKind.OVERRIDE and action.value is not None:
            found = replace(found, override=int(action.value), override_until_s=until_s, author=action.author)
    return found


def mode_of(pool: str, configured: Mode, told: list[Action], now_ns: int) -> Mode:
    """Return the mode that operators set last for a pool, else the configured one."""
    mode = configured
    for action in _in_force(pool, told, now_ns):
        if action.kind is ActionKind.MODE and action.details in list(Mode):
            mode = Mode(action.details)
    return mode


def _in_force(pool: str, told: list[Action], now_ns: int) -> list[Action]:
    return [
        action
        for action in told
        if action.target_kind == "pool" and action.target in (pool, EVERY_TARGET) and action.holds(now_ns)
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
