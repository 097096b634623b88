"""The past of one tenant's calls and registrations, day by day: simulated call by call, kept minute by minute.

Every attempt is drawn (columnar), so that the minute's sums agree with each other exactly as a collector's would:
attempts are the sum of the outcomes, concurrency rises and falls with answers and ends. The processes are those
of the live simulator (`arrivals`, `profile`); only the messages are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from surgecast.simulator.arrivals import Arrivals, draw_holding
from surgecast.simulator.call_kinds import CallKind, call_kinds
from surgecast.simulator.calls import FR_TIMER_S
from surgecast.simulator.incidents import IncidentPlan, Place
from surgecast.simulator.network import Flow, Network, Proxy, Tenant
from surgecast.simulator.profile import DAY_MINUTES, Floats, Ints, generator
from telephony.histogram import HOLDING_S, PDD_MS, Buckets
from telephony.model import UNKNOWN, Outcome

OVERHANG_MINUTES = 150
"""A call may end this long after the day it began in (holding times are cut at two hours)."""
_SPAN = DAY_MINUTES + OVERHANG_MINUTES
_SHORT_CALL_MS = 10_000
_TABLE = 65_536
_OUTCOMES = tuple(Outcome)
_ENDINGS = len(_OUTCOMES) + 1
"""Outcomes, with the two kinds of no answer (480, 487) told apart."""
_ANSWERED = 0
"""Index of the answered among `_endings`."""

Shorts = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]
Milliseconds = npt.NDArray[np.int32]
Whole = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One way a tenant's calls take: which tags they get, how often, and how fast they ring."""

    proxy: int
    """Index into the tenant's proxies."""
    flow: Flow
    trunk: str
    weight: float
    dialled_s: float


def routes_of(network: Network, tenant: Tenant) -> list[Route]:
    """Return every way, with weights as the live planner draws them."""
    routes = []
    total = sum(weight for _, weight in tenant.trunks)
    for proxy in range(len(tenant.proxies)):
        for flow, flow_weight in tenant.flows:
            share = flow_weight / len(tenant.proxies)
            if flow is Flow.INTERNAL:
                routes.append(Route(proxy, flow, UNKNOWN, share, 0.4))
                continue
            for name, weight in tenant.trunks:
                dialled_s = 0.4 if flow is Flow.INBOUND else network.trunk(name).post_dial_s
                routes.append(Route(proxy, flow, name, share * weight / total, dialled_s))
    return routes


