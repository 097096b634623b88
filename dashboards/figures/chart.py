"""What a chart is made of: a Plotly figure as a plain dictionary, the same data as a table, and one sentence.

Never `go.Figure`: its validation costs seven times the tick. Colours are `@token` names that the browser
replaces by the values of the scheme in force.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from dashboards.numbers import axis_time, day, zone_name

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, its data as a table of text, and what it says in one sentence (for screen readers)."""

    figure: Json
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summary: str

    def to_json(self) -> Json:
        """Return what the browser gets."""
        return {
            "figure": self.figure,
            "table": {"columns": self.columns, "rows": self.rows},
            "summary": self.summary,
        }


@dataclass(frozen=True, slots=True)
class Frame:
    """What all charts of a page share: the zone, and the view they belong to (zoom survives within a view)."""

    zone: ZoneInfo
    revision: str

    def x(self, starts_ns: Sequence[int]) -> list[str]:
        """Return times for a Plotly axis."""
        return [axis_time(at, self.zone) for at in starts_ns]

    def time_axis(self, starts_ns: Sequence[int], step_seconds: float = 0, **extra: Any) -> Json:
        """Return the time axis over the whole range, whether or not there is data at its ends."""
        axis: Json = {"type": "date", "hoverformat": "%H:%M:%S", "tickformat": "%H:%M", "nticks": 7, **extra}
        if starts_ns:
            end_ns = starts_ns[-1] + round(step_seconds * 1e9)
            axis["range"] = [axis_time(starts_ns[0], self.zone), axis_time(end_ns, self.zone)]
            axis["title"] = {"text": f"{day(end_ns, self.zone)} · {zone_name(end_ns, self.zone)}", "standoff": 4}
        return axis

    def layout(self, **extra: Any) -> Json:
        """Return a layout with the defaults of all charts."""
        return {
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "hovermode": "x unified",
            "uirevision": self.revision,
            "showlegend": True,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "itemwidth": 30,
                "tracegroupgap": 0,
            },
            "dragmode": "zoom",
            **extra,
        }
