"""The quality lanes of a call: R over its bands, loss, jitter and round trip over one time axis."""

from typing import Any

from dashboards.figures.chart import Chart, Frame, Json
from dashboards.figures.quality import BANDS, DIRECTION_WORDS, band_edges
from dashboards.numbers import axis_time, clock_time, count, percent, significant
from dashboards.trace_views import Lane, StreamSeries

_DOMAINS = {"R": (0.66, 1.0), "Loss": (0.44, 0.61), "Jitter": (0.22, 0.39), "Round trip": (0.0, 0.17)}
_LINES = ("@line-1", "@line-2", "@line-3", "@line-4", "@text-2", "@text-3")


def lane_chart(lane: Lane, frame: Frame, since_ns: int, until_ns: int) -> Chart:
    """Draw one direction; both directions of a call get the same time axis."""
    traces: list[Json] = []
    for i, stream in enumerate(lane.streams):
        traces += _stream_traces(stream, _LINES[i], frame, first=i == 0)
    layout = frame.layout(
        showlegend=True,
        shapes=_band_shapes(),
        xaxis={
            "type": "date",
            "range": [axis_time(since_ns, frame.zone), axis_time(until_ns, frame.zone)],
            "tickformat": "%H:%M:%S",
            "hoverformat": "%H:%M:%S",
            "nticks": 6,
            "anchor": "y4",
        },
        yaxis=_axis("R", [40, 100], tickvals=[50, 60, 70, 80, 90]),
        yaxis2=_axis("Loss", None, title="loss %"),
        yaxis3=_axis("Jitter", None, title="jitter ms"),
        yaxis4=_axis("Round trip", None, title="RTT ms"),
    )
    return Chart({"data": traces, "layout": layout}, _columns(frame.zone.key), _rows(lane, frame), _summary(lane))


def _columns(zone: str) -> tuple[str, ...]:
    return (
        f"Interval ({zone})",
        "Stream",
        "R (narrowband scale)",
        "MOS",
        "Loss",
        "Jitter (ms)",
        "Round trip (ms)",
        "Verdicts",
        "Packets",
    )


def _axis(lane: str, fixed: list[int] | None, *, title: str = "R (nb)", **more: Any) -> Json:
    axis: Json = {"domain": list(_DOMAINS[lane]), "title": {"text": title}, "nticks": 3, **more}
    return axis | ({"range": fixed} if fixed else {"rangemode": "tozero"})


def _band_shapes() -> list[Json]:
    shapes = []
    for band in BANDS:
        low, high = band_edges(band)
        shapes.append(
            {
                "type": "rect",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "yref": "y",
                "y0": low,
                "y1": high,
                "layer": "below",
                "line": {"width": 0},
                "fillcolor": f"@band-{band.letter.lower()}/0.16",
            }
        )
    return shapes


def _stream_traces(stream: StreamSeries, colour: str, frame: Frame, *, first: bool) -> list[Json]:
    x = frame.x(stream.middles_ns)
    in_percent = [None if v is None else v * 100 for v in stream.loss_ratio]
    traces: list[Json] = []
    for axis, values, words in (
        ("y", stream.r_factor, "R %{y:.1f}"),
        ("y2", in_percent, "loss %{y:.3g} %"),
        ("y3", stream.jitter_ms, "jitter %{y:.3g} ms"),
        ("y4", stream.rtt_ms, "round trip %{y:.3g} ms"),
    ):
        loss = axis == "y2"
        traces.append(
            {
                "type": "bar" if loss else "scatter",
                "name": stream.name,
                "legendgroup": stream.name,
                "showlegend": axis == "y",
                "x": x,
                "y": values,
                "yaxis": axis,
                "customdata": [
                    "<br>".join(text for text in pair if text)
                    for pair in zip(stream.verdicts, stream.packets, strict=True)
                ],
                "hovertemplate": f"{words} %{{customdata}}<extra></extra>",
                **({"marker": {"color": colour}} if loss else _line(colour, first)),
            }
        )
    return traces


def _line(colour: str, first: bool) -> Json:
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2, "dash": "solid" if first else "dash"},
        "marker": {"color": colour, "size": 5},
    }


def _rows(lane: Lane, frame: Frame) -> tuple[tuple[str, ...], ...]:
    found = []
    for stream in lane.streams:
        for i, middle in enumerate(stream.middles_ns):
            cells = (
                stream.name,
                significant(stream.r_factor[i]),
                significant(stream.mos[i]),
                percent(stream.loss_ratio[i]),
                significant(stream.jitter_ms[i]),
                significant(stream.rtt_ms[i]),
                stream.verdicts[i],
                stream.packets[i],
            )
            found.append((middle, (clock_time(middle - 5 * 10**9, frame.zone), *cells)))
    return tuple(row for _, row in sorted(found))


def _summary(lane: Lane) -> str:
    loss = percent(lane.lost / lane.expected) if lane.expected else "an unknown share"
    return (
        f"{DIRECTION_WORDS[lane.direction]}: {count(lane.degraded)} of {count(lane.intervals)} intervals with R "
        f"below 70, {loss} of {count(lane.expected)} packets lost, {len(lane.streams)} streams."
    )
