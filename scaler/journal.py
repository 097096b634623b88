"""Every decision with all that it was made from, so that it can be shown, explained and made again."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from scaler.decision import PoolInputs, ReplicaDecision, Source
from scaler.settings import PoolSettings
from storage.rows import batch
from storage.seam import Reader, Window
from telephony.model import UNASSIGNED

NEED_COLUMNS = {
    "need_forecast": (Source.FORECAST, Source.BLOCKING),
    "need_reactive": (Source.REACTIVE,),
    "need_calendar": (Source.CAMPAIGN,),
    "need_reserved": (Source.RESERVATION,),
    "need_minimum": (Source.MINIMUM,),
}
_WEEK_NS = 7 * 86_400 * 1_000_000_000


def decision_id(pool: str, at_s: float) -> str:
    """Return the id of a decision: its pool and second.

    >>> decision_id("relay", 1_790_000_040.2)
    'relay-1790000040'
    """
    return f"{pool}-{int(at_s)}"


def decision_row(
    decision: ReplicaDecision, inputs: PoolInputs, pool: PoolSettings, applied: bool, error: str
) -> dict[str, object]:
    """Return a decision as a row of `replica_decision`."""
    seen = json.dumps(plain(asdict(inputs)), separators=(",", ":"))
    binding = decision.binding
    changed = decision.limits[-1] if decision.limits else None
    needs = {
        column: max((need.pods for need in decision.needs if need.source in sources), default=None)
        for column, sources in NEED_COLUMNS.items()
    }
    forecast = inputs.forecast
    return {
        "time": round(decision.at_s * 1e9),
        "tenant": UNASSIGNED,
        "pool": decision.pool,
        "region": pool.region,
        "mode": decision.mode.value,
        "decision_id": decision_id(decision.pool, decision.at_s),
        "current": decision.current,
        "ready": decision.ready,
        "draining": inputs.draining,
        **needs,
        "need": decision.wanted,
        "final": decision.final,
        "binding_source": binding.source.value if binding else "",
        "binding_term": binding.term if binding else "",
        "binding_limit": changed.limit.value if changed else "",
        "limits": json.dumps(
            {
                "needs": [plain(asdict(need)) for need in decision.needs],
                "holds": list(decision.holds),
                "limits": [plain(asdict(limit)) for limit in decision.limits],
            },
            separators=(",", ":"),
        ),
        "reason": verdict(decision),
        "message": decision.reason,
        "applied": applied,
        "error": error,
        "lead_seconds": decision.lead_time_s,
        "quantile": pool.forecast_quantile,
        "forecast_issued_at": round(forecast.issued_at_s * 1e9) if forecast else None,
        "load_watermark": round(inputs.load_at_s * 1e9) if inputs.load else None,
        "cost_per_hour": decision.final * pool.cost_per_pod_hour,
        "inputs_digest": blake2b(seen.encode(), digest_size=8).hexdigest(),
        "inputs": seen,
    }


def verdict(decision: ReplicaDecision) -> str:
    """Return what a decision comes to, in one word."""
    if decision.final > decision.current:
        return "scale_up"
    if decision.final < decision.current:
        return "scale_down"
    if decision.limits:
        return "limited"
    return "hold" if decision.holds and decision.wanted < decision.current else "steady"


def decision_batch(rows: Iterable[Mapping[str, object]]) -> pa.RecordBatch:
    """Return rows of decisions as a batch."""
    return batch("replica_decision", list(rows))


def last_lead_time_s(reader: Reader, pool: str, now_ns: int) -> float | None:
    """Return the lead time that the newest decision about a pool went by, None where there is none in a week."""
    table = reader.latest(
        "replica_decision", Window(now_ns - _WEEK_NS, now_ns + 1), by=["pool"], where={"pool": [pool]}
    )
    return float(table["lead_seconds"][0].as_py()) if table.num_rows else None


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN and infinity as text, times of day as ISO 8601."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value.isoformat() if isinstance(value, datetime) else value
