"""Who asks for pods, whether they were ready before the load, and what load is coming: steps, not slopes."""

from collections.abc import Iterable, Sequence

import numpy as np

from dashboards.capacity_views import Span
from dashboards.figures.chart import Chart, Frame, Json
from dashboards.numbers import SECOND_NS, axis_time, clock_time, count, date_time, significant
from dashboards.scaling_views import SOURCE_WORDS, SOURCES, Demand, Pods
from dashboards.views import Series

_COLOURS = {
    "forecast": "@line-1",
    "reactive": "@line-2",
    "reserved": "@line-3",
    "calendar": "@line-4",
    "minimum": "@text-3",
}
_TABLE_ROWS = 500


def needs_chart(view: Pods, frame: Frame) -> Chart:
    """Draw what each source asked for, what was decided, and where a limit changed it."""
    traces = [
        _steps(SOURCE_WORDS[source], view.starts_ns, view.needs[source], view, frame, {"color": _COLOURS[source]})
        for source in SOURCES
        if any(value is not None for value in view.needs.get(source, ()))
    ]
    for trace in traces:
        if trace["name"] == SOURCE_WORDS["minimum"]:
            trace["line"] |= {"dash": "dot", "width": 1.25}
    traces.append(_steps("Decided", view.starts_ns, view.decided, view, frame, {"color": "@text", "width": 2.5}))
    bound = [
        place
        for place, limit in enumerate(view.limits)
        if limit and view.starts_ns[place] >= view.since_ns and (not place or limit != view.limits[place - 1])
    ]
    if bound:
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "A limit begins",
                "x": frame.x([view.starts_ns[p] for p in bound]), "y": [view.decided[p] for p in bound],
                "text": [view.limits[p].replace("_", " ") for p in bound], "hovertemplate": "%{text}",
                "marker": {"symbol": "x-thin-open", "size": 9, "color": "@bad-text", "line": {"width": 2}},
            }
        )  # fmt: skip
    columns = (f"From ({frame.zone.key})", *(SOURCE_WORDS[source] for source in SOURCES), "Decided", "Limit")
    rows = tuple(
        (
            date_time(at, frame.zone),
            *(_pods(view.needs[source][place]) for source in SOURCES),
            _pods(view.decided[place]),
            view.limits[place].replace("_", " "),
        )
        for place, at in enumerate(view.starts_ns)
        if at >= view.since_ns
    )[-_TABLE_ROWS:]
    return Chart(
        {"data": traces, "layout": _layout(view, frame)}, columns, rows, _needs_summary(view)
    )  # fmt: skip


def _needs_summary(view: Pods) -> str:
    last = {source: view.needs[source][-1] for source in SOURCES if view.needs[source][-1] is not None}
    told = ", ".join(f"{SOURCE_WORDS[source].lower()} {_pods(pods)}" for source, pods in last.items())
    return f"Pods asked for now: {told}. Decided: {_pods(view.decided[-1])}."


def replicas_chart(view: Pods, frame: Frame) -> Chart:
    """Draw the pods that the load asked for, those ready, and those that reacting alone would have had."""
    load = _held(np.fmax(_array(view.needs["reactive"]), _array(view.needs["minimum"])))
    traces = [
        _steps("Load asks for", view.starts_ns, load, view, frame, {"color": "@line-2", "width": 1})
        | {"fill": "tozeroy", "fillcolor": "@line-2/0.18"},
        _steps("Asked for", view.starts_ns, view.decided, view, frame, {"color": "@text-3", "dash": "dot"}),
        _steps("Ready", view.starts_ns, view.ready, view, frame, {"color": "@line-1", "width": 2.5}),
        _steps(
            "Ready by reacting alone", view.alone_ns, view.alone, view, frame, {"color": "@line-3", "dash": "dash"}
        ),
    ]
    times = sorted({at for at in (*view.starts_ns, *view.alone_ns) if at >= view.since_ns})[-_TABLE_ROWS:]
    lines = (
        (view.starts_ns, load),
        (view.starts_ns, view.decided),
        (view.starts_ns, view.ready),
        (view.alone_ns, view.alone),
    )
    columns = (f"From ({frame.zone.key})", "Load asks for", "Asked for", "Ready", "Ready by reacting alone")
    rows = tuple((date_time(at, frame.zone), *(_pods(_at(at, *line)) for line in lines)) for at in times)
    return Chart({"data": traces, "layout": _layout(view, frame)}, columns, rows, shortage_words(view))


def shortage_words(view: Pods) -> str:
    """Say how short of pods the load was, and would have been."""
    if view.short_pod_minutes is None or view.alone_short_pod_minutes is None:
        return "No load was believed in this range: nothing can be compared."
    return (
        f"Short of what the load asked for by {significant(view.short_pod_minutes)} pod-minutes, "
        f"reacting alone by {significant(view.alone_short_pod_minutes)}."
    )


