"""How many pods a load needs: the largest of what each resource asks for, and which resource that is.

Packet rate, not bandwidth, is what a media relay runs out of; a SIP proxy runs out of new calls a second; ports
and memory bound the sessions, the processor the transcoded ones. Pure arithmetic: no clock, no policy.
"""

import math
from dataclasses import dataclass, fields
from functools import lru_cache

from scaler.settings import PodCapacity
from telephony.teletraffic import servers_for_peaked

NO_TERM = ""
_ALMOST = 1e-9
"""300.0000000001 calls at 100 a pod are 3 pods: floating point asks for no fourth."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a pool carries, or will: by resource, NaN where unknown."""

    packets_per_second: float = math.nan
    sessions: float = math.nan
    calls_per_second: float = math.nan
    transcoded_sessions: float = math.nan

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return any(not math.isnan(getattr(self, f.name)) for f in fields(self))

    @property
    def sane(self) -> bool:
        """Whether every known figure is finite and not negative."""
        values = (getattr(self, f.name) for f in fields(self))
        return all(math.isnan(value) or (math.isfinite(value) and value >= 0) for value in values)

    def at_least(self, other: "Load") -> "Load":
        """Return the larger of each figure; a known one beats an unknown one.

        >>> Load(sessions=3).at_least(Load(sessions=5, calls_per_second=1))
        Load(packets_per_second=nan, sessions=5, calls_per_second=1, transcoded_sessions=nan)
        """
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Load(**{name: b if math.isnan(a) or b > a else a for name, a, b in pairs})


@dataclass(frozen=True, slots=True)
class Need:
    """Pods needed, and the resource that needs most."""

    pods: int
    term: str = NO_TERM


def pods_for(load: Load, pod: PodCapacity, utilisation: float) -> Need:
    """Return the pods that carry a load with each pod at most `utilisation` full (0 to 1].

    >>> pod = PodCapacity(sessions=100, packets_per_second=2e5)
    >>> pods_for(Load(sessions=950, packets_per_second=1e6), pod, 0.95)
    Need(pods=10, term='sessions')
    """
    need = Need(0)
    for field in fields(Load):
        carried, amount = getattr(pod, field.name), getattr(load, field.name)
        if carried is None or math.isnan(amount):
            continue
        pods = math.ceil(amount / (carried * utilisation) - _ALMOST)
        if pods > need.pods:
            need = Need(pods, field.name)
    return need


def pods_for_offered(offered_erlangs: float, pod: PodCapacity, blocking: float, peakedness: float) -> Need:
    """Return the pods whose sessions together keep blocking at a target (Erlang B inverted, Hayward's peakedness).

    One group over all pods: callers are sent to a pod that has room. None where sessions do not bind.

    >>> pods_for_offered(84.0, PodCapacity(sessions=10), 0.01, 1.0)
    Need(pods=10, term='blocking')
    """
    if pod.sessions is None or math.isnan(offered_erlangs):
        return Need(0)
    step = 10.0 ** max(0, math.floor(math.log10(max(offered_erlangs, 1.0))) - 2)
    servers = _servers(math.ceil(offered_erlangs / step) * step, blocking, peakedness)
    return Need(math.ceil(servers / pod.sessions - _ALMOST), "blocking" if servers else NO_TERM)


@lru_cache(maxsize=4096)
def _servers(offered_erlangs: float, blocking: float, peakedness: float) -> int:
    """Remembered, because a pool asks every few seconds; loads are rounded up to three figures."""
    return servers_for_peaked(offered_erlangs, blocking, peakedness)
