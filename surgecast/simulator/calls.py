"""A call, planned: who, over what, when, and how it ends. Everything later is told from this plan.

All times are of the hop nearest the caller, as the first proxy's agent captures them, and whole microseconds
(HEP carries no finer ones), so that truth and measurement can be equal.
"""

from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np

from surgecast.simulator.incidents import IncidentPlan, Place
from surgecast.simulator.network import ClientMix, Flow, Network, Path, Proxy, Relay, Tenant, Trunk
from telephony.model import UNKNOWN, Endpoint, Outcome, ReleasedBy

_Choice = TypeVar("_Choice")

_SAME_REGION_US = 700
_OTHER_REGION_US = 33_000
FR_TIMER_S = 5.0
"""How long a proxy waits for a callee that says nothing (kamailio's fr_timer, as operators set it)."""

_FINAL_CODES: dict[Outcome, tuple[tuple[int, float], ...]] = {
    Outcome.ANSWERED: ((200, 1.0),),
    Outcome.BUSY: ((486, 0.92), (600, 0.08)),
    Outcome.NO_ANSWER: ((487, 0.6), (480, 0.4)),
    Outcome.ABANDONED: ((487, 1.0),),
    Outcome.REJECTED: ((603, 1.0),),
    Outcome.REDIRECTED: ((302, 1.0),),
    Outcome.CHALLENGED: ((407, 1.0),),
    Outcome.NO_FACILITY: ((500, 0.5), (503, 0.3), (504, 0.2)),
    Outcome.TIMEOUT: ((408, 1.0),),
    Outcome.CLIENT_ERROR: ((404, 0.6), (488, 0.25), (484, 0.15)),
}
"""What the caller sees; 500 is what a proxy makes of its callee's 503 (RFC 3261 section 16.7)."""


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a call."""

    user: str
    domain: str
    sip: Endpoint
    media: Endpoint
    rtcp: Endpoint
    """Where its RTCP comes from: `media` port + 1, or an address that is in no SDP."""
    user_agent: str
    codecs: tuple[str, ...]
    path: Path
    sends_rtcp: bool
    place: tuple[Place, str]
    """What incidents know it by."""
    tag: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """The plan of a session attempt."""

    call_id: str
    tenant: Tenant
    trunk: Trunk | None
    proxies: tuple[Proxy, ...]
    relay: Relay
    relay_to_caller: Endpoint
    relay_to_callee: Endpoint
    caller: Party
    callee: Party
    forked_to: Party | None
    """A second device of the callee that rings too and is cancelled on answer."""
    codec: str
    outcome: Outcome
    sip_code: int
    challenged: bool
    """A first INVITE without credentials was answered 407."""
    invite_ns: int
    """First INVITE of the attempt."""
    routed_ns: int
    """The INVITE that was let through."""
    ring_ns: int
    """First 18x; 0 where none."""
    final_ns: int
    end_ns: int
    """BYE for answered calls, else the final response."""
    released_by: ReleasedBy | None
    """None where the attempt was refused: there was nothing to release."""
    vanished: bool
    """Answered, and its BYE never passes an agent."""
    silent: str
    """`caller` or `callee` where that side's media never arrives; else empty."""
    hold: tuple[int, int] | None
    """When the callee puts the call on hold and takes it back."""
    invite_repeated: bool
    answer_repeated: bool
    hop_us: int
    """Processing time of a proxy."""
    nonce: int
    """Makes branches and sessions of this call its own."""
    rtp_sent: bool = False
    """Its RTP is really sent, between addresses of the loopback."""

    @property
    def answered(self) -> bool:
        """Whether a 200 to the INVITE is seen."""
        return self.outcome is Outcome.ANSWERED

    @property
    def attempts(self) -> int:
        """INVITE transactions folded into the session attempt."""
        return 2 if self.challenged else 1

    def between_us(self, hop: int) -> int:
        """Return how long a message travels between proxies `hop` and `hop + 1`."""
        same = self.proxies[hop].region == self.proxies[hop + 1].region
        return _SAME_REGION_US if same else _OTHER_REGION_US

    @property
    def seen_trunk(self) -> str:
        """The trunk that the messages show; a call refused at the first proxy never reaches its trunk."""
        shown = self.trunk is not None and (self.outcome is not Outcome.CHALLENGED or trunkside(self.caller))
        return self.trunk.name if self.trunk is not None and shown else UNKNOWN

    @property
    def transit_ns(self) -> int:
        """Time from the first proxy's reception to the last proxy's sending."""
        hops = len(self.proxies)
        return 1000 * (hops * self.hop_us + sum(self.between_us(i) for i in range(hops - 1)))


