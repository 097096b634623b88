"""Builds a report from the store: which questions it asks, and what their answers add up to.

The reader's scope decides what can be seen; a tenant outside of it is not found, as one that does not exist.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import Self

import numpy as np
import pyarrow as pa

from collectors.tracking.privacy import NumberPrivacy, mask_uri, mask_user
from dashboards.numbers import date_time
from dashboards.queries.incidents import cause_for_tenant
from dashboards.queries.signals import counted_in, title_of
from dashboards.queries.sip import counts_of
from dashboards.queries.tables import floats, histograms, optional, rows, strings, summed, times_ns, total
from storage.seam import OutOfScope, Reader, Window
from telephony.codecs import lookup
from telephony.histogram import JITTER_MS, MOS, PDD_MS, R_FACTOR
from telephony.kpis import RegistrationCounts
from telephony.model import Scale

from .comparison import Measured, why_not_compared
from .measures import VERSION, Totals, figures_of
from .model import BadCall, Day, Incident, Report
from .period import LATE_NS, MINUTE_NS, SECOND_NS, Period

WORST_CALLS = 20
_STEPS_SECONDS = (3600, 1800, 900, 60)
"""Steps that sums may be asked in: the largest that divides every start of a part of the period."""
_BEFORE_NS = 35 * 86_400 * SECOND_NS
"""How long before a period an incident that touches it may have changed last."""
_SHOWN_STATES = ("firing", "acknowledged", "resolved")
_HASH = re.compile(r"[0-9a-f]{16}")


Where = dict[str, tuple[str, ...]]


def build_report(
    reader: Reader, tenant: str, period: Period, *, now_ns: int, known: Collection[str] = ()
) -> Report:
    """Return the report of a tenant and period.

    Args:
        reader: Its scope must hold the tenant.
        tenant: Whom it is of.
        period: In the tenant's zone.
        now_ns: When it is made; what comes later is not in it.
        known: Tenants that exist whether or not anything is stored of them.

    Raises:
        OutOfScope: The tenant does not exist within the scope.
        StoreError: The store cannot answer.
    """
    if not reader.scope.allows(tenant):
        raise OutOfScope(f"tenant {tenant[:60]!r} not found")
    window, before = period.elapsed(now_ns), period.compared_with(now_ns)
    where: Where = {"tenant": (tenant,)}
    sums, sums_before = (
        _Sums.read(*of, where) for of in ((reader, period, window), (reader, period.previous(), before))
    )
    totals, earlier = _totals(reader, window, where, sums), _totals(reader, before, where, sums_before)
    incomparable = why_not_compared(sums.measured, sums_before.measured)
    figures, days = figures_of(totals, earlier, incomparable), _days(sums)
    empty = _why_empty(reader, tenant, period, now_ns, known) if totals.nothing else ""
    # Of what began in the minute that runs no figure tells yet, but who looks because of it has to find it.
    touched = Window(window.since_ns, now_ns + 1) if period.runs(now_ns) else window
    incidents = incidents_of(reader, touched, now_ns, where)
    worst = _worst(reader, window, where)
    final_ns = period.window.until_ns + LATE_NS
    provisional = ""
    if period.runs(now_ns):
        provisional = f"the period runs until {date_time(period.window.until_ns, period.zone)}"
    elif now_ns < final_ns:
        provisional = f"late data is taken until {date_time(final_ns, period.zone)}"
    said = (tenant, period.text, period.zone.key, window, before, figures, days, incidents, worst)
    return Report(
        id=_digest(said),
        tenant=tenant,
        period=period.text,
        zone=period.zone.key,
        since_ns=window.since_ns,
        until_ns=window.until_ns,
        before_since_ns=before.since_ns,
        before_until_ns=before.until_ns,
        incomparable=incomparable,
        runs=period.runs(now_ns),
        by_hour=period.by_hour,
        provisional=provisional,
        empty=empty,
        figures=figures,
        days=days,
        incidents=incidents,
        worst=worst,
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """What a span adds up to, in steps of which every start of a part of its period is one."""

    starts_ns: list[int]
    """The parts that have begun."""
    measured: Measured
    sessions: pa.Table
    quality: pa.Table

    @classmethod
    def read(cls, reader: Reader, period: Period, window: Window, where: Where) -> Self:
        """Ask for the part of a period that is in a window. Raises StoreError."""
        parts = period.parts_ns()
        starts = [at for at in parts[:-1] if at < window.until_ns]
        step = next(s for s in _STEPS_SECONDS if all(at % (s * SECOND_NS) == 0 for at in parts))
        sessions = reader.sums("session_minute", window, step_seconds=step, where=where)
        quality = reader.sums("quality_minute", window, step_seconds=step, by=("codec",), where=where)
        times = np.concatenate([times_ns(sessions), times_ns(quality)])
        measured = Measured.of(times, [*starts, window.until_ns], "hour" if period.by_hour else "day")
        return cls(starts, measured, sessions, quality)


def _totals(reader: Reader, window: Window, where: Where, sums: _Sums) -> Totals:
    registers = reader.sums("registration_minute", window, step_seconds=0, where=where)
    load = reader.load(window, step_seconds=0, where=where)
    watched = total(load, "minutes")
    return Totals(
        counts=counts_of(sums.sessions),
        pdd_ms=_merged(sums.sessions, "pdd_ms_histogram", PDD_MS.count),
        r=_merged(sums.quality, "r_histogram", R_FACTOR.count),
        mos=mos_by_scale(sums.quality),
        jitter_ms=_merged(sums.quality, "jitter_histogram", JITTER_MS.count),
        degraded_seconds=float(np.nansum(floats(sums.quality, "degraded_seconds"))),
        expected=total(sums.quality, "expected"),
        lost=total(sums.quality, "lost"),
        registrations=RegistrationCounts(**{f.name: total(registers, f.name) for f in fields(RegistrationCounts)}),
        peak=_only(load, "concurrent_max") if watched else None,
        erlangs=_only(load, "erlangs") if watched else None,
        watched_minutes=watched,
    )


def _days(sums: _Sums) -> tuple[Day, ...]:
    starts, sessions, quality = sums.starts_ns, sums.sessions, sums.quality
    at_session = np.searchsorted(starts, times_ns(sessions), side="right") - 1
    at_quality = np.searchsorted(starts, times_ns(quality), side="right") - 1
    r = summed(histograms(quality, "r_histogram", R_FACTOR.count), at_quality, len(starts)).tolist()
    degraded = np.zeros(len(starts))
    np.add.at(degraded, at_quality, np.nan_to_num(floats(quality, "degraded_seconds")))
    return tuple(
        Day(
            start_ns=start,
            counts=counts_of(sessions.filter(pa.array(at_session == i))),
            degraded=Totals(r=r[i], degraded_seconds=float(degraded[i])).degraded,
            r_p50=R_FACTOR.quantile(r[i], 0.5),
            stored=bool((at_session == i).any() or (at_quality == i).any()),
        )
        for i, start in enumerate(starts)
    )


def _merged(table: pa.Table, column: str, buckets: int) -> list[int]:
    found: list[int] = histograms(table, column, buckets).sum(axis=0).tolist()
    return found


def mos_by_scale(quality: pa.Table) -> dict[Scale, Sequence[int]]:
    """Return the merged histograms of MOS by the scale of the rows' codecs; scales without any are left out."""
    counts = histograms(quality, "mos_histogram", MOS.count)
    scales = np.array([lookup(codec).scale for codec in strings(quality, "codec")], dtype=object)
    merged = {scale: counts[scales == scale].sum(axis=0).tolist() for scale in set(scales.tolist())}
    return {scale: found for scale, found in merged.items() if sum(found)}


