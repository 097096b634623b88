"""The outlook with its fan, and accuracy by lead."""

from collections.abc import Sequence
from math import ceil

from dashboards.capacity_views import Accuracies, Outlook, Span
from dashboards.figures.chart import Chart, Frame, Json
from dashboards.numbers import SECOND_NS, axis_time, date_time, percent, significant
from dashboards.views import Series
from storage.schema import QUANTILES

_FAN = (("q50", "q80", 0.34), ("q80", "q90", 0.24), ("q90", "q95", 0.16), ("q95", "q99", 0.09))
_BELIEF_STYLES = (("@line-3", "dot"), ("@line-4", "dash"), ("@line-2", "dashdot"), ("@line-3", "longdash"))
_ROOMY_GAP = 0.1
"""Share of the axis that a gap must take for words to stand in it, on a phone too."""
_LABELLED_EVENTS = 6
_DAYS_BY_CLOCK = 2.5
_DAY_TICKS = 10


def outlook_chart(view: Outlook, frame: Frame) -> Chart:
    """Draw what came, the fan of what is expected, what was believed, events and what was not measured."""
    half_ns = view.slot_seconds * SECOND_NS // 2
    traces: list[Json] = [*_fan(view, frame, half_ns), *_beliefs(view, frame, half_ns)]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Actual",
            "x": frame.x([at + half_ns for at in view.actual_ns]),
            "y": view.actual,
            "line": {"color": "@text", "width": 2},
            "hovertemplate": "%{y:,.4~g}",
        }
    )
    starts = (*view.actual_ns, *view.ahead_ns)
    days = (starts[-1] - starts[0]) / (86_400 * SECOND_NS) if starts else 0.0
    axis = frame.time_axis(starts, view.slot_seconds, hoverformat="%a %d %b %H:%M")
    if days > _DAYS_BY_CLOCK:
        axis |= {"tickformat": "%a %d %b", "dtick": 86_400_000 * ceil(days / _DAY_TICKS)}
    layout = frame.layout(
        xaxis=axis,
        yaxis={"rangemode": "tozero", "title": {"text": view.unit}, "nticks": 6},
        shapes=_shapes(view, frame),
        annotations=_annotations(view, frame),
        margin={"l": 8, "r": 12, "t": 26, "b": 8},
    )
    return Chart({"data": traces, "layout": layout}, *_table(view, frame), _summary(view, frame))


def _fan(view: Outlook, frame: Frame, half_ns: int) -> list[Json]:
    if not view.ahead_ns:
        return []
    x = frame.x([at + half_ns for at in view.ahead_ns])
    traces: list[Json] = []
    for low, high, alpha in _FAN:
        for name, fill in ((low, None), (high, "tonexty")):
            trace: Json = {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": view.quantiles[name],
                "line": {"width": 0, "color": "@line-1"},
                "name": f"up to {high[1:]} %",
                "showlegend": bool(fill),
                "hoverinfo": "skip",
            }
            traces.append(trace | ({"fill": fill, "fillcolor": f"@line-1/{alpha}"} if fill else {}))
    for name, label, style in (
        ("q50", "Forecast (median)", {"width": 2}),
        ("q95", "95 % quantile", {"width": 1.25, "dash": "dot"}),
    ):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": x,
                "y": view.quantiles[name],
                "line": {"color": "@line-1", **style},
                "hovertemplate": "%{y:,.4~g}",
            }
        )
    return traces


def _beliefs(view: Outlook, frame: Frame, half_ns: int) -> list[Json]:
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"Believed {belief.words}",
            "x": frame.x([at + half_ns for at in belief.starts_ns]),
            "y": belief.q50,
            "line": {"color": colour, "width": 1.5, "dash": dash},
            "hovertemplate": "%{y:,.4~g}",
        }
        for belief, (colour, dash) in zip(view.beliefs, _BELIEF_STYLES, strict=False)
    ]


