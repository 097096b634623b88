"""What the capacity page asks the store, and how the answers become its view.

A question that fails leaves its own panel in error; the others go on. All of it is read within the viewer's scope.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from dashboards.capacity_views import (
    Accuracies,
    Belief,
    CapacityView,
    EventRow,
    Events,
    LeadAccuracy,
    Outlook,
    PeakRow,
    Peaks,
    Span,
    Subject,
)
from dashboards.numbers import SECOND_NS, duration
from dashboards.queries.asking import asked
from dashboards.queries.tables import floats, known, strings, times_ns
from dashboards.views import READY, PanelState, Series, Status
from forecast.announce import Announcement, listed, visible
from forecast.horizons import LEAD_CLASSES, Horizon
from forecast.knowledge import incidents, incidents_of
from forecast.masks import MaskReason
from forecast.rehearsal import REHEARSED
from forecast.signals import CAPTURE_POOL
from forecast.stored import QUANTILE_COLUMNS, where
from forecast.targets import KIND_SIGNALS, Kind, SeriesId, Signal
from storage.seam import Reader, Scope, Store, Window
from telephony.durations import format_duration
from telephony.model import UNKNOWN

HOUR_NS, DAY_NS = 3600 * SECOND_NS, 86_400 * SECOND_NS
ACCURACY_DAYS = 28
_PEAKS_SHOWN = 40
_EVENTS_SHOWN = 30
_EVENT_PAST_NS = 45 * DAY_NS
_STALE_SLOTS = 3
_MEANS = (Signal.CONCURRENT, Signal.PACKETS, Signal.TRANSCODES)
_BELIEFS = (("a day before", DAY_NS), ("three days before", 3 * DAY_NS), ("a week before", 7 * DAY_NS))
_NO_FORECASTS = "No forecast is stored. Is the role `forecast` up, and has the store some hours of load?"

_OTHERS_TOO = Status(
    PanelState.NOT_ALLOWED, "Pools, regions and trunks carry other tenants too; they are shown to engineers only."
)


def capacity_view(
    store: Store, scope: Scope, subject: Subject, now_ns: int, declared: tuple[Announcement, ...] = ()
) -> CapacityView:
    """Return the view of the capacity page; `declared` are events and masks of the configuration.

    Raises StoreError where not even the choices can be read.
    """
    reader = store.reader(scope)
    choices = _choices(reader, _kinds(scope), now_ns)
    if subject.kind is None and choices:
        subject = _first(subject, _peaks(reader, subject, now_ns), choices)
    if subject.signal is None and subject.kind in _kinds(scope):
        subject = _with_forecast(reader, subject, now_ns)
    announced = asked(lambda: visible(listed(reader, now_ns), declared, scope))
    barred = subject.kind is not None and subject.kind not in _kinds(scope)
    return CapacityView(
        at_ns=now_ns,
        subject=subject,
        choices=choices,
        outlook=Outlook(_OTHERS_TOO) if barred else _outlook(reader, subject, announced, now_ns),
        accuracy=Accuracies(_OTHERS_TOO) if barred else _accuracy(reader, subject, now_ns),
        peaks=_peaks(reader, subject, now_ns),
        events=_events(announced, scope, now_ns),
    )


def _kinds(scope: Scope) -> tuple[Kind, ...]:
    """Return the kinds of load that a viewer may choose from: pools and the like carry other tenants too."""
    return (Kind.POOL, Kind.TENANT, Kind.REGION, Kind.TRUNK) if scope.tenants is None else (Kind.TENANT,)


def _choices(reader: Reader, kinds: tuple[Kind, ...], now_ns: int) -> tuple[tuple[str, str], ...]:
    found = []
    slots = Window(now_ns - HOUR_NS, now_ns + DAY_NS)
    for kind in kinds:
        names = reader.tag_values("forecast", "target", slots, where={"target_kind": (kind.value,)})
        if not names and kind in (Kind.POOL, Kind.TENANT):
            names = reader.tag_values("load_minute", kind.value, Window(now_ns - DAY_NS, now_ns))
        found += [
            (f"{kind.value}:{n}", f"{kind.value} {n}") for n in names if n not in ("", UNKNOWN, CAPTURE_POOL)
        ]
    return tuple(found)


def _first(subject: Subject, peaks: Peaks, choices: tuple[tuple[str, str], ...]) -> Subject:
    """Return the load to show where none is asked for: the highest peak ahead, else the first that there is."""
    values = [value for value, _ in choices]
    highest = (f"{row.kind.value}:{row.name}" for row in peaks.rows)
    kind, _, name = next((value for value in highest if value in values), values[0]).partition(":")
    return subject.of(Kind(kind), name)


def _with_forecast(reader: Reader, subject: Subject, now_ns: int) -> Subject:
    """Return the view of what is forecast of a load, where that is not what would be shown."""
    assert subject.kind is not None
    of = {"target_kind": (subject.kind.value,), "target": (subject.name,)}
    forecast = reader.tag_values("forecast", "signal", Window(now_ns - HOUR_NS, now_ns + DAY_NS), where=of)
    if not forecast or subject.shown_signal.value in forecast:
        return subject
    signals = (signal for signal in KIND_SIGNALS[subject.kind] if signal.value in forecast)
    return replace(subject, signal=next(signals, None))


# --- the outlook ----------------------------------------------------------------------------------


def _outlook(reader: Reader, subject: Subject, announced: list[Announcement] | Status, now_ns: int) -> Outlook:
    if subject.kind is None:
        return Outlook(Status(PanelState.EMPTY, "The store holds no load yet: no collector has seen a call."))
    key = SeriesId(subject.kind, subject.name, subject.shown_signal)
    found = asked(lambda: _read_outlook(reader, key, subject, now_ns))
    if isinstance(found, Status):
        return Outlook(found)
    if isinstance(announced, Status):
        return _with_spans(found, [], now_ns, [])
    carried = asked(lambda: _carried(reader, key, now_ns))
    mine = (
        []
        if isinstance(carried, Status)
        else [each for each in announced if not each.tenants or carried.intersection(each.tenants)]
    )
    return _with_spans(found, mine, now_ns, _automatic(reader, key, found, now_ns))


def _automatic(reader: Reader, key: SeriesId, outlook: Outlook, now_ns: int) -> list[Span]:
    """Return what the forecast left out by itself: incidents that are over, and slots that it did not believe."""
    first_ns = outlook.actual_ns[0] if outlook.actual_ns else now_ns
    # An incident is recorded as over after its end, and is no longer than two days.
    found = asked(lambda: incidents(reader, Window(first_ns - 2 * DAY_NS, now_ns + 1)))
    masks = () if isinstance(found, Status) else incidents_of(found, key)
    spans = [Span(m.start_s * SECOND_NS, m.end_s * SECOND_NS, m.reason, "masked by itself") for m in masks]
    told = outlook.inputs.get("not_believed", ())
    for each in told if isinstance(told, list) else ():
        start_s, end_s = each if isinstance(each, list) and len(each) == 2 else (0, 0)
        spans.append(
            Span(start_s * SECOND_NS, end_s * SECOND_NS, MaskReason.NOT_BELIEVED.value, "masked by itself")
        )
    return spans


def _carried(reader: Reader, key: SeriesId, now_ns: int) -> frozenset[str]:
    """Return the tenants whose events move a load: itself, or those it carried of late."""
    if key.kind is Kind.TENANT:
        return frozenset((key.name,))
    measurement = "session_minute" if key.kind is Kind.TRUNK else "load_minute"
    week = Window(now_ns - 7 * DAY_NS, now_ns)
    return frozenset(reader.tag_values(measurement, "tenant", week, where={key.kind.value: (key.name,)}))


def _read_outlook(reader: Reader, key: SeriesId, subject: Subject, now_ns: int) -> Outlook:
    reach = subject.reach
    until_ns = now_ns + reach.ahead_seconds * SECOND_NS
    table = reader.forecasts(Window(now_ns - HOUR_NS, until_ns), where=where(key))
    slot_s = int(table["slot_seconds"][0].as_py()) if table.num_rows else 3600 if key.kind is Kind.TRUNK else 900
    since_ns = (now_ns - reach.back_seconds * SECOND_NS) // (slot_s * SECOND_NS) * (slot_s * SECOND_NS)
    actual_ns, actual = _actual(reader, key, slot_s, since_ns, now_ns)
    ahead_ns, quantiles, newest = _newest(table, now_ns - slot_s * SECOND_NS)
    outlook = Outlook(
        _outlook_status(table, newest, actual, slot_s, key, now_ns),
        unit=key.signal.unit,
        slot_seconds=slot_s,
        now_ns=now_ns,
        actual_ns=actual_ns,
        actual=actual,
        ahead_ns=ahead_ns,
        quantiles=quantiles,
        beliefs=_beliefs(reader, key, since_ns, until_ns, now_ns),
    )
    return outlook if newest is None else _described(outlook, table, newest)


def _described(outlook: Outlook, table: pa.Table, newest: int) -> Outlook:
    text = table["inputs"][newest].as_py() or "{}"
    try:
        inputs = json.loads(text)
    except ValueError:
        inputs = {}
    return _replaced(
        outlook,
        model=str(table["model"][newest].as_py() or ""),
        issued_ns=int(times_ns(table, "issued_at")[newest]),
        watermark_ns=int(times_ns(table, "watermark")[newest]),
        inputs=inputs if isinstance(inputs, dict) else {},
    )


def _replaced(outlook: Outlook, **changes: Any) -> Outlook:
    fields = {name: getattr(outlook, name) for name in Outlook.__dataclass_fields__}
    return Outlook(**(fields | changes))


def _outlook_status(
    table: pa.Table, newest: int | None, actual: Series, slot_s: int, key: SeriesId, now_ns: int
) -> Status:
    if newest is None:
        if not any(value is not None for value in actual):
            return Status(
                PanelState.EMPTY, f"No {key.signal.value.replace('_', ' ')} of {key.kind} {key.name} is stored."
            )
        return Status(PanelState.PARTIAL, _NO_FORECASTS)
    issued_ns = int(times_ns(table, "issued_at")[newest])
    if now_ns - issued_ns > _STALE_SLOTS * slot_s * SECOND_NS:
        return Status(PanelState.STALE, f"the newest forecast is {duration((now_ns - issued_ns) / 1e9)} old")
    behind_s = (issued_ns - int(times_ns(table, "watermark")[newest])) / SECOND_NS
    if behind_s > _STALE_SLOTS * slot_s:
        return Status(PanelState.STALE, f"it knows nothing of the last {duration(behind_s)}")
    return READY


def _actual(
    reader: Reader, key: SeriesId, slot_s: int, since_ns: int, now_ns: int
) -> tuple[tuple[int, ...], Series]:
    """Return what came per whole slot; None where a minute of the slot was not watched."""
    step_ns = slot_s * SECOND_NS
    starts = tuple(range(since_ns, now_ns - step_ns + 1, step_ns))
    if not starts:
        return (), ()
    window = Window(since_ns, starts[-1] + step_ns)
    values = np.zeros(len(starts))
    watched = np.zeros(len(starts))
    everyone = reader.load(window, step_seconds=slot_s)
    watched[(times_ns(everyone) - since_ns) // step_ns] = floats(everyone, "minutes")
    tag, name = key.kind.value, key.name
    if key.kind is Kind.TRUNK:
        mine = reader.sums(
            "session_minute", window, step_seconds=slot_s, where={tag: (name,)}, fields=("attempts",)
        )
        values[(times_ns(mine) - since_ns) // step_ns] = floats(mine, "attempts")
    else:
        mine = reader.load(window, step_seconds=slot_s, where={tag: (name,)})
        found = floats(mine, key.signal.value)
        if key.signal in _MEANS:
            found = found * floats(mine, "minutes") / (slot_s / 60)
        values[(times_ns(mine) - since_ns) // step_ns] = np.nan_to_num(found)
    # A viewer of one tenant sees no other rows: a quiet minute of its own looks to it like one not watched.
    whole = watched >= slot_s / 60 if reader.scope.tenants is None else watched > 0
    return starts, known(np.where(whole, values, np.nan))


def _newest(table: pa.Table, from_ns: int) -> tuple[tuple[int, ...], dict[str, Series], int | None]:
    """Return slots ahead with their newest quantiles, whatever their horizon; and the row issued last."""
    if not table.num_rows:
        return (), {}, None
    slots, issued = times_ns(table, "slot"), times_ns(table, "issued_at")
    rank = {horizon.value: place for place, horizon in enumerate(reversed(Horizon))}
    nearness = np.array([rank.get(horizon, -1) for horizon in strings(table, "horizon")])
    order = np.lexsort((nearness, issued, slots))
    last = np.r_[slots[order][1:] != slots[order][:-1], True]
    rows = order[last]
    rows = rows[slots[rows] > from_ns]
    quantiles = {name: known(floats(table, name)[rows]) for name in QUANTILE_COLUMNS}
    return tuple(slots[rows].tolist()), quantiles, int(np.lexsort((nearness, issued))[-1])


def _beliefs(reader: Reader, key: SeriesId, since_ns: int, until_ns: int, now_ns: int) -> tuple[Belief, ...]:
    """Return what was believed of the shown slots: an hour before each, and as of some days ago."""
    found = []
    near = reader.forecasts(Window(since_ns, now_ns), where=where(key) | {"horizon": (Horizon.SHORT.value,)})
    if near.num_rows:
        found.append(Belief("just before", tuple(times_ns(near, "slot").tolist()), known(floats(near, "q50"))))
    long = where(key) | {"horizon": (Horizon.LONG.value,)}
    for words, ago_ns in _BELIEFS:
        at_ns = now_ns - ago_ns
        table = reader.forecasts(Window(max(since_ns, at_ns), until_ns), where=long, issued_until_ns=at_ns)
        if table.num_rows:
            found.append(Belief(words, tuple(times_ns(table, "slot").tolist()), known(floats(table, "q50"))))
    return tuple(found)


def _with_spans(outlook: Outlook, announced: list[Announcement], now_ns: int, masked: list[Span]) -> Outlook:
    """Return the outlook with the events and masks that lie in what it shows."""
    first_ns = outlook.actual_ns[0] if outlook.actual_ns else now_ns
    last_ns = outlook.ahead_ns[-1] + outlook.slot_seconds * SECOND_NS if outlook.ahead_ns else now_ns
    events: list[Span] = []
    masks = list(masked)
    for each in announced:
        detail = "learned" if each.uplift is None else f"{each.uplift:+.0%}"
        span = Span(each.start_s * SECOND_NS, each.end_s * SECOND_NS, each.name, detail)
        (masks if each.kind.value == "mask" else events).append(span)

    def shown(spans: list[Span]) -> tuple[Span, ...]:
        return tuple(
            Span(max(span.start_ns, first_ns), min(span.end_ns, last_ns), span.name, span.detail)
            for span in spans
            if span.end_ns > first_ns and span.start_ns < last_ns
        )

    return _replaced(outlook, events=shown(events), masks=shown(masks), gaps=tuple(_gaps(outlook)))


def _gaps(outlook: Outlook) -> list[Span]:
    gaps: list[Span] = []
    step_ns = outlook.slot_seconds * SECOND_NS
    for start_ns, value in zip(outlook.actual_ns, outlook.actual, strict=True):
        if value is not None:
            continue
        if gaps and gaps[-1].end_ns == start_ns:
            gaps[-1] = Span(gaps[-1].start_ns, start_ns + step_ns, "not measured")
        else:
            gaps.append(Span(start_ns, start_ns + step_ns, "not measured"))
    return gaps


# --- accuracy -------------------------------------------------------------------------------------


def _accuracy(reader: Reader, subject: Subject, now_ns: int) -> Accuracies:
    if subject.kind is None:
        return Accuracies(Status(PanelState.EMPTY, "Nothing is forecast yet."))
    key = SeriesId(subject.kind, subject.name, subject.shown_signal)
    window = Window(now_ns - ACCURACY_DAYS * DAY_NS, now_ns)
    by = ("lead", "horizon", "model")
    table = asked(lambda: reader.sums("forecast_accuracy", window, step_seconds=0, by=by, where=where(key)))
    if isinstance(table, Status):
        return Accuracies(table)
    rows = table.drop_columns(["time"]).to_pylist()
    if not rows:
        why = "No forecast of this load can be compared with what came yet; that is done every hour."
        return Accuracies(Status(PanelState.EMPTY, why))
    best = [found for lead in LEAD_CLASSES if (found := _best([row for row in rows if row["lead"] == lead]))]
    profile = {
        row["lead"]: row["absolute_error"] / row["actual"]
        for row in rows
        if row["horizon"] == REHEARSED and row["model"] == "weekly-profile" and row["actual"]
    }
    issued = [row for row in best if row.horizon != REHEARSED]
    status = READY
    if len(issued) < len(best):
        far = ", ".join(row.lead for row in best if row.horizon == REHEARSED)
        status = Status(PanelState.PARTIAL, f"rehearsed on history, not issued: {far}")
    return Accuracies(status, tuple(best), profile, ACCURACY_DAYS)


_ENOUGH = 30


def _best(rows: list[dict[str, Any]]) -> LeadAccuracy | None:
    """Return the row of a lead that counts: of what was issued once there is enough of it, else of rehearsals."""
    merged = _merged([row for row in rows if row["horizon"] != REHEARSED])
    rehearsed = [row for row in rows if row["horizon"] == REHEARSED and row["model"] != "weekly-profile"]
    if merged is None or merged["n"] < _ENOUGH:
        merged = _merged(rehearsed or [row for row in rows if row["horizon"] == REHEARSED]) or merged
    return None if merged is None else _lead_accuracy(merged)


def _merged(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not rows:
        return None
    most = max(rows, key=lambda row: row["n"])
    sums = {
        name: sum(row[name] or 0 for row in rows) for name, value in most.items() if not isinstance(value, str)
    }
    return {**sums, "lead": most["lead"], "horizon": most["horizon"], "model": most["model"]}


def _lead_accuracy(row: Mapping[str, Any]) -> LeadAccuracy:
    actual, n = row["actual"], row["n"]

    def share(value: float, of: float) -> float | None:
        return value / of if of else None

    return LeadAccuracy(
        lead=row["lead"],
        horizon=row["horizon"],
        model=row["model"],
        n=n,
        wape=share(row["absolute_error"], actual),
        floor=share(row["floor_error"], actual) or None,
        naive=share(row["naive_error"], actual) or None,
        mase=share(row["absolute_error"], row["naive_error"]),
        bias=share(row["forecast"] - actual, actual),
        coverage=tuple(share(row[f"covered_{name}"], n) for name in QUANTILE_COLUMNS),
    )


# --- peaks and events -----------------------------------------------------------------------------


def _peaks(reader: Reader, subject: Subject, now_ns: int) -> Peaks:
    window = Window(now_ns, now_ns + DAY_NS)
    allowed = {"signal": (subject.shown_signal.value,)}
    table = asked(lambda: reader.forecasts(window, where=allowed))
    if isinstance(table, Status):
        return Peaks(table)
    if not table.num_rows:
        return Peaks(Status(PanelState.EMPTY, _NO_FORECASTS))
    kinds, names = strings(table, "target_kind"), strings(table, "target")
    slots, issued = times_ns(table, "slot"), times_ns(table, "issued_at")
    q50, q95, q99 = (floats(table, name) for name in ("q50", "q95", "q99"))
    seconds = floats(table, "slot_seconds")
    usual = float(seconds.min())
    newest: dict[tuple[str, str, int], int] = {}
    for place in np.argsort(issued, kind="stable").tolist():
        newest[kinds[place], names[place], int(slots[place])] = place
    peaks: dict[tuple[str, str], int] = {}
    for (kind, name, _), place in newest.items():
        best = peaks.get((kind, name))
        if best is None or q95[place] > q95[best]:
            peaks[kind, name] = place
    notes = [f" per {format_duration(span)}" if span > usual else "" for span in seconds.tolist()]
    rows = [
        PeakRow(Kind(kind), name, int(slots[p]), float(q50[p]), float(q95[p]), float(q99[p]), notes[p])
        for (kind, name), p in peaks.items()
    ]
    order = (Kind.POOL, Kind.TENANT, Kind.REGION, Kind.TRUNK)
    rows.sort(key=lambda row: (order.index(row.kind), -row.q95))
    return Peaks(READY, tuple(rows[:_PEAKS_SHOWN]), max(len(rows) - _PEAKS_SHOWN, 0))


def _events(announced: list[Announcement] | Status, scope: Scope, now_ns: int) -> Events:
    if isinstance(announced, Status):
        return Events(announced)
    held = [each for each in announced if each.end_s * SECOND_NS > now_ns - _EVENT_PAST_NS]
    if not held:
        why = "No event or mask is announced. Add one: surgecast event add, or POST /api/v1/events."
        return Events(Status(PanelState.EMPTY, why))
    coming = [each for each in held if each.end_s * SECOND_NS > now_ns]
    over = [each for each in held if each.end_s * SECOND_NS <= now_ns]
    rows = [*coming, *sorted(over, key=lambda each: -each.start_s)][:_EVENTS_SHOWN]
    return Events(
        READY,
        tuple(
            EventRow(
                each.id,
                each.kind.value,
                each.name,
                each.start_s * SECOND_NS,
                each.end_s * SECOND_NS,
                each.tenants,
                each.uplift,
                each.author,
            )
            for each in rows
        ),
    )
