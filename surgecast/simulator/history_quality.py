"""The past of media quality: what the report intervals of a tenant's streams looked like, as histograms.

Streams are not simulated one by one. For each kind of call (ends, codec, incidents of the moment) a few hundred
report intervals are drawn from the same paths and rated by the same E-model as live ones; the intervals of a
minute are then a multinomial draw from that sample, so the four histograms of a row each count every interval.
How many calls of each kind are up is counted from the calls themselves: the mix wanders as slowly as live.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from surgecast.simulator.call_kinds import CallKind
from surgecast.simulator.history_columns import Columns, tags
from surgecast.simulator.history_load import TenantDay, TenantDays
from surgecast.simulator.incidents import UNIMPAIRED, Impairment, Incident, IncidentPlan, Place
from surgecast.simulator.network import ClientMix, Network, Path, Proxy, Trunk
from surgecast.simulator.profile import Floats, Ints, generator
from telephony.bands import R_DIVISOR
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS, R_FACTOR, Buckets
from telephony.model import MINUTE_NS, Direction, Observer
from telephony.quality import assess

_SAMPLE = 400
_JITTER_SHAPE = 16
_OLDEST_STEP = 60
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
class Sample:
    """How the intervals of a kind of stream spread over the buckets of each histogram; probabilities."""

    shares: dict[str, Floats]
    loss_ratio: Floats
    """Mean loss of the intervals in each bucket of the loss histogram."""


class QualitySampler:
    """Draws samples of kinds of calls, one for each set of incidents that are on."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._seed = seed
        self.sample = cache(self._sample)

    def _sample(self, kind: CallKind, region: str, incidents: frozenset[Incident]) -> Sample:
        """Return the spread of the intervals of a kind of call, relayed in a region during some incidents."""
        names = (kind.caller.name, kind.callee.name, kind.codec, region)
        rng = generator(self._seed, "quality", *names, len(incidents))
        relays = self._network.relays_of(region)
        ends = (kind.caller, kind.callee)
        values = {name: np.empty(_SAMPLE) for name in HISTOGRAMS}
        for i in range(_SAMPLE):
            places = {(Place.REGION, region), (Place.RELAY, relays[i % len(relays)].name), *map(place_of, ends)}
            added = (each.impairment for each in incidents if (each.place, each.name) in places)
            path = _joined((end.path for end in ends), added)
            loss_ratio = _lost(rng, path) / _PACKETS
            jitter_ms = path.jitter_ms * rng.gamma(_JITTER_SHAPE) / _JITTER_SHAPE
            rating = assess(kind.codec, loss_ratio, jitter_ms=jitter_ms, rtt_ms=2 * path.delay_ms, ptime_ms=20)
            values["r_histogram"][i] = rating.r_factor / R_DIVISOR[rating.scale]
            values["mos_histogram"][i] = rating.mos
            values["jitter_histogram"][i] = jitter_ms
            values["loss_histogram"][i] = loss_ratio
        return Sample(
            {name: _spread(values[name], buckets) for name, buckets in HISTOGRAMS.items()},
            _bucket_means(values["loss_histogram"], LOSS_RATIO),
        )


