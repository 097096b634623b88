"""What the cache keeps for a live view: the store's answers, and everything already rendered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dashboards.components.guide import guide
from dashboards.components.health import health_strip
from dashboards.components.incidents import incident_line
from dashboards.components.rows import call_now_row, findings_list, ranking_table, worst_row
from dashboards.components.tiles import kpi_tile, ratio_words, sparkline, tile
from dashboards.components.wire import quality_table, wire_strip
from dashboards.figures.chart import Chart, Frame
from dashboards.figures.load import load_chart
from dashboards.figures.quality import bands_chart, jitter_chart, loss_chart
from dashboards.figures.sip import outcomes_chart
from dashboards.figures.wire import wire_chart
from dashboards.filters import PLACES, Filters
from dashboards.numbers import UNKNOWN_TEXT, count, milliseconds, significant
from dashboards.pages.rendered import Rendered, panels_of
from dashboards.queries.live import LiveAnswers, LiveQuestions, live_view
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.views import LiveView, PanelState, Registrations, Status
from storage.seam import Store

CHARTS = ("load", "quality", "loss", "jitter", "outcomes", "wire")
PANELS = (
    "capture",
    "load",
    "quality",
    "loss",
    "jitter",
    "outcomes",
    "media",
    "registrations",
    "ranking",
    "worst",
    "in-progress",
    "findings",
    "wire",
)
AREAS = (
    "guide",
    "incidents",
    "capture",
    "tiles",
    "media",
    "registrations",
    "findings",
    "wire",
    "wire-quality",
    *(f"ranking-{p}" for p in PLACES),
)
GRIDS = ("worst", "in-progress")


@dataclass(frozen=True, slots=True)
class LiveState(Rendered):
    """A live view, with the answers that the next reading goes on from."""

    answers: LiveAnswers


def load_live(store: Store, settings: DashboardSettings) -> Callable[[Key, LiveState | None, int], LiveState]:
    """Return the loader of the live cache; a key's subject is the query string of its filters."""
    questions = LiveQuestions(store, worst_calls=settings.worst_calls)

    def load(key: Key, before: LiveState | None, now_ns: int) -> LiveState:
        filters = Filters.from_search(key.subject)
        answers = questions.ask(key.scope, filters, before.answers if before else None, now_ns)
        view = live_view(answers, key.scope, filters, now_ns)
        return render(view, filters, settings, answers)

    return load


def render(view: LiveView, filters: Filters, settings: DashboardSettings, answers: LiveAnswers) -> LiveState:
    """Draw every panel of a view."""
    charts = _charts(view, Frame(settings.time_zone, filters.to_search() or "all"))
    return LiveState.of(
        panels=_panels(view, charts, filters, settings),
        charts={name: chart.to_json() for name, chart in charts.items()},
        areas=_areas(view, filters, settings),
        own={
            "grids": {
                "worst": [worst_row(call, settings.time_zone) for call in view.worst.rows],
                "in-progress": [call_now_row(call) for call in view.in_progress.rows],
            },
            "choices": {place: list(getattr(view.choices, place)) for place in PLACES},
        },
        answers=answers,
    )


def _charts(view: LiveView, frame: Frame) -> dict[str, Chart]:
    drawn: dict[str, Chart] = {}
    if view.load.status.drawn and view.load.starts_ns:
        drawn["load"] = load_chart(view.load, frame)
    if view.bands.status.drawn and view.bands.starts_ns:
        drawn["quality"] = bands_chart(view.bands, frame)
    if view.loss.status.drawn and view.loss.starts_ns:
        drawn["loss"] = loss_chart(view.loss, frame)
    if view.jitter.status.drawn and view.jitter.starts_ns:
        drawn["jitter"] = jitter_chart(view.jitter, frame)
    if view.outcomes.status.drawn and view.outcomes.starts_ns:
        drawn["outcomes"] = outcomes_chart(view.outcomes, frame)
    if view.wire.status.drawn and view.wire.starts_ns:
        drawn["wire"] = wire_chart(view.wire, frame)
    return drawn


