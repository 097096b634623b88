"""An hour of a pool that is scaled, made by the policy itself, for tests of pages: the same every time.

Load doubles half an hour ago and was forecast to; a pod takes 90 s to be ready; an operator's freeze holds now.
"""

import pyarrow as pa

from scaler.capacity import Load
from scaler.decision import Forecast, ForecastSlot, Mode, PoolInputs
from scaler.guards import Memory
from scaler.journal import decision_batch, decision_row
from scaler.policy import decide
from scaler.settings import PodCapacity, PoolSettings
from scaler.simulated import SimulatedPool
from storage.actions import Action, record
from storage.rows import batch, forecast_time_ns
from storage.schema import ActionKind
from storage.seam import Store

S_NS = 1_000_000_000
NOW_S = 1_790_000_000
NOW_NS = NOW_S * S_NS
POOL = "media-eu"
LEAD_S = 90.0
SURGE_S = NOW_S - 1800
FROZEN_BY = "nina"
_BEGIN_S = NOW_S - 3600
_ROUND_S = 15
_SLOT_S = 300


def calls_at(at_s: float) -> float:
    """Return the calls in progress: 100, and 100 more within five minutes of the surge."""
    return 100 + 100 * min(max((at_s - SURGE_S) / 300, 0.0), 1.0)


def fill(store: Store) -> None:
    """Write load, forecast, decisions and one control."""
    writer = store.writer("collect")
    writer.write("load_minute", _load_minutes())
    writer.write("forecast", _forecasts())
    writer.write("replica_decision", _decisions())
    writer.flush()
    freeze = Action(
        ActionKind.FREEZE, "pool", POOL, FROZEN_BY, "rack maintenance", NOW_NS - 600 * S_NS, NOW_NS + 3600 * S_NS
    )
    record(writer, freeze, NOW_NS - 600 * S_NS)
    writer.close()


def _load_minutes() -> pa.RecordBatch:
    rows = [
        {
            "time": at_s * S_NS, "tenant": "acme", "pool": POOL, "region": "eu-west", "node": "relay-1",
            "concurrent_mean": calls_at(at_s), "concurrent_max": round(calls_at(at_s)), "arrivals": 30,
            "cps_max": 2.0,
            "packets_per_second": 200 * calls_at(at_s), "erlangs": calls_at(at_s), "transcodes": 0.0,
        }
        for at_s in range(_BEGIN_S // 60 * 60, NOW_S // 60 * 60, 60)
    ]  # fmt: skip
    return batch("load_minute", rows)


def _forecasts() -> pa.RecordBatch:
    issued_ns = (NOW_S - 120) * S_NS
    rows = []
    for slot_s in range(NOW_S // _SLOT_S * _SLOT_S - _SLOT_S, NOW_S + 3600, _SLOT_S):
        level = calls_at(slot_s + _SLOT_S)
        rows.append(
            {
                "time": forecast_time_ns(slot_s * S_NS, issued_ns), "tenant": "unassigned", "target_kind": "pool",
                "target": POOL, "signal": "concurrent_max", "horizon": "short", "slot": slot_s * S_NS,
                "slot_seconds": _SLOT_S, "issued_at": issued_ns, "lead_seconds": 300, "watermark": issued_ns,
                "model": "weekly-profile", "q50": level, "q80": 1.04 * level, "q90": 1.06 * level,
                "q95": 1.08 * level, "q99": 1.12 * level, "inputs": "{}",
            }
        )  # fmt: skip
    return batch("forecast", rows)


def _decisions() -> pa.RecordBatch:
    pool = PoolSettings(
        name=POOL, region="eu-west", pod=PodCapacity(sessions=10), minimum=2, maximum=23, lead_time=LEAD_S
    )
    pods, memory, rows = SimulatedPool(LEAD_S, [_BEGIN_S - 1.0] * 12), Memory(), []
    for now_s in range(_BEGIN_S, NOW_S + 1, _ROUND_S):
        first_s = now_s // _SLOT_S * _SLOT_S
        slots = tuple(
            ForecastSlot(
                float(at_s),
                float(at_s + _SLOT_S),
                Load(sessions=1.08 * calls_at(at_s + _SLOT_S)),
                Load(sessions=calls_at(at_s + _SLOT_S)),
            )
            for at_s in range(first_s, first_s + 1800, _SLOT_S)
        )
        inputs = PoolInputs(
            replicas=pods.replicas,
            ready=pods.ready(now_s),
            load=Load(sessions=calls_at(now_s)),
            load_at_s=now_s - 2.0,
            forecast=Forecast(str(first_s), float(first_s), slots),
            lead_time_s=LEAD_S,
        )
        decision, memory = decide(inputs, pool, memory, float(now_s), Mode.ACT)
        applied = decision.final != decision.current
        pods.scale(decision.final, now_s)
        rows.append(decision_row(decision, inputs, pool, applied, ""))
    return decision_batch(rows)
