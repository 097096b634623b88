"""The past of media quality: what the report intervals of a tenant's streams looked like, as histograms.

Streams are not simulated one by one. For each kind of stream (trunk, codec, incidents of the moment) a few hundred
report intervals are drawn from the same paths and rated by the same E-model as live ones; the intervals of a
minute are then a multinomial draw from that sample, so the four histograms of a row each count every interval.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from surgecast.simulator.history_columns import Columns, tags
from surgecast.simulator.history_load import TenantDay, TenantDays
from surgecast.simulator.incidents import UNIMPAIRED, Impairment, Incident, IncidentPlan, Place
from surgecast.simulator.network import ClientMix, Flow, Network, Path, Proxy, Tenant
from surgecast.simulator.profile import Floats, Ints, generator
from telephony.bands import R_DIVISOR
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS, R_FACTOR, Buckets
from telephony.model import MINUTE_NS, UNKNOWN, Direction, Observer
from telephony.quality import assess

_SAMPLE = 240
_INTERVAL_S = 10
_REPORTED_RATIO = 0.93
"""Share of the streams' time that reports cover."""
_PACKETS = 500  # of an interval of 10 s at 20 ms a packet
DEGRADED_BUCKETS = R_FACTOR.index(70.0)
"""Buckets of the R histogram that hold ratings below 70."""

HISTOGRAMS: dict[str, Buckets] = {
    "r_histogram": R_FACTOR,
    "mos_histogram": MOS,
    "jitter_histogram": JITTER_MS,
    "loss_histogram": LOSS_RATIO,
}


@dataclass(frozen=True, slots=True)
class StreamKind:
    """The streams of a tenant over one trunk in one codec."""

    trunk: str
    codec: str
    weight: float
    """Share of the tenant's streams over this trunk."""
    clients: tuple[tuple[ClientMix, float], ...]
    """Kinds of telephone that talk so."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How the intervals of a kind of stream spread over the buckets of each histogram; probabilities."""

    shares: dict[str, Floats]
    loss_ratio: Floats
    """Mean loss of the intervals in each bucket of the loss histogram."""


def stream_kinds(network: Network, tenant: Tenant) -> list[StreamKind]:
    """Return the kinds of stream of a tenant with the codec that each pair of ends agrees on."""
    clients = [(network.client(name), weight) for name, weight in tenant.clients]
    total = sum(weight for _, weight in clients)
    trunks = [name for name, _ in tenant.trunks]
    if any(flow is Flow.INTERNAL for flow, _ in tenant.flows):
        trunks.append(UNKNOWN)
    kinds = []
    for trunk in trunks:
        by_codec: dict[str, list[tuple[ClientMix, float]]] = {}
        for client, weight in clients:
            accepted = client.codecs if trunk == UNKNOWN else network.trunk(trunk).codecs
            codec = next(c for c in client.codecs if c in accepted)
            by_codec.setdefault(codec, []).append((client, weight / total))
        for codec, found in by_codec.items():
            weight = sum(w for _, w in found)
            kinds.append(StreamKind(trunk, codec, weight, tuple((c, w / weight) for c, w in found)))
    return kinds


