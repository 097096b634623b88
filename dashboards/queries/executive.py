"""What the executive page asks the store: eight numbers of 28 days, the 28 before, and 13 weeks of trend."""

from dataclasses import replace

import numpy as np

from dashboards.numbers import SECOND_NS, count
from dashboards.reports.build import incidents_of
from dashboards.reports.comparison import Measured, why_not_compared
from dashboards.reports.measures import Totals, figures_of
from dashboards.reports.model import Figure, Incident, Unit
from dashboards.reports.settings import ReportSettings
from dashboards.tenant_views import ExecutiveView, Headline
from dashboards.views import READY, PanelState, Series, Status
from storage.seam import Reader, Scope, Store, Window
from telephony.histogram import R_FACTOR
from telephony.kpis import Ratio, ner

from .money import money_headlines
from .sip import counts_of
from .tables import Ints, floats, histograms, optional, times_ns, total
from .tenants import COUNTS

DAYS = 28
WEEKS = 13
_DAY_NS = 86_400 * SECOND_NS
_HOUR_NS = 3600 * SECOND_NS
_QUALITY = ("degraded_seconds", "r_histogram")


def executive_view(store: Store, scope: Scope, settings: ReportSettings, now_ns: int) -> ExecutiveView:
    """Return the eight numbers of the scope. Raises StoreError."""
    reader = store.reader(scope)
    until_ns = now_ns // _HOUR_NS * _HOUR_NS + _HOUR_NS
    window = Window(until_ns - DAYS * _DAY_NS, until_ns)
    before = Window(window.since_ns - DAYS * _DAY_NS, window.since_ns)
    now, earlier = _totals(reader, window), _totals(reader, before)
    if now.nothing:
        why = f"Nothing was stored in the last {DAYS} days of what you may see."
        return ExecutiveView(Status(PanelState.EMPTY, why), window.since_ns, now_ns)
    figures = {figure.key: figure for figure in figures_of(now, earlier)}
    weeks = [Window(until_ns - (i + 1) * 7 * _DAY_NS, until_ns - i * 7 * _DAY_NS) for i in reversed(range(WEEKS))]
    trend = [_totals(reader, week) for week in weeks]
    times = _stored_times(reader, Window(min(weeks[0].since_ns, before.since_ns), until_ns))
    why = why_not_compared(_measured(times, window), _measured(times, before))
    alike = _alike([_measured(times, week) for week in weeks])
    targets = settings.targets
    incidents = incidents_of(reader, window, now_ns, {})
    incidents_before = incidents_of(reader, before, now_ns, {})
    lost = sum(incident.impact_minutes or 0.0 for incident in incidents)

    good, good_before = _good(now), _good(earlier)
    headlines = (
        Headline(
            figures["attempts"],
            targets.attempts,
            True,
            tuple(float(t.counts.attempts) for t in trend),
            f"{count(now.counts.answered)} of them were answered.",
        ),
        Headline(
            figures["minutes"],
            targets.minutes,
            True,
            tuple(t.counts.minutes for t in trend),
            "Conversation time of the calls that ended.",
        ),
        Headline(
            figures["ner"],
            targets.ner,
            True,
            tuple(ner(t.counts).value for t in trend),
            "Attempts that the network carried to the callee, whatever they then did.",
        ),
        Headline(
            _good_figure(good, good_before),
            targets.good_time,
            True,
            tuple(_good(t).value for t in trend),
            "Time in which people hear each other well: R of 70 or more.",
        ),
        Headline(
            figures["peak"],
            targets.peak_calls,
            False,
            tuple(t.peak for t in trend),
            "Most calls in progress in one minute.",
        ),
        Headline(
            _incidents_figure(incidents, incidents_before, earlier.nothing),
            targets.incidents,
            False,
            _per_week(incidents_of(reader, Window(weeks[0].since_ns, until_ns), now_ns, {}), weeks),
            f"{count(round(lost))} minutes of conversation affected.",
        ),
        *money_headlines(reader, scope, settings, window, before, weeks),
    )
    return ExecutiveView(READY, window.since_ns, now_ns, tuple(_honest(each, why, alike) for each in headlines))


def _stored_times(reader: Reader, window: Window) -> Ints:
    """Return the hours in which anything was measured, if only that an agent was alive."""
    sessions = reader.sums("session_minute", window, step_seconds=3600, fields=("attempts",))
    quality = reader.sums("quality_minute", window, step_seconds=3600, fields=("expected",))
    load = reader.load(window, step_seconds=3600)
    return np.concatenate([times_ns(sessions), times_ns(quality), times_ns(load)])


def _measured(times: Ints, window: Window) -> Measured:
    return Measured.of(times, range(window.since_ns, window.until_ns + 1, _DAY_NS))


def _alike(weeks: list[Measured]) -> list[bool]:
    """Tell of each week whether it may stand in a line with that which was measured most."""
    most = max(weeks, key=lambda week: week.share)
    return [week.like(most) for week in weeks]


def _honest(headline: Headline, why: str, alike: list[bool]) -> Headline:
    """Return a headline that compares only what was measured alike; other weeks are gaps of its line."""
    trend = headline.trend and tuple(v if fits else None for v, fits in zip(headline.trend, alike, strict=True))
    return replace(headline, figure=replace(headline.figure, incomparable=why), trend=trend)


def _totals(reader: Reader, window: Window) -> Totals:
    sessions = reader.sums("session_minute", window, step_seconds=0, fields=COUNTS)
    quality = reader.sums("quality_minute", window, step_seconds=0, fields=_QUALITY)
    load = reader.load(window, step_seconds=0)
    watched = total(load, "minutes")
    return Totals(
        counts=counts_of(sessions),
        r=histograms(quality, "r_histogram", R_FACTOR.count).sum(axis=0).tolist(),
        degraded_seconds=float(np.nansum(floats(quality, "degraded_seconds"))),
        peak=optional(load["concurrent_max"][0].as_py()) if watched else None,
        watched_minutes=watched,
    )


def _good(totals: Totals) -> Ratio:
    degraded = totals.degraded
    formula = "stream-seconds with R of 70 or more / stream-seconds rated"
    return Ratio(degraded.denominator - degraded.numerator, degraded.denominator, formula)


def _good_figure(now: Ratio, before: Ratio) -> Figure:
    why = "" if now.denominator else "No stream was rated: nobody reported on media."
    return Figure(
        "good_time",
        "Good stream time",
        now.value,
        Unit.RATIO,
        now.denominator,
        "stream-seconds rated",
        now.formula,
        why,
        ratio=now,
        before=before.value,
        before_n=before.denominator,
    )


def _incidents_figure(now: tuple[Incident, ...], before: tuple[Incident, ...], unknown: bool) -> Figure:
    return Figure(
        "incidents",
        "Incidents",
        float(len(now)),
        Unit.COUNT,
        float(len(now)),
        "incident" if len(now) == 1 else "incidents",
        "incidents that fired and touched the days shown",
        before=None if unknown else float(len(before)),
    )


def _per_week(incidents: tuple[Incident, ...], weeks: list[Window]) -> Series:
    starts = [incident.started_ns for incident in incidents]
    return tuple(float(sum(week.since_ns <= at < week.until_ns for at in starts)) for week in weeks)