def place_of(end: ClientMix | Trunk) -> tuple[Place, str]:
    """Return what incidents know the end of a call by."""
    return (Place.TRUNK if isinstance(end, Trunk) else Place.CLIENT), end.name


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
    """Makes the `quality_minute` rows of a tenant's day from the calls that are up."""

    def __init__(self, network: Network, plan: IncidentPlan, seed: int, steps: Sequence[tuple[int, int]]) -> None:
        """Take what is simulated; `steps` are (UTC minute, minutes a row) from then on, latest first."""
        self._network = network
        self._impairing = tuple(i for i in plan.incidents if i.impairment != UNIMPAIRED)
        self._steps = tuple(steps)
        self._sampler = QualitySampler(network, seed)

    def rows(self, rng: np.random.Generator, days: TenantDays, day: TenantDay, first: int, span: slice) -> Columns:
        """Return the rows of a day that begins at a UTC minute, of the minutes in `span`."""
        minutes = np.arange(first + span.start, first + span.stop, dtype=np.int64)
        step = np.full(minutes.size, _OLDEST_STEP)
        for since, length in reversed(self._steps):
            step[minutes >= since] = length
        times, row = np.unique(minutes // step * step, return_inverse=True)
        # Several kinds of call can share a codec at a place: they are one point.
        points: dict[tuple[int, str], list[int]] = {}
        for number, (place, kind) in enumerate(days.kinds):
            points.setdefault((place, kind.codec), []).append(number)
        keys: list[tuple[Proxy, str, str, Direction]] = []
        parts: list[dict[str, Ints]] = []
        for (place, codec), numbers in points.items():
            proxy = days.proxies[days.places[place][0]]
            for direction in (Direction.TO_CALLEE, Direction.TO_CALLER):
                part = _Part(times)
                for number in numbers:
                    kind, up = days.kinds[number][1], day.kinds_up[number, span]
                    reported = 60 / _INTERVAL_S * _REPORTED_RATIO * kind.receiver(direction).rtcp_ratio
                    on, sets = self._incidents(kind, proxy, minutes)
                    intervals = rng.poisson(up * reported)
                    for n, incidents in enumerate(sets):
                        sample = self._sampler.sample(kind, proxy.region, incidents)
                        part.add(rng, np.bincount(row, intervals * (on == n), times.size).astype(np.int64), sample)
                keys.append((proxy, days.places[place][1], codec, direction))
                parts.append(part.columns())
        of = np.repeat(np.arange(len(parts)), [p["time"].size for p in parts])
        columns: Columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        return columns | {
            "tenant": pa.repeat(day.tenant.name, of.size),
            "trunk": tags([trunk for _, trunk, _, _ in keys], of),
            "region": tags([proxy.region for proxy, _, _, _ in keys], of),
            "node": tags([proxy.name for proxy, _, _, _ in keys], of),
            "codec": tags([codec for _, _, codec, _ in keys], of),
            "direction": tags([direction.value for _, _, _, direction in keys], of),
            "observer": pa.repeat(Observer.RTCP_RR.value, of.size),
        }

    def _incidents(self, kind: CallKind, proxy: Proxy, minutes: Ints) -> tuple[Ints, list[frozenset[Incident]]]:
        """Return, for each minute, the index of the set of incidents that are on, and those sets."""
        where = {
            (Place.REGION, proxy.region),
            *((Place.RELAY, relay.name) for relay in self._network.relays_of(proxy.region)),
            place_of(kind.caller),
            place_of(kind.callee),
        }
        concerned = [i for i in self._impairing if (i.place, i.name) in where]
        bits = np.zeros(minutes.size, dtype=np.int64)
        for n, incident in enumerate(concerned):
            bits |= incident.active_minutes(minutes) << n
        found, on = np.unique(bits, return_inverse=True)
        sets = [frozenset(i for n, i in enumerate(concerned) if b >> n & 1) for b in found.tolist()]
        return on.astype(np.int64), sets


class _Part:
    """The numbers of the rows of one place, codec and direction."""

    def __init__(self, times: Ints) -> None:
        self._times = times
        self._seen = np.zeros(times.size, dtype=np.int64)
        self._lost = np.zeros(times.size)
        self._total = {name: np.zeros((times.size, b.count), dtype=np.int64) for name, b in HISTOGRAMS.items()}

    def add(self, rng: np.random.Generator, intervals: Ints, sample: Sample) -> None:
        """Add these numbers of intervals [time] of a kind of call."""
        self._seen += intervals
        for name, histogram in draw(rng, intervals, sample).items():
            self._total[name] += histogram
            if name == "loss_histogram":
                self._lost += histogram @ sample.loss_ratio * _PACKETS

    def columns(self) -> dict[str, Ints]:
        """Return the columns of the times that saw anything."""
        kept = np.flatnonzero(self._seen)
        return {name: histogram[kept] * _INTERVAL_S for name, histogram in self._total.items()} | {
            "time": self._times[kept] * MINUTE_NS,
            "stream_seconds": self._seen[kept] * _INTERVAL_S,
            "degraded_seconds": self._total["r_histogram"][kept, :DEGRADED_BUCKETS].sum(axis=1) * _INTERVAL_S,
            "intervals": self._seen[kept],
            "expected": self._seen[kept] * _PACKETS,
            "lost": np.rint(self._lost[kept]).astype(np.int64),
        }
