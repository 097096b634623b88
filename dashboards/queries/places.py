"""Where to look: places ranked by the trouble they make, and what could not be joined or believed."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dashboards.filters import PLACES
from dashboards.views import READY, FindingRow, Findings, Ranking, RankRow, Status
from telephony.kpis import Ratio
from telephony.model import Outcome

from .context import LOADING, Context
from .tables import floats, ints, rows, strings, times_ns

SHOWN_PLACES = 12
_NETWORK_FAILURES = (Outcome.NO_FACILITY, Outcome.TIMEOUT)


@dataclass(slots=True)
class _Sum:
    degraded_seconds: float = 0.0
    stream_seconds: float = 0.0
    attempts: int = 0
    answered: int = 0
    failed: int = 0


def ranking(
    context: Context, sessions: pa.Table | None, quality: pa.Table | None, status: Status | None
) -> Ranking:
    """Return trunks, regions, nodes and tenants, worst first: degraded stream-seconds, then failed attempts."""
    if sessions is None or quality is None:
        return Ranking(status or LOADING)
    if not sessions.num_rows and not quality.num_rows:
        return Ranking(status or context.empty("No place had calls"))
    by_place, hidden = {}, {}
    for place in PLACES:
        sums: dict[str, _Sum] = defaultdict(_Sum)
        degraded, seconds = floats(quality, "degraded_seconds"), floats(quality, "stream_seconds")
        for name, bad, all_ in zip(strings(quality, place), degraded, seconds):
            sums[name].degraded_seconds += float(bad)
            sums[name].stream_seconds += float(all_)
        counts = {outcome: ints(sessions, outcome.value) for outcome in Outcome}
        attempts = np.sum(list(counts.values()), axis=0)
        failed = np.sum([counts[outcome] for outcome in _NETWORK_FAILURES], axis=0)
        for i, name in enumerate(strings(sessions, place)):
            entry = sums[name]
            entry.attempts += int(attempts[i])
            entry.answered += int(counts[Outcome.ANSWERED][i])
            entry.failed += int(failed[i])
        ordered = sorted(sums.items(), key=lambda item: (-item[1].degraded_seconds, -item[1].failed, item[0]))
        by_place[place] = tuple(
            RankRow(
                name,
                s.degraded_seconds,
                s.stream_seconds,
                s.attempts,
                Ratio(s.answered, s.attempts) if s.attempts else None,
                s.failed,
            )
            for name, s in ordered[:SHOWN_PLACES]
        )
        hidden[place] = max(len(ordered) - SHOWN_PLACES, 0)
    return Ranking(status or READY, by_place, hidden)


def findings(context: Context, table: pa.Table | None, status: Status | None) -> Findings:
    """Return findings with equal ones added up, newest first."""
    if table is None:
        return Findings(status or LOADING)
    if not table.num_rows:
        return Findings(
            status or context.empty("Nothing was found that could not be joined or believed", "That is good news.")
        )
    merged: dict[tuple[str, str, str], FindingRow] = {}
    for row, at_ns in zip(rows(table), times_ns(table).tolist()):
        key = (row["kind"], row["subject"] or "", row["text"] or "")
        known = merged.get(key)
        merged[key] = FindingRow(
            *key,
            count=int(row["count"] or 1) + (known.count if known else 0),
            last_ns=max(at_ns, known.last_ns if known else 0),
            node=row["node"] or "",
            call_id=row["call_id"] or "",
        )
    found = sorted(merged.values(), key=lambda f: -f.last_ns)
    return Findings(status or READY, tuple(found), sum(f.count for f in found))
