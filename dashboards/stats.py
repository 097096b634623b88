"""What the application counts of itself, for an exporter: plain totals, which are read at each scrape."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dash import Dash

from dashboards.snapshots import SnapshotCache

_STATS = "surgecast-stats"
"""Where the application keeps them (Flask's `extensions`)."""


@dataclass(frozen=True, slots=True)
class AppStats:
    """References to what goes on being counted."""

    refused: Counter[int]
    """Requests refused, by HTTP status."""
    sign_ins: Counter[str]
    """Tries to sign in, by what came of them."""
    caches: Mapping[str, SnapshotCache[Any]]
    """By name."""


def keep_stats(app: Dash, stats: AppStats) -> None:
    """Lay them down with the application."""
    app.server.extensions[_STATS] = stats


def stats_of(app: Dash) -> AppStats:
    """Return the counts of an application."""
    stats: AppStats = app.server.extensions[_STATS]
    return stats
