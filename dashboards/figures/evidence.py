"""The evidence chart of an incident: observed slots, the band they were judged by, and n per slot."""

from collections.abc import Sequence

from dashboards.figures.chart import Chart, Frame, Json
from dashboards.incident_views import BandStep, Evidence, Quantity
from dashboards.numbers import SECOND_NS, UNKNOWN_TEXT, axis_time, date_time, duration, percent, significant
from dashboards.views import Series

_UNITS = {Quantity.COUNT: "per slot", Quantity.RATIO: "%", Quantity.SECONDS: "s", Quantity.UNKNOWN: ""}
_LOWER_PART, _UPPER_PART = [0, 0.17], [0.25, 1]


def amount(value: float | None, quantity: Quantity) -> str:
    """Write a figure of an incident with its unit.

    >>> amount(0.052, Quantity.RATIO), amount(41.3, Quantity.COUNT), amount(None, Quantity.SECONDS)
    ('5.20 %', '41.3', '—')
    """
    if quantity is Quantity.RATIO:
        return percent(value)
    return duration(value) if quantity is Quantity.SECONDS else significant(value)


def evidence_chart(view: Evidence, frame: Frame) -> Chart:
    """Draw the slots of an incident with its band, its onset and its end marked."""
    half_ns = view.slot_seconds * SECOND_NS // 2
    factor = 100.0 if view.quantity is Quantity.RATIO else 1.0
    x = frame.x([at + half_ns for at in view.starts_ns])
    traces = _band(view.band, frame, factor)
    traces.append(
        {
            "type": "scatter", "mode": "lines+markers", "name": "Observed", "x": x,
            "y": _scaled(view.observed, factor), "line": {"color": "@text", "width": 2},
            "marker": {"size": 4, "color": "@text"}, "hovertemplate": "%{y:,.4~g}",
        }
    )  # fmt: skip
    layout = frame.layout(
        xaxis=frame.time_axis(view.starts_ns, view.slot_seconds, hoverformat="%a %d %b %H:%M", anchor="y"),
        yaxis={"rangemode": "tozero", "title": {"text": _UNITS[view.quantity]}, "nticks": 6},
        shapes=_marks(view, frame),
        annotations=_names(view, frame),
        margin={"l": 8, "r": 12, "t": 26, "b": 8},
    )
    if view.n:
        traces.append(
            {
                "type": "bar", "name": "n", "x": x, "y": view.n, "yaxis": "y2",
                "marker": {"color": "@line-1/0.45"}, "hovertemplate": "%{y:,.4~g}",
            }
        )  # fmt: skip
        layout["yaxis"]["domain"] = _UPPER_PART
        layout["yaxis2"] = {"domain": _LOWER_PART, "rangemode": "tozero", "title": {"text": "n"}, "nticks": 3}
        layout["xaxis"]["anchor"] = "y2"
    return Chart({"data": traces, "layout": layout}, *_table(view, frame), _summary(view, frame))


def _scaled(values: Series, factor: float) -> list[float | None]:
    return [None if value is None else value * factor for value in values]


def _band(band: Sequence[BandStep], frame: Frame, factor: float) -> list[Json]:
    if not band:
        return []
    x = frame.x([at for step in band for at in (step.since_ns, step.until_ns)])

    def trace(values: Series, name: str, **extra: object) -> Json:
        y = [value for value in _scaled(values, factor) for _ in range(2)]
        return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name} | extra

    edge = {"width": 0, "color": "@line-1"}
    return [
        trace(tuple(s.low for s in band), "Low", line=edge, showlegend=False, hovertemplate="%{y:,.4~g}"),
        trace(
            tuple(s.high for s in band), "Would be normal", line=edge, fill="tonexty", fillcolor="@line-1/0.22",
            hovertemplate="up to %{y:,.4~g}",
        ),
        trace(
            tuple(s.expected for s in band), "Expected", line={"color": "@line-1", "width": 2, "dash": "dash"},
            hovertemplate="%{y:,.4~g}",
        ),
    ]  # fmt: skip


def _moments(view: Evidence) -> list[tuple[int, str, str]]:
    moments = [(view.began_ns, "onset", "@bad-text")]
    if view.raised_ns != view.began_ns:
        moments.append((view.raised_ns + view.slot_seconds * SECOND_NS, "raised", "@warn-text"))
    if view.ended_ns is not None:
        moments.append((view.ended_ns, "ended", "@ok-text"))
    return moments


def _marks(view: Evidence, frame: Frame) -> list[Json]:
    end_ns = view.ended_ns or (view.starts_ns[-1] + view.slot_seconds * SECOND_NS)
    shaded: Json = {
        "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
        "x0": axis_time(view.began_ns, frame.zone), "x1": axis_time(end_ns, frame.zone),
        "fillcolor": "@band-e/0.08",
    }  # fmt: skip
    return [
        shaded,
        *(
            {
                "type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1,
                "x0": axis_time(at, frame.zone), "x1": axis_time(at, frame.zone),
                "line": {"color": colour, "width": 1.5, "dash": "dot"},
            }
            for at, _, colour in _moments(view)
        ),
    ]  # fmt: skip


def _names(view: Evidence, frame: Frame) -> list[Json]:
    # The onset is named to the left of its line: raised follows close behind.
    return [
        {
            "x": axis_time(at, frame.zone), "y": 1, "xref": "x", "yref": "paper", "text": text, "showarrow": False,
            "xanchor": "right" if text == "onset" else "left", "yanchor": "bottom",
            "font": {"size": 11, "color": colour},
        }
        for at, text, colour in _moments(view)
    ]  # fmt: skip


def _step_at(view: Evidence, at_ns: int) -> BandStep | None:
    return next((step for step in view.band if step.since_ns <= at_ns < step.until_ns), None)


def _table(view: Evidence, frame: Frame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = (f"Start ({frame.zone.key})", "Observed", "n", "Expected", "Low", "High", "Mark")
    slot_ns = view.slot_seconds * SECOND_NS
    rows = []
    for place, at in enumerate(view.starts_ns):
        step = _step_at(view, at)
        band = (step.expected, step.low, step.high) if step else ()
        seen = view.n[place] if view.n else view.observed[place]
        marks = [text for moment, text, _ in _moments(view) if at <= moment < at + slot_ns]
        rows.append(
            (
                date_time(at, frame.zone),
                amount(view.observed[place], view.quantity),
                significant(seen),
                *([amount(value, view.quantity) for value in band] or ["", "", ""]),
                ", ".join(marks),
            )
        )
    return columns, tuple(rows)


def _summary(view: Evidence, frame: Frame) -> str:
    seen = [value for value in view.observed if value is not None]
    last = amount(seen[-1], view.quantity) if seen else UNKNOWN_TEXT
    said = f"{view.title}: began {date_time(view.began_ns, frame.zone)}, last observed {last}"
    if not view.band:
        return f"{said}."
    step = view.band[-1]
    low, high = amount(step.low, view.quantity), amount(step.high, view.quantity)
    return f"{said}, expected {amount(step.expected, view.quantity)} ({low} to {high} would be normal)."