class Ports:
    """Gives each address its even media ports in turn, so that no two live calls share one."""

    def __init__(self, first: int = 16_384, last: int = 59_998) -> None:
        self._first, self._span = first, (last - first) // 2
        self._taken: dict[str, int] = {}

    def take(self, ip: str) -> Endpoint:
        """Return the next RTP address of a host (bounded by the hosts of the network)."""
        n = self._taken.get(ip, 0)
        self._taken[ip] = n + 1
        return Endpoint(ip, self._first + 2 * (n % self._span))


class CallPlanner:
    """Turns arrivals into planned calls; all draws of a call come from its own seed."""

    def __init__(self, network: Network, plan: IncidentPlan) -> None:
        self.network = network
        self._plan = plan
        self._ports = Ports()

    def plan(self, arrival: np.void, *, at_ns: int | None = None, holding_s: float | None = None) -> PlannedCall:
        """Return the plan of an `ARRIVAL` row; a warm start gives another time and what is left of the call."""
        rng = Random(int(arrival["seed"]))
        tenant = self.network.tenants[int(arrival["tenant"])]
        invite_ns = int(arrival["at_ns"]) if at_ns is None else at_ns - at_ns % 1000
        holding = float(arrival["holding_s"]) if holding_s is None else holding_s
        flow = _pick(rng, tenant.flows)
        trunk = None if flow is Flow.INTERNAL else self.network.trunk(_pick(rng, tenant.trunks))
        proxies = self._proxies(rng, tenant, trunk, flow)
        relay = rng.choice(self.network.relays_of(proxies[0].region))
        caller, callee = self._parties(rng, tenant, trunk, flow)
        outcome = self._outcome(rng, tenant, trunk, invite_ns)
        code = _pick(rng, _FINAL_CODES[outcome])
        codec = next(c for c in caller.codecs if c in callee.codecs)

        from_device = flow in (Flow.OUTBOUND, Flow.INTERNAL)
        challenged = outcome is Outcome.CHALLENGED or (from_device and rng.random() < tenant.auth_ratio)
        hop_us = rng.randint(900, 2400)
        routed_ns = invite_ns + (_us(2 * caller.path.delay_ms / 1000 + 0.006) if challenged else 0)
        dialled_s = trunk.post_dial_s if trunk and flow is not Flow.INBOUND else 0.4
        post_dial_s = min(max(rng.lognormvariate(0, 0.45) * dialled_s, 0.12), 25.0)
        answer_s = min(rng.lognormvariate(0, 0.7) * tenant.answer_median_s, 55.0)
        ring_ns, final_ns = _progress(rng, outcome, code, routed_ns, post_dial_s, answer_s)
        final_ns = max(final_ns, routed_ns + 1000 * 10 * hop_us)

        answered = outcome is Outcome.ANSWERED
        end_ns = final_ns + _us(max(holding, 0.5)) if answered else final_ns
        vanished = answered and rng.random() < 0.004
        hold = None
        if answered and 60 < holding < 3000 and rng.random() < 0.04:
            at = final_ns + _us(holding * rng.uniform(0.3, 0.5))
            hold = (at, at + _us(rng.uniform(8, 24)))
        forked_to = None
        if answered and flow is not Flow.OUTBOUND and not trunkside(callee) and ring_ns and rng.random() < 0.03:
            forked_to = self._device(rng, tenant, besides=callee)
        return PlannedCall(
            call_id=f"{rng.getrandbits(64):016x}@{caller.sip.ip}",
            tenant=tenant,
            trunk=trunk,
            proxies=proxies,
            relay=relay,
            relay_to_caller=self._ports.take(relay.ip),
            relay_to_callee=self._ports.take(relay.ip),
            caller=caller,
            callee=callee,
            forked_to=forked_to,
            codec=codec,
            outcome=outcome,
            sip_code=code,
            challenged=challenged,
            invite_ns=invite_ns,
            routed_ns=routed_ns,
            ring_ns=ring_ns,
            final_ns=final_ns,
            end_ns=end_ns,
            released_by=_released_by(rng, outcome, code, vanished),
            vanished=vanished,
            silent=rng.choice(("caller", "callee")) if answered and rng.random() < 0.004 else "",
            hold=hold,
            invite_repeated=rng.random() < 0.01,
            answer_repeated=answered and rng.random() < 0.005,
            hop_us=hop_us,
            nonce=rng.getrandbits(40),
        )

    def _proxies(self, rng: Random, tenant: Tenant, trunk: Trunk | None, flow: Flow) -> tuple[Proxy, ...]:
        own = [self.network.proxy(name) for name in tenant.proxies]
        first = rng.choice(own)
        others = [p for p in own if p is not first]
        if trunk and flow is not Flow.INBOUND and trunk.region != first.region:
            return (first, *(p for p in others if p.region == trunk.region))
        if others and others[0].region == first.region and rng.random() < 0.25:
            return (first, others[0])
        return (first,)

    def _parties(self, rng: Random, tenant: Tenant, trunk: Trunk | None, flow: Flow) -> tuple[Party, Party]:
        if trunk is None or flow is Flow.INTERNAL:
            caller = self._device(rng, tenant)
            return caller, self._device(rng, tenant, besides=caller)
        if flow is Flow.INBOUND:
            return self._gateway(rng, trunk, trunk.domain, tenant), self._device(rng, tenant)
        return self._device(rng, tenant), self._gateway(rng, trunk, tenant.domain, tenant)

    def _device(self, rng: Random, tenant: Tenant, besides: Party | None = None) -> Party:
        device = rng.randrange(tenant.devices)
        if besides is not None and besides.user == str(1000 + device):
            device = (device + 1) % tenant.devices
        mix: ClientMix = self.network.client_of(tenant, device)
        ip = tenant.device_ip(device)
        media = self._ports.take(ip)
        behind_nat = rng.random() < mix.nat_ratio
        rtcp = Endpoint(f"203.0.113.{1 + device % 250}", rng.randrange(20_000, 60_000)) if behind_nat else None
        return Party(
            user=str(1000 + device),
            domain=tenant.domain,
            sip=Endpoint(ip, 5060),
            media=media,
            rtcp=rtcp or Endpoint(ip, media.port + 1),
            user_agent=mix.user_agent,
            codecs=mix.codecs,
            path=mix.path,
            sends_rtcp=rng.random() < mix.rtcp_ratio,
            place=(Place.CLIENT, mix.name),
            tag=f"{rng.getrandbits(40):010x}",
            ssrc=rng.getrandbits(32) or 1,
        )

    def _gateway(self, rng: Random, trunk: Trunk, domain: str, tenant: Tenant) -> Party:
        ip = trunk.gateway(rng.randrange(trunk.gateways))
        media = self._ports.take(ip)
        return Party(
            user=tenant.number_format.format(rng.randrange(1000)),
            domain=domain,
            sip=Endpoint(ip, 5060),
            media=media,
            rtcp=Endpoint(ip, media.port + 1),
            user_agent=f"{trunk.name}-sbc/4.1",
            codecs=trunk.codecs,
            path=trunk.path,
            sends_rtcp=rng.random() < trunk.rtcp_ratio,
            place=(Place.TRUNK, trunk.name),
            tag=f"gw{rng.getrandbits(36):09x}",
            ssrc=rng.getrandbits(32) or 1,
        )

    def _outcome(self, rng: Random, tenant: Tenant, trunk: Trunk | None, at_ns: int) -> Outcome:
        outcome = _pick(rng, tenant.outcomes)
        refused = trunk is not None and rng.random() < self._plan.fail_ratio(at_ns, Place.TRUNK, trunk.name)
        return Outcome.NO_FACILITY if refused else outcome


