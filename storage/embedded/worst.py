"""The worst calls of a window, in passes.

Aggregating every column of millions of intervals costs many times more than finding which calls are the worst.
So the first pass sorts nothing but R and takes the calls of the lowest ones, a second aggregates only theirs,
and a third looks up how those ended. Where many calls tie for the lowest R (R has a floor and a ceiling), one more
pass sums their losses before, so that all else is read of those that are returned only. All read the digests of
segments where they may stand for them (see `digests`).
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from storage.checks import Where
from storage.embedded.digests import HEAD_CALLS, TAGS
from storage.embedded.digests import SCHEMA as DIGEST
from storage.embedded.layout import END_NS
from storage.embedded.relation import Parameters, RowSource, ScopedRows
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
_FIRST_LOOK = 64
"""Rows to look at for each call wanted: a call has dozens of intervals, in a window of minutes."""
_FIRST_DEPTH = HEAD_CALLS
"""Calls to look at of each digest."""
_LOOK_FURTHER = 16
_LAST_LOOK = 1_000_000
_FEW_TIED = 8
"""Times as many calls as are wanted are aggregated sooner than their losses are summed first."""
_ALL = 1 << 31
_LOSS = "CAST(sum(lost) AS DOUBLE) / nullif(sum(expected), 0)"
_WORST_FIRST = "r_min ASC NULLS LAST, loss_ratio DESC NULLS LAST, call_id"


def worst_calls(
    database: RowSource,
    scope: Scope,
    window: Window,
    limit: int,
    where: Where | None,
    candidates: Sequence[str] = (),
) -> pa.Table:
    """Return the calls with the lowest R of an interval, then those without any R by their loss.

    Of the candidates only, where it is known that the worst are among them. R is on the narrowband scale
    (`telephony.bands`), so that calls of different E-models rank together.
    """
    limit = max(limit, 0)

    def question(rows: ScopedRows) -> pa.Table:
        parts = _parts(rows, set(where or ()))
        return _aggregates(parts, candidates or _few(parts, limit), limit)

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


class _Parts(NamedTuple):
    """The rows of a question: digests of some segments, and the intervals of everything else."""

    rows: ScopedRows
    digested: list[Path]
    asked: set[str]
    """Tags that the question is restricted to."""

    def sql(
        self,
        digests: pa.Table,
        from_digests: Sequence[str],
        from_rows: str,
        columns: Sequence[str],
        condition: str = "true",
    ) -> str:
        """Return a SELECT over both: these columns of digests, and this list of expressions over `columns`.

        The condition is on the intervals only.
        """
        selects = [f"SELECT {from_rows} FROM ({self.rows.sql(columns)}) WHERE {condition}"]
        if digests.num_rows:
            selects.append(self.rows.among("digests", digests, from_digests))
        return " UNION ALL ".join(selects)


def _parts(rows: ScopedRows, asked: set[str]) -> _Parts:
    files, window = rows.files, rows.window
    digested = [
        s
        for s in files.segments
        if s.digested
        and s.min_ns >= window.since_ns
        and s.max_ns < window.until_ns
        and not rows.repeats.touch(s.min_ns, s.max_ns)
        and asked <= set(TAGS)
    ]
    rest = [s for s in files.segments if s not in digested]
    return _Parts(replace(rows, files=replace(files, segments=rest)), [s.path for s in digested], asked)


def _few(parts: _Parts, limit: int) -> Sequence[str]:
    """Return calls that hold the worst so many."""
    lowest = _lowest(parts, limit)
    return _worst_of(parts, lowest, limit) if lowest else _candidates(parts, limit)


def _lowest(parts: _Parts, limit: int) -> dict[str, float]:
    """Return the calls of the lowest R, so many and all that tie with the last; none if there are fewer."""
    parameters = parts.rows.parameters
    wanted, depth = _FIRST_LOOK * limit, max(_FIRST_DEPTH, limit)
    while 0 < wanted < _LAST_LOOK:
        heads, left_out = parts.rows.digests.heads(parts.digested, depth)
        both = parts.sql(
            heads,
            ["call_id", "r_min"],
            f"call_id, {_rating(parameters)} AS r_min",
            ["call_id", "r_factor", "mos_scale"],
        )
        found = parts.rows.fetch(
            f"SELECT call_id, r_min FROM ({both}) WHERE r_min IS NOT NULL AND call_id <> '' "
            f"ORDER BY r_min LIMIT {parameters.bind(wanted)}"
        )
        seen_to = math.inf if left_out is None else left_out
        lowest: dict[str, float] = {}
        last = -math.inf
        for call_id, r_min in zip(found["call_id"].to_pylist(), found["r_min"].to_pylist(), strict=True):
            if r_min >= seen_to or (len(lowest) >= limit and r_min > last):
                break
            last = r_min
            lowest.setdefault(call_id, r_min)
        else:
            if found.num_rows < wanted and left_out is None:  # these are all that have an R
                return lowest if len(lowest) >= limit else {}
            r_min = math.inf if found.num_rows < wanted else last
        if len(lowest) >= limit and r_min > last:
            return lowest
        wanted *= _LOOK_FURTHER
        depth *= _LOOK_FURTHER
    return {}


def _worst_of(parts: _Parts, lowest: dict[str, float], limit: int) -> list[str]:
    """Return calls that hold the worst so many, without most of those that tie with the last of them."""
    last = max(lowest.values())
    tied = [call_id for call_id, r_min in lowest.items() if r_min == last]
    if not parts.digested or len(tied) <= _FEW_TIED * limit:
        return list(lowest)
    columns = ["call_id", "tenant", "lost", "expected"]
    parameters = parts.rows.parameters
    both = parts.sql(
        parts.rows.digests.calls(parts.digested, tied, [*columns, *sorted(parts.asked.difference(columns))]),
        columns,
        ", ".join(columns),
        [*columns, "shard"],
        _among(parameters, parts.rows.calls_among(tied)),
    )
    # A Call-ID that several tenants have is several calls, and which of them has the R is not known here.
    kept = parts.rows.fetch(
        f"SELECT call_id, {_LOSS} AS loss_ratio, min(tenant) <> max(tenant) AS several FROM ({both}) "
        "GROUP BY call_id QUALIFY several OR row_number() OVER (ORDER BY several, loss_ratio DESC NULLS LAST, "
        f"call_id) <= {parameters.bind(limit)}"
    )
    return [*(call_id for call_id, r_min in lowest.items() if r_min != last), *kept["call_id"].to_pylist()]


def _candidates(parts: _Parts, limit: int) -> list[str]:
    """Return the worst calls by grouping all of them: for calls without R, which rank by their loss."""
    parameters = parts.rows.parameters
    every, _ = parts.rows.digests.heads(parts.digested, _ALL)
    both = parts.sql(
        every,
        ["call_id", "r_min", "lost", "expected"],
        f"call_id, {_rating(parameters)} AS r_min, lost, expected",
        ["call_id", "r_factor", "mos_scale", "lost", "expected"],
    )
    table = parts.rows.fetch(
        f"SELECT call_id, min(r_min) AS r_min, {_LOSS} AS loss_ratio FROM ({both}) "
        f"WHERE call_id <> '' GROUP BY call_id ORDER BY {_WORST_FIRST} LIMIT {parameters.bind(limit)}"
    )
    call_ids: list[str] = table["call_id"].to_pylist()
    return call_ids


def _aggregates(parts: _Parts, call_ids: Sequence[str], limit: int) -> pa.Table:
    parameters = parts.rows.parameters
    rating = _rating(parameters)
    degraded = f"CAST({rating} < {parameters.bind(Band.SOME_DISSATISFIED.r_min)} AS BIGINT)"
    both = parts.sql(
        parts.rows.digests.calls(parts.digested, call_ids),
        DIGEST.names,
        f"call_id, tenant, trunk, region, node, codec, {rating} AS r_min, mos AS mos_min, mos AS mos_sum, "
        "CAST(mos IS NOT NULL AS BIGINT) AS mos_count, lost, expected, "
        "coalesce(jitter_max_ms, jitter_ms) AS jitter_ms_max, rtt_ms AS rtt_ms_max, 1 AS intervals, "
        f"{degraded} AS degraded_intervals, time AS last_seen, observer AS observers, verdict AS verdicts",
        [
            "time", *STREAM_INTERVAL.tags, "call_id", "r_factor", "mos", "mos_scale", "lost", "expected",
            "jitter_ms", "jitter_max_ms", "rtt_ms", "verdict",
        ],
        _among(parameters, parts.rows.calls_among(call_ids)),
    )  # fmt: skip
    latest = ", ".join(f"arg_max({tag}, last_seen) AS {tag}" for tag in ("trunk", "region", "node", "codec"))
    return parts.rows.fetch(
        f"SELECT call_id, tenant, {latest}, min(mos_min) AS mos_min, sum(mos_sum) / nullif(sum(mos_count), 0) "
        f"AS mos_avg, min(r_min) AS r_min, {_LOSS} AS loss_ratio, max(jitter_ms_max) AS jitter_ms_max, "
        "max(rtt_ms_max) AS rtt_ms_max, CAST(sum(intervals) AS BIGINT) AS intervals, "
        "CAST(coalesce(sum(degraded_intervals), 0) AS BIGINT) AS degraded_intervals, "
        "max(last_seen) AS last_seen, string_agg(DISTINCT observers, ' ') AS observers, "
        "string_agg(DISTINCT verdicts, ' ') AS verdicts "
        f"FROM ({both}) GROUP BY call_id, tenant "
        f"ORDER BY {_WORST_FIRST}, tenant LIMIT {parameters.bind(limit)}"
    )


def _ends(rows: ScopedRows, call_ids: list[str]) -> pa.Table:
    source = rows.sql(["time", "tenant", "call_id", "outcome", "duration_s"])  # calls do not lie by shard
    return rows.fetch(
        "SELECT tenant, call_id, arg_max(outcome, time) AS outcome, arg_max(duration_s, time) AS duration_s "
        f"FROM ({source}) WHERE {rows.parameters.any_of('call_id', call_ids)} GROUP BY tenant, call_id"
    )


def _among(parameters: Parameters, call_ids: Sequence[str]) -> str:
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
