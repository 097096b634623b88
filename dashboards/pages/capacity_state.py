"""What the cache keeps for a capacity view: everything already rendered, once per refresh."""

from collections.abc import Callable, Sequence
from typing import Any

from dashboards.capacity_views import SIGNAL_WORDS, CapacityView, Outlook, Subject
from dashboards.components.capacity import events_table, facts_list, peaks_table
from dashboards.figures.capacity import accuracy_chart, coverage_chart, outlook_chart
from dashboards.figures.chart import Chart, Frame
from dashboards.numbers import SECOND_NS, count, duration
from dashboards.pages.rendered import Rendered, panels_of
from dashboards.queries.capacity import capacity_view
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.views import PanelState, Status
from forecast.announce import Announcement
from forecast.targets import KIND_SIGNALS, Signal
from storage.seam import Store
from telephony.durations import format_duration

CHARTS = ("outlook", "accuracy", "coverage")
PANELS = (*CHARTS, "peaks", "events", "basis")
AREAS = ("peaks", "events", "basis")


def load_capacity(
    store: Store, settings: DashboardSettings, declared: Sequence[Announcement]
) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of the capacity cache; a key's subject is the query string of its view."""
    known = tuple(declared)

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        subject = Subject.from_search(key.subject)
        return render(capacity_view(store, key.scope, subject, now_ns, known), settings)

    return load


def render(view: CapacityView, settings: DashboardSettings) -> Rendered:
    """Draw every panel of a view."""
    subject, zone = view.subject, settings.time_zone
    frame = Frame(zone, subject.to_search() or "first")
    charts: dict[str, Chart] = {}
    if view.outlook.status.drawn and (view.outlook.actual_ns or view.outlook.ahead_ns):
        charts["outlook"] = outlook_chart(view.outlook, frame)
    if view.accuracy.status.drawn and view.accuracy.rows:
        charts["accuracy"] = accuracy_chart(view.accuracy, frame)
        charts["coverage"] = coverage_chart(view.accuracy, frame)
    signals = KIND_SIGNALS[subject.kind] if subject.kind else tuple(Signal)
    return Rendered.of(
        charts={name: chart.to_json() for name, chart in charts.items()},
        panels=_panels(view, charts),
        areas={
            "peaks": peaks_table(view.peaks, subject, zone) if view.peaks.rows else None,
            "events": events_table(view.events, view.at_ns, zone) if view.events.rows else None,
            "basis": facts_list(view.outlook, zone) if view.outlook.model else None,
        },
        own={
            "targets": [{"value": value, "label": words} for value, words in view.choices],
            "signals": [{"value": s.value, "label": SIGNAL_WORDS[s]} for s in SIGNAL_WORDS if s in signals],
            "chosen": [subject.target, subject.shown_signal.value],
        },
    )


def _panels(view: CapacityView, charts: dict[str, Chart]) -> dict[str, dict[str, Any]]:
    outlook, accuracy = view.outlook, view.accuracy
    n = sum(row.n for row in accuracy.rows)
    compared = f"n = {count(n)} forecasts · {accuracy.days} days"
    basis = outlook.status if outlook.model or not outlook.status.drawn else _no_basis(outlook)
    notes: dict[str, tuple[Status, str]] = {
        "outlook": (outlook.status, _outlook_note(view.subject, outlook)),
        "accuracy": (accuracy.status, f"WAPE, % · {compared}"),
        "coverage": (accuracy.status, f"% of slots · {compared}"),
        "peaks": (view.peaks.status, _peaks_note(view)),
        "events": (view.events.status, f"n = {count(len(view.events.rows))}"),
        "basis": (basis, ""),
    }
    return panels_of(notes, charts, CHARTS)


def _no_basis(outlook: Outlook) -> Status:
    return Status(PanelState.EMPTY, outlook.status.reason or "There is no forecast yet.")


def _outlook_note(subject: Subject, outlook: Outlook) -> str:
    measured = sum(value is not None for value in outlook.actual)
    slots = f"slots of {format_duration(outlook.slot_seconds)}" if outlook.slot_seconds else ""
    if outlook.issued_ns is None:
        return f"{outlook.unit} · n = {count(measured)} {slots}"
    age = duration(max(outlook.now_ns - outlook.issued_ns, 0) // SECOND_NS)
    return f"{outlook.unit} · n = {count(measured)} {slots} · issued {age} ago"


def _peaks_note(view: CapacityView) -> str:
    hidden = f", {view.peaks.hidden} more" if view.peaks.hidden else ""
    words = SIGNAL_WORDS[view.subject.shown_signal].lower()
    return f"{words} · next 24 hours · n = {count(len(view.peaks.rows))}{hidden}"
