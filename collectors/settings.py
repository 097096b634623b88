"""What an operator can set about collecting: where traffic comes from, whose it is, and what bounds it."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

Network = IPv4Network | IPv6Network

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
_NETWORKS = [["192.0.2.0/24", "2001:db8::/32"]]
_MAX_RING_BYTES = 8 << 30

Ports = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    StringConstraints(pattern=r"^[0-9]{1,5}(-[0-9]{1,5})?$"),
]
"""A port, or the first and last of a range."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenerSettings(_Section):
    """A HEP server."""

    transport: Literal["udp", "tcp", "tls"] = Field(
        default="udp", description="How HEP comes in; HEP 1 and 2 over udp only.", examples=["udp"]
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on; 0.0.0.0 is all of IPv4, :: all of IPv6 and IPv4.",
        examples=["0.0.0.0"],
    )
    port: int = Field(default=9060, ge=0, le=65535, description="Port; 0 picks a free one.", examples=[9060])
    sockets: int = Field(
        default=1,
        ge=1,
        le=64,
        description="udp: sockets (and threads) on the port, among which the kernel spreads the senders.",
        examples=[2],
    )
    receive_buffer_bytes: int = Field(
        default=32 << 20,
        ge=65_536,
        le=1 << 30,
        description="udp: kernel buffer a socket. Beyond net.core.rmem_max it takes CAP_NET_ADMIN.",
        examples=[67_108_864],
    )
    slots: int = Field(
        default=512,
        ge=1,
        le=4096,
        description="udp: datagrams that one system call receives at most.",
        examples=[512],
    )
    slot_bytes: int = Field(
        default=9216,
        ge=1024,
        le=65_536,
        description="udp: longest datagram taken; longer ones are counted as oversized and dropped.",
        examples=[16_384],
    )
    slot_groups: int = Field(
        default=8,
        ge=2,
        le=1024,
        description="udp: received batches a socket may have waiting for the trackers before it stops receiving.",
        examples=[8],
    )
    coalesce_seconds: float = Field(
        default=0.001,
        ge=0.0,
        le=0.1,
        description="udp: how long datagrams gather before they are received together.",
        examples=[0.001],
    )
    tls_certificate: Path | None = Field(
        default=None, description="tls: certificate chain, PEM.", examples=["/etc/surgecast/hep.crt"]
    )
    tls_key: Path | None = Field(
        default=None, description="tls: private key, PEM.", examples=["/etc/surgecast/hep.key"]
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="tls: authorities of client certificates, PEM; set, every agent must show one.",
        examples=["/etc/surgecast/agents-ca.crt"],
    )
    max_connections: int = Field(
        default=1024, ge=1, le=65_536, description="tcp, tls: connections beyond it are refused.", examples=[1024]
    )
    frame_timeout_seconds: float = Field(
        default=10.0, gt=0.0, description="tcp, tls: how long one frame may take to arrive.", examples=[10.0]
    )
    idle_timeout_seconds: float = Field(
        default=600.0, gt=0.0, description="tcp, tls: a connection without frames is closed.", examples=[600.0]
    )
    handshake_timeout_seconds: float = Field(
        default=5.0, gt=0.0, description="tls: how long a handshake may take.", examples=[5.0]
    )

    @model_validator(mode="after")
    def _tls_files_go_with_tls(self) -> Self:
        if self.transport == "tls":
            if self.tls_certificate is None or self.tls_key is None:
                raise ValueError("transport tls needs tls_certificate and tls_key")
        elif self.tls_certificate or self.tls_key or self.tls_client_ca:
            raise ValueError(f"tls_certificate, tls_key, tls_client_ca: transport {self.transport} has no TLS")
        return self


