"""A backtest of scaling as one HTML file that needs nothing else: pods over time, and when a policy had too few.

It is opened from disk, mailed and kept, so Plotly's own script is inside it and the colours are those of the light
scheme. What it shows is given as arrays: policies are the scaler's, which this package does not know.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from plotly.offline import get_plotlyjs

from dashboards.figures.chart import Json
from dashboards.numbers import SECOND_NS, axis_time
from dashboards.theme import FONT, TOKENS, Scheme, plotly_template

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_COLOURS = TOKENS[Scheme.LIGHT]
_LINES = ("text-3", "line-2", "line-3", "line-4", "line-1")
"""In the order of the policies; the last is ours."""
_FIRST_SHOWN_S = 7 * 86_400
_STYLE = f"""
body {{ margin: 2rem auto; max-width: 1200px; padding: 0 1rem; font: 15px/1.5 {FONT};
  background: {_COLOURS["page"]}; color: {_COLOURS["text"]}; }}
h1 {{ font-size: 1.4rem; }} p {{ color: {_COLOURS["text-2"]}; }}
#chart, .scroll {{ background: {_COLOURS["surface"]}; border: 1px solid {_COLOURS["border"]}; }}
.scroll {{ overflow-x: auto; margin-top: 1rem; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .75rem; text-align: right; border-bottom: 1px solid {_COLOURS["border"]}; }}
th:first-child {{ text-align: left; }}
"""


@dataclass(frozen=True, slots=True)
class SupplyRun:
    """Pods over slots, arrays [slots]: what was needed and what each policy had ready."""

    starts_s: Ints
    """UTC seconds."""
    slot_s: int
    needed: Ints
    judged: Bools
    """False where nothing was measured, or closed: shown as zero."""
    ready: Mapping[str, Ints]
    """By policy."""


def backtest_page(
    title: str, run: SupplyRun, zone: ZoneInfo, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Return the page: the chart, and the figures of each policy as a table of text."""
    figure = json.dumps(supply_figure(run, zone), allow_nan=False).replace("</", "<\\/")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>
<body><h1>{escape(title)}</h1>
<p>Pods needed (what the oracle has) and pods that each policy had ready; below, when it had fewer than needed.
Times are of {escape(zone.key)}. Drag to zoom, double-click to see all; a click in the legend hides a policy.</p>
<div id="chart" role="img" aria-label="{escape(_summary(run))}"></div>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
<script>const figure = {figure};
Plotly.newPlot("chart", figure.data, figure.layout, {{responsive: true, displaylogo: false}});</script>
</body></html>
"""


def supply_figure(run: SupplyRun, zone: ZoneInfo) -> Json:
    """Return the figure: steps of pods above, spans with too few below."""
    times = [axis_time(int(at) * SECOND_NS, zone) for at in (*run.starts_s, run.starts_s[-1] + run.slot_s)]
    traces: list[Json] = [
        _steps("needed", run.needed, run, times)
        | {"line": {"color": _COLOURS["border-strong"], "width": 0, "shape": "hv"}, "fill": "tozeroy"}
    ]
    policies = list(run.ready)
    for place, name in enumerate(policies):
        colour = _COLOURS[_LINES[place % len(_LINES)]]
        line = {"color": colour, "width": 1.5, "shape": "hv"}
        traces.append(_steps(name, run.ready[name], run, times) | {"line": line, "legendgroup": name})
        traces.append(
            _short_spans(name, run, times) | {"line": {"color": colour, "width": 9}, "legendgroup": name}
        )
    first = max(0, len(times) - 1 - _FIRST_SHOWN_S // run.slot_s)
    layout = {
        "template": plotly_template(Scheme.LIGHT),
        "height": 640,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "xaxis": {"type": "date", "range": [times[first], times[-1]], "anchor": "y2", "automargin": True},
        "yaxis": {"title": {"text": "pods"}, "domain": [0.28, 1], "rangemode": "tozero", "automargin": True},
        "yaxis2": {
            "title": {"text": "too few"}, "domain": [0, 0.22], "type": "category", "automargin": True,
            "categoryorder": "array", "categoryarray": policies[::-1], "range": [-0.5, len(policies) - 0.5],
        },
    }  # fmt: skip
    return {"data": traces, "layout": layout}


def _steps(name: str, pods: Ints, run: SupplyRun, times: Sequence[str]) -> Json:
    """Return a line of steps, by the slots in which it changes; what was not judged is at zero, as closed hours.

    A gap would end each step before it is drawn, and an area would be filled across.
    """
    shown = np.where(run.judged, pods, 0)
    kept = np.flatnonzero(np.r_[True, shown[1:] != shown[:-1]]).tolist()
    x, y = [times[place] for place in kept], shown[kept].tolist()
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": [*x, times[-1]], "y": [*y, y[-1]],
        "hovertemplate": "%{y}",
    }  # fmt: skip


def _short_spans(name: str, run: SupplyRun, times: Sequence[str]) -> Json:
    """Return the spans in which fewer pods were ready than needed, as pieces of a horizontal line."""
    short = run.judged & (run.ready[name] < run.needed)
    edges = np.flatnonzero(np.diff(np.r_[False, short, False].astype(np.int8)))
    x: list[Any] = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        x += [times[begin], times[end], None]
    y = [None if at is None else name for at in x]
    shared = {"type": "scatter", "mode": "lines", "name": name, "showlegend": False, "yaxis": "y2"}
    # A policy that never had too few keeps its row.
    return shared | {"x": x or [times[0]], "y": y or [name], "hoverinfo": "skip"}


def _summary(run: SupplyRun) -> str:
    judged = max(int(run.judged.sum()), 1)
    shares = (
        f"{name} {float((run.judged & (ready < run.needed)).sum()) / judged:.2%}"
        for name, ready in run.ready.items()
    )
    return "Share of time with fewer pods ready than needed: " + ", ".join(shares)