class QualitySampler:
    """Draws samples of kinds of streams, one for each set of incidents that are on."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._seed = seed
        self.sample = cache(self._sample)

    def _sample(self, kind: StreamKind, region: str, incidents: frozenset[Incident]) -> Sample:
        """Return the spread of the intervals of a kind of stream, relayed in a region during some incidents."""
        rng = generator(self._seed, "quality", kind.trunk, kind.codec, region, len(incidents))
        far = None if kind.trunk == UNKNOWN else self._network.trunk(kind.trunk).path
        relays = self._network.relays_of(region)
        values = {name: np.empty(_SAMPLE) for name in HISTOGRAMS}
        weights = [weight for _, weight in kind.clients]
        chosen = rng.choice(len(weights), _SAMPLE, p=weights)
        for i, index in enumerate(chosen):
            client = kind.clients[index][0]
            relay = relays[rng.integers(len(relays))].name
            places = {
                (Place.REGION, region),
                (Place.RELAY, relay),
                (Place.TRUNK, kind.trunk),
                (Place.CLIENT, client.name),
            }
            path = _joined(
                (client.path, far or client.path), (i.impairment for i in incidents if (i.place, i.name) in places)
            )
            loss_ratio = _lost(rng, path) / _PACKETS
            jitter_ms = path.jitter_ms * rng.gamma(16) / 16
            rating = assess(kind.codec, loss_ratio, jitter_ms=jitter_ms, rtt_ms=2 * path.delay_ms, ptime_ms=20)
            values["r_histogram"][i] = rating.r_factor / R_DIVISOR[rating.scale]
            values["mos_histogram"][i] = rating.mos
            values["jitter_histogram"][i] = jitter_ms
            values["loss_histogram"][i] = loss_ratio
        return Sample(
            {name: _spread(values[name], buckets) for name, buckets in HISTOGRAMS.items()},
            _bucket_means(values["loss_histogram"], LOSS_RATIO),
        )


def draw(rng: np.random.Generator, intervals: Ints, sample: Sample) -> dict[str, Ints]:
    """Return the histograms (intervals in each bucket) of rows with these numbers of intervals."""
    return {name: rng.multinomial(intervals, share) for name, share in sample.shares.items()}


def _joined(paths: Iterable[Path], added: Iterable[Impairment]) -> Impairment:
    total = Impairment()
    for path in paths:
        total = total.plus(Impairment(path.loss_ratio, path.burst_packets, path.jitter_ms, path.delay_ms))
    for impairment in added:
        total = total.plus(impairment)
    return total


def _lost(rng: np.random.Generator, path: Impairment) -> int:
    """Return the packets lost in an interval: Poisson many bursts of geometric lengths."""
    bursts = int(rng.poisson(_PACKETS * path.loss_ratio / path.burst_packets))
    return min(int(rng.geometric(1 / path.burst_packets, bursts).sum()), _PACKETS) if bursts else 0


def _spread(values: Floats, buckets: Buckets) -> Floats:
    counts = np.asarray(buckets.of(values.tolist()), dtype=np.float64)
    shares: Floats = counts / counts.sum()
    return shares


def _bucket_means(values: Floats, buckets: Buckets) -> Floats:
    index = np.asarray([buckets.index(v) for v in values.tolist()])
    sums = np.bincount(index, values, minlength=buckets.count)
    return np.asarray(sums / np.maximum(np.bincount(index, minlength=buckets.count), 1), dtype=np.float64)


class QualityHistory:
    """Makes the `quality_minute` rows of a tenant's day from its concurrency."""

    def __init__(self, network: Network, plan: IncidentPlan, seed: int, fine_from: int) -> None:
        self._network = network
        self._impairing = tuple(i for i in plan.incidents if i.impairment != UNIMPAIRED)
        self._fine_from = fine_from
        self._sampler = QualitySampler(network, seed)
        self._kinds: dict[str, list[StreamKind]] = {t.name: stream_kinds(network, t) for t in network.tenants}

    def rows(self, rng: np.random.Generator, days: TenantDays, day: TenantDay, first: int, span: slice) -> Columns:
        """Return the rows of a day that begins at a UTC minute, of the minutes in `span`."""
        minutes = np.arange(first + span.start, first + span.stop, dtype=np.int64)
        times, row = np.unique(
            np.where(minutes >= self._fine_from, minutes, minutes // 60 * 60), return_inverse=True
        )
        kinds: list[tuple[Proxy, StreamKind, Direction]] = []
        parts: list[dict[str, Ints]] = []
        for place, (proxy_index, trunk) in enumerate(days.places):
            proxy = days.proxies[proxy_index]
            carried = _carried(day, place, days, span)
            for kind in self._kinds[day.tenant.name]:
                if kind.trunk == trunk:
                    on, sets = self._incidents(kind, proxy, minutes)
                    for direction in (Direction.TO_CALLEE, Direction.TO_CALLER):
                        kinds.append((proxy, kind, direction))
                        mean = carried * (kind.weight * 60 / _INTERVAL_S * _REPORTED_RATIO)
                        parts.append(self._part(rng, kind, proxy, rng.poisson(mean), times, row, on, sets))
        part = np.repeat(np.arange(len(parts)), [p["time"].size for p in parts])
        columns: Columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        return columns | {
            "tenant": pa.repeat(day.tenant.name, part.size),
            "trunk": tags([kind.trunk for _, kind, _ in kinds], part),
            "region": tags([proxy.region for proxy, _, _ in kinds], part),
            "node": tags([proxy.name for proxy, _, _ in kinds], part),
            "codec": tags([kind.codec for _, kind, _ in kinds], part),
            "direction": tags([direction.value for _, _, direction in kinds], part),
            "observer": pa.repeat(Observer.RTCP_RR.value, part.size),
        }

    def _incidents(self, kind: StreamKind, proxy: Proxy, minutes: Ints) -> tuple[Ints, list[frozenset[Incident]]]:
        """Return, for each minute, the index of the set of incidents that are on, and those sets."""
        where = {
            Place.REGION: (proxy.region,),
            Place.RELAY: tuple(r.name for r in self._network.relays_of(proxy.region)),
            Place.TRUNK: (kind.trunk,),
            Place.CLIENT: tuple(client.name for client, _ in kind.clients),
        }
        concerned = [i for i in self._impairing if i.name in where.get(i.place, ())]
        bits = np.zeros(minutes.size, dtype=np.int64)
        for n, incident in enumerate(concerned):
            bits |= incident.active_minutes(minutes) << n
        found, on = np.unique(bits, return_inverse=True)
        sets = [frozenset(i for n, i in enumerate(concerned) if b >> n & 1) for b in found.tolist()]
        return on.astype(np.int64), sets

    def _part(
        self,
        rng: np.random.Generator,
        kind: StreamKind,
        proxy: Proxy,
        intervals: Ints,
        times: Ints,
        row: Ints,
        on: Ints,
        sets: list[frozenset[Incident]],
    ) -> dict[str, Ints]:
        """Return the numbers of the rows of one kind of stream in one direction."""
        seen = np.bincount(row, intervals, times.size).astype(np.int64)
        kept = np.flatnonzero(seen)
        lost = np.zeros(times.size)
        total = {name: np.zeros((times.size, b.count), dtype=np.int64) for name, b in HISTOGRAMS.items()}
        for n, incidents in enumerate(sets):
            sample = self._sampler.sample(kind, proxy.region, incidents)
            here = np.bincount(row, intervals * (on == n), times.size).astype(np.int64)
            for name, histogram in draw(rng, here, sample).items():
                total[name] += histogram
                if name == "loss_histogram":
                    lost += histogram @ sample.loss_ratio * _PACKETS
        return {name: histogram[kept] * _INTERVAL_S for name, histogram in total.items()} | {
            "time": times[kept] * MINUTE_NS,
            "stream_seconds": seen[kept] * _INTERVAL_S,
            "degraded_seconds": total["r_histogram"][kept, :DEGRADED_BUCKETS].sum(axis=1) * _INTERVAL_S,
            "intervals": seen[kept],
            "expected": seen[kept] * _PACKETS,
            "lost": np.rint(lost[kept]).astype(np.int64),
        }


def _carried(day: TenantDay, place: int, days: TenantDays, span: slice) -> Floats:
    """Return the mean calls of a place in each minute: its share of its proxy's."""
    answered = day.sessions["answered"].sum(axis=1)
    proxy = days.places[place][0]
    of_proxy = [i for i, (p, _) in enumerate(days.places) if p == proxy]
    share = answered[place] / max(answered[of_proxy].sum(), 1)
    return np.asarray(day.concurrent_mean[proxy, span] * share, dtype=np.float64)
