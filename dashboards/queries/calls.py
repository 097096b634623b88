"""Views of calls as rows: the worst of the range, and those in progress."""

import pyarrow as pa

from dashboards.numbers import SECOND_NS
from dashboards.views import READY, CallNow, InProgress, PanelState, Status, WorstCall, WorstCalls

from .context import LOADING, Context, Seen, no_media_hint
from .tables import optional, rows, times_ns

STATED_SECONDS = 35
"""A call in progress is stated at least this often."""
SHOWN_IN_PROGRESS = 200


def _text(value: object) -> str:
    return "" if value is None else str(value)


def worst_calls(context: Context, table: pa.Table | None, seen: Seen, status: Status | None) -> WorstCalls:
    """Return the calls with the worst intervals of the range."""
    if table is None:
        return WorstCalls(status or LOADING)
    if not table.num_rows:
        return WorstCalls(status or context.empty("No call has a rated interval", no_media_hint(seen)))
    found = tuple(
        WorstCall(
            call_id=row["call_id"],
            tenant=_text(row["tenant"]),
            trunk=_text(row["trunk"]),
            region=_text(row["region"]),
            node=_text(row["node"]),
            codec=_text(row["codec"]),
            r_min=optional(row["r_min"]),
            mos_min=optional(row["mos_min"]),
            loss_ratio=optional(row["loss_ratio"]),
            jitter_ms_max=optional(row["jitter_ms_max"]),
            rtt_ms_max=optional(row["rtt_ms_max"]),
            intervals=int(row["intervals"] or 0),
            degraded=int(row["degraded_intervals"] or 0),
            last_seen_ns=last_seen,
            live=bool(row["live"]),
            outcome=_text(row["outcome"]),
            duration_s=optional(row["duration_s"]),
            verdicts=_text(row["verdicts"]),
            observers=_text(row["observers"]),
        )
        for row, last_seen in zip(rows(table), times_ns(table, "last_seen").tolist())
    )
    return WorstCalls(status or READY, found)


def in_progress(context: Context, table: pa.Table | None, seen: Seen, status: Status | None) -> InProgress:
    """Return the calls up now: the newest row of each, those that ended left out, worst first."""
    if table is None:
        return InProgress(status or LOADING)
    newest: dict[str, tuple[int, dict[str, object], int]] = {}
    stamps = zip(times_ns(table).tolist(), rows(table), times_ns(table, "started_at").tolist())
    for at_ns, row, started_ns in stamps:
        call_id = str(row["call_id"])
        if call_id not in newest or at_ns > newest[call_id][0]:
            newest[call_id] = (at_ns, row, started_ns)
    found = [
        CallNow(
            call_id=call_id,
            tenant=_text(row["tenant"]),
            trunk=_text(row["trunk"]),
            region=_text(row["region"]),
            node=_text(row["node"]),
            codec=_text(row["codec"]),
            state=_text(row["state"]),
            age_s=max((context.now_ns - started_ns) / SECOND_NS, 0.0),
            from_masked=_text(row["from_masked"]),
            to_masked=_text(row["to_masked"]),
            r_last=optional(row["r_last"]),
            r_min=optional(row["r_min"]),
            reports=int(optional(row["reports"]) or 0),
            quality_reason=_text(row["quality_reason"]),
        )
        for call_id, (_, row, started_ns) in newest.items()
        if row["state"] != "ended"
    ]
    if not found:
        if status is not None:
            return InProgress(status)
        why = "" if seen.collector else " No collector has written for the last minute and a half."
        narrowed = f" Narrowed to {context.filters.words()}." if context.filters.narrowed else ""
        return InProgress(Status(PanelState.EMPTY, f"No call is in progress.{why}{narrowed}"))
    found.sort(key=lambda call: (call.r_last is None, call.r_last or 0.0, -call.age_s))
    return InProgress(status or READY, tuple(found[:SHOWN_IN_PROGRESS]), len(found))
