"""When calls are placed and how long they last: a doubly stochastic Poisson process per tenant.

The intensity is scaled once so that a given number of calls is up on average at a given moment; the weekly
shapes carry it from there. All draws are keyed by (seed, tenant, minute), so a minute holds the same calls
whoever asks for it, in whatever order.
"""

import numpy as np
import numpy.typing as npt

from surgecast.simulator.incidents import IncidentPlan
from surgecast.simulator.network import HoldingTime, Network, Tenant
from surgecast.simulator.profile import Floats, Ints, LocalTime, generator, level, random_effect
from telephony.model import MINUTE_NS

ARRIVAL = np.dtype([("at_ns", "<i8"), ("tenant", "<u2"), ("holding_s", "<f8"), ("seed", "<u8")])
"""One session attempt: when, whose (index into `Network.tenants`), how long it lasts once answered, and the
seed of everything else about it."""
_SETUP_S = 10.0
"""About how long an attempt takes until its final answer, whatever that is."""


def draw_holding(rng: np.random.Generator, holding: HoldingTime, n: int) -> Floats:
    """Return n conversation times in seconds."""
    variance = np.log1p(holding.cv**2)
    long = rng.lognormal(np.log(holding.mean_s) - variance / 2, np.sqrt(variance), n)
    short = rng.gamma(3.0, holding.short_mean_s / 3.0, n)
    drawn = np.where(rng.random(n) < holding.short_ratio, short, long)
    return np.asarray(np.clip(drawn, 1.0, holding.longest_s), dtype=np.float64)


class Arrivals:
    """The session attempts of a network; `calls` answered ones are up on average at `now_ns`."""

    def __init__(self, network: Network, *, seed: int, calls: float, now_ns: int, plan: IncidentPlan) -> None:
        self.network = network
        self._seed = seed
        self._plan = plan
        now = np.asarray([now_ns // MINUTE_NS], dtype=np.int64)
        at_now = sum(t.share * float(level(t.shape, LocalTime.of(t.zone, now))[0]) for t in network.tenants)
        self._scale = calls / at_now

    def expected_concurrent(self, tenant: Tenant, minutes: Ints) -> Floats:
        """Return the answered calls up on average in UTC minutes since the epoch, without randomness."""
        return self._scale * tenant.share * level(tenant.shape, LocalTime.of(tenant.zone, minutes))

    def load_in_region(self, region: str, minute: int) -> float:
        """Return the calls, in setup or answered, whose media a region relays, in a UTC minute since the epoch.

        An average over the random moments of the calls; the days' and minutes' random levels are in it.
        """
        at = np.asarray([minute], dtype=np.int64)
        regions = {proxy.name: proxy.region for proxy in self.network.proxies}
        return sum(
            float(self.attempts_per_minute(tenant, at)[0]) / 60
            * (_SETUP_S + tenant.answer_ratio * tenant.holding.overall_mean_s)
            * sum(regions[name] == region for name in tenant.proxies)
            / len(tenant.proxies)
            for tenant in self.network.tenants
        )  # fmt: skip

    def attempts_per_minute(self, tenant: Tenant, minutes: Ints) -> Floats:
        """Return the random intensity: session attempts per minute in UTC minutes since the epoch."""
        local = LocalTime.of(tenant.zone, minutes)
        effect = random_effect(self._seed, tenant.name, local, tenant.day_cv, tenant.intraday_cv)
        concurrent = self._scale * tenant.share * level(tenant.shape, local)
        surge = self._plan.load_factors(minutes, tenant.name)
        return np.asarray(concurrent * effect * surge * 60 / (tenant.answer_ratio * tenant.holding.overall_mean_s))

    def minute(self, minute: int) -> npt.NDArray[np.void]:
        """Return the `ARRIVAL` rows of a UTC minute since the epoch, in order of time."""
        parts = [self._tenant_minute(index, tenant, minute) for index, tenant in enumerate(self.network.tenants)]
        rows = np.concatenate(parts)
        return rows[np.argsort(rows["at_ns"], kind="stable")]

    def _tenant_minute(self, index: int, tenant: Tenant, minute: int) -> npt.NDArray[np.void]:
        rng = generator(self._seed, "arrivals", tenant.name, minute)
        mean = self.attempts_per_minute(tenant, np.asarray([minute], dtype=np.int64))[0]
        rows = np.empty(int(rng.poisson(mean)), dtype=ARRIVAL)
        micros = rng.integers(0, MINUTE_NS // 1000, rows.size)
        rows["at_ns"] = minute * MINUTE_NS + micros * 1000
        rows["tenant"] = index
        rows["holding_s"] = draw_holding(rng, tenant.holding, rows.size)
        rows["seed"] = rng.integers(0, 2**63, rows.size)
        return rows
