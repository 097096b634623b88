"""Calls in progress and arriving, over time."""

from dashboards.numbers import clock_time, significant
from dashboards.views import Load, Series

from .chart import Chart, Frame, Json


def load_chart(view: Load, frame: Frame) -> Chart:
    """Draw calls in progress above session attempts per second."""
    x = frame.x(view.starts_ns)
    traces: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Calls in progress",
            "x": x,
            "y": view.concurrent,
            "line": {"color": "@line-1", "width": 2},
            "fill": "tozeroy",
            "fillcolor": "@line-1/0.14",
            "hovertemplate": "%{y:,.1f}",
        },
        {
            "type": "bar",
            "name": "Attempts per second",
            "x": x,
            "y": view.attempts_hz,
            "yaxis": "y2",
            "offset": 0,
            "marker": {"color": "@line-2"},
            "hovertemplate": "%{y:.3g}",
        },
    ]
    if any(value is not None for value in view.setup):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "In setup",
                "x": x,
                "y": view.setup,
                "line": {"color": "@line-3", "width": 1.5},
                "hovertemplate": "%{y:,.1f}",
            }
        )
    layout = frame.layout(
        xaxis=frame.time_axis(view.starts_ns, view.step_seconds, anchor="y2"),
        yaxis={"domain": [0.36, 1], "rangemode": "tozero", "title": {"text": "calls"}, "nticks": 5},
        yaxis2={"domain": [0, 0.26], "rangemode": "tozero", "title": {"text": "per s"}, "nticks": 3},
        bargap=0.25,
    )
    rows = tuple(
        (clock_time(at, frame.zone), significant(c), significant(s), significant(a))
        for at, c, s, a in zip(view.starts_ns, view.concurrent, view.setup, view.attempts_hz)
    )
    return Chart(
        {"data": traces, "layout": layout},
        (f"Start ({frame.zone.key})", "Calls in progress", "In setup", "Attempts per second"),
        rows,
        f"Calls in progress {significant(view.concurrent_now)}, between {significant(_least(view.concurrent))} "
        f"and {significant(_most(view.concurrent))} over the range; {significant(view.attempts_hz_now)} session "
        "attempts per second now.",
    )


def _least(series: Series) -> float | None:
    return min((v for v in series if v is not None), default=None)


def _most(series: Series) -> float | None:
    return max((v for v in series if v is not None), default=None)


def sparkline_path(series: Series, *, width: int = 100, height: int = 28) -> str:
    """Return the SVG path of a sparkline from zero to its maximum; a gap in the series is a gap in the line.

    >>> sparkline_path((0, None, 1, 2), width=3, height=4)
    'M0 4M2 2L3 0'
    """
    most = _most(series)
    if most is None or len(series) < 2:
        return ""
    parts, pen_down = [], False
    for i, value in enumerate(series):
        if value is None:
            pen_down = False
            continue
        x, y = i * width / (len(series) - 1), height - (value / most * height if most else 0)
        parts.append(f"{'L' if pen_down else 'M'}{x:.4g} {y:.4g}")
        pen_down = True
    return "".join(parts)
