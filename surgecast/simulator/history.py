"""Writes weeks of minute rows of the simulated network into a store: the past that forecasts and baselines need.

The rows are those that a collector would have written, under the same tags, and go up to where a live run that
starts then begins. Load is kept by the minute throughout; sessions, registrations and
heartbeats by the minute for as long as alerts learn from them, media quality so for the last hours and by quarters
of an hour for the rest of that time; before that all by the hour. A row of more than a minute has the time of its
first one (its fields are sums). There is no past of single calls.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from storage.seam import Writer
from surgecast.simulator.arrivals import Arrivals
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import HEARTBEAT_S, REGISTRATIONS_PER_CALL_S
from surgecast.simulator.history_columns import Batches, Columns, tags
from surgecast.simulator.history_load import TenantDay, TenantDays
from surgecast.simulator.history_quality import QualityHistory
from surgecast.simulator.incidents import Incident, IncidentPlan, Place, past_incidents
from surgecast.simulator.network import Network
from surgecast.simulator.profile import DAY_MINUTES, WEEK_MINUTES, Floats, Ints, generator
from surgecast.simulator.signalling import REGISTRATION_OUTCOMES
from telephony.histogram import RRD_MS
from telephony.model import MINUTE_NS, UNASSIGNED, UNKNOWN, RegistrationOutcome

_WARM_UP_MINUTES = 120
LEARNED_MINUTES = 16 * DAY_MINUTES
"""As much of the past as alerts on slots of a minute may learn from: its sessions are kept by the minute."""
_FINE_QUALITY_MINUTES = 6 * 60
_QUALITY_STEP_MINUTES = 15


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
    until_ns: int | Callable[[], int],
    network: Network = DEMO_NETWORK,
    plan: IncidentPlan | None = None,
    progress: Callable[[float], None] | None = None,
) -> HistorySummary:
    """Write the `weeks` before `until_ns` (a live run of these `calls` and `seed` starts about then).

    Args:
        writer: Takes the rows; it is flushed, not closed.
        weeks: How much past.
        calls: Answered calls up on average at `until_ns`; the weekly profiles scale from there.
        seed: As of the live run, so that the days' random levels go on.
        until_ns: End; cut to the minute. Of weeks that take their time to write it may be a function, which is
            asked again until what was written reaches it.
        network: What is simulated.
        plan: What goes wrong; `past_incidents` where not given.
        progress: Told the share that is written, after each day.
    """
    end_ns = until_ns if callable(until_ns) else lambda: until_ns
    now_ns = end_ns()
    until = now_ns // MINUTE_NS
    since = (until - round(weeks * WEEK_MINUTES)) // 60 * 60
    plan = plan if plan is not None else past_incidents(now_ns)
    arrivals = Arrivals(network, seed=seed, calls=calls, now_ns=now_ns, plan=plan)
    tenants = [TenantDays(network, tenant, arrivals, plan, seed) for tenant in network.tenants]
    learned_from = (until - LEARNED_MINUTES) // DAY_MINUTES * DAY_MINUTES
    steps = ((until - _FINE_QUALITY_MINUTES, 1), (learned_from, _QUALITY_STEP_MINUTES))
    quality = QualityHistory(network, plan, seed, steps)
    summary = HistorySummary(since * MINUTE_NS, until * MINUTE_NS, incidents=plan.incidents)
    batches = Batches(writer, summary.rows)
    for first, minutes in _days(since - _WARM_UP_MINUTES, lambda: end_ns() // MINUTE_NS):
        rng = generator(seed, "history", first)
        span = slice(max(since - first, 0), minutes)
        step = 1 if first >= learned_from else 60
        for days in tenants:
            day = days.day(first, minutes)
            if span.start >= minutes:
                continue
            for name, columns in (
                ("session_minute", _session_rows(days, day, first, span, step)),
                ("load_minute", _load_rows(days, day, first, span, network)),
                ("registration_minute", _registration_rows(rng, days, calls, network, first, span, step)),
                ("quality_minute", quality.rows(rng, days, day, first, span)),
            ):
                batches.add(name, columns)
        if span.start < minutes:
            batches.add("trunk_minute", _trunk_rows(rng, network, plan, first, span, step))
        if progress is not None:
            progress((first + minutes - since) / max(until - since, first + minutes - since))
        summary.until_ns = (first + minutes) * MINUTE_NS
        if first + minutes >= until:
            batches.flush()  # before the end is asked for again: it takes its time
    return summary


def _days(since: int, until: Callable[[], int]) -> Iterator[tuple[int, int]]:
    """Yield (first minute, minutes) of the UTC days from one minute to another, and what was added meanwhile."""
    while since < until():
        end = min((since // DAY_MINUTES + 1) * DAY_MINUTES, until())
        yield since, end - since
        since = end


def _summed(array: Ints, step: int) -> Ints:
    """Return sums over steps of minutes (the second axis)."""
    summed: Ints = array.reshape(array.shape[0], -1, step, *array.shape[2:]).sum(axis=2)
    return summed


def _session_rows(days: TenantDays, day: TenantDay, first: int, span: slice, step: int) -> Columns:
    sessions = {name: _summed(array[:, span], step) for name, array in day.sessions.items()}
    place, slot = np.nonzero(sessions["attempts"] + sessions["holding_ms"])
    at = (place, slot)
    columns: Columns = {name: array[at] for name, array in sessions.items() if name != "holding_ms"}
    return columns | {
        "time": (first + span.start + slot * step) * MINUTE_NS,
        "tenant": pa.repeat(day.tenant.name, place.size),
        "trunk": tags([trunk for _, trunk in days.places], place),
        "region": tags([days.proxies[p].region for p, _ in days.places], place),
        "node": tags([days.proxies[p].name for p, _ in days.places], place),
        "minutes": sessions["holding_ms"][at] / 60_000,
    }


def _load_rows(days: TenantDays, day: TenantDay, first: int, span: slice, network: Network) -> Columns:
    mean = day.concurrent_mean[:, span]
    proxy, minute = np.nonzero((day.concurrent_max[:, span] > 0) | (day.arrivals[:, span] > 0))
    at = (proxy, minute)
    pools = [network.relays_of(p.region)[0].pool for p in days.proxies]
    return {
        "time": (first + span.start + minute) * MINUTE_NS,
        "tenant": pa.repeat(day.tenant.name, proxy.size),
        "pool": tags(pools, proxy),
        "region": tags([p.region for p in days.proxies], proxy),
        "node": tags([p.name for p in days.proxies], proxy),
        "concurrent_mean": mean[at],
        "concurrent_max": day.concurrent_max[:, span][at],
        "arrivals": day.arrivals[:, span][at],
        "cps_max": day.cps_max[:, span][at].astype(np.float64),
        "packets_per_second": mean[at] * 100,
        "erlangs": mean[at],
        "transcodes": np.zeros(proxy.size),
        "holding_time_histogram": day.holding[:, span][at],
    }


def _registration_rows(
    rng: np.random.Generator,
    days: TenantDays,
    calls: float,
    network: Network,
    first: int,
    span: slice,
    step: int,
) -> Columns:
    tenant, slots = days.tenant, (span.stop - span.start) // step
    share = tenant.devices / sum(t.devices for t in network.tenants) / len(days.proxies)
    attempts = rng.poisson(calls * REGISTRATIONS_PER_CALL_S * 60 * step * share, (len(days.proxies), slots))
    proxy, slot = np.nonzero(attempts)
    attempts = attempts[proxy, slot]
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
        "time": (first + span.start + slot * step) * MINUTE_NS,
        "tenant": pa.repeat(tenant.name, proxy.size),
        "trunk": pa.repeat(UNKNOWN, proxy.size),
        "region": tags([p.region for p in days.proxies], proxy),
        "node": tags([p.name for p in days.proxies], proxy),
        "attempts": attempts,
        "auth_failures": counts[RegistrationOutcome.REJECTED] + counts[RegistrationOutcome.CHALLENGED],
        "rrd_ms_histogram": rng.multinomial(answered, spread),
    }


def _trunk_rows(
    rng: np.random.Generator, network: Network, plan: IncidentPlan, first: int, span: slice, step: int
) -> Columns:
    pairs = [(p, t) for p in network.proxies for t in network.trunks if p.region == t.region]
    minutes = np.arange(first + span.start, first + span.stop, dtype=np.int64)
    parts: list[tuple[Ints, Ints, Floats, Floats]] = []
    sent = 60 // HEARTBEAT_S
    for _, trunk in pairs:
        failing = [i for i in plan.incidents if (i.place, i.name) == (Place.TRUNK, trunk.name)]
        fail_ratio, extra_ms = np.zeros(minutes.size), np.zeros(minutes.size)
        for incident in failing:
            active = incident.active_minutes(minutes)
            fail_ratio = np.maximum(fail_ratio, active * incident.fail_ratio)
            extra_ms += active * incident.impairment.delay_ms
        rtt_ms = 2 * (trunk.path.delay_ms + extra_ms)[:, None] * rng.uniform(1.0, 1.3, (minutes.size, sent))
        answered = rng.random((minutes.size, sent)) >= 0.6 * fail_ratio[:, None]
        rtt_ms = np.where(answered, rtt_ms, 0.0).reshape(-1, sent * step)
        answers = answered.reshape(-1, sent * step).sum(axis=1)
        parts.append((minutes[::step], answers, rtt_ms.sum(axis=1), rtt_ms.max(axis=1)))
    pair = np.repeat(np.arange(len(pairs)), minutes.size // step)
    return {
        "time": np.concatenate([p[0] for p in parts]) * MINUTE_NS,
        "tenant": pa.repeat(UNASSIGNED, pair.size),
        "trunk": tags([t.name for _, t in pairs], pair),
        "region": tags([p.region for p, _ in pairs], pair),
        "node": tags([p.name for p, _ in pairs], pair),
        "options_sent": np.full(pair.size, sent * step),
        "options_answered": np.concatenate([p[1] for p in parts]),
        "options_rtt_ms_sum": np.concatenate([p[2] for p in parts]),
        "options_rtt_ms_max": np.concatenate([p[3] for p in parts]),
    }
