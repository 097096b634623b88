"""The line above a page that says when its data as a whole is old, and why as far as is known."""

from typing import Any

from dash import html

from dashboards.numbers import SECOND_NS, duration
from dashboards.snapshots import Snapshot

_STALE_FACTOR = 4


def banner(snapshot: Snapshot[Any], now_ns: int, every_seconds: float) -> Any:
    """Return the banner of a page whose snapshots are read again every so often; None while all is well."""
    age_s = (now_ns - snapshot.refreshed_ns) / SECOND_NS if snapshot.refreshed_ns else 0.0
    if snapshot.error:
        shown = f" Shown is what was read {duration(round(age_s))} ago." if snapshot.refreshed_ns else ""
        return html.Div(f"The store cannot be read: {snapshot.error}.{shown}", className="banner banner-bad")
    if age_s > _STALE_FACTOR * every_seconds + 2:
        return html.Div(f"Reading the store takes long: this is {duration(round(age_s))} old.", className="banner")
    return None
