"""RTP packets and streams that our interfaces saw, and what was lost before we could see it, over time."""

from dashboards.numbers import clock_time, count, significant
from dashboards.views import Series, Wire

from .chart import Chart, Frame, Json


def wire_chart(view: Wire, frame: Frame) -> Chart:
    """Draw packets per second above streams above our own drops."""
    x = frame.x(view.starts_ns)
    traces: list[Json] = [
        _line("RTP packets per second", x, view.packets_hz, "y", "@line-1", "%{y:,.0f}"),
        _line("RTP streams", x, view.streams, "y2", "@line-2", "%{y:,.1f}"),
        _bars("Ring drops", x, view.ring_drops_by_step, "@bad-text"),
        _bars("CPU backlog drops", x, view.softnet_drops_by_step, "@line-3"),
    ]
    axis = {"rangemode": "tozero"}
    most_drops = max(_most(view.ring_drops_by_step) + _most(view.softnet_drops_by_step), 1)
    highest_hz = max(_most(view.packets_hz), view.packets_hz_now or 0.0)
    layout = frame.layout(
        xaxis=frame.time_axis(view.starts_ns, view.step_seconds, anchor="y3"),
        yaxis={**axis, "domain": [0.62, 1], "title": {"text": "packets/s"}, "nticks": 4},
        yaxis2={**axis, "domain": [0.27, 0.54], "title": {"text": "streams"}, "nticks": 3},
        yaxis3={
            "domain": [0, 0.18],
            "title": {"text": "drops"},
            "tickvals": [0, most_drops],
            "range": [0, most_drops * 1.05],
        },
        barmode="stack",
        bargap=0.1,
    )
    layout["legend"]["traceorder"] = "normal"  # stacked bars would turn it round
    series = (view.packets_hz, view.streams, view.ring_drops_by_step, view.softnet_drops_by_step)
    rows = tuple(
        (clock_time(at, frame.zone), *(significant(value) for value in values))
        for at, *values in zip(view.starts_ns, *series)
    )
    return Chart(
        {"data": traces, "layout": layout},
        (
            f"Start ({frame.zone.key})",
            "RTP packets per second",
            "RTP streams",
            "Ring drops",
            "CPU backlog drops",
        ),
        rows,
        f"{significant(view.packets_hz_now)} RTP packets per second in {count(view.streams_now)} streams now, at "
        f"most {significant(highest_hz)} per second over the range; {count(view.ring_drops)} frames "
        f"dropped by full rings, {count(view.softnet_drops)} by the backlogs of this machine's CPUs.",
    )


def _line(name: str, x: list[str], y: Series, axis: str, colour: str, hover: str) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers" if sum(value is not None for value in y) < 3 else "lines",
        "name": name,
        "x": x,
        "y": y,
        "yaxis": axis,
        "line": {"color": colour, "width": 2},
        "fill": "tozeroy",
        "fillcolor": f"{colour}/0.14",
        "hovertemplate": hover,
    }


def _bars(name: str, x: list[str], y: Series, colour: str) -> Json:
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": y,
        "yaxis": "y3",
        "offset": 0,
        "marker": {"color": colour},
        "hovertemplate": "%{y:,}",
    }


def _most(series: Series) -> float:
    return max((value for value in series if value is not None), default=0.0)
