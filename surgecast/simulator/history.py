"""Writes weeks of minute rows of the simulated network into a store: the past that forecasts and baselines need.

The rows are those that a collector would have written, under the same tags, and go up to where a live run that
starts then begins (`engine.warm_from_ns`). Media quality is kept by the minute for its last hours and by the hour
before, in rows whose time is the hour's first minute. There is no past of single calls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from storage.schema import MEASUREMENTS, Measurement
from storage.seam import Writer
from surgecast.simulator.arrivals import Arrivals
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import HEARTBEAT_S, REGISTRATIONS_PER_CALL_S
from surgecast.simulator.history_load import TenantDay, TenantDays
from surgecast.simulator.history_quality import DEGRADED_BUCKETS, QualitySampler, StreamKind, draw, stream_kinds
from surgecast.simulator.incidents import UNIMPAIRED, Incident, IncidentPlan, Place, past_incidents
from surgecast.simulator.network import Network, Proxy, Tenant
from surgecast.simulator.profile import DAY_MINUTES, WEEK_MINUTES, Floats, Ints, generator
from surgecast.simulator.signalling import REGISTRATION_OUTCOMES
from telephony.histogram import RRD_MS
from telephony.model import MINUTE_NS, UNASSIGNED, UNKNOWN, Direction, Observer, RegistrationOutcome

_WARM_UP_MINUTES = 120
_FINE_QUALITY_MINUTES = 6 * 60
_INTERVAL_S = 10
_PACKETS = 500
_REPORTED_RATIO = 0.93
"""Share of the streams' time that reports cover."""

Columns = dict[str, "np.ndarray | list[str]"]


@dataclass(slots=True)
class HistorySummary:
    """What was written."""

    since_ns: int
    until_ns: int
    rows: dict[str, int] = field(default_factory=dict)
    """By measurement."""
    incidents: tuple[Incident, ...] = ()
    """What went wrong in it."""


def write_history(
    writer: Writer,
    *,
    weeks: float,
    calls: float,
    seed: int,
    until_ns: int,
    network: Network = DEMO_NETWORK,
    plan: IncidentPlan | None = None,
    progress: Callable[[float], None] | None = None,
) -> HistorySummary:
    """Write the `weeks` before `until_ns` (a live run of these `calls` and `seed` starts about then).

    Args:
        writer: Takes the rows; it is flushed once a day of rows, not closed.
        weeks: How much past.
        calls: Answered calls up on average at `until_ns`; the weekly profiles scale from there.
        seed: As of the live run, so that the days' random levels go on.
        until_ns: End; cut to the minute.
        network: What is simulated.
        plan: What goes wrong; `past_incidents` where not given.
        progress: Told the share that is written, after each day.
    """
    until = until_ns // MINUTE_NS
    since = until - round(weeks * WEEK_MINUTES)
    plan = plan if plan is not None else past_incidents(until_ns)
    arrivals = Arrivals(network, seed=seed, calls=calls, now_ns=until_ns, plan=plan)
    tenants = [TenantDays(network, tenant, arrivals, plan, seed) for tenant in network.tenants]
    quality = _Quality(network, plan, seed, fine_from=until - _FINE_QUALITY_MINUTES)
    summary = HistorySummary(since * MINUTE_NS, until * MINUTE_NS, incidents=plan.incidents)
    for first, minutes in _days(since - _WARM_UP_MINUTES, until):
        rng = generator(seed, "history", first)
        span = slice(max(since - first, 0), minutes)
        for days in tenants:
            day = days.day(first, minutes)
            if span.start >= minutes:
                continue
            for name, columns in (
                ("session_minute", _session_rows(days, day, first, span)),
                ("load_minute", _load_rows(days, day, first, span, network)),
                ("registration_minute", _registration_rows(rng, days, calls, network, first, span)),
                ("quality_minute", quality.rows(rng, days, day, first, span)),
            ):
                _write(writer, summary, name, columns)
        if span.start < minutes:
            _write(writer, summary, "trunk_minute", _trunk_rows(rng, network, plan, first, span))
        writer.flush()
        if progress is not None:
            progress((first + minutes - since) / (until - since))
    return summary


