"""Media quality over time: the band heat map with R's p5 and p50, and percentiles of loss and jitter."""

from math import isfinite

from dashboards.numbers import clock_time, percent, significant
from dashboards.views import Impairment, QualityBands
from telephony.bands import Band
from telephony.model import Direction

from .chart import Chart, Frame, Json

BANDS = tuple(Band)
_R_TOP = 100.0
_R_BOTTOM = 40.0
"""Band F is drawn from here: what lies below 50 is 'not recommended' all the same."""
_MIN_ALPHA = 0.10
_BANDS_TAIL = ("R p50", "R p5", "Stream-minutes")

DIRECTION_WORDS = {
    Direction.TO_CALLEE: "caller → callee",
    Direction.TO_CALLER: "callee → caller",
    Direction.UNKNOWN: "direction unknown",
}
_SHORT = {
    Direction.TO_CALLEE: "to callee",
    Direction.TO_CALLER: "to caller",
    Direction.UNKNOWN: "unknown",
}
_DIRECTION_COLOUR = {Direction.TO_CALLEE: "@line-1", Direction.TO_CALLER: "@line-2", Direction.UNKNOWN: "@line-3"}


def band_edges(band: Band) -> tuple[float, float]:
    """Return the part of the R axis on which a band is drawn."""
    i = BANDS.index(band)
    top = BANDS[i - 1].r_min if i else _R_TOP
    return max(band.r_min, _R_BOTTOM), top


def _least_r(band: Band) -> str:
    return f"≥ {band.r_min:.0f}" if isfinite(band.r_min) else "< 50"


def bands_chart(view: QualityBands, frame: Frame) -> Chart:
    """Draw one row of cells per band at its place on the R axis; the stronger the cell, the larger its share."""
    x = frame.x((*view.starts_ns, view.starts_ns[-1] + view.step_seconds * 10**9))
    middle = frame.x([at + view.step_seconds * 500_000_000 for at in view.starts_ns])
    traces: list[Json] = []
    for band, share in zip(BANDS, view.shares):
        token = f"@band-{band.letter.lower()}"
        low, high = band_edges(band)
        traces.append(
            {
                "type": "heatmap",
                "name": f"{band.letter} · {band.text}",
                "x": x,
                "y": [low, high],
                # A share of nothing is left out, so that the faintest cell still means somebody.
                "z": [[s if s else None for s in share]],
                "customdata": [[[s, n / 60] for s, n in zip(share, view.seconds)]],
                "zmin": 0,
                "zmax": 1,
                "colorscale": [[0, f"{token}/{_MIN_ALPHA + 0.06}"], [0.15, f"{token}/0.45"], [1, f"{token}/1"]],
                "showscale": False,
                "xgap": 1.5,
                "ygap": 2,
                "hovertemplate": f"<b>{band.letter}</b> {band.text}: %{{z:.1%}} of "
                "%{customdata[1]:,.0f} stream-minutes<extra></extra>",
            }
        )
    for name, series, dash in (("R p50", view.r_p50, "solid"), ("R p5", view.r_p5, "dot")):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": middle,
                "y": [None if r is None else min(max(r, _R_BOTTOM), _R_TOP) for r in series],
                "customdata": series,
                "line": {"color": "@text", "width": 2, "dash": dash, "shape": "spline", "smoothing": 0.6},
                "hovertemplate": f"{name}: %{{customdata:.1f}}<extra></extra>",
            }
        )
    edges = [band_edges(band) for band in BANDS]
    layout = frame.layout(
        hovermode="closest",
        xaxis=frame.time_axis(view.starts_ns, view.step_seconds),
        yaxis={
            "range": [_R_BOTTOM, _R_TOP],
            "tickvals": [(low + high) / 2 for low, high in edges],
            "ticktext": [f"<b>{band.letter}</b>  {_least_r(band)}" for band in BANDS],
            "title": {"text": "band of R"},
            "showgrid": False,
        },
    )
    rated = sum(view.band_totals)
    good = sum(view.band_totals[:3]) / rated
    columns = (
        f"Start ({frame.zone.key})",
        *(f"{b.letter} ({b.text})" for b in BANDS),
        "R p50",
        "R p5",
        "Stream-minutes",
    )
    rows = tuple(
        (
            clock_time(at, frame.zone),
            *(percent(share[i]) for share in view.shares),
            significant(view.r_p50[i]),
            significant(view.r_p5[i]),
            significant(view.seconds[i] / 60),
        )
        for i, at in enumerate(view.starts_ns)
    )
    return Chart(
        {"data": traces, "layout": layout},
        columns,
        rows,
        f"{percent(good)} of {significant(rated / 60)} rated stream-minutes are in bands A to C (R of 70 or "
        f"more), {percent(view.band_totals[-1] / rated)} in band F (below 50).",
    )


def loss_chart(view: Impairment, frame: Frame) -> Chart:
    """Draw percentiles of the loss of intervals, in per cent."""
    return _impairment_chart(view, frame, name="Loss", unit="%", scale=100.0)


def jitter_chart(view: Impairment, frame: Frame) -> Chart:
    """Draw percentiles of interarrival jitter, in ms."""
    return _impairment_chart(view, frame, name="Jitter", unit="ms", scale=1.0)


def _impairment_chart(view: Impairment, frame: Frame, *, name: str, unit: str, scale: float) -> Chart:
    x = frame.x([at + view.step_seconds * 500_000_000 for at in view.starts_ns])
    traces: list[Json] = []
    columns: list[str] = [f"Start ({frame.zone.key})"]
    table: list[list[str]] = [[clock_time(at, frame.zone)] for at in view.starts_ns]
    said = []
    by_direction, overall = view.by_direction or {}, view.overall or {}
    for direction, quantiles in by_direction.items():
        words, colour = DIRECTION_WORDS[direction], _DIRECTION_COLOUR[direction]
        for label, series, style in (
            ("p99", quantiles.p99, {"width": 1.25, "dash": "dot"}),
            ("p95", quantiles.p95, {"width": 2}),
            ("p50", quantiles.p50, {"width": 1.5, "dash": "dash"}),
        ):
            values = [None if v is None else v * scale for v in series]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if sum(v is not None for v in values) < 3 else "lines",
                    "name": f"{label} {_SHORT[direction]}",
                    "x": x,
                    "y": values,
                    "line": {"color": colour, **style},
                    "hovertemplate": f"%{{y:.3g}} {unit}",
                }
            )
            columns.append(f"{label} {words} ({unit})")
            for row, value in zip(table, values):
                row.append(significant(value))
        p50, p95, p99 = (None if v is None else v * scale for v in overall[direction])
        said.append(f"{words} p50 {significant(p50)}, p95 {significant(p95)}, p99 {significant(p99)} {unit}")
    layout = frame.layout(
        xaxis=frame.time_axis(view.starts_ns, view.step_seconds),
        yaxis={"rangemode": "tozero", "title": {"text": unit}, "nticks": 6},
    )
    return Chart(
        {"data": traces, "layout": layout},
        tuple(columns),
        tuple(tuple(row) for row in table),
        f"{name} of {view.intervals:,} stream intervals: {'; '.join(said)}.",
    )