class InterfaceSettings(_Section):
    """A network interface that RTP, RTCP and SIP are read from; needs CAP_NET_RAW."""

    name: str = Field(
        pattern=r"^[^\s/]{1,15}$", description="Name of the interface; Ethernet or loopback.", examples=["eth0"]
    )
    ports: tuple[Ports, ...] = Field(
        default=(),
        description="UDP ports of media, single or as ranges; either end of a packet counts. Empty: all.",
        examples=[["10000-20000"]],
    )
    sip_ports: tuple[Ports, ...] = Field(
        default=("5060",),
        description="UDP and TCP ports of SIP; empty: no SIP is read.",
        examples=[["5060-5062", "5080"]],
    )
    hosts: tuple[Network, ...] = Field(
        default=(), description="Only what goes to or comes from these; empty: all.", examples=_NETWORKS
    )
    vlans: tuple[Annotated[int, Field(ge=0, le=4094)], ...] = Field(
        default=(),
        description="Only these VLANs, by the outermost tag; 0 is no tag. Empty: all.",
        examples=[[100, 101]],
    )
    rings: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Rings (and threads) among which the kernel spreads the flows; one carries about a million "
        "packets a second.",
        examples=[2],
    )
    block_bytes: int = Field(
        default=1 << 20,
        ge=1 << 17,
        le=1 << 26,
        description="Bytes of a block of a ring, a power of two.",
        examples=[1_048_576],
    )
    blocks: int = Field(
        default=64,
        ge=2,
        le=4096,
        description="Blocks of a ring: together they bridge the time that we are kept from reading.",
        examples=[128],
    )
    snap_bytes: int = Field(
        default=128,
        ge=96,
        le=2048,
        description="Bytes kept of a media packet: its headers. SIP and RTCP are always read whole.",
        examples=[128],
    )
    promiscuous: bool = Field(
        default=False, description="Take frames for other hosts too: mirror ports and taps.", examples=[True]
    )
    ignore_outgoing: bool = Field(
        default=False,
        description="Leave out what this host itself sends. On loopback that always is: it is seen as it arrives.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _ports_and_memory_are_sane(self) -> Self:
        for key in ("ports", "sip_ports"):
            for text, (first, last) in zip(getattr(self, key), _ranges(getattr(self, key)), strict=True):
                if not 0 < first <= last <= 65535:
                    raise ValueError(f"{key}: {text!r} is no range of ports")
        if self.block_bytes & (self.block_bytes - 1):
            raise ValueError(
                f"block_bytes must be a power of two, for example {1 << self.block_bytes.bit_length()}"
            )
        if self.ring_bytes > _MAX_RING_BYTES:
            raise ValueError(f"rings x blocks x block_bytes are {self.ring_bytes >> 20} MiB of memory: too much")
        return self

    @property
    def ring_bytes(self) -> int:
        """Memory of all its rings."""
        return self.rings * self.blocks * self.block_bytes

    def port_ranges(self) -> tuple[tuple[int, int], ...]:
        """Return first and last of the ranges of `ports`."""
        return _ranges(self.ports)

    def sip_port_ranges(self) -> tuple[tuple[int, int], ...]:
        """Return first and last of the ranges of `sip_ports`."""
        return _ranges(self.sip_ports)


def _ranges(ports: Iterable[str]) -> tuple[tuple[int, int], ...]:
    parts = (text.partition("-") for text in ports)
    return tuple((int(first), int(last or first)) for first, _, last in parts)


class TenantSettings(_Section):
    """What identifies a tenant's traffic, tried in the order of the fields; trunks come after the keys."""

    name: str = Field(pattern=_NAME, description="Name of the tenant.", examples=["acme"])
    hep_keys: tuple[SecretStr, ...] = Field(
        default=(), description="HEP authentication keys of its capture agents.", examples=[["s3cret"]]
    )
    sip_domains: tuple[str, ...] = Field(
        default=(), description="Domains of its SIP addresses.", examples=[["acme.example"]]
    )
    headers: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="SIP header to the values that mean this tenant.",
        examples=[{"X-Tenant": ["acme"]}],
    )
    networks: tuple[Network, ...] = Field(default=(), description="Its address blocks.", examples=_NETWORKS)


class TrunkSettings(_Section):
    """A carrier or customer interconnection."""

    name: str = Field(pattern=_NAME, description="Name of the trunk.", examples=["carrier-a"])
    networks: tuple[Network, ...] = Field(default=(), description="Addresses of its gateways.", examples=_NETWORKS)
    sip_domains: tuple[str, ...] = Field(
        default=(), description="Its SIP domains, where addresses do not tell.", examples=[["sip.carrier.example"]]
    )
    tenant: str = Field(default="", description="Tenant it belongs to; empty: shared.", examples=["acme"])
    region: str = Field(default="", description="Region it lands in.", examples=["eu-west"])


class NodeSettings(_Section):
    """A capture agent."""

    capture_id: int = Field(ge=0, le=0xFFFF_FFFF, description="Its HEP capture agent id.", examples=[2001])
    name: str = Field(pattern=_NAME, description="Name to show for it.", examples=["sbc-1"])
    region: str = Field(default="", description="Region it stands in.", examples=["eu-west"])


class PoolSettings(_Section):
    """A pool of relays or proxies whose load is added up, forecast and scaled."""

    name: str = Field(pattern=_NAME, description="Name of the pool.", examples=["media-eu"])
    nodes: tuple[str, ...] = Field(default=(), description="Names of its nodes.", examples=[["rtp-1", "rtp-2"]])
    regions: tuple[str, ...] = Field(
        default=(), description="Regions that it serves, for nodes that no pool names.", examples=[["eu-west"]]
    )


