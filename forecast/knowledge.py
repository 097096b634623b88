"""What is known of each series beside its numbers: clock, holidays, events, masks.

Brings together the configuration, what operators recorded in the store and what alerts found; each series gets
what concerns it. An event of some tenants moves the pools that carry them by their share of the load there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from forecast.events import Event, event_of
from forecast.issue import Known
from forecast.masks import Mask, MaskReason, mask_of, masks_of_spans
from forecast.regressor_files import Outside
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS
from forecast.stored import EVERYONE, SERVICE, Announced, announced
from forecast.targets import Kind, SeriesId
from storage.schema import ActionKind
from storage.seam import Reader, Window

_DAY_NS = 86_400 * SECOND_NS
_SHARE_DAYS = 28
_LEAST_SHARE = 0.01
_LONGEST_INCIDENT_S = 2 * 86_400
"""What lasts longer is how things are now, and must be learned."""
_LOAD_SIGNALS = ("attempts", "answer_ratio", "network_effectiveness", "call_duration")
"""What the load is not as usual with; an incident of poor media quality changes no count of calls."""
_PLATFORM = "platform", ""
_KINDS = frozenset(kind.value for kind in Kind)
Incidents = Mapping[tuple[str, str], tuple[Mask, ...]]
"""By kind and name of what they befell."""
Shares = Mapping[tuple[Kind, str], Mapping[str, float]]
"""By pool or region: the share of each tenant in its arrivals."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything known at one time; `of` gives a series its part."""

    settings: ForecastServiceSettings
    recorded: tuple[Announced, ...] = ()
    incidents: Incidents = field(default_factory=dict)
    shares: Shares = field(default_factory=dict)
    outside: tuple[Outside, ...] = ()
    _told: dict[SeriesId, Known] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, key: SeriesId) -> Known:
        """Return what concerns a series."""
        if key not in self._told:
            self._told[key] = self._gathered(key)
        return self._told[key]

    def _gathered(self, key: SeriesId) -> Known:
        recorded = [record for record in self.recorded if record.kind is ActionKind.MASK]
        masks = [mask_of(each, self.settings.zone_of(key)) for each in self.settings.masks]
        masks += [record.mask for record in recorded if record.author != SERVICE]
        lost = [record.mask for record in recorded if record.author == SERVICE]
        tenant = key.name if key.kind is Kind.TENANT else None
        outside = [each for each in self.outside if self._share(each.settings.tenants, key) >= _LEAST_SHARE]
        return Known(
            self.settings.country_of(key),
            self._events(key),
            tuple(mask for mask in masks if mask.concerns(tenant)),
            (*(mask for mask in lost if mask.concerns(tenant)), *incidents_of(self.incidents, key)),
            tuple(each.regressor for each in outside if each.regressor is not None),
            tuple((each.settings.name, each.trouble) for each in outside if each.trouble),
        )

    def _events(self, key: SeriesId) -> tuple[Event, ...]:
        zone = self.settings.zone_of(key)
        events = [event_of(each, zone) for each in self.settings.events]
        events += [record.event for record in self.recorded if record.kind is ActionKind.EVENT]
        found = (self._concerning(event, key) for event in events)
        return tuple(event for event in found if event is not None)

    def _concerning(self, event: Event, key: SeriesId) -> Event | None:
        if not event.tenants:
            return event
        share = self._share(event.tenants, key)
        if key.kind is Kind.TENANT:
            return event if share else None
        if share < _LEAST_SHARE:
            return None
        uplift = None if event.uplift is None else event.uplift * share
        return replace(event, tenants=(), uplift=uplift)

    def _share(self, tenants: Sequence[str], key: SeriesId) -> float:
        """Return which share of a series' load is that of some tenants; all of it where none is named."""
        if not tenants:
            return 1.0
        if key.kind is Kind.TENANT:
            return float(key.name in tenants)
        shares = self.shares.get((key.kind, key.name), {})
        return sum(shares.get(tenant, 0.0) for tenant in tenants)


def gather(
    reader: Reader,
    settings: ForecastServiceSettings,
    now_ns: int,
    shares: Shares,
    outside: tuple[Outside, ...] = (),
) -> Knowledge:
    """Return what is known now."""
    window = Window(now_ns - round(settings.history * SECOND_NS), now_ns + 1)
    return Knowledge(settings, tuple(announced(reader, now_ns)), incidents(reader, window), shares, outside)


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


def incidents(reader: Reader, window: Window) -> Incidents:
    """Return masks of the incidents of load that are over, as recorded in a window.

    The end of one that goes on moves, and what is not over may be how things are from now on.
    """
    table = reader.latest("alert_event", window, by=("tenant", "incident_id"))
    times = (table[name].cast(pa.int64()).to_pylist() for name in ("onset_at", "started_at", "ended_at"))
    spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    rows = table.select(["tenant", "scope_kind", "scope", "signal"]).to_pylist()
    for row, onset_ns, started_ns, end_ns in zip(rows, *times, strict=True):
        start_ns = onset_ns or started_ns
        if start_ns is None or end_ns is None or not 0 < end_ns - start_ns <= _LONGEST_INCIDENT_S * SECOND_NS:
            continue
        if row["signal"] not in _LOAD_SIGNALS:
            continue
        if row["scope_kind"] == _PLATFORM[0]:
            whose = _PLATFORM
        elif row["scope_kind"] in _KINDS:
            whose = row["scope_kind"], row["scope"]
        elif row["tenant"] not in ("", EVERYONE):
            whose = Kind.TENANT.value, row["tenant"]
        else:
            continue
        spans[whose].append((start_ns // SECOND_NS, -(-end_ns // SECOND_NS)))
    return {whose: masks_of_spans(found, MaskReason.ALERT) for whose, found in spans.items()}


def incidents_of(found: Incidents, key: SeriesId) -> tuple[Mask, ...]:
    """Return the masks of incidents that concern a series."""
    return (*found.get(_PLATFORM, ()), *found.get((key.kind.value, key.name), ()))


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
