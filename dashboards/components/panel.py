"""The frame of every panel: what it answers, its unit and n, its state, and its table."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from dashboards.views import PanelState, Status

from .wiring import aria

CHIP_STATES = (PanelState.STALE, PanelState.PARTIAL)
"""States that leave the figure in view and are said beside the title; the others cover it."""

GRAPH_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "displayModeBar": "hover",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "surgecast"},
}
_BLOCK_TITLES = {
    PanelState.LOADING: "Loading",
    PanelState.EMPTY: "Nothing to show",
    PanelState.ERROR: "Cannot read",
    PanelState.NOT_ALLOWED: "Not allowed",
}


def panel(
    name: str,
    title: str,
    question: str,
    body: Sequence[Any],
    *,
    tools: Sequence[Any] = (),
    height: str = "",
) -> html.Section:
    """Return a panel; its note (n, unit), chip and covering state are filled by the page's tick.

    Args:
        name: prefix of the ids `…-note`, `…-chip` and `…-block`.
        title: what it shows, short.
        question: what it answers, a question in plain words.
        body: what is covered while there is nothing to show.
        tools: buttons at the right of the title.
        height: size class of the body (`tall`, `short`), default as high as its content.
    """
    return html.Section(
        [
            html.Header(
                [
                    html.Div(
                        [
                            html.H2(title, id=f"{name}-title"),
                            html.Div([html.Span(id=f"{name}-chip"), *tools], className="panel-tools"),
                        ],
                        className="panel-line",
                    ),
                    html.Div(
                        [
                            html.P(question, className="panel-question"),
                            html.Span(id=f"{name}-note", className="panel-note"),
                        ],
                        className="panel-line",
                    ),
                ],
                className="panel-head",
            ),
            html.Div(
                [
                    html.Div(list(body), className="panel-content"),
                    html.Div(state_block(Status(PanelState.LOADING, "Reading the store …")), id=f"{name}-block"),
                ],
                className=f"panel-body {height}".strip(),
            ),
        ],
        id=f"{name}-panel",
        className=f"panel panel-{name}",
        **aria(labelledby=f"{name}-title"),
    )


def chart_panel(
    name: str,
    title: str,
    question: str,
    *,
    above: Sequence[Any] = (),
    beside: Sequence[Any] = (),
    height: str = "",
) -> html.Section:
    """Return a panel with a chart, its one-sentence summary, and the same data as a table on demand.

    `above` and `beside` go with the chart, and are covered where it is.
    """
    return panel(
        name,
        title,
        question,
        [
            *above,
            html.Div(
                dcc.Graph(
                    id=f"{name}-graph",
                    figure={"data": [], "layout": {"xaxis": {"visible": False}, "yaxis": {"visible": False}}},
                    config=GRAPH_CONFIG,
                    className="graph",
                ),
                id=f"{name}-chart",
                className="chart",
                role="img",
            ),
            html.Div(id=f"{name}-table", className="chart-table", hidden=True, tabIndex=0),
            *beside,
        ],
        tools=[table_button(name, title)],
        height=height,
    )


def table_button(name: str, title: str) -> html.Button:
    """Return the button that turns a chart into its table and back (in the browser)."""
    return html.Button(
        [html.Span(className="icon icon-table"), html.Span("Table", className="tool-text")],
        id=f"{name}-as-table",
        n_clicks=0,
        className="tool",
        title=f"{title}: show the same data as a table",
        **aria(pressed="false"),
    )


def state_chip(status: Status) -> Any:
    """Return what is said beside the title of a panel that shows old or incomplete data."""
    if status.state not in CHIP_STATES:
        return None
    return html.Span(
        [html.Span(className="icon icon-clock"), html.Strong(status.state.value), f" · {status.reason}"],
        className=f"chip chip-{status.state.value}",
        role="status",
    )


def state_block(status: Status) -> Any:
    """Return what covers a panel that has nothing to draw: its state, and why."""
    if status.drawn:
        return None
    kind = status.state.value.replace(" ", "-")
    return html.Div(
        [
            html.Span(className=f"state-icon icon icon-{kind}"),
            html.Div(
                [html.Strong(_BLOCK_TITLES[status.state]), html.P(status.reason)],
                className="state-text",
            ),
        ],
        className=f"state-block state-{kind}",
        role="alert" if status.state is PanelState.ERROR else "status",
    )


def panel_update(status: Status, note: str, summary: str | None = None) -> dict[str, Any]:
    """Return what a tick says about one panel."""
    update: dict[str, Any] = {
        "note": note if status.drawn else "",
        "chip": state_chip(status),
        "block": state_block(status),
    }
    if summary is not None:
        update["summary"] = summary
    return update
