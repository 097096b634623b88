"""The past of media quality: what the report intervals of a tenant's streams looked like, as histograms.

Streams are not simulated one by one. For each kind of stream (trunk, codec, incidents of the moment) a few hundred
report intervals are drawn from the same paths and rated by the same E-model as live ones; the intervals of a
minute are then a multinomial draw from that sample, so the four histograms of a row each count every interval.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from surgecast.simulator.incidents import Impairment, Incident, Place
from surgecast.simulator.network import ClientMix, Flow, Network, Path, Tenant
from surgecast.simulator.profile import Floats, Ints, generator
from telephony.bands import R_DIVISOR
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS, R_FACTOR, Buckets
from telephony.model import UNKNOWN
from telephony.quality import assess

_SAMPLE = 240
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
            codec = next((c for c in client.codecs if c in accepted), "PCMU")
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