def _shapes(view: Outlook, frame: Frame) -> list[Json]:
    def box(span: Span, colour: str) -> Json:
        return {
            "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
            "x0": axis_time(span.start_ns, frame.zone), "x1": axis_time(span.end_ns, frame.zone),
            "fillcolor": colour,
        }  # fmt: skip

    now = axis_time(view.now_ns, frame.zone)
    return [
        *(box(span, "@line-2/0.16") for span in view.events),
        *(box(span, "@text-3/0.22") for span in view.masks),
        *(box(span, "@text-3/0.12") for span in view.gaps),
        {
            "type": "line", "xref": "x", "yref": "paper", "x0": now, "x1": now, "y0": 0, "y1": 1,
            "line": {"color": "@text-3", "width": 1, "dash": "dash"},
        },
    ]  # fmt: skip


def _annotations(view: Outlook, frame: Frame) -> list[Json]:
    def note(at_ns: int, text: str, colour: str, anchor: str = "left", side: str = "bottom") -> Json:
        return {
            "x": axis_time(at_ns, frame.zone), "y": 1, "xref": "x", "yref": "paper", "text": text,
            "showarrow": False, "xanchor": anchor, "yanchor": side, "font": {"size": 11, "color": colour},
        }  # fmt: skip

    spans = [*((span, "@warn-text") for span in view.events), *((span, "@text-3") for span in view.masks)]
    named = [note(span.start_ns, _cut(span.name), colour) for span, colour in spans[:_LABELLED_EVENTS]]
    # Under the edge: an event or a mask may begin about now, and its name stands above.
    return [*named, *_gap_note(view, frame), note(view.now_ns, "now", "@text-3", "right", "top")]


