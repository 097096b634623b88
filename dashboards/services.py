"""What the pages work with: the store, the settings, the clock and the snapshot caches.

Callbacks are thin over this, so they can be called without a browser.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from dashboards.pages.body_state import Body, load_body
from dashboards.pages.call_state import CallState, load_call
from dashboards.pages.calls_state import CallsState, load_calls
from dashboards.pages.capacity_state import CapacityState, load_capacity
from dashboards.pages.incidents_state import IncidentState, ListState, load_incident, load_incidents
from dashboards.pages.live_state import LiveState, load_live
from dashboards.pages.scaling_state import ScalingState, load_scaling
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Refresher, SnapshotCache
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


@dataclass(frozen=True, slots=True)
class Services:
    """Made once per application."""

    store: Store
    settings: DashboardSettings
    clock: Callable[[], int]
    live: SnapshotCache[LiveState]
    calls: SnapshotCache[CallState]
    capacity: SnapshotCache[CapacityState]
    searches: SnapshotCache[CallsState]
    incidents: SnapshotCache[ListState]
    incident: SnapshotCache[IncidentState]
    bodies: SnapshotCache[Body]
    """Of the pages that are one block each: tenants, a tenant, the executive page."""
    scaling: SnapshotCache[ScalingState]
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
        live = SnapshotCache(
            load_live(store, settings),
            every_seconds=settings.refresh_seconds,
            idle_seconds=settings.idle_seconds,
            capacity=settings.max_snapshots,
        )
        calls = SnapshotCache(
            load_call(store, settings),
            every_seconds=settings.refresh_seconds,
            idle_seconds=settings.idle_seconds,
            capacity=settings.max_snapshots,
        )
        capacity = SnapshotCache(
            load_capacity(store, settings, declared),
            every_seconds=max(settings.refresh_seconds, CAPACITY_SECONDS),
            idle_seconds=max(settings.idle_seconds, 2 * CAPACITY_SECONDS),
            capacity=settings.max_snapshots,
        )
        searches = SnapshotCache(
            load_calls(store, settings),
            every_seconds=max(settings.refresh_seconds, SEARCH_SECONDS),
            idle_seconds=max(settings.idle_seconds, 2 * SEARCH_SECONDS),
            capacity=settings.max_snapshots,
        )
        incidents = SnapshotCache(
            load_incidents(store, settings),
            every_seconds=settings.refresh_seconds,
            idle_seconds=settings.idle_seconds,
            capacity=settings.max_snapshots,
        )
        incident = SnapshotCache(
            load_incident(store, settings),
            every_seconds=settings.refresh_seconds,
            idle_seconds=settings.idle_seconds,
            capacity=settings.max_snapshots,
        )
        bodies = SnapshotCache(
            load_body(store, settings, tenant_zone),
            every_seconds=max(settings.refresh_seconds, BODY_SECONDS),
            idle_seconds=max(settings.idle_seconds, 2 * BODY_SECONDS),
            capacity=settings.max_snapshots,
        )
        scaling = SnapshotCache(
            load_scaling(store, settings, declared),
            every_seconds=max(settings.refresh_seconds, SCALING_SECONDS),
            idle_seconds=settings.idle_seconds,
            capacity=settings.max_snapshots,
        )
        return cls(
            store,
            settings,
            clock,
            live,
            calls,
            capacity,
            searches,
            incidents,
            incident,
            bodies,
            scaling,
            packets,
            tenant_zone,
        )

    def refreshers(self) -> tuple[Refresher, ...]:
        """Return the background threads that keep the caches fresh, not yet started."""
        return (
            Refresher(self.live, self.clock, "live"),
            Refresher(self.calls, self.clock, "calls"),
            Refresher(self.capacity, self.clock, "capacity"),
            Refresher(self.searches, self.clock, "searches"),
            Refresher(self.incidents, self.clock, "incidents"),
            Refresher(self.incident, self.clock, "incident"),
            Refresher(self.bodies, self.clock, "bodies"),
            Refresher(self.scaling, self.clock, "scaling"),
        )