class PacketBufferSettings(_Section):
    """The rolling packet buffer, for a look at single calls afterwards; off unless it has a directory."""

    directory: Path | None = Field(
        default=None,
        description="Where packets are kept, readable by this user alone; not set: nothing is kept.",
        examples=["/var/lib/surgecast/packets"],
    )
    bytes: int = Field(
        default=1 << 30,
        ge=16 << 20,
        description="Bytes on disk at most; the oldest packets go first.",
        examples=[4_294_967_296],
    )
    payload: bool = Field(
        default=False,
        description="Keep the payload of RTP too, which is what people say; otherwise headers only.",
        examples=[True],
    )


class CollectorSettings(_Section):
    """Settings of the collect role; unknown keys are errors."""

    listeners: tuple[ListenerSettings, ...] = Field(
        default=(ListenerSettings(),),
        description="HEP servers.",
        examples=[[{"transport": "udp", "host": "0.0.0.0", "port": 9060}]],
    )
    interfaces: tuple[InterfaceSettings, ...] = Field(
        default=(),
        description="Interfaces that RTP, RTCP and SIP are read from.",
        examples=[[{"name": "eth0", "ports": ["10000-20000"]}]],
    )
    require_auth: bool = Field(
        default=False,
        description="Drop HEP datagrams that carry no hep_key of a tenant (HEP 1 and 2 cannot carry one).",
        examples=[True],
    )
    auth_exempt_networks: tuple[Network, ...] = Field(
        default=(),
        description="Senders that need no key, such as rtpengine, which cannot send one.",
        examples=_NETWORKS,
    )
    max_inflated_bytes: int = Field(
        default=65_536,
        ge=1024,
        le=1 << 20,
        description="Largest compressed HEP payload after inflating; larger ones are dropped.",
        examples=[65_536],
    )
    tenants: tuple[TenantSettings, ...] = Field(
        default=(),
        description="Whose traffic is whose.",
        examples=[[{"name": "acme", "sip_domains": ["acme.example"]}]],
    )
    trunks: tuple[TrunkSettings, ...] = Field(
        default=(), description="Trunks.", examples=[[{"name": "carrier-a", "networks": ["192.0.2.0/28"]}]]
    )
    nodes: tuple[NodeSettings, ...] = Field(
        default=(), description="Capture agents.", examples=[[{"capture_id": 2001, "name": "sbc-1"}]]
    )
    pools: tuple[PoolSettings, ...] = Field(
        default=(),
        description="Pools; what none claims belongs to the pool `default`.",
        examples=[[{"name": "media-eu", "regions": ["eu-west"]}]],
    )
    packet_buffer: PacketBufferSettings = Field(
        default_factory=PacketBufferSettings,
        description="Packets kept on disk, so that a call can be saved and looked at; SIP is kept as it was sent.",
        examples=[{"directory": "/var/lib/surgecast/packets"}],
    )
    mask_numbers: Literal["mask", "hash", "none"] = Field(
        default="mask",
        description="What is kept of phone numbers: masked digits, a keyed hash, or all of it.",
        examples=["hash"],
    )
    hash_salt: SecretStr = Field(
        default=SecretStr(""),
        description="Secret key of mask_numbers: hash; without one, numbers could be found by trying them all.",
        examples=["a long random text"],
    )

    @model_validator(mode="after")
    def _names_and_keys_are_unique(self) -> Self:
        _unique("tenants: name", (tenant.name for tenant in self.tenants))
        _unique("trunks: name", (trunk.name for trunk in self.trunks))
        _unique("pools: name", (pool.name for pool in self.pools))
        _unique("interfaces: name", (interface.name for interface in self.interfaces))
        _unique("nodes: capture_id", (str(node.capture_id) for node in self.nodes))
        keys = Counter(key.get_secret_value() for tenant in self.tenants for key in tenant.hep_keys)
        if any(not key or count > 1 for key, count in keys.items()):
            raise ValueError("tenants: each of the hep_keys must be non-empty and belong to one tenant")
        if self.require_auth and not keys:
            raise ValueError("require_auth needs hep_keys in tenants, else every datagram would be dropped")
        known = {tenant.name for tenant in self.tenants}
        for trunk in self.trunks:
            if trunk.tenant and trunk.tenant not in known:
                raise ValueError(f"trunks: tenant {trunk.tenant!r} of {trunk.name!r} is not among tenants")
        if self.mask_numbers == "hash" and not self.hash_salt.get_secret_value():
            raise ValueError("mask_numbers: hash needs a hash_salt")
        return self

    def tenant_by_hep_key(self) -> dict[bytes, str]:
        """Return the tenant that each HEP key stands for."""
        return {key.get_secret_value().encode(): tenant.name for tenant in self.tenants for key in tenant.hep_keys}


def _unique(what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is given twice")
