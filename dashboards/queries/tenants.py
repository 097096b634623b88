"""What the overview of tenants asks the store: four questions for all tenants of the scope together."""

from collections import Counter
from dataclasses import fields

import numpy as np
import pyarrow as pa

from dashboards.numbers import SECOND_NS
from dashboards.reports.build import incidents_of, mos_by_scale
from dashboards.reports.comparison import Measured, why_not_compared
from dashboards.reports.measures import Totals, figures_of
from dashboards.tenant_views import TenantRow, TenantsView
from dashboards.views import READY, PanelState, Status
from storage.seam import Reader, Scope, Store, Top, Window
from telephony.histogram import R_FACTOR
from telephony.kpis import SessionCounts
from telephony.model import Outcome

from .sip import counts_of
from .tables import Ints, floats, histograms, strings, summed, times_ns

DAYS = 7
SHOWN = 200
_STEP_SECONDS = 6 * 3600
_DAY_NS = 86_400 * SECOND_NS
_DAYS_NS = DAYS * _DAY_NS
COUNTS = tuple(dict.fromkeys([f.name for f in fields(SessionCounts)] + [outcome.value for outcome in Outcome]))
QUALITY = ("degraded_seconds", "r_histogram", "mos_histogram")


def tenants_view(store: Store, scope: Scope, now_ns: int) -> TenantsView:
    """Return the tenants of the scope over the last seven days. Raises StoreError."""
    reader = store.reader(scope)
    step_ns = _STEP_SECONDS * SECOND_NS
    since_ns = (now_ns - _DAYS_NS) // step_ns * step_ns + step_ns
    window, before = (
        Window(since_ns, now_ns + SECOND_NS),
        Window(since_ns - _DAYS_NS, now_ns + SECOND_NS - _DAYS_NS),
    )
    sessions = reader.sums(
        "session_minute",
        window,
        step_seconds=_STEP_SECONDS,
        by=("tenant",),
        fields=COUNTS,
        top=Top("attempts", SHOWN),
    )
    names = sorted(set(strings(sessions, "tenant")))
    if not names:
        why = "No tenant had a session attempt in the last 7 days, as far as you may see."
        return TenantsView(Status(PanelState.EMPTY, why), window.since_ns, window.until_ns)
    allowed = {"tenant": tuple(names)}
    now = _totals(reader, window, sessions, allowed)
    sessions_before = reader.sums(
        "session_minute", before, step_seconds=_STEP_SECONDS, by=("tenant",), where=allowed, fields=COUNTS
    )
    earlier = _totals(reader, before, sessions_before, allowed)
    times, times_before = _times(sessions), _times(sessions_before)
    steps = (window.until_ns - since_ns - 1) // step_ns + 1
    incidents = Counter(incident.tenant for incident in incidents_of(reader, window, now_ns, allowed))
    rows = []
    for name in names:
        mine = sessions.filter(pa.array([tenant == name for tenant in strings(sessions, "tenant")]))
        at = (times_ns(mine) - since_ns) // step_ns
        attempts = np.nan_to_num(floats(mine, "attempts")).astype(np.int64)
        mine_before = times_before.get(name, np.zeros(0, np.int64))
        why = why_not_compared(_measured(times[name], window), _measured(mine_before, before))
        figures = figures_of(now[name], earlier.get(name, Totals()), why)
        first = 0 if mine_before.size else int(at.min())  # before its first data it was not measured
        trend = summed(attempts, at, steps)
        rows.append(
            TenantRow(
                name=name,
                figures={figure.key: figure for figure in figures},
                incidents=incidents[name],
                trend=tuple(float(n) if i >= first else None for i, n in enumerate(trend)),
            )
        )
    return TenantsView(READY, window.since_ns, now_ns, tuple(rows), cut=len(names) >= SHOWN)


def _times(sessions: pa.Table) -> dict[str, Ints]:
    """Return the times of the rows of each tenant."""
    names, times = np.array(strings(sessions, "tenant"), dtype=object), times_ns(sessions)
    return {name: times[names == name] for name in set(names.tolist())}


def _measured(times: Ints, window: Window) -> Measured:
    starts = range(window.since_ns, window.until_ns, _DAY_NS)
    return Measured.of(times, [*starts, window.until_ns])


def _totals(
    reader: Reader, window: Window, sessions: pa.Table, where: dict[str, tuple[str, ...]]
) -> dict[str, Totals]:
    quality = reader.sums(
        "quality_minute", window, step_seconds=0, by=("tenant", "codec"), where=where, fields=QUALITY
    )
    found = {}
    of_session, of_quality = strings(sessions, "tenant"), strings(quality, "tenant")
    for name in set(of_session):
        media = quality.filter(pa.array([tenant == name for tenant in of_quality], pa.bool_()))
        found[name] = Totals(
            counts=counts_of(sessions.filter(pa.array([tenant == name for tenant in of_session]))),
            r=histograms(media, "r_histogram", R_FACTOR.count).sum(axis=0).tolist(),
            mos=mos_by_scale(media),
            degraded_seconds=float(np.nansum(floats(media, "degraded_seconds"))),
        )
    return found
