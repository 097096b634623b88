"""Tiles: one figure each, with what it is made of; and the cells of the capture-health strip."""

from typing import Any
from urllib.parse import quote

from dash import html

from dashboards.figures.load import sparkline_path
from dashboards.numbers import UNKNOWN_TEXT, count, milliseconds, percent
from dashboards.views import Kpi, Series
from telephony.kpis import Ratio

from .wiring import aria

_SPARK_WIDTH, _SPARK_HEIGHT = 120, 28


def sparkline(series: Series) -> Any:
    """Return a decorative line of a series; it takes its colour from the style sheet."""
    path = sparkline_path(series, width=_SPARK_WIDTH, height=_SPARK_HEIGHT)
    if not path:
        return None
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -1 {_SPARK_WIDTH} {_SPARK_HEIGHT + 2}" '
        f'preserveAspectRatio="none"><path d="{path}" fill="none" stroke="#000" stroke-width="2" '
        'stroke-linejoin="round" vector-effect="non-scaling-stroke"/></svg>'
    )
    image = f'url("data:image/svg+xml,{quote(svg)}")'
    return html.Div(className="spark", style={"maskImage": image, "WebkitMaskImage": image}, **aria(hidden="true"))


def tile(
    label: str,
    value: str,
    detail: str,
    *,
    hint: str = "",
    unit: str = "",
    spark: Any = None,
    quiet: bool = False,
) -> html.Div:
    """Return a tile; `quiet` marks a value that is not one (unknown, too few)."""
    return html.Div(
        [
            html.Div(label, className="tile-label"),
            html.Div(
                [value, html.Span(f" {unit}", className="tile-unit") if unit and not quiet else None],
                className="tile-value quiet" if quiet else "tile-value",
            ),
            html.Div([html.Span(part) for part in detail.split(" · ")], className="tile-detail"),
            spark,
        ],
        className="tile",
        title=hint,
        tabIndex=0,
        role="group",
        **aria(label=f"{label}: {value}{f' {unit}' if unit else ''}. {detail}. {hint}"),
    )


def ratio_words(ratio: Ratio) -> tuple[str, str, bool]:
    """Return value, parts and whether it is too few, as every ratio is shown.

    >>> ratio_words(Ratio(45, 60)), ratio_words(Ratio(3, 4))
    (('75.0 %', '45 / 60 · CI 62.8–84.2 %', False), ('n = 4', '3 / 4, too few', True))
    """
    parts = f"{count(round(ratio.numerator))} / {count(round(ratio.denominator))}"
    if not ratio.enough:
        return f"n = {count(round(ratio.denominator))}", f"{parts}, too few", True
    low, high = ratio.interval or (0.0, 1.0)
    return percent(ratio.value), f"{parts} · CI {percent(low).removesuffix(' %')}–{percent(high)}", False


def kpi_tile(kpi: Kpi) -> html.Div:
    """Return the tile of a KPI: numerator, denominator and Wilson interval, or why there is none."""
    if kpi.ratio is not None:
        hint = f"{kpi.words}: {kpi.ratio.formula}. CI: Wilson interval at 95 %"
        if not kpi.ratio.denominator:
            return tile(kpi.name, UNKNOWN_TEXT, "n = 0", hint=f"{hint}. {kpi.reason}", quiet=True)
        value, detail, few = ratio_words(kpi.ratio)
        return tile(kpi.name, value, detail, hint=hint, quiet=few)
    if kpi.p50_ms is None:
        return tile(kpi.name, UNKNOWN_TEXT, "n = 0", hint=f"{kpi.words}. {kpi.reason}", quiet=True)
    detail = f"p95 {milliseconds(kpi.p95_ms)} · n = {count(kpi.n)}"
    return tile(kpi.name, milliseconds(kpi.p50_ms), detail, hint=kpi.words, unit="p50")


def strip_cell(label: str, value: str, *, detail: str = "", tone: str = "", hint: str = "") -> html.Div:
    """Return a cell of the capture-health strip; `tone` is ok, warn, bad or nothing, and never stands alone."""
    return html.Div(
        [
            html.Div(label, className="cell-label"),
            html.Div(value, className="cell-value"),
            html.Div(detail, className="cell-detail"),
        ],
        className=f"cell {f'tone-{tone}' if tone else ''}".strip(),
        title=hint,
    )