def demand_chart(view: Demand, frame: Frame) -> Chart:
    """Draw the most calls in progress, measured and forecast, with what is announced."""
    half_ns = view.step_seconds * SECOND_NS // 2
    traces: list[Json] = [
        {
            "type": "scatter", "mode": "lines", "name": "Measured", "y": view.measured,
            "x": frame.x([at + half_ns for at in view.measured_ns]), "line": {"color": "@text", "width": 2},
            "hovertemplate": "%{y:,.4~g}",
        }
    ]  # fmt: skip
    slot_ns = view.slot_seconds * SECOND_NS
    if view.ahead_ns:
        ends = [*view.ahead_ns, view.ahead_ns[-1] + slot_ns]
        for name, series, line in (
            ("Forecast (median)", view.q50, {"color": "@line-1", "width": 2, "shape": "hv"}),
            ("95 % quantile", view.q95, {"color": "@line-1", "width": 1.25, "dash": "dot", "shape": "hv"}),
        ):
            traces.append(
                {
                    "type": "scatter", "mode": "lines", "name": name, "x": frame.x(ends),
                    "y": [*series, series[-1]], "line": line, "hovertemplate": "%{y:,.4~g}",
                }
            )  # fmt: skip
    first = view.measured_ns[0] if view.measured_ns else view.now_ns
    last = max(view.now_ns, view.ahead_ns[-1] + slot_ns if view.ahead_ns else 0)
    layout = frame.layout(
        xaxis=frame.time_axis((first, last), 0),
        yaxis={"rangemode": "tozero", "title": {"text": "calls in progress"}, "nticks": 6},
        shapes=[*(_box(span, frame) for span in view.events), _now(view.now_ns, frame)],
        annotations=[*(_label(span, frame) for span in view.events[:4])],
        margin={"l": 8, "r": 12, "t": 26, "b": 8},
    )
    return Chart({"data": traces, "layout": layout}, *_demand_table(view, frame), _demand_summary(view, frame))


def _demand_table(view: Demand, frame: Frame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    def events(at_ns: int) -> str:
        return ", ".join(span.name for span in view.events if span.start_ns <= at_ns < span.end_ns)

    measured = [
        (date_time(at, frame.zone), significant(value), "", "", events(at))
        for at, value in zip(view.measured_ns, view.measured, strict=True)
    ]
    ahead = [
        (date_time(at, frame.zone), "", significant(low), significant(high), events(at))
        for at, low, high in zip(view.ahead_ns, view.q50, view.q95, strict=True)
    ]
    return (f"Start ({frame.zone.key})", "Measured", "Median", "95 %", "Event"), (*measured, *ahead)


def _demand_summary(view: Demand, frame: Frame) -> str:
    past = [value for value in view.measured if value is not None]
    said = f"Last measured {significant(past[-1] if past else None)} calls in progress."
    known = [(value, at) for value, at in zip(view.q95, view.ahead_ns, strict=True) if value is not None]
    if known:
        value, at_ns = max(known)
        said += f" The 95 % quantile goes up to {significant(value)} at {date_time(at_ns, frame.zone)}."
    for span in view.events:
        if span.start_ns > view.now_ns:
            said += f" {span.name} begins at {clock_time(span.start_ns, frame.zone)}."
    return said


# --- drawing --------------------------------------------------------------------------------------


def _layout(view: Pods, frame: Frame) -> Json:
    return frame.layout(
        xaxis=frame.time_axis((view.since_ns, view.now_ns), 0),
        yaxis={"rangemode": "tozero", "title": {"text": "pods"}, "nticks": 6},
        margin={"l": 8, "r": 12, "t": 26, "b": 8},
    )


def _steps(name: str, starts_ns: Sequence[int], values: Series, view: Pods, frame: Frame, line: Json) -> Json:
    """Return a step line over the range: what held at its start, every change, and what holds now."""
    first = max((place for place, at in enumerate(starts_ns) if at <= view.since_ns), default=0)
    places = range(first, len(starts_ns))
    x = [max(starts_ns[place], view.since_ns) for place in places] + [view.now_ns]
    y = [values[place] for place in places] + [values[-1] if len(values) else None]
    kept = [
        place for place in range(len(x)) if place in (0, len(x) - 1) or y[place] != y[place - 1]
    ]  # fmt: skip
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": frame.x([x[place] for place in kept]),
        "y": [y[place] for place in kept], "line": {"width": 1.75, "shape": "hv"} | line,
        "hovertemplate": "%{y:,.3~g}",
    }  # fmt: skip


def _box(span: Span, frame: Frame) -> Json:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
        "x0": axis_time(span.start_ns, frame.zone), "x1": axis_time(span.end_ns, frame.zone),
        "fillcolor": "@line-2/0.16",
    }  # fmt: skip


def _now(now_ns: int, frame: Frame) -> Json:
    at = axis_time(now_ns, frame.zone)
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
        "line": {"color": "@text-3", "width": 1, "dash": "dash"},
    }  # fmt: skip


def _label(span: Span, frame: Frame) -> Json:
    return {
        "x": axis_time(span.start_ns, frame.zone), "y": 1, "xref": "x", "yref": "paper", "text": span.name[:28],
        "showarrow": False, "xanchor": "left", "yanchor": "top", "font": {"size": 11, "color": "@warn-text"},
    }  # fmt: skip


def _array(series: Iterable[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in series], np.float64)


def _held(values: Iterable[float]) -> Series:
    return tuple(None if value != value else float(value) for value in values)


def _at(at_ns: int, starts_ns: Sequence[int], values: Series) -> float | None:
    place = int(np.searchsorted(np.asarray(starts_ns), at_ns, side="right")) - 1
    return values[place] if place >= 0 else None


def _pods(value: float | None) -> str:
    return count(None if value is None else round(value))