def _gap_note(view: Outlook, frame: Frame) -> list[Json]:
    """Say in the longest gap what its shade means, where the words have room."""
    starts = (*view.actual_ns, *view.ahead_ns)
    gap = max(view.gaps, key=lambda span: span.end_ns - span.start_ns, default=None)
    if gap is None or (gap.end_ns - gap.start_ns) < _ROOMY_GAP * (starts[-1] - starts[0]):
        return []
    return [
        {
            "x": axis_time((gap.start_ns + gap.end_ns) // 2, frame.zone), "y": 0.5, "xref": "x", "yref": "paper",
            "text": gap.name, "showarrow": False, "font": {"size": 11, "color": "@text-3"},
        }
    ]  # fmt: skip


def _cut(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _table(view: Outlook, frame: Frame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = (
        f"Start ({frame.zone.key})", "Actual", "Median", "80 %", "90 %", "95 %", "99 %", "Believed just before",
        "Event or mask",
    )  # fmt: skip
    near = next((belief for belief in view.beliefs if belief.words == "just before"), None)
    just_before = dict(zip(near.starts_ns, near.q50, strict=True)) if near else {}
    rows = {at: [significant(value), *[""] * 5] for at, value in zip(view.actual_ns, view.actual, strict=True)}
    for place, at in enumerate(view.ahead_ns):
        known = rows.get(at, [""])[0]
        rows[at] = [
            known,
            *(significant(view.quantiles[name][place]) for name in ("q50", "q80", "q90", "q95", "q99")),
        ]
    spans = (*view.events, *view.masks, *view.gaps)
    return columns, tuple(
        (
            date_time(at, frame.zone),
            *cells,
            significant(just_before[at]) if at in just_before else "",
            ", ".join(span.name for span in spans if span.start_ns <= at < span.end_ns),
        )
        for at, cells in sorted(rows.items())
    )


def _summary(view: Outlook, frame: Frame) -> str:
    past = [value for value in view.actual if value is not None]
    said = f"Last measured {significant(past[-1]) if past else '—'} {view.unit}."
    peak = _peak(view.quantiles.get("q50", ()), view.ahead_ns)
    if peak is None:
        return f"{said} There is no forecast."
    value, at_ns = peak
    high = view.quantiles["q95"][view.ahead_ns.index(at_ns)]
    return (
        f"{said} The median forecast peaks at {significant(value)} at {date_time(at_ns, frame.zone)}, with one "
        f"chance in twenty of more than {significant(high)} then. Events: {len(view.events)}, masks: "
        f"{len(view.masks)}."
    )


def _peak(series: Series, starts_ns: Sequence[int]) -> tuple[float, int] | None:
    known = [(value, at) for value, at in zip(series, starts_ns, strict=True) if value is not None]
    return max(known, default=None)


def accuracy_chart(view: Accuracies, frame: Frame) -> Chart:
    """Draw WAPE by lead beside what nobody could beat and what the simplest would give."""
    leads = [row.lead for row in view.rows]

    def bar(name: str, values: Sequence[float | None], colour: str) -> Json:
        return {
            "type": "bar", "name": name, "x": leads, "y": [None if v is None else 100 * v for v in values],
            "marker": {"color": colour}, "hovertemplate": "%{y:.3~g} %",
        }  # fmt: skip

    traces = [
        bar("Forecast", [row.wape for row in view.rows], "@line-1"),
        bar("Weekly profile", [view.profile.get(row.lead) for row in view.rows], "@line-3"),
        bar("Same time last week", [row.naive for row in view.rows], "@line-2"),
    ]
    if any(row.floor for row in view.rows):
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "Poisson floor", "x": leads,
                "y": [None if row.floor is None else 100 * row.floor for row in view.rows],
                "marker": {"symbol": "line-ew-open", "size": 34, "color": "@text", "line": {"width": 2}},
                "hovertemplate": "%{y:.3~g} %",
            }
        )  # fmt: skip
    layout = frame.layout(
        barmode="group",
        bargap=0.28,
        xaxis={"type": "category", "title": {"text": "lead", "standoff": 4}},
        yaxis={"rangemode": "tozero", "title": {"text": "WAPE, %"}, "nticks": 6},
    )
    columns = (
        "Lead", "Issued or rehearsed", "Model", "n", "WAPE", "Floor", "WAPE / floor", "Last week", "MASE", "Bias",
        *(f"under {100 * level:g} %" for level in QUANTILES),
    )  # fmt: skip
    rows = tuple(
        (
            row.lead, row.horizon, row.model, f"{row.n:,}", percent(row.wape), percent(row.floor),
            significant(row.wape / row.floor) if row.wape is not None and row.floor else "—", percent(row.naive),
            significant(row.mase), percent(row.bias), *(percent(share) for share in row.coverage),
        )
        for row in view.rows
    )  # fmt: skip
    near, far = view.rows[0], view.rows[-1]
    return Chart(
        {"data": traces, "layout": layout},
        columns,
        rows,
        f"Over {view.days} days the median missed by {percent(near.wape)} at {near.lead} and by "
        f"{percent(far.wape)} at {far.lead} ahead.",
    )


def coverage_chart(view: Accuracies, frame: Frame) -> Chart:
    """Draw how often what came lay at or under each quantile, beside how often it should have."""
    names = [f"{100 * level:g} %" for level in QUANTILES]
    colours = ("@line-1", "@line-2", "@line-3", "@line-4", "@text-2", "@text-3")
    traces: list[Json] = [
        {
            "type": "scatter", "mode": "lines", "name": "asked", "x": names, "y": [100 * q for q in QUANTILES],
            "line": {"color": "@text-3", "width": 1.5, "dash": "dash"}, "hovertemplate": "%{y:.3~g} %",
        },
        *(
            {
                "type": "scatter", "mode": "lines+markers", "name": row.lead, "x": names,
                "y": [None if share is None else 100 * share for share in row.coverage],
                "line": {"color": colour, "width": 1.75}, "marker": {"size": 6}, "hovertemplate": "%{y:.4~g} %",
            }
            for row, colour in zip(view.rows, colours, strict=False)
        ),
    ]  # fmt: skip
    layout = frame.layout(
        xaxis={"type": "category", "title": {"text": "quantile", "standoff": 4}},
        yaxis={"range": [40, 101], "title": {"text": "slots at or under it, %"}, "nticks": 7},
    )
    rows = tuple((row.lead, f"{row.n:,}", *(percent(share) for share in row.coverage)) for row in view.rows)
    place = QUANTILES.index(0.95)
    found = [share for row in view.rows if (share := row.coverage[place]) is not None]
    spread = f"{percent(min(found, default=None))} and {percent(max(found, default=None))}"
    return Chart(
        {"data": traces, "layout": layout},
        ("Lead", "n", *(f"under {name}" for name in names)),
        rows,
        f"Of the 95 % quantiles between {spread} held, depending on the lead.",
    )