def _only(table: pa.Table, column: str) -> float | None:
    return optional(table[column][0].as_py()) if table.num_rows else None


def _why_empty(reader: Reader, tenant: str, period: Period, now_ns: int, known: Collection[str]) -> str:
    """Return why nothing is stored; raises OutOfScope for a tenant that nothing knows."""
    always, where = Window(0, now_ns + 1), {"tenant": (tenant,)}
    newest = 0
    for measurement in ("session_minute", "quality_minute", "load_minute"):
        table = reader.select(measurement, always, columns=("time",), where=where, limit=1, newest_first=True)
        newest = max(newest, *times_ns(table).tolist(), 0)
    if not newest:
        if tenant not in known:
            raise OutOfScope(f"tenant {tenant[:60]!r} not found: nothing of it is stored")
        return f"Nothing was ever stored of tenant {tenant}: no agent sees its traffic, or nothing maps to it."
    seen = date_time(newest, period.zone)
    if newest >= period.window.until_ns:
        return (
            f"Nothing of tenant {tenant} is stored in this period: it had no calls, or its data is older than "
            f"what the store keeps. Its newest data is of {seen}."
        )
    return f"Nothing of tenant {tenant} is stored in this period: its newest data is of {seen}."


def incidents_of(reader: Reader, window: Window, now_ns: int, where: Where) -> tuple[Incident, ...]:
    """Return the incidents that touched a window, as they stand now, first ones first; those grouped into another
    one of the list are told by that one.
    """
    asked = Window(max(window.since_ns - _BEFORE_NS, 0), now_ns + 1)
    table = reader.latest("alert_event", asked, by=("tenant", "incident_id"), where=where)
    stamps = (_stamps(table, name) for name in ("onset_at", "started_at", "ended_at", "time"))
    found = []
    for row, onset, start, end, at in zip(rows(table), *stamps, strict=True):
        raised_ns, end_ns = start or at, end or None
        start_ns = onset or raised_ns
        if row["state"] not in _SHOWN_STATES or start_ns >= window.until_ns:
            continue
        if end_ns is not None and end_ns < window.since_ns:
            continue
        minutes = optional(row["impact_minutes"])
        if end_ns is None:  # its row is of the last time that something changed
            minutes = float(max(now_ns - raised_ns, 0) // MINUTE_NS)
        found.append((row, start_ns, end_ns, minutes))
    ids = {row["incident_id"] for row, *_ in found}
    return tuple(
        Incident(
            id=row["incident_id"] or "",
            tenant=row["tenant"],
            started_ns=start_ns,
            ended_ns=end_ns,
            severity=row["severity"],
            state=row["state"],
            rule=row["rule"],
            title=title_of(row["rule"]),
            scope=f"{row['scope_kind']} {row['scope']}",
            message=row["message"] or "",
            cause=cause_for_tenant(row["cause"] or "", f"{row['scope_kind']} {row['scope']}"),
            n=row["n"],
            impact_calls=optional(row["impact_calls"]),
            counts=counted_in(row["signal"] or row["rule"]),
            impact_minutes=minutes,
        )
        for row, start_ns, end_ns, minutes in sorted(
            found, key=lambda each: (each[1], each[0]["incident_id"] or "")
        )
        if not row["parent_id"] or row["parent_id"] not in ids or row["parent_id"] == row["incident_id"]
    )


def _stamps(table: pa.Table, column: str) -> list[int]:
    """Return times as UTC nanoseconds, null as 0."""
    found: list[int] = table[column].cast(pa.int64()).fill_null(0).to_pylist()
    return found


def _worst(reader: Reader, window: Window, where: Where) -> tuple[BadCall, ...]:
    if window.until_ns <= window.since_ns:
        return ()
    table = reader.worst_calls(window, limit=WORST_CALLS, where=where)
    found = []
    for row, seen in zip(rows(table), times_ns(table, "last_seen").tolist(), strict=True):
        if row["r_min"] is None and not row["loss_ratio"]:
            continue
        call = _end_of(reader, row["call_id"])
        found.append(
            BadCall(
                last_seen_ns=seen,
                reference=row["call_id"].partition("@")[0],
                caller=masked(call.get("from_masked")),
                callee=masked(call.get("to_masked")),
                trunk=row["trunk"] or "",
                codec=row["codec"] or "",
                r_min=optional(row["r_min"]),
                mos_min=optional(row["mos_min"]),
                loss_ratio=optional(row["loss_ratio"]),
                degraded=int(row["degraded_intervals"] or 0),
                intervals=int(row["intervals"] or 0),
                duration_s=optional(row["duration_s"]),
                verdicts=row["verdicts"] or "",
            )
        )
    return tuple(found)


def _end_of(reader: Reader, call_id: str) -> Mapping[str, object]:
    try:
        return reader.call(call_id).call or {}
    except OutOfScope:  # retention took it since
        return {}


def masked(number: object) -> str:
    """Return a stored number as a report may show it: masked, also where the store keeps numbers as they are.

    >>> masked("+493012345678"), masked("+4930******78"), masked("3b9f00c2aa51e07d"), masked(None)
    ('+4930******78', '+4930******78', '3b9f00c2aa51e07d', '')
    """
    text = number if isinstance(number, str) else ""
    if "*" in text or (_HASH.fullmatch(text) and not text.isdigit()):
        return text
    return mask_uri(text, NumberPrivacy.MASK) if ":" in text else mask_user(text, NumberPrivacy.MASK)


def _digest(said: object) -> str:
    def plain(value: object) -> object:
        if isinstance(value, set | frozenset):
            return sorted(value)
        return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)  # type: ignore[call-overload]

    text = json.dumps([VERSION, said], default=plain, sort_keys=True)
    return blake2b(text.encode(), digest_size=6).hexdigest()
