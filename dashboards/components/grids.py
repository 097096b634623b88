"""The grids of calls: sortable, and a click or Enter opens the call (wired in the browser)."""

from typing import Any

import dash_ag_grid as dag


def _shown(field: str) -> dict[str, Any]:
    """Return the formatter that shows a field's text; the number is what is sorted by."""
    return {"valueFormatter": {"function": f"params.data.{field}_text"}}


def _band_classes() -> dict[str, str]:
    return {f"band-cell band-{letter.lower()}": f"params.data.band === '{letter}'" for letter in "ABCDEF"}


_WORST_COLUMNS: list[dict[str, Any]] = [
    {
        "field": "r_min",
        "headerName": "Lowest R",
        "width": 106,
        "pinned": "left",
        "cellClassRules": _band_classes(),
        "headerTooltip": "Lowest R of any interval, on the narrowband scale, with the letter of its band",
        **_shown("r_min"),
    },
    {
        "field": "call_id",
        "headerName": "Call-ID",
        "minWidth": 190,
        "flex": 2,
        "cellClass": "mono",
        "tooltipField": "call_id",
    },
    {"field": "state", "headerName": "State", "width": 118},
    {"field": "tenant", "headerName": "Tenant", "width": 118},
    {
        "field": "place",
        "headerName": "Trunk · region · node",
        "minWidth": 170,
        "flex": 1.5,
        "tooltipField": "place",
    },
    {"field": "codec", "headerName": "Codec", "width": 88},
    {"field": "loss", "headerName": "Loss", "width": 88, "type": "rightAligned", **_shown("loss")},
    {"field": "jitter", "headerName": "Jitter max", "width": 106, "type": "rightAligned", **_shown("jitter")},
    {"field": "rtt", "headerName": "RTT max", "width": 98, "type": "rightAligned", **_shown("rtt")},
    {"field": "mos_min", "headerName": "MOS min", "width": 98, "type": "rightAligned", **_shown("mos_min")},
    {
        "field": "degraded",
        "headerName": "Degraded",
        "width": 106,
        "type": "rightAligned",
        "headerTooltip": "Intervals with R below 70, of all intervals",
        **_shown("degraded"),
    },
    {"field": "duration", "headerName": "Duration", "width": 108, "type": "rightAligned", **_shown("duration")},
    {"field": "seen", "headerName": "Last seen", "width": 104, "type": "rightAligned", **_shown("seen")},
    {"field": "verdicts", "headerName": "Verdicts", "minWidth": 120, "flex": 1, "tooltipField": "verdicts"},
]
_NOW_COLUMNS: list[dict[str, Any]] = [
    {
        "field": "r_last",
        "headerName": "R now",
        "width": 106,
        "pinned": "left",
        "cellClassRules": _band_classes(),
        **_shown("r_last"),
    },
    {
        "field": "call_id",
        "headerName": "Call-ID",
        "minWidth": 190,
        "flex": 2,
        "cellClass": "mono",
        "tooltipField": "call_id",
    },
    {"field": "state", "headerName": "State", "width": 104},
    {"field": "age", "headerName": "Age", "width": 108, "type": "rightAligned", **_shown("age")},
    {"field": "from", "headerName": "From", "width": 120},
    {"field": "to", "headerName": "To", "width": 120},
    {"field": "tenant", "headerName": "Tenant", "width": 118},
    {
        "field": "place",
        "headerName": "Trunk · region · node",
        "minWidth": 170,
        "flex": 1.5,
        "tooltipField": "place",
    },
    {"field": "codec", "headerName": "Codec", "width": 88},
    {"field": "r_min", "headerName": "Lowest R", "width": 104, "type": "rightAligned", **_shown("r_min")},
    {"field": "reports", "headerName": "Reports", "width": 96, "type": "rightAligned"},
    {"field": "why", "headerName": "Why there is no R", "minWidth": 160, "flex": 1, "tooltipField": "why"},
]


_FOUND_COLUMNS: list[dict[str, Any]] = [
    {"field": "ended", "headerName": "Ended", "width": 132, "pinned": "left", **_shown("ended")},
    {
        "field": "call_id",
        "headerName": "Call-ID",
        "minWidth": 150,
        "flex": 2,
        "cellClass": "mono",
        "tooltipField": "call_id",
    },
    {"field": "outcome", "headerName": "Outcome", "width": 116},
    {"field": "code", "headerName": "Code", "width": 72, "type": "rightAligned"},
    {"field": "from", "headerName": "From", "width": 104},
    {"field": "to", "headerName": "To", "width": 104},
    {"field": "destination", "headerName": "Destination", "width": 104},
    {"field": "tenant", "headerName": "Tenant", "width": 110},
    {"field": "trunk", "headerName": "Trunk", "width": 116},
    {"field": "duration", "headerName": "Duration", "width": 104, "type": "rightAligned", **_shown("duration")},
    {"field": "pdd", "headerName": "PDD", "width": 84, "type": "rightAligned", **_shown("pdd")},
    {"field": "mos_min", "headerName": "MOS min", "width": 92, "type": "rightAligned", **_shown("mos_min")},
    {"field": "codec", "headerName": "Codec", "width": 88},
    {"field": "released", "headerName": "Released by", "width": 118},
]


def _grid(grid_id: str, columns: list[dict[str, Any]]) -> dag.AgGrid:
    return dag.AgGrid(
        id=grid_id,
        columnDefs=columns,
        rowData=[],
        getRowId="params.data.row_id",
        columnSize=None,
        className="call-grid",
        style={"height": "100%"},
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "rowHeight": 34,
            "headerHeight": 34,
            "animateRows": False,
            "suppressCellFocus": False,
            "tooltipShowDelay": 300,
            "suppressNoRowsOverlay": True,
        },
    )


def worst_calls_grid() -> dag.AgGrid:
    """Return the grid of the worst calls of the range."""
    return _grid("worst-grid", _WORST_COLUMNS)


def found_grid() -> dag.AgGrid:
    """Return the grid of the calls that a search found."""
    return _grid("found-grid", _FOUND_COLUMNS)


def in_progress_grid() -> dag.AgGrid:
    """Return the grid of the calls in progress."""
    return _grid("in-progress-grid", _NOW_COLUMNS)
