"""What the pages work with: the store, the settings, the clock and the snapshot caches.

Callbacks are thin over this, so they can be called without a browser.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from dashboards.pages.body_state import load_body
from dashboards.pages.call_state import CallState, load_call
from dashboards.pages.calls_state import load_calls
from dashboards.pages.capacity_state import load_capacity
from dashboards.pages.incidents_state import load_incident, load_incidents
from dashboards.pages.live_state import LiveState, load_live
from dashboards.pages.rendered import Rendered
from dashboards.pages.scaling_state import load_scaling
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Load, Refresher, SnapshotCache
from forecast.announce import Announcement
from storage.seam import Store

REFRESHERS = "surgecast-refreshers"
"""Where the application keeps its running refreshers (Flask's `extensions`)."""
CAPACITY_SECONDS = 10.0
"""A forecast changes by the slot: reading it as often as what happens now would only cost."""
SCALING_SECONDS = 4.0
"""Decisions are made every few seconds at most."""

SEARCH_SECONDS = 15.0
"""What was found is read, not watched: rows that move every other second cannot be."""

BODY_SECONDS = 60.0
"""Figures of days and weeks do not change by the second."""


V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Services:
    """Made once per application."""

    store: Store
    settings: DashboardSettings
    clock: Callable[[], int]
    live: SnapshotCache[LiveState]
    calls: SnapshotCache[CallState]
    capacity: SnapshotCache[Rendered]
    searches: SnapshotCache[Rendered]
    incidents: SnapshotCache[Rendered]
    incident: SnapshotCache[Rendered]
    bodies: SnapshotCache[Rendered]
    """Of the pages that are one block each: tenants, a tenant, the executive page."""
    scaling: SnapshotCache[Rendered]
    packets: Path | None = None
    """Directory of the packet buffer; None where no packets are kept on this machine."""
    tenant_zone: Callable[[str], ZoneInfo] | None = None
    """The zone in which a tenant's days are counted; None: that of the pages."""

    def zone_of(self, tenant: str) -> ZoneInfo:
        """Return the zone in which a tenant's days are counted."""
        return self.tenant_zone(tenant) if self.tenant_zone else self.settings.time_zone

    @classmethod
    def of(
        cls,
        store: Store,
        settings: DashboardSettings,
        clock: Callable[[], int],
        packets: Path | None = None,
        tenant_zone: Callable[[str], ZoneInfo] | None = None,
        declared: Sequence[Announcement] = (),
    ) -> "Services":
        """Put a store behind caches; nothing is read until somebody looks."""

        def cache(load: Load[V], every_seconds: float = 0.0, idle_seconds: float = 0.0) -> SnapshotCache[V]:
            return SnapshotCache(
                load,
                every_seconds=max(settings.refresh_seconds, every_seconds),
                idle_seconds=max(settings.idle_seconds, idle_seconds),
                capacity=settings.max_snapshots,
            )

        return cls(
            store=store,
            settings=settings,
            clock=clock,
            live=cache(load_live(store, settings)),
            calls=cache(load_call(store, settings)),
            capacity=cache(load_capacity(store, settings, declared), CAPACITY_SECONDS, 2 * CAPACITY_SECONDS),
            searches=cache(load_calls(store, settings), SEARCH_SECONDS, 2 * SEARCH_SECONDS),
            incidents=cache(load_incidents(store, settings)),
            incident=cache(load_incident(store, settings)),
            bodies=cache(load_body(store, settings, tenant_zone), BODY_SECONDS, 2 * BODY_SECONDS),
            scaling=cache(load_scaling(store, settings, declared), SCALING_SECONDS),
            packets=packets,
            tenant_zone=tenant_zone,
        )

    def caches(self) -> dict[str, SnapshotCache[Any]]:
        """Return every cache by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: cache for name, cache in found.items() if isinstance(cache, SnapshotCache)}

    def refreshers(self) -> tuple[Refresher, ...]:
        """Return the background threads that keep the caches fresh, not yet started."""
        return tuple(Refresher(cache, self.clock, name) for name, cache in self.caches().items())