def trunkside(party: Party) -> bool:
    """Tell whether a party is a carrier's gateway."""
    return party.place[0] is Place.TRUNK


def _progress(
    rng: Random, outcome: Outcome, code: int, routed_ns: int, post_dial_s: float, answer_s: float
) -> tuple[int, int]:
    """Return the times of the first 18x (0: none) and of the final response."""
    ringing = routed_ns + _us(post_dial_s)
    if outcome is Outcome.ANSWERED:
        return (ringing, ringing + _us(answer_s)) if rng.random() < 0.96 else (0, ringing)
    if outcome is Outcome.NO_ANSWER:
        return ringing, ringing + _us(rng.uniform(14, 45) if code == 480 else rng.uniform(4, 40))
    if outcome is Outcome.REJECTED:
        return ringing, ringing + _us(rng.uniform(1.5, 9))
    if outcome is Outcome.ABANDONED:
        return 0, routed_ns + _us(max(post_dial_s * rng.uniform(0.3, 0.95), 0.7))
    if outcome is Outcome.TIMEOUT:
        return 0, routed_ns + _us(FR_TIMER_S)
    if outcome is Outcome.CHALLENGED:
        return 0, routed_ns + 1000 * rng.randint(700, 2000)
    return 0, ringing


def _released_by(rng: Random, outcome: Outcome, code: int, vanished: bool) -> ReleasedBy | None:
    if vanished:
        return ReleasedBy.TIMEOUT
    if outcome is Outcome.ANSWERED:
        return ReleasedBy.CALLER if rng.random() < 0.55 else ReleasedBy.CALLEE
    return ReleasedBy.CALLER if code == 487 else None


def _us(seconds: float) -> int:
    """Return whole microseconds, in nanoseconds."""
    return round(seconds * 1e6) * 1000


def _pick(rng: Random, weighted: tuple[tuple[_Choice, float], ...]) -> _Choice:
    at = rng.random() * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        at -= weight
        if at < 0:
            return value
    return weighted[-1][0]
