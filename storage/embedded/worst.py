"""The worst calls of a window, in passes.

Aggregating every column of millions of intervals costs several times more than finding which calls are the worst,
so a first pass finds them and a second aggregates only theirs; a third looks up how those ended.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

import pyarrow as pa

from storage.checks import Where
from storage.embedded.layout import END_NS
from storage.embedded.relation import Database, Parameters, ScopedRows
from storage.rows import shard_of
from storage.schema import CALL, STREAM_INTERVAL, TIME
from storage.seam import Scope, Window
from telephony.bands import R_DIVISOR, Band
from telephony.model import INTERVAL_NS, Scale

_COLUMNS: dict[str, pa.DataType] = {
    "call_id": pa.string(),
    "tenant": pa.string(),
    "trunk": pa.string(),
    "region": pa.string(),
    "node": pa.string(),
    "codec": pa.string(),
    "mos_min": pa.float64(),
    "mos_avg": pa.float64(),
    "r_min": pa.float64(),
    "loss_ratio": pa.float64(),
    "jitter_ms_max": pa.float64(),
    "rtt_ms_max": pa.float64(),
    "intervals": pa.int64(),
    "degraded_intervals": pa.int64(),
    "last_seen": TIME,
    "observers": pa.string(),
    "live": pa.bool_(),
    "outcome": pa.string(),
    "duration_s": pa.float64(),
    "verdicts": pa.string(),
}
_LOSS = "CAST(sum(lost) AS DOUBLE) / nullif(sum(expected), 0)"
_WORST_FIRST = "r_min ASC NULLS LAST, loss_ratio DESC NULLS LAST, call_id"


def worst_calls(database: Database, scope: Scope, window: Window, limit: int, where: Where | None) -> pa.Table:
    """Return the calls with the lowest R of an interval, then those without any R by their loss.

    R is on the narrowband scale (`telephony.bands`), so that calls of different E-models rank together.
    """

    def question(rows: ScopedRows) -> pa.Table:
        call_ids = _candidates(rows, max(limit, 0))
        return _aggregates(rows, call_ids, max(limit, 0))

    table = database.ask(scope, STREAM_INTERVAL, window, where, question)
    call_ids = table["call_id"].to_pylist()
    ends: dict[tuple[str, str], dict[str, object]] = {}
    if call_ids:
        after = Window(window.since_ns - INTERVAL_NS, END_NS)  # an interval may be stamped after its call's end
        for end in database.ask(scope, CALL, after, None, lambda rows: _ends(rows, call_ids)).to_pylist():
            ends[end["tenant"], end["call_id"]] = end
    keys = list(zip(table["tenant"].to_pylist(), call_ids, strict=True))
    joined: dict[str, object] = {
        "last_seen": table["last_seen"].cast(pa.timestamp("ns")).cast(TIME),
        "observers": [_words(text) for text in table["observers"].to_pylist()],
        "verdicts": [_words(text) for text in table["verdicts"].to_pylist()],
        "live": [key not in ends for key in keys],
        "outcome": [ends[key]["outcome"] if key in ends else None for key in keys],
        "duration_s": [ends[key]["duration_s"] if key in ends else None for key in keys],
    }
    columns = [joined[name] if name in joined else table[name] for name in _COLUMNS]
    return pa.table(columns, schema=pa.schema(_COLUMNS))


def _candidates(rows: ScopedRows, limit: int) -> list[str]:
    source = rows.sql(["call_id", "r_factor", "mos_scale", "lost", "expected"])
    table = rows.fetch(
        f"SELECT call_id, min({_rating(rows.parameters)}) AS r_min, {_LOSS} AS loss_ratio FROM ({source}) "
        f"WHERE call_id <> '' GROUP BY call_id ORDER BY {_WORST_FIRST} LIMIT {rows.parameters.bind(limit)}"
    )
    call_ids: list[str] = table["call_id"].to_pylist()
    return call_ids


def _aggregates(rows: ScopedRows, call_ids: list[str], limit: int) -> pa.Table:
    source = rows.sql(
        ["time", *STREAM_INTERVAL.tags, "call_id", "r_factor", "mos", "mos_scale", "lost", "expected", "jitter_ms",
         "jitter_max_ms", "rtt_ms", "verdict"]
    )  # fmt: skip
    rating = _rating(rows.parameters)
    latest = ", ".join(f"arg_max({tag}, time) AS {tag}" for tag in ("trunk", "region", "node", "codec"))
    return rows.fetch(
        f"SELECT call_id, tenant, {latest}, min(mos) AS mos_min, avg(mos) AS mos_avg, min({rating}) AS r_min, "
        f"{_LOSS} AS loss_ratio, max(coalesce(jitter_max_ms, jitter_ms)) AS jitter_ms_max, "
        "max(rtt_ms) AS rtt_ms_max, count(*) AS intervals, "
        f"count(*) FILTER (WHERE {rating} < {rows.parameters.bind(Band.SOME_DISSATISFIED.r_min)}) "
        "AS degraded_intervals, max(time) AS last_seen, string_agg(DISTINCT observer, ' ') AS observers, "
        "string_agg(DISTINCT verdict, ' ') AS verdicts "
        f"FROM ({source}) WHERE {_among(rows.parameters, call_ids)} GROUP BY call_id, tenant "
        f"ORDER BY {_WORST_FIRST}, tenant LIMIT {rows.parameters.bind(limit)}"
    )


def _ends(rows: ScopedRows, call_ids: list[str]) -> pa.Table:
    source = rows.sql(["time", "tenant", "shard", "call_id", "outcome", "duration_s"])
    return rows.fetch(
        "SELECT tenant, call_id, arg_max(outcome, time) AS outcome, arg_max(duration_s, time) AS duration_s "
        f"FROM ({source}) WHERE {_among(rows.parameters, call_ids)} GROUP BY tenant, call_id"
    )


def _among(parameters: Parameters, call_ids: list[str]) -> str:
    """Rows of these calls; their shards skip whole row groups."""
    shards = sorted({shard_of(call_id) for call_id in call_ids})
    return f"{parameters.any_of('shard', shards)} AND {parameters.any_of('call_id', call_ids)}"


def _rating(parameters: Parameters) -> str:
    """R on the narrowband scale."""
    cases = " ".join(
        f"WHEN {parameters.bind(scale.value)} THEN {parameters.bind(divisor)}"
        for scale, divisor in R_DIVISOR.items()
        if scale is not Scale.NARROWBAND
    )
    return f"r_factor / CASE mos_scale {cases} ELSE 1.0 END"


def _words(text: str | None) -> str:
    """Return the distinct words of a text, sorted."""
    return " ".join(sorted(set((text or "").split())))
