"""The simulated network, as a frozen description: tenants, trunks, regions, proxies, relays and clients.

Everything else of the simulator draws from this description and nothing else, so that the collector's
configuration (`collector_config`) and the simulator's truth speak of the same names. Addresses are of the
documentation and benchmarking blocks (RFC 5737, RFC 2544) or private (RFC 1918); numbers are of ranges that
regulators keep for fiction. No random number is drawn and no clock is read here.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from surgecast.simulator.profile import WeekShape
from telephony.model import Outcome

HEP_KEY = "surgecast-demo"

_Named = TypeVar("_Named", "Proxy", "Trunk", "ClientMix", "Tenant")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SIP proxy with a capture agent (as kamailio's siptrace): sees each hop it is an end of."""

    node_id: int
    name: str
    region: str
    ip: str


@dataclass(frozen=True, slots=True)
class Relay:
    """A media relay (as rtpengine) that mirrors the RTCP it receives."""

    node_id: int
    name: str
    region: str
    pool: str
    ip: str


@dataclass(frozen=True, slots=True)
class Path:
    """What a packet meets between an endpoint and the relay, on a good day."""

    delay_ms: float
    """One way."""
    jitter_ms: float
    """RFC 3550 interarrival jitter."""
    loss_ratio: float
    burst_packets: float = 1.2
    """Mean length of a run of lost packets (Gilbert)."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier's interconnection: gateways in one block of addresses."""

    name: str
    region: str
    network: str
    domain: str
    codecs: tuple[str, ...]
    path: Path
    post_dial_s: float
    """Median time to the first ringing of a call that goes out here."""
    rtcp_ratio: float = 0.9
    """Share of calls in which the gateway sends RTCP."""
    gateways: int = 4

    def gateway(self, index: int) -> str:
        """Return the address of a gateway."""
        return str(IPv4Network(self.network)[1 + index % self.gateways])


@dataclass(frozen=True, slots=True)
class ClientMix:
    """A kind of telephone: what it says it is, offers and suffers."""

    name: str
    user_agent: str
    codecs: tuple[str, ...]
    path: Path
    rtcp_ratio: float = 1.0
    """Share of devices that send RTCP at all."""
    nat_ratio: float = 0.0
    """Share of devices whose RTCP comes from an address that is in no SDP."""


class Flow(StrEnum):
    """Where a call comes from and goes to, seen from its tenant."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    TRANSIT = "transit"


@dataclass(frozen=True, slots=True)
class HoldingTime:
    """Conversation time: a lognormal, and a share of short calls (voicemail, wrong numbers)."""

    mean_s: float
    cv: float = 1.23
    short_ratio: float = 0.12
    short_mean_s: float = 14.0
    longest_s: float = 7200.0

    @property
    def overall_mean_s(self) -> float:
        """Mean over both modes; the cut at `longest_s` is not taken off (below 0.2 % here).

        >>> HoldingTime(200, short_ratio=0.25, short_mean_s=20).overall_mean_s
        155.0
        """
        return self.short_ratio * self.short_mean_s + (1 - self.short_ratio) * self.mean_s


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer: how much it calls and when, how its calls end, and its devices."""

    name: str
    domain: str
    zone: str
    network: str
    shape: WeekShape
    share: float
    """Concurrent calls at its own busiest time, as a share of the network's."""
    day_cv: float
    """Coefficient of variation of the day's level (doubly stochastic arrivals)."""
    intraday_cv: float
    holding: HoldingTime
    flows: tuple[tuple[Flow, float], ...]
    outcomes: tuple[tuple[Outcome, float], ...]
    proxies: tuple[str, ...]
    trunks: tuple[tuple[str, float], ...]
    clients: tuple[tuple[str, float], ...]
    devices: int
    auth_ratio: float = 0.0
    """Share of calls from devices that are challenged (407) first."""
    number_format: str = "+44163296{:04d}"
    answer_median_s: float = 7.0
    """Median time from the first ringing to the answer."""

    @property
    def answer_ratio(self) -> float:
        """Share of session attempts that are answered."""
        return dict(self.outcomes)[Outcome.ANSWERED]

    def device_ip(self, device: int) -> str:
        """Return the address of a device; wholesale tenants have a few gateways as devices."""
        return str(IPv4Address(int(IPv4Network(self.network).network_address) + 10 + device))


@dataclass(frozen=True, slots=True)
class Network:
    """The whole. Look-ups by name raise KeyError: a name that is not here is a bug of the description."""

    proxies: tuple[Proxy, ...]
    relays: tuple[Relay, ...]
    trunks: tuple[Trunk, ...]
    clients: tuple[ClientMix, ...]
    tenants: tuple[Tenant, ...]
    hep_key: str = HEP_KEY

    def proxy(self, name: str) -> Proxy:
        """Return a proxy by name."""
        return _named(self.proxies, name)

    def trunk(self, name: str) -> Trunk:
        """Return a trunk by name."""
        return _named(self.trunks, name)

    def client(self, name: str) -> ClientMix:
        """Return a kind of telephone by name."""
        return _named(self.clients, name)

    def tenant(self, name: str) -> Tenant:
        """Return a tenant by name."""
        return _named(self.tenants, name)

    def relays_of(self, region: str) -> tuple[Relay, ...]:
        """Return the relays of a region."""
        return tuple(r for r in self.relays if r.region == region)

    def client_of(self, tenant: Tenant, device: int) -> ClientMix:
        """Return what a device is; devices are spread evenly over the tenant's kinds by weight."""
        at = device * 0.6180339887498949 % 1.0 * sum(weight for _, weight in tenant.clients)
        for name, weight in tenant.clients:
            at -= weight
            if at < 0:
                return self.client(name)
        return self.client(tenant.clients[-1][0])


def _named(things: tuple[_Named, ...], name: str) -> _Named:
    for thing in things:
        if thing.name == name:
            return thing
    raise KeyError(name)


def _agents(network: Network) -> tuple[Proxy | Relay, ...]:
    return (*network.proxies, *network.relays)


def collector_config(network: Network) -> dict[str, object]:
    """Return the sections of the collector's settings that describe this network, for `CollectorSettings(**...)`.

    The capture agents' common HEP key is not among them: a key would stand for one tenant.
    """
    pools = {relay.pool: relay.region for relay in network.relays}
    return {
        "tenants": tuple(
            {"name": t.name, "sip_domains": (t.domain,), "networks": (t.network,)} for t in network.tenants
        ),
        "trunks": tuple({"name": t.name, "networks": (t.network,)} for t in network.trunks),
        "nodes": tuple({"capture_id": n.node_id, "name": n.name, "region": n.region} for n in _agents(network)),
        "pools": tuple(
            {
                "name": pool,
                "nodes": tuple(r.name for r in network.relays if r.pool == pool),
                "regions": (region,),
            }
            for pool, region in pools.items()
        ),
    }
