"""What the cache keeps of every page: everything already drawn, once per refresh and not once per viewer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from zlib import crc32

import msgspec

from dashboards.components.panel import panel_update
from dashboards.figures.chart import Chart, Json
from dashboards.views import Status


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page's content as the browser gets it; what a loader needs besides is added by a subclass."""

    panels: dict[str, dict[str, Any]]
    charts: dict[str, Json]
    areas: dict[str, Any]
    own: dict[str, Any]
    """What only this page has, by the names of its own outputs."""
    digests: dict[str, int]
    """Of every chart, area and own part, so that a viewer is sent only those that changed: what did not keeps
    its focus."""

    @classmethod
    def of(
        cls,
        *,
        panels: Mapping[str, dict[str, Any]] | None = None,
        charts: Mapping[str, Json] | None = None,
        areas: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Self:
        """Return content with its digests; `more` are the fields of a subclass."""
        digests = {
            digest_name(kind, name): crc32(msgspec.json.encode(part, enc_hook=_component))
            for kind, parts in (("charts", charts), ("areas", areas), ("own", own))
            for name, part in (parts or {}).items()
        }
        return cls(dict(panels or {}), dict(charts or {}), dict(areas or {}), dict(own or {}), digests, **more)


def digest_name(kind: str, name: str) -> str:
    """Return the key of a part's digest.

    >>> digest_name("charts", "loss")
    'charts.loss'
    """
    return f"{kind}.{name}"


def panels_of(
    notes: Mapping[str, tuple[Status, str]], charts: Mapping[str, Chart], drawn: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the update of every panel from its state and note.

    Args:
        notes: by panel.
        charts: those that there are.
        drawn: panels that hold a chart; one without says why in its summary.
    """
    holds = frozenset(drawn)
    return {
        name: panel_update(
            status, note, (charts[name].summary if name in charts else status.reason) if name in holds else None
        )
        for name, (status, note) in notes.items()
    }


def _component(value: Any) -> Any:
    return value.to_plotly_json()
