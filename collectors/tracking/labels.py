"""Which tenant, trunk, region and node a call belongs to.

The tenant is resolved from, in order: HEP auth key, trunk, SIP domain, header, address block; what no rule
maps is `unassigned`. Labels are the only things that become tags, so every value here comes from the
configuration (or is a capture agent's own name), never from a message: that keeps their number bounded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Generic, TypeVar

from collectors.facts import SipCall
from telephony.model import UNASSIGNED, UNKNOWN, Endpoint, Labels

Network = IPv4Network | IPv6Network

_T = TypeVar("_T")

_CACHE_LIMIT = 65_536
"""Addresses whose rule is remembered; beyond it the cache starts anew (a flood of addresses stays bounded)."""
_NODES_LIMIT = 1_000
"""Capture agents that get a name of their own."""
OTHER_NODE = "other"
"""The node of those beyond."""


@dataclass(frozen=True, slots=True)
class TenantRule:
    """What identifies a tenant's traffic."""

    name: str
    hep_keys: tuple[str, ...] = ()
    sip_domains: tuple[str, ...] = ()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lower-case header name to the values that mean this tenant."""
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class TrunkRule:
    """What identifies a trunk: addresses of its gateways, or its SIP domain."""

    name: str
    networks: tuple[Network, ...] = ()
    sip_domains: tuple[str, ...] = ()
    tenant: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class NodeRule:
    """A capture agent by its HEP id."""

    capture_id: int
    name: str
    region: str = ""


class _Addresses(Generic[_T]):
    """First rule whose networks hold an address, remembered per address."""

    def __init__(self, rules: Iterable[tuple[tuple[Network, ...], _T]]) -> None:
        self._rules = [(networks, value) for networks, value in rules if networks]
        self._cache: dict[str, _T | None] = {}

    def find(self, ip: str) -> _T | None:
        if not self._rules:
            return None
        if ip in self._cache:
            return self._cache[ip]
        found = self._search(ip)
        if len(self._cache) >= _CACHE_LIMIT:
            self._cache.clear()
        self._cache[ip] = found
        return found

    def _search(self, ip: str) -> _T | None:
        try:
            address = ip_address(ip)
        except ValueError:
            return None  # a quality report can name anything where its address belongs
        for networks, value in self._rules:
            if any(address.version == n.version and address in n for n in networks):
                return value
        return None


class Labeller:
    """Resolves labels from the rules of the configuration."""

    def __init__(
        self,
        tenants: Iterable[TenantRule] = (),
        trunks: Iterable[TrunkRule] = (),
        nodes: Iterable[NodeRule] = (),
    ) -> None:
        tenants, trunks = tuple(tenants), tuple(trunks)
        self._by_key = {key: t.name for t in tenants for key in t.hep_keys}
        self._by_domain = {domain.lower(): t.name for t in tenants for domain in t.sip_domains}
        self._by_header = {
            (header, value): t.name for t in tenants for header, values in t.headers.items() for value in values
        }
        self._tenant_blocks = _Addresses((t.networks, t.name) for t in tenants)
        self._trunk_blocks = _Addresses((t.networks, t) for t in trunks)
        self._trunk_domains = {domain.lower(): t for t in trunks for domain in t.sip_domains}
        self._nodes = {n.capture_id: n for n in nodes}
        self._node_names: set[str] = {n.name for n in self._nodes.values()}
        self._name_of_id: dict[int, str] = {}
        """What agents call themselves, for their messages that do not say it."""

    @property
    def header_names(self) -> tuple[str, ...]:
        """The headers that tenant rules look at, lower case."""
        return tuple(sorted({header for header, _ in self._by_header}))

    def node(self, node_id: int, node_name: str = "") -> tuple[str, str]:
        """Return the name and region of a capture agent; the agent's own name where no rule has it."""
        rule = self._nodes.get(node_id)
        if rule is not None:
            return rule.name, rule.region or UNKNOWN
        name = node_name or self._name_of_id.get(node_id) or (f"agent-{node_id}" if node_id else UNKNOWN)
        if name not in self._node_names:
            if len(self._node_names) >= _NODES_LIMIT:
                return OTHER_NODE, UNKNOWN
            self._node_names.add(name)
        if node_name and len(self._name_of_id) < _NODES_LIMIT:
            self._name_of_id[node_id] = node_name
        return name, UNKNOWN

    def trunk(self, *endpoints: Endpoint, domains: Iterable[str] = ()) -> TrunkRule | None:
        """Return the first trunk that one of the addresses, else one of the domains, belongs to."""
        for endpoint in endpoints:
            rule = self._trunk_blocks.find(endpoint.ip)
            if rule is not None:
                return rule
        for domain in domains:
            rule = self._trunk_domains.get(domain.lower())
            if rule is not None:
                return rule
        return None

    def call(self, call: SipCall, *, further: Iterable[Endpoint] = ()) -> Labels:
        """Return the labels of a call; `further` are addresses of later hops, which may name the trunk."""
        domains = (call.from_domain, call.to_domain)
        trunk = self.trunk(call.src, call.dst, *further, domains=domains)
        tenant = (
            self._by_key.get(call.tenant_key, "")
            or (trunk.tenant if trunk else "")
            or self._tenant_by_domain(domains)
            or self._tenant_by_header(call.headers)
            or self._tenant_blocks.find(call.src.ip)
            or self._tenant_blocks.find(call.dst.ip)
            or UNASSIGNED
        )
        node, node_region = self.node(call.node_id, call.node_name)
        region = (trunk.region if trunk and trunk.region else node_region) or UNKNOWN
        return Labels(tenant, trunk.name if trunk else UNKNOWN, region, node)

    def addresses(
        self, src: Endpoint, dst: Endpoint, node_id: int, node_name: str = "", tenant_key: str = ""
    ) -> Labels:
        """Return the labels of a message that belongs to no call (registration, OPTIONS, unmatched RTCP)."""
        trunk = self.trunk(src, dst)
        tenant = (
            self._by_key.get(tenant_key, "")
            or (trunk.tenant if trunk else "")
            or self._tenant_blocks.find(src.ip)
            or self._tenant_blocks.find(dst.ip)
            or UNASSIGNED
        )
        node, node_region = self.node(node_id, node_name)
        region = (trunk.region if trunk and trunk.region else node_region) or UNKNOWN
        return Labels(tenant, trunk.name if trunk else UNKNOWN, region, node)

    def registration(self, labels: Labels, aor: str) -> Labels:
        """Return the labels with the tenant of the AOR's domain, where a rule maps it and nothing did before."""
        if labels.tenant != UNASSIGNED:
            return labels
        domain = aor.rpartition("@")[2].partition(":")[0].partition(";")[0]
        tenant = self._tenant_by_domain((domain,))
        return Labels(tenant, labels.trunk, labels.region, labels.node) if tenant else labels

    def _tenant_by_domain(self, domains: Iterable[str]) -> str:
        return next((self._by_domain[d.lower()] for d in domains if d.lower() in self._by_domain), "")

    def _tenant_by_header(self, headers: Mapping[str, str]) -> str:
        return next((self._by_header[h] for h in headers.items() if h in self._by_header), "")


class PoolOf:
    """Which pool of relays carries a call: by node, else by region, else the default."""

    def __init__(
        self,
        by_node: dict[str, str] | None = None,
        by_region: dict[str, str] | None = None,
        default: str = "default",
    ) -> None:
        self._by_node = by_node or {}
        self._by_region = by_region or {}
        self._default = default

    def of(self, labels: Labels) -> str:
        """Return the pool's name."""
        return self._by_node.get(labels.node) or self._by_region.get(labels.region) or self._default