class TenantDays:
    """Goes through a tenant's days in order; `day` adds one and gives its minutes.

    Weeks of calls are millions, so nothing is drawn by a formula for each: what is random is looked up in tables
    of `_TABLE` values that were drawn once, at 16 random bits an attempt. Times are whole milliseconds.
    """

    def __init__(
        self, network: Network, tenant: Tenant, arrivals: Arrivals, plan: IncidentPlan, seed: int
    ) -> None:
        self.tenant = tenant
        self.proxies: tuple[Proxy, ...] = tuple(network.proxy(name) for name in tenant.proxies)
        self._arrivals = arrivals
        self._plan = plan
        self._seed = seed
        routes = routes_of(network, tenant)
        self.places = sorted({(r.proxy, r.trunk) for r in routes})
        """(proxy, trunk) of each place."""
        self._proxy_of = np.asarray([proxy for proxy, _ in self.places])
        self._silent_ratio = _silent_ratio(network, tenant)
        self._carried: dict[str, Ints] = {}
        self._up = np.zeros(len(self.proxies), dtype=np.int64)
        kinds = [call_kinds(network, tenant, r.flow, r.trunk) for r in routes]
        places = [self.places.index((r.proxy, r.trunk)) for r in routes]
        self.kinds: list[tuple[int, CallKind]] = list(
            dict.fromkeys((place, kind) for place, found in zip(places, kinds, strict=True) for kind, _ in found)
        )
        """(place, kind) of every kind of call at each place."""
        self._kinds_up = np.zeros(len(self.kinds), dtype=np.int64)

        rng = generator(seed, "history tables", tenant.name)
        self._route = _choices([r.weight for r in routes])
        self._place_of = np.asarray(places)
        number = {each: n for n, each in enumerate(self.kinds)}
        self._kind = np.stack([
            np.asarray([number[place, kind] for kind, _ in found], np.int32)[_choices([w for _, w in found])]
            for place, found in zip(places, kinds, strict=True)
        ])  # fmt: skip
        self._ends = _choices([weight for _, weight, _, _ in _endings(tenant)])
        self._outcome_of = np.asarray([_OUTCOMES.index(outcome) for outcome, _, _, _ in _endings(tenant)])
        self._effective_of = np.asarray([effective for _, _, effective, _ in _endings(tenant)])
        dialled = np.clip(rng.lognormal(0, 0.45, _TABLE), 0.1, 8.0)
        pdd_ms = np.clip(np.outer([r.dialled_s for r in routes], dialled) * 1000, 120, 25_000)
        by_ending = np.stack([_first_answer(rng, outcome, pdd_ms) for outcome, _, _, _ in _endings(tenant)])
        self._pdd_ms = by_ending.astype(np.int32)
        self._pdd_bucket = _buckets_of(by_ending, PDD_MS)
        answer_ms = np.minimum(rng.lognormal(0, 0.7, _TABLE) * tenant.answer_median_s * 1000, 55_000)
        self._wait_ms = np.stack([_waits(rng, wait, answer_ms) for _, _, _, wait in _endings(tenant)])
        holding_s = draw_holding(rng, tenant.holding, _TABLE)
        self._holding_ms = (holding_s * 1000).astype(np.int32)
        self._holding_bucket = _buckets_of(holding_s, HOLDING_S)

    def day(self, first_minute: int, minutes: int) -> "TenantDay":
        """Return `minutes` minutes from a UTC minute on (days in order, each at most 1440 minutes)."""
        rng = generator(self._seed, "history", self.tenant.name, first_minute)
        places, proxies = len(self.places), len(self.proxies)
        span = np.arange(first_minute, first_minute + minutes, dtype=np.int64)
        arrived = rng.poisson(self._arrivals.attempts_per_minute(self.tenant, span))
        n = int(arrived.sum())

        def bits() -> Shorts:
            return rng.integers(0, _TABLE, n, dtype=np.uint16)

        minute = np.repeat(np.arange(minutes, dtype=np.int32), arrived)
        at_ms = minute * np.int32(60_000) + (bits().astype(np.uint32) * 60_000 >> 16).astype(np.int32)
        route, ending, dialled, waited = self._route[bits()], self._ends[bits()], bits(), bits()
        place = self._place_of[route]
        proxy = self._proxy_of[place]
        self._refuse(rng, ending, place, minute, first_minute)
        final_ms: Milliseconds = at_ms + self._pdd_ms[ending, route, dialled] + self._wait_ms[ending, waited]
        final = final_ms // 60_000
        by_ending = _count(place * _ENDINGS + ending, final, places * _ENDINGS).reshape(places, _ENDINGS, _SPAN)
        counts: dict[str, Ints] = {"attempts": by_ending.sum(axis=1)}
        for code, outcome in enumerate(_OUTCOMES):
            counts[outcome.value] = by_ending[:, self._outcome_of == code].sum(axis=1)
        counts["seer_effective"] = by_ending[:, self._effective_of].sum(axis=1)
        counts["ineffective"] = counts[Outcome.TIMEOUT.value] + counts[Outcome.NO_FACILITY.value]
        counts["pdd_ms_histogram"] = _histogram(
            place, final, self._pdd_bucket[ending, route, dialled], PDD_MS, places
        )
        counts["per_second"] = _count(proxy, at_ms // 1000, proxies, _SPAN * 60)
        answered = np.flatnonzero(ending == _ANSWERED)
        self._conversations(rng, counts, route[answered], final_ms[answered])
        return self._close(counts, minutes)

    def _refuse(
        self, rng: np.random.Generator, ending: Bytes, place: Ints, minute: Whole, first_minute: int
    ) -> None:
        """Turn attempts over a failing trunk into 503, in place."""
        refused = next(i for i, e in enumerate(_endings(self.tenant)) if e[0] is Outcome.NO_FACILITY)
        minutes = np.arange(first_minute, first_minute + DAY_MINUTES, dtype=np.int64)
        for incident in self._plan.incidents:
            over = np.asarray([incident.name == trunk for _, trunk in self.places])
            if incident.place is not Place.TRUNK or not incident.fail_ratio or not over.any():
                continue
            active = incident.active_minutes(minutes)
            if active.any():
                ending[active[minute] & over[place] & (rng.random(minute.size) < incident.fail_ratio)] = refused

    def _conversations(
        self, rng: np.random.Generator, counts: dict[str, Ints], route: Bytes, final_ms: Milliseconds
    ) -> None:
        """Count what happens to answered calls: between whom they are, how long they last, how they end."""
        places, proxies, seconds = len(self.places), len(self.proxies), _SPAN * 60
        place = self._place_of[route]
        proxy = self._proxy_of[place]
        drawn = rng.integers(0, _TABLE, place.size, dtype=np.uint16)
        holding_ms = self._holding_ms[drawn]
        end_ms = final_ms + holding_ms
        end = end_ms // 60_000
        ended = _count(place, end, places)
        counts["completed"] = ended - rng.binomial(ended, 0.004)
        counts["one_way"] = rng.binomial(ended, 0.004)
        counts["no_media"] = rng.binomial(ended, self._silent_ratio)
        short = np.flatnonzero(holding_ms < _SHORT_CALL_MS)
        counts["short_calls"] = _count(place[short], end[short], places)
        counts["holding_ms"] = _count(place, end, places, weights=holding_ms)
        bucket = self._holding_bucket[drawn]
        counts["holding_time_histogram"] = _histogram(proxy, end, bucket, HOLDING_S, proxies)
        kind = self._kind[route, rng.integers(0, _TABLE, place.size, dtype=np.uint16)]
        kinds = len(self.kinds)
        counts["kinds_change"] = _count(kind, final_ms // 60_000, kinds) - _count(kind, end, kinds)
        counts["change"] = _count(proxy, final_ms // 1000, proxies, seconds) - _count(
            proxy, end_ms // 1000, proxies, seconds
        )

    def _close(self, counts: dict[str, Ints], minutes: int) -> "TenantDay":
        """Add what earlier days left, keep what is left for later ones."""
        today: dict[str, Ints] = {}
        for name, array in counts.items():
            size = 60 if name in ("per_second", "change") else 1
            carried = self._carried.get(name)
            if carried is not None:
                array[:, : carried.shape[1]] += carried
            self._carried[name] = array[:, minutes * size :].copy()
            today[name] = array[:, : minutes * size]
        level = self._up[:, None] + np.cumsum(today.pop("change"), axis=1)
        self._up = level[:, -1]
        kinds_up = self._kinds_up[:, None] + np.cumsum(today.pop("kinds_change"), axis=1)
        self._kinds_up = kinds_up[:, -1]
        per_minute = level.reshape(len(self.proxies), minutes, 60)
        per_second = today.pop("per_second").reshape(len(self.proxies), minutes, 60)
        return TenantDay(
            tenant=self.tenant,
            sessions=today,
            holding=today.pop("holding_time_histogram"),
            concurrent_mean=per_minute.mean(axis=2),
            concurrent_max=per_minute.max(axis=2),
            arrivals=per_second.sum(axis=2),
            cps_max=per_second.max(axis=2),
            kinds_up=kinds_up,
        )


@dataclass(frozen=True, slots=True)
class TenantDay:
    """One day (or less) of one tenant; arrays are (place or proxy, minute) and histograms have a third axis."""

    tenant: Tenant
    sessions: dict[str, Ints]
    """By place: the counts of `session_minute`, its histogram, and `holding_ms`."""
    holding: Ints
    """By proxy."""
    concurrent_mean: Floats
    concurrent_max: Ints
    arrivals: Ints
    cps_max: Ints
    kinds_up: Ints
    """By kind of call (`TenantDays.kinds`): how many are up at the end of each minute."""


def _endings(tenant: Tenant) -> list[tuple[Outcome, float, bool, str]]:
    """Return (outcome, share, whether SEER counts it as effective, what is waited for after the first ringing)."""
    shares = dict(tenant.outcomes)
    no_answer = shares[Outcome.NO_ANSWER]
    found = [
        (Outcome.ANSWERED, shares[Outcome.ANSWERED], True, "answer"),
        (Outcome.NO_ANSWER, 0.4 * no_answer, True, "given up"),  # 480
        (Outcome.NO_ANSWER, 0.6 * no_answer, False, "given up"),  # 487
        (Outcome.BUSY, shares[Outcome.BUSY], True, ""),
        (Outcome.REJECTED, shares[Outcome.REJECTED], True, "answer"),
    ]
    known = {outcome for outcome, _, _, _ in found}
    return found + [(outcome, share, False, "") for outcome, share in tenant.outcomes if outcome not in known]


def _first_answer(rng: np.random.Generator, outcome: Outcome, pdd_ms: Floats) -> Floats:
    """Return the times to the first answer of attempts that end so, of those to ringing."""
    if outcome is Outcome.TIMEOUT:
        return np.full_like(pdd_ms, FR_TIMER_S * 1000)
    if outcome is Outcome.CHALLENGED:
        return np.full_like(pdd_ms, 2.0)
    if outcome is Outcome.ABANDONED:
        return np.maximum(pdd_ms * rng.uniform(0.3, 0.95, pdd_ms.shape), 700.0)
    return pdd_ms


def _choices(weights: Sequence[float]) -> Bytes:
    """Return a table of indices in which each is as frequent as its weight."""
    shares = np.cumsum(weights) / np.sum(weights)
    table = np.searchsorted(shares, (np.arange(_TABLE) + 0.5) / _TABLE)
    return np.minimum(table, len(weights) - 1).astype(np.uint8)


def _waits(rng: np.random.Generator, wait: str, answer_ms: Floats) -> Milliseconds:
    if wait == "answer":
        return answer_ms.astype(np.int32)
    return rng.uniform(4000, 42_000, _TABLE).astype(np.int32) if wait else np.zeros(_TABLE, dtype=np.int32)


def _count(group: Whole, at: Whole, groups: int, span: int = _SPAN, weights: Whole | None = None) -> Ints:
    """Return how many (or how much) of each group falls on each minute (or second), as (groups, span)."""
    flat = np.bincount(group * span + at, weights, minlength=groups * span)
    return flat.astype(np.int64).reshape(groups, span)


def _buckets_of(values: Floats, buckets: Buckets) -> Bytes:
    """Return the bucket of each value."""
    index = np.searchsorted(buckets.edges, values, side="right") - 1
    return np.clip(index, 0, buckets.count - 1).astype(np.uint8)


def _histogram(group: Whole, minute: Whole, bucket: Bytes, buckets: Buckets, groups: int) -> Ints:
    """Return the histogram of each group and minute, as (groups, span, buckets)."""
    cells = (group * _SPAN + minute) * buckets.count + bucket
    return np.bincount(cells, minlength=groups * _SPAN * buckets.count).reshape(groups, _SPAN, buckets.count)


def _silent_ratio(network: Network, tenant: Tenant) -> float:
    """Return the share of calls in which neither side sends RTCP."""

    def mean(pairs: list[tuple[float, float]]) -> float:
        return sum(ratio * weight for ratio, weight in pairs) / sum(weight for _, weight in pairs)

    devices = mean([(1 - network.client(name).rtcp_ratio, weight) for name, weight in tenant.clients])
    gateways = mean([(1 - network.trunk(name).rtcp_ratio, weight) for name, weight in tenant.trunks])
    internal = dict(tenant.flows).get(Flow.INTERNAL, 0.0)
    return devices * (internal * devices + (1 - internal) * gateways)