def _days(since: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield (first minute, minutes) of the UTC days from one minute to another."""
    while since < until:
        end = min((since // DAY_MINUTES + 1) * DAY_MINUTES, until)
        yield since, end - since
        since = end


def _write(writer: Writer, summary: HistorySummary, name: str, columns: Columns) -> None:
    batch = record_batch(MEASUREMENTS[name], columns)
    if batch.num_rows:
        writer.write(name, batch)
        summary.rows[name] = summary.rows.get(name, 0) + batch.num_rows


def record_batch(measurement: Measurement, columns: Columns) -> pa.RecordBatch:
    """Return columns as rows of a measurement: tags as lists of text, histograms as 2-D arrays, time in ns."""
    arrays = []
    for entry in measurement.schema:
        column = columns[entry.name]
        if entry.name in measurement.histograms:
            flat = pa.array(np.ascontiguousarray(column, dtype=np.uint32).ravel())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=entry.type))
        elif entry.name == "time":
            arrays.append(pa.array(np.asarray(column, dtype=np.int64)).cast(entry.type))
        elif entry.name in measurement.tags:
            arrays.append(pa.array(column, entry.type))
        else:
            arrays.append(pa.array(np.asarray(column)).cast(entry.type))
    return pa.RecordBatch.from_arrays(arrays, schema=measurement.schema)


def _tags(names: Sequence[str], rows: Ints) -> list[str]:
    """Return the tag of each row from its index into the names."""
    return [names[i] for i in rows.tolist()]


def _session_rows(days: TenantDays, day: TenantDay, first: int, span: slice) -> Columns:
    sessions = {name: array[:, span] for name, array in day.sessions.items()}
    place, minute = np.nonzero(sessions["attempts"] + sessions["holding_ms"])
    at = (place, minute)
    columns: Columns = {name: array[at] for name, array in sessions.items() if name != "holding_ms"}
    return columns | {
        "time": (first + span.start + minute) * MINUTE_NS,
        "tenant": [day.tenant.name] * place.size,
        "trunk": _tags([trunk for _, trunk in days.places], place),
        "region": _tags([days.proxies[p].region for p, _ in days.places], place),
        "node": _tags([days.proxies[p].name for p, _ in days.places], place),
        "minutes": sessions["holding_ms"][at] / 60_000,
    }


def _load_rows(days: TenantDays, day: TenantDay, first: int, span: slice, network: Network) -> Columns:
    mean = day.concurrent_mean[:, span]
    proxy, minute = np.nonzero((day.concurrent_max[:, span] > 0) | (day.arrivals[:, span] > 0))
    at = (proxy, minute)
    pools = [network.relays_of(p.region)[0].pool for p in days.proxies]
    return {
        "time": (first + span.start + minute) * MINUTE_NS,
        "tenant": [day.tenant.name] * proxy.size,
        "pool": _tags(pools, proxy),
        "region": _tags([p.region for p in days.proxies], proxy),
        "node": _tags([p.name for p in days.proxies], proxy),
        "concurrent_mean": mean[at],
        "concurrent_max": day.concurrent_max[:, span][at],
        "arrivals": day.arrivals[:, span][at],
        "cps_max": day.cps_max[:, span][at].astype(np.float64),
        "packets_per_second": mean[at] * 100,
        "erlangs": mean[at],
        "holding_time_histogram": day.holding[:, span][at],
    }


def _registration_rows(
    rng: np.random.Generator, days: TenantDays, calls: float, network: Network, first: int, span: slice
) -> Columns:
    tenant, minutes = days.tenant, span.stop - span.start
    share = tenant.devices / sum(t.devices for t in network.tenants) / len(days.proxies)
    attempts = rng.poisson(calls * REGISTRATIONS_PER_CALL_S * 60 * share, (len(days.proxies), minutes))
    proxy, minute = np.nonzero(attempts)
    attempts = attempts[proxy, minute]
    drawn = rng.multinomial(attempts, [weight for _, weight in REGISTRATION_OUTCOMES])
    counts = {outcome: drawn[:, i] for i, (outcome, _) in enumerate(REGISTRATION_OUTCOMES)}
    mixes = [(network.client(name), weight) for name, weight in tenant.clients]
    delays = np.asarray([client.path.delay_ms for client, _ in mixes])
    weights = np.asarray([weight for _, weight in mixes])
    sample = 2 * rng.choice(delays, 2000, p=weights / weights.sum()) + rng.uniform(8, 12, 2000)
    spread = np.asarray(RRD_MS.of(sample.tolist())) / 2000
    answered = attempts - counts[RegistrationOutcome.TIMEOUT]
    columns: Columns = {outcome.value: column for outcome, column in counts.items()}
    return columns | {
        "time": (first + span.start + minute) * MINUTE_NS,
        "tenant": [tenant.name] * proxy.size,
        "trunk": [UNKNOWN] * proxy.size,
        "region": _tags([p.region for p in days.proxies], proxy),
        "node": _tags([p.name for p in days.proxies], proxy),
        "attempts": attempts,
        "auth_failures": counts[RegistrationOutcome.REJECTED] + counts[RegistrationOutcome.CHALLENGED],
        "rrd_ms_histogram": rng.multinomial(answered, spread),
    }


def _trunk_rows(
    rng: np.random.Generator, network: Network, plan: IncidentPlan, first: int, span: slice
) -> Columns:
    pairs = [(p, t) for p in network.proxies for t in network.trunks if p.region == t.region]
    minutes = np.arange(first + span.start, first + span.stop, dtype=np.int64)
    parts: list[tuple[Ints, Ints, Floats, Floats]] = []
    sent = 60 // HEARTBEAT_S
    for _, trunk in pairs:
        failing = [i for i in plan.incidents if (i.place, i.name) == (Place.TRUNK, trunk.name)]
        fail_ratio, extra_ms = np.zeros(minutes.size), np.zeros(minutes.size)
        for incident in failing:
            active = np.asarray([incident.active(int(m) * MINUTE_NS) for m in minutes])
            fail_ratio = np.maximum(fail_ratio, active * incident.fail_ratio)
            extra_ms += active * incident.impairment.delay_ms
        rtt_ms = 2 * (trunk.path.delay_ms + extra_ms)[:, None] * rng.uniform(1.0, 1.3, (minutes.size, sent))
        answered = rng.random((minutes.size, sent)) >= 0.6 * fail_ratio[:, None]
        rtt_ms = np.where(answered, rtt_ms, 0.0)
        parts.append((minutes, answered.sum(axis=1), rtt_ms.sum(axis=1), rtt_ms.max(axis=1)))
    pair = np.repeat(np.arange(len(pairs)), minutes.size)
    return {
        "time": np.concatenate([p[0] for p in parts]) * MINUTE_NS,
        "tenant": [UNASSIGNED] * pair.size,
        "trunk": _tags([t.name for _, t in pairs], pair),
        "region": _tags([p.region for p, _ in pairs], pair),
        "node": _tags([p.name for p, _ in pairs], pair),
        "options_sent": np.full(pair.size, sent),
        "options_answered": np.concatenate([p[1] for p in parts]),
        "options_rtt_ms_sum": np.concatenate([p[2] for p in parts]),
        "options_rtt_ms_max": np.concatenate([p[3] for p in parts]),
    }


class _Quality:
    """Makes the `quality_minute` rows of a tenant's day from its concurrency."""

    def __init__(self, network: Network, plan: IncidentPlan, seed: int, fine_from: int) -> None:
        self._network = network
        self._impairing = tuple(i for i in plan.incidents if i.impairment != UNIMPAIRED)
        self._fine_from = fine_from
        self._sampler = QualitySampler(network, seed)
        self._kinds: dict[str, list[StreamKind]] = {t.name: stream_kinds(network, t) for t in network.tenants}

    def rows(self, rng: np.random.Generator, days: TenantDays, day: TenantDay, first: int, span: slice) -> Columns:
        minutes = np.arange(first + span.start, first + span.stop, dtype=np.int64)
        row_of = np.where(minutes >= self._fine_from, minutes, minutes // 60 * 60)
        times, row = np.unique(row_of, return_inverse=True)
        parts: list[Columns] = []
        for place, (proxy, trunk) in enumerate(days.places):
            carried = self._carried(day, place, proxy, days, span)
            for kind in self._kinds[day.tenant.name]:
                if kind.trunk == trunk:
                    streams = carried * kind.weight
                    parts += self._of_kind(
                        rng, day.tenant, days.proxies[proxy], kind, streams, minutes, times, row
                    )
        return _stacked(parts)

    @staticmethod
    def _carried(day: TenantDay, place: int, proxy: int, days: TenantDays, span: slice) -> Floats:
        """Return the mean calls of a place in each minute: its share of its proxy's."""
        answered = day.sessions["answered"]
        of_proxy = [i for i, (p, _) in enumerate(days.places) if p == proxy]
        share = answered[place].sum() / max(answered[of_proxy].sum(), 1)
        return np.asarray(day.concurrent_mean[proxy, span] * share, dtype=np.float64)

    def _of_kind(
        self,
        rng: np.random.Generator,
        tenant: Tenant,
        proxy: Proxy,
        kind: StreamKind,
        streams: Floats,
        minutes: Ints,
        times: Ints,
        row: Ints,
    ) -> Iterator[Columns]:
        """Yield the rows of one kind of stream, one part for each direction."""
        concerned = [i for i in self._impairing if self._concerns(i, kind, proxy)]
        active = np.asarray(
            [[i.active(int(m) * MINUTE_NS) for m in minutes] for i in concerned], dtype=bool
        ).reshape(len(concerned), minutes.size)
        sets, member = np.unique(active, axis=1, return_inverse=True)
        for direction in (Direction.TO_CALLEE, Direction.TO_CALLER):
            intervals = rng.poisson(streams * (60 / _INTERVAL_S) * _REPORTED_RATIO)
            total: dict[str, Ints] = {}
            lost = np.zeros(times.size)
            for n in range(sets.shape[1]):
                on = frozenset(i for i, flag in zip(concerned, sets[:, n], strict=True) if flag)
                sample = self._sampler.sample(kind, proxy.region, on)
                here = np.bincount(row, intervals * (member.ravel() == n), times.size).astype(np.int64)
                for name, histogram in draw(rng, here, sample).items():
                    total[name] = total[name] + histogram if name in total else histogram
                    if name == "loss_histogram":
                        lost += histogram @ sample.loss_ratio * _PACKETS
            seen = np.bincount(row, intervals, times.size).astype(np.int64)
            kept = np.flatnonzero(seen)
            columns: Columns = {name: histogram[kept] * _INTERVAL_S for name, histogram in total.items()}
            yield columns | {
                "time": times[kept] * MINUTE_NS,
                "tenant": [tenant.name] * kept.size,
                "trunk": [kind.trunk] * kept.size,
                "region": [proxy.region] * kept.size,
                "node": [proxy.name] * kept.size,
                "codec": [kind.codec] * kept.size,
                "direction": [direction.value] * kept.size,
                "observer": [Observer.RTCP_RR.value] * kept.size,
                "stream_seconds": seen[kept] * float(_INTERVAL_S),
                "degraded_seconds": total["r_histogram"][kept, :DEGRADED_BUCKETS].sum(axis=1) * float(_INTERVAL_S),
                "intervals": seen[kept],
                "expected": seen[kept] * _PACKETS,
                "lost": np.rint(lost[kept]).astype(np.int64),
            }

    def _concerns(self, incident: Incident, kind: StreamKind, proxy: Proxy) -> bool:
        where = {
            Place.REGION: (proxy.region,),
            Place.RELAY: tuple(r.name for r in self._network.relays_of(proxy.region)),
            Place.TRUNK: (kind.trunk,),
            Place.CLIENT: tuple(client.name for client, _ in kind.clients),
        }
        return incident.name in where.get(incident.place, ())


def _stacked(parts: list[Columns]) -> Columns:
    """Return the parts below each other."""
    stacked: Columns = {}
    for name, first in parts[0].items():
        if isinstance(first, list):
            stacked[name] = [tag for part in parts for tag in part[name]]
        else:
            stacked[name] = np.concatenate([part[name] for part in parts])
    return stacked
