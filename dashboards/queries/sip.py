"""Views of signalling from the session and registration minutes: outcomes, KPIs, media rates, REGISTER."""

from dataclasses import fields

import numpy as np
import pyarrow as pa

from dashboards.numbers import SECOND_NS
from dashboards.views import READY, Kpi, MediaRates, Outcomes, Registrations, Status
from telephony.histogram import PDD_MS, RRD_MS
from telephony.kpis import (
    Ratio,
    SessionCounts,
    asr,
    isa,
    ner,
    no_media_ratio,
    one_way_ratio,
    seer,
    short_call_ratio,
)
from telephony.model import Outcome

from .context import LOADING, Context
from .tables import floats, histograms, ints, summed, times_ns, total


def outcomes(context: Context, sessions: pa.Table | None, status: Status | None) -> Outcomes:
    """Return session attempts per outcome and step, and the KPIs over the range."""
    if sessions is None:
        return Outcomes(status or LOADING)
    totals = {outcome: total(sessions, outcome.value) for outcome in Outcome}
    attempts = sum(totals.values())
    if not attempts:
        return Outcomes(
            status or context.empty("No session attempt came to an end", "Calls that ring do not count yet."),
            kpis=_kpis(sessions),
        )
    step, size = context.grid.index(times_ns(sessions)), len(context.grid)
    first, last = int(step.min()), size - 1
    counts = {}
    for outcome in Outcome:
        per_step = summed(ints(sessions, outcome.value), step, size).tolist()
        # Before the first minute ever written nothing is known; after it, no row means no attempt.
        counts[outcome] = tuple(None if i < first else n for i, n in enumerate(per_step))
    step_ns = context.grid.step_seconds * SECOND_NS
    return Outcomes(
        status or READY,
        starts_ns=context.grid.starts_ns,
        step_seconds=context.grid.step_seconds,
        counts=counts,
        totals=totals,
        attempts=attempts,
        kpis=_kpis(sessions),
        provisional=context.grid.starts_ns[last] + step_ns > context.now_ns,
    )


def counts_of(sessions: pa.Table) -> SessionCounts:
    """Add up all rows of session minutes."""
    sums = {f.name: total(sessions, f.name) for f in fields(SessionCounts) if f.name != "minutes"}
    # Attempts are those with a final outcome, so that every outcome's share is of the same whole.
    sums["attempts"] = sum(sums[outcome.value] for outcome in Outcome)
    return SessionCounts(**sums, minutes=float(np.nansum(floats(sessions, "minutes"))))


def _kpis(sessions: pa.Table) -> tuple[Kpi, ...]:
    counts = counts_of(sessions)
    pdd = histograms(sessions, "pdd_ms_histogram", PDD_MS.count).sum(axis=0).tolist()
    none = "No session attempt came to an end in this range."
    return (
        Kpi("ASR", "Answer-seizure ratio (ITU-T E.425)", asr(counts), reason=none),
        Kpi("NER", "Network effectiveness ratio (ITU-T E.425)", ner(counts), reason=none),
        Kpi("SEER", "Session establishment effectiveness ratio (RFC 6076 4.7)", seer(counts), reason=none),
        Kpi("ISA", "Ineffective session attempts (RFC 6076 4.8)", isa(counts), reason=none),
        Kpi(
            "PDD",
            "Post-dial delay: first INVITE to first 18x or final response (RFC 6076 4.3)",
            p50_ms=PDD_MS.quantile(pdd, 0.5),
            p95_ms=PDD_MS.quantile(pdd, 0.95),
            n=sum(pdd),
            reason="No attempt got a response that stops the clock (18x or final) in this range.",
        ),
    )


def media_rates(context: Context, sessions: pa.Table | None, status: Status | None) -> MediaRates:
    """Return one-way, no-media and short-call rates over answered calls."""
    if sessions is None:
        return MediaRates(status or LOADING)
    counts = counts_of(sessions)
    if not counts.answered:
        return MediaRates(status or context.empty("No call was answered"))
    return MediaRates(
        status or READY,
        (
            Kpi("One-way audio", "Answered calls with media in one direction only", one_way_ratio(counts)),
            Kpi("No media", "Answered calls of which no media was seen", no_media_ratio(counts)),
            Kpi("Short calls", "Answered calls that lasted less than 10 s", short_call_ratio(counts)),
        ),
    )


def registrations(context: Context, table: pa.Table | None, status: Status | None) -> Registrations:
    """Return REGISTER attempts, their success and their delay."""
    if table is None:
        return Registrations(status or LOADING)
    attempts = total(table, "attempts")
    if not attempts:
        return Registrations(status or context.empty("No REGISTER attempt came to an end"))
    registered, unregistered = total(table, "registered"), total(table, "unregistered")
    rrd = histograms(table, "rrd_ms_histogram", RRD_MS.count).sum(axis=0).tolist()
    step, size = context.grid.index(times_ns(table)), len(context.grid)
    first = int(step.min())
    per_step = summed(ints(table, "attempts"), step, size).tolist()
    return Registrations(
        status or READY,
        success=Ratio(registered + unregistered, attempts),
        attempts=attempts,
        registered=registered,
        unregistered=unregistered,
        rejected=total(table, "rejected"),
        challenged=total(table, "challenged"),
        timeout=total(table, "timeout"),
        auth_failures=total(table, "auth_failures"),
        rrd_p50_ms=RRD_MS.quantile(rrd, 0.5),
        rrd_p95_ms=RRD_MS.quantile(rrd, 0.95),
        per_step=tuple(None if i < first else n for i, n in enumerate(per_step)),
    )
