"""What is known of each series beside its numbers: clock, holidays, events, masks.

Brings together the configuration, what operators recorded in the store and what alerts found; each series gets
what concerns it. An event of some tenants moves the pools that carry them by their share of the load there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from forecast.events import Event, event_of
from forecast.issue import Known
from forecast.masks import Mask, MaskReason, mask_of
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS
from forecast.stored import EVERYONE, Announced, announced
from forecast.targets import Kind, SeriesId
from storage.schema import ActionKind
from storage.seam import Reader, Window

_DAY_NS = 86_400 * SECOND_NS
_SHARE_DAYS = 28
_LEAST_SHARE = 0.01
_LONGEST_INCIDENT_S = 2 * 86_400
"""What lasts longer is how things are now, and must be learned."""
Shares = Mapping[tuple[Kind, str], Mapping[str, float]]
"""By pool or region: the share of each tenant in its arrivals."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything known at one time; `of` gives a series its part."""

    settings: ForecastServiceSettings
    recorded: tuple[Announced, ...] = ()
    incidents: tuple[Mask, ...] = ()
    shares: Shares = field(default_factory=dict)

    def of(self, key: SeriesId) -> Known:
        """Return what concerns a series."""
        return Known(self.settings.country_of(key), self._events(key), self._masks(key))

    def _events(self, key: SeriesId) -> tuple[Event, ...]:
        zone = self.settings.zone_of(key)
        events = [event_of(each, zone) for each in self.settings.events]
        events += [record.event for record in self.recorded if record.kind is ActionKind.EVENT]
        found = (self._concerning(event, key) for event in events)
        return tuple(event for event in found if event is not None)

    def _concerning(self, event: Event, key: SeriesId) -> Event | None:
        if not event.tenants:
            return event
        if key.kind is Kind.TENANT:
            return event if key.name in event.tenants else None
        shares = self.shares.get((key.kind, key.name), {})
        share = sum(shares.get(tenant, 0.0) for tenant in event.tenants)
        if share < _LEAST_SHARE:
            return None
        uplift = None if event.uplift is None else event.uplift * share
        return replace(event, tenants=(), uplift=uplift)

    def _masks(self, key: SeriesId) -> tuple[Mask, ...]:
        zone = self.settings.zone_of(key)
        masks = [mask_of(each, zone) for each in self.settings.masks]
        masks += [record.mask for record in self.recorded if record.kind is ActionKind.MASK]
        masks += [mask for mask in self.incidents if not mask.tenant or mask.tenant == key.name]
        tenant = key.name if key.kind is Kind.TENANT else None
        return tuple(mask for mask in masks if mask.concerns(tenant) or mask in self.incidents)


def gather(reader: Reader, settings: ForecastServiceSettings, now_ns: int, shares: Shares) -> Knowledge:
    """Return what is known now."""
    return Knowledge(settings, tuple(announced(reader, now_ns)), _incidents(reader, settings, now_ns), shares)


def tenant_shares(reader: Reader, now_ns: int) -> Shares:
    """Return how much of each pool's and region's arrivals of four weeks came from each tenant."""
    window = Window(now_ns - _SHARE_DAYS * _DAY_NS, now_ns)
    found: dict[tuple[Kind, str], dict[str, float]] = {}
    for kind in (Kind.POOL, Kind.REGION):
        table = reader.load(window, step_seconds=0, by=(kind.value, "tenant"))
        counts: dict[str, dict[str, float]] = {}
        for row in table.select([kind.value, "tenant", "arrivals"]).to_pylist():
            counts.setdefault(row[kind.value], {})[row["tenant"]] = float(row["arrivals"] or 0)
        for name, tenants in counts.items():
            total = sum(tenants.values())
            if total > 0:
                found[kind, name] = {tenant: count / total for tenant, count in tenants.items()}
    return found


def _incidents(reader: Reader, settings: ForecastServiceSettings, now_ns: int) -> tuple[Mask, ...]:
    """Return masks of the incidents that are over: the end of one that goes on moves, and every fit with it."""
    window = Window(now_ns - round(settings.history * SECOND_NS), now_ns + 1)
    table = reader.latest("alert_event", window, by=("tenant", "incident_id"))
    starts = table["started_at"].cast(pa.int64()).to_pylist()
    ends = table["ended_at"].cast(pa.int64()).to_pylist()
    masks = []
    rows = table.select(["tenant", "scope_kind", "scope"]).to_pylist()
    for row, start_ns, end_ns in zip(rows, starts, ends, strict=True):
        if start_ns is None or end_ns is None or not 0 < end_ns - start_ns <= _LONGEST_INCIDENT_S * SECOND_NS:
            continue
        everyone = row["scope_kind"] == "platform"
        whose = "" if everyone else row["scope"] if row["scope_kind"] in _SERIES_SCOPES else row["tenant"]
        if not everyone and whose in ("", EVERYONE):
            continue
        masks.append(Mask(start_ns // SECOND_NS, -(-end_ns // SECOND_NS), whose, MaskReason.ALERT.value))
    return tuple(sorted(set(masks), key=lambda mask: (mask.start_s, mask.end_s, mask.tenant)))


_SERIES_SCOPES = ("pool", "region", "trunk", "tenant")


def capture_loss(reader: Reader, since_s: int, until_s: int, limit: float) -> float | None:
    """Return the share of what came that capture itself lost between two instants, None where under the limit."""
    window = Window(since_s * SECOND_NS, until_s * SECOND_NS)
    fields = ("frames", "datagrams", "drops_kernel", "drops_queue")
    sums = reader.sums("load_now", window, step_seconds=0, where={"pool": ("capture",)}, fields=fields)
    if not sums.num_rows:
        return None
    frames, datagrams, *drops = (float(np.nansum(_numbers(sums, name))) for name in fields)
    lost, came = sum(drops), max(frames, datagrams) + sum(drops)
    return lost / came if came > 0 and lost > limit * came else None


def _numbers(table: pa.Table, name: str) -> Sequence[float]:
    return [float(value or 0) for value in table[name].to_pylist()]