def _panels(
    view: LiveView, charts: dict[str, Chart], filters: Filters, settings: DashboardSettings
) -> dict[str, dict[str, Any]]:
    span = f"last {filters.range.words}"
    observers = ", ".join(words.replace("_", " ") for words in view.loss.observers) or "no observer"
    shown = len(view.in_progress.rows)
    beyond = f", worst {shown} shown" if view.in_progress.total > shown else ""
    provisional = " · last bar still open" if view.outcomes.provisional else ""
    notes: dict[str, tuple[Status, str]] = {
        "capture": (view.capture.status, "rates over 10 s · counts of the last minute"),
        "load": (view.load.status, f"calls · n = {count(view.load.attempts)} attempts"),
        "quality": (view.bands.status, f"% of stream time · n = {count(view.bands.intervals)} intervals"),
        "loss": (view.loss.status, f"% · n = {count(view.loss.intervals)} intervals · {observers}"),
        "jitter": (view.jitter.status, f"ms · n = {count(view.jitter.intervals)} intervals · {observers}"),
        "outcomes": (view.outcomes.status, f"n = {count(view.outcomes.attempts)} attempts{provisional}"),
        "media": (view.media.status, f"% of answered calls · {span}"),
        "registrations": (
            view.registrations.status,
            f"n = {count(view.registrations.attempts)} REGISTER · {span}",
        ),
        "ranking": (view.ranking.status, f"stream time with R below 70 · {span}"),
        "worst": (view.worst.status, f"n = {count(len(view.worst.rows))} calls · {span} · {settings.zone}"),
        "in-progress": (view.in_progress.status, f"n = {count(view.in_progress.total)} calls now{beyond}"),
        "findings": (view.findings.status, f"n = {count(view.findings.total)} · {span} · {settings.zone}"),
        "wire": (view.wire.status, f"n = {count(sum(q.intervals for q in view.wire.quality))} intervals · {span}"),
    }
    return panels_of(notes, charts, CHARTS)


def _areas(view: LiveView, filters: Filters, settings: DashboardSettings) -> dict[str, Any]:
    zone = settings.time_zone
    areas: dict[str, Any] = {
        "guide": guide(view.stage, settings.hep_target),
        "incidents": incident_line(view.incidents, zone),
        "capture": health_strip(view.capture, view.at_ns, zone) if view.capture.status.drawn else None,
        "tiles": _tiles(view, filters),
        "media": [kpi_tile(kpi) for kpi in view.media.tiles],
        "registrations": _registration_tiles(view.registrations),
        "findings": findings_list(view.findings.rows, zone) if view.findings.rows else None,
        "wire": wire_strip(view.wire, f"last {filters.range.words}") if view.wire.status.drawn else None,
        "wire-quality": quality_table(view.wire.quality) if view.wire.status.drawn else None,
    }
    for place in PLACES:
        rows = (view.ranking.by_place or {}).get(place, ())
        hidden = (view.ranking.hidden or {}).get(place, 0)
        areas[f"ranking-{place}"] = ranking_table(place, rows, hidden, filters) if rows else None
    return areas


def _tiles(view: LiveView, filters: Filters) -> list[Any]:
    load, span = view.load, f"last {filters.range.words}"
    why = "" if load.status.drawn or load.status.state is PanelState.LOADING else load.status.reason
    now = [
        tile(
            "Active calls",
            significant(load.concurrent_now),
            f"mean {significant(load.erlangs)} · {span}" if load.erlangs is not None else "not yet known",
            hint=f"Answered calls that are up now. {why}".strip(),
            spark=sparkline(load.concurrent),
            quiet=load.concurrent_now is None,
        ),
        tile(
            "Call attempts",
            significant(load.attempts_hz_now),
            f"{count(load.attempts)} · {span}",
            hint=f"Session attempts per second now. {why}".strip(),
            unit="per s",
            spark=sparkline(load.attempts_hz),
            quiet=load.attempts_hz_now is None,
        ),
        tile(
            "In setup",
            significant(load.setup_now),
            "no final answer yet",
            hint=f"Session attempts between the first INVITE and its final answer. {why}".strip(),
            unit="calls",
            spark=sparkline(load.setup),
            quiet=load.setup_now is None,
        ),
        tile(
            "Carried traffic",
            significant(load.erlangs),
            f"mean of {span}",
            hint=f"Mean of the calls up over the range, in erlang. {why}".strip(),
            unit="erl",
            quiet=load.erlangs is None,
        ),
    ]
    kpis = [kpi_tile(kpi) for kpi in view.outcomes.kpis] or [
        tile(name, UNKNOWN_TEXT, "n = 0", hint=view.outcomes.status.reason, quiet=True)
        for name in ("ASR", "NER", "SEER", "ISA", "PDD")
    ]
    return [*now, *kpis]


def _registration_tiles(view: Registrations) -> list[Any]:
    if view.success is None:
        return []
    refused = (
        f"rejected {count(view.rejected)} · challenged {count(view.challenged)} · no answer {count(view.timeout)}"
    )
    value, detail, few = ratio_words(view.success)
    return [
        tile(
            "Registered",
            value,
            detail,
            hint="REGISTER attempts that succeeded (registered or unregistered), of all; challenges folded",
            spark=sparkline(view.per_step),
            quiet=few,
        ),
        tile(
            "Refused",
            count(view.rejected + view.challenged + view.timeout),
            refused,
            hint="REGISTER attempts that failed",
        ),
        tile(
            "Wrong credentials",
            count(view.auth_failures),
            "refused with credentials",
            hint="Credentials were presented and refused: 403, or 401/407 again",
        ),
        tile(
            "RRD",
            milliseconds(view.rrd_p50_ms),
            f"p95 {milliseconds(view.rrd_p95_ms)}",
            unit="p50",
            hint="Registration request delay: REGISTER to its 2xx (RFC 6076 4.1)",
            quiet=view.rrd_p50_ms is None,
        ),
    ]
