"""Registrations and OPTIONS heartbeats: the SIP around the calls."""

from collections.abc import Iterator
from random import Random

from collectors.facts import Payload
from surgecast.simulator.incidents import IncidentPlan, Place
from surgecast.simulator.messages import Agent, Sighting, render, status_line
from surgecast.simulator.network import Network, Proxy, Tenant, Trunk
from surgecast.simulator.scripts import digest_response
from surgecast.simulator.truth import Truth
from telephony.model import Endpoint, RegistrationOutcome

_MS = 1_000_000
REGISTRATION_OUTCOMES = (
    (RegistrationOutcome.REGISTERED, 0.965),
    (RegistrationOutcome.UNREGISTERED, 0.010),
    (RegistrationOutcome.REJECTED, 0.008),
    (RegistrationOutcome.CHALLENGED, 0.012),
    (RegistrationOutcome.TIMEOUT, 0.005),
)
_REPEATS_NS = (500 * _MS, 1500 * _MS, 3500 * _MS)
"""Timer E of a request over UDP that nobody answers (RFC 3261 section 17.1.2.2), as long as senders try here."""


def draw_outcome(rng: Random) -> RegistrationOutcome:
    """Return how a registration ends; a wrong password is challenged again, a barred device refused."""
    return rng.choices([o for o, _ in REGISTRATION_OUTCOMES], [w for _, w in REGISTRATION_OUTCOMES])[0]


def registration(network: Network, tenant: Tenant, at_ns: int, seed: int, truth: Truth) -> Iterator[Sighting]:
    """Yield a REGISTER attempt of one device: challenge, credentials, answer."""
    rng = Random(seed)
    outcome = draw_outcome(rng)
    proxy = network.proxy(rng.choice(tenant.proxies))
    device = rng.randrange(tenant.devices)
    mix = network.client_of(tenant, device)
    here, there = Endpoint(tenant.device_ip(device), 5060), Endpoint(proxy.ip, 5060)
    aor = f"sip:{1000 + device}@{tenant.domain}"
    call_id = f"{rng.getrandbits(60):015x}@{here.ip}"
    nonce, tag = rng.getrandbits(64), f"{rng.getrandbits(32):08x}"
    expires = 0 if outcome is RegistrationOutcome.UNREGISTERED else 600
    agent = Agent(proxy.node_id, proxy.name, network.hep_key)

    def request(at_ns: int, cseq: int, credentials: tuple[str, ...] = ()) -> Sighting:
        text = render(
            f"REGISTER sip:{tenant.domain} SIP/2.0",
            (f"SIP/2.0/UDP {here};rport;branch=z9hG4bK{nonce:x}{cseq}",),
            (
                "Max-Forwards: 70",
                f"From: <{aor}>;tag={tag}",
                f"To: <{aor}>",
                f"Call-ID: {call_id}",
                f"CSeq: {cseq} REGISTER",
                f"Contact: <sip:{1000 + device}@{here}>;expires={expires}",
                f"Expires: {expires}",
                f"User-Agent: {mix.user_agent}",
                *credentials,
            ),
        )
        return Sighting(at_ns, agent, here, there, Payload.SIP, text)

    def response(at_ns: int, cseq: int, code: int, extra: tuple[str, ...] = ()) -> Sighting:
        text = render(
            status_line(code),
            (f"SIP/2.0/UDP {here};rport={here.port};received={here.ip};branch=z9hG4bK{nonce:x}{cseq}",),
            (
                f"From: <{aor}>;tag={tag}",
                f"To: <{aor}>;tag=k{tag}",
                f"Call-ID: {call_id}",
                f"CSeq: {cseq} REGISTER",
                "Server: kamailio (5.6.3 (x86_64/linux))",
                *extra,
            ),
        )
        return Sighting(at_ns, agent, there, here, Payload.SIP, text)

    challenge = (f'WWW-Authenticate: Digest realm="{tenant.domain}", nonce="{nonce:016x}", qop="auth"',)
    answer = digest_response("REGISTER", nonce)
    authorization = (
        f'Authorization: Digest username="{1000 + device}", realm="{tenant.domain}", nonce="{nonce:016x}", '
        f'uri="sip:{tenant.domain}", response="{answer}", algorithm=MD5'
    )
    trip_ns = round(2e3 * mix.path.delay_ms) * 1000
    if outcome is RegistrationOutcome.TIMEOUT:
        for waited_ns in (0, *_REPEATS_NS):
            yield request(at_ns + waited_ns, 1)
    else:
        yield request(at_ns, 1)
        yield response(at_ns + 2 * _MS, 1, 401, challenge)
        second_ns = at_ns + 6 * _MS + trip_ns
        yield request(second_ns, 2, (authorization,))
        final_ns = second_ns + 1000 * rng.randint(2000, 6000)
        if outcome is RegistrationOutcome.CHALLENGED:
            yield response(final_ns, 2, 401, challenge)
        elif outcome is RegistrationOutcome.REJECTED:
            yield response(final_ns, 2, 403)
        else:
            yield response(final_ns, 2, 200, (f"Contact: <sip:{1000 + device}@{here}>;expires={expires}",))
    truth.registrations[outcome] += 1
    truth.auth_failures += outcome in (RegistrationOutcome.CHALLENGED, RegistrationOutcome.REJECTED)


def heartbeat(
    network: Network, proxy: Proxy, trunk: Trunk, at_ns: int, seed: int, plan: IncidentPlan, truth: Truth
) -> Iterator[Sighting]:
    """Yield an OPTIONS ping of a proxy to the first gateway of a trunk, and its answer if there is one."""
    rng = Random(seed)
    here, there = Endpoint(proxy.ip, 5060), Endpoint(trunk.gateway(0), 5060)
    agent = Agent(proxy.node_id, proxy.name, network.hep_key)
    tag = f"{rng.getrandbits(32):08x}"
    shared = (
        f"From: <sip:ping@{proxy.ip}>;tag={tag}",
        f"Call-ID: {rng.getrandbits(60):015x}@{proxy.ip}",
        "CSeq: 10 OPTIONS",
    )
    via = (f"SIP/2.0/UDP {proxy.ip};branch=z9hG4bK{rng.getrandbits(48):x}.0",)
    uri = f"sip:{there}"
    ping = render(
        f"OPTIONS {uri} SIP/2.0",
        via,
        (f"To: <{uri}>", *shared, "Max-Forwards: 70", "User-Agent: kamailio (5.6.3)"),
    )
    answered = rng.random() >= 0.6 * plan.fail_ratio(at_ns, Place.TRUNK, trunk.name)
    if answered:
        delay_ms = trunk.path.delay_ms + plan.impairment(at_ns, ((Place.TRUNK, trunk.name),)).delay_ms
        answer_ns = at_ns + round(2e3 * delay_ms * rng.uniform(1.0, 1.3)) * 1000
        pong = render(status_line(200), via, (f"To: <{uri}>;tag=p{tag}", *shared, f"Server: {trunk.name}-sbc/4.1"))
        yield Sighting(at_ns, agent, here, there, Payload.SIP, ping)
        yield Sighting(answer_ns, agent, there, here, Payload.SIP, pong)
    else:
        for waited_ns in (0, *_REPEATS_NS):
            yield Sighting(at_ns + waited_ns, agent, here, there, Payload.SIP, ping)
    truth.heartbeats += 1
    truth.heartbeats_answered += answered
