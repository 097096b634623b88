"""How one call's messages travel over its proxies, and what each proxy's agent captures of them.

A message is written once and sighted on each hop: a proxy's agent captures what it receives and what it sends
(as kamailio's siptrace with trace_mode 1), so a hop between two proxies is captured twice. Proxies add Via
headers, count Max-Forwards down and rewrite SDP to the relay's addresses (RFC 3261 section 16.6).
"""

from dataclasses import dataclass

from collectors.facts import Payload
from surgecast.simulator.calls import Party, PlannedCall
from surgecast.simulator.messages import Agent, Sighting, render, sdp, status_line
from telephony.model import Endpoint

_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request and its responses."""

    method: str
    cseq: int
    branch: str
    from_caller: bool = True
    to_tag: bool = False
    """Whether the request is inside the dialog."""
    fork: str = ""
    """Tells the branches of a forking (the last) proxy apart."""


class Dialog:
    """Writes the messages of one planned call.

    Nodes are numbered from the caller: 0 the caller, 1..n the proxies, n + 1 the callee; hop i joins node i to
    node i + 1. Times given are of hop 0 unless said otherwise.
    """

    def __init__(self, call: PlannedCall, hep_key: str, callee: Party | None = None) -> None:
        self._call = call
        self._callee = callee or call.callee
        self._agents = [Agent(p.node_id, p.name, hep_key) for p in call.proxies]
        self.last_hop = len(call.proxies)
        self._routes = [f"Record-Route: <sip:{p.ip};lr;ftag={call.caller.tag}>" for p in call.proxies]

    def branch(self, n: int) -> str:
        """Return the n-th branch of the call's ends."""
        return f"z9hG4bK{self._call.nonce:x}{n:02x}{self._callee.tag[-4:]}"

    def request(
        self,
        txn: Transaction,
        at_ns: int,
        *,
        hops: range | None = None,
        extra: tuple[str, ...] = (),
        offer: tuple[str, ...] = (),
        mode: str = "sendrecv",
    ) -> list[Sighting]:
        """Return the sightings of a request over `hops` (all of them by default), at `at_ns` on hop 0.

        `offer` are the codecs of an SDP body; none: no body.
        """
        call, caller, callee = self._call, self._call.caller, self._callee
        sender = caller if txn.from_caller else callee
        hops = hops if hops is not None else range(self.last_hop + 1)
        start = f"{txn.method} sip:{callee.user}@{callee.domain} SIP/2.0"
        if not txn.from_caller:
            start = f"{txn.method} sip:{caller.user}@{caller.sip} SIP/2.0"
        elif txn.to_tag:
            start = f"{txn.method} sip:{callee.user}@{callee.sip} SIP/2.0"
        common = (
            *self._parties(txn, txn.to_tag),
            f"Call-ID: {call.call_id}",
            f"CSeq: {txn.cseq} {txn.method}",
            f"Contact: <sip:{sender.user}@{sender.sip}>",
            f"User-Agent: {sender.user_agent}",
            *extra,
        )
        sightings: list[Sighting] = []
        for hop in hops:
            away = hop if txn.from_caller else self.last_hop - hop
            headers = [f"Max-Forwards: {70 - away}", *common]
            if txn.method == "INVITE" and not txn.to_tag:
                headers = [*reversed(self._routes[:away]), *headers, _ALLOW]
            body = self._body(txn.from_caller, hop, offer, mode, 1 + txn.cseq % 100) if offer else ""
            payload = render(start, self._vias(txn, hop), headers, body)
            sightings += self._sight(payload, hop, txn.from_caller, at_ns)
        return sightings

    def response(
        self,
        txn: Transaction,
        code: int,
        at_ns: int,
        *,
        hops: range | None = None,
        extra: tuple[str, ...] = (),
        answer: tuple[str, ...] = (),
        mode: str = "sendrecv",
    ) -> list[Sighting]:
        """Return the sightings of a response over `hops`, at `at_ns` on hop 0 whichever side sent it first."""
        call, callee = self._call, self._callee
        sender = callee if txn.from_caller else call.caller
        hops = hops if hops is not None else range(self.last_hop + 1)
        by_proxy = self.last_hop not in hops if txn.from_caller else 0 not in hops
        server = "kamailio (5.6.3 (x86_64/linux))" if by_proxy else sender.user_agent
        dialog_routes = (
            list(reversed(self._routes)) if code < 300 and code != 100 and txn.method == "INVITE" else []
        )
        headers = [
            *(dialog_routes if not txn.to_tag else []),
            *self._parties(txn, code != 100),
            f"Call-ID: {call.call_id}",
            f"CSeq: {txn.cseq} {txn.method}",
            *(
                [f"Contact: <sip:{sender.user}@{sender.sip}>"]
                if 180 <= code < 300 and txn.method == "INVITE"
                else []
            ),
            f"Server: {server}",
            *extra,
        ]
        sightings: list[Sighting] = []
        for hop in hops:
            body = self._body(not txn.from_caller, hop, answer, mode, 1 + txn.cseq % 100) if answer else ""
            payload = render(status_line(code), self._vias(txn, hop), headers, body)
            sightings += self._sight(payload, hop, not txn.from_caller, at_ns)
        return sightings

    def reply_at(self, request_ns: int, hop: int, wait_ns: int) -> int:
        """Return the `at_ns` of a response that the far node of a hop sends `wait_ns` after the request came."""
        return request_ns + 2 * (self._since_hop_0(hop) + self._between(hop)) + wait_ns

    def acked_at(self, response_ns: int, hop: int, wait_ns: int) -> int:
        """Return the `at_ns` of a request that the near node of a hop sends `wait_ns` after a response came."""
        return response_ns - 2 * self._since_hop_0(hop) + wait_ns

    def _parties(self, txn: Transaction, to_tag: bool) -> tuple[str, str]:
        caller, callee = self._call.caller, self._callee
        a = f"<sip:{caller.user}@{caller.domain}>;tag={caller.tag}"
        b = f"<sip:{callee.user}@{callee.domain}>" + (f";tag={callee.tag}" if to_tag else "")
        return (f"From: {a}", f"To: {b}") if txn.from_caller else (f"From: {b}", f"To: {a}")

    def _vias(self, txn: Transaction, hop: int) -> list[str]:
        """Return the Via values on a hop, topmost first; requests and responses of a hop carry the same."""
        sender = self._call.caller if txn.from_caller else self._callee
        passed = self._call.proxies[:hop] if txn.from_caller else self._call.proxies[hop:][::-1]
        added = [f"SIP/2.0/UDP {p.ip};branch=z9hG4bK{p.node_id:x}.{txn.branch[7:]}.0" for p in passed]
        if txn.fork and hop == self.last_hop:
            added[-1] += txn.fork
        return [*reversed(added), f"SIP/2.0/UDP {sender.sip};rport;branch={txn.branch}"]

    def _body(self, from_caller: bool, hop: int, codecs: tuple[str, ...], mode: str, version: int) -> str:
        call = self._call
        if from_caller:
            media = call.caller.media if hop == 0 else call.relay_to_callee
        else:
            media = call.relay_to_caller if hop == 0 else self._callee.media
        owner = call.caller.user if from_caller else self._callee.user
        return sdp(owner.lstrip("+"), version, media, codecs, mode)

    def _sight(self, payload: bytes, hop: int, forward: bool, at_ns: int) -> list[Sighting]:
        """Return what the agents at both ends of a hop capture; only proxies have agents."""
        near, far = self._address(hop), self._address(hop + 1)
        src, dst = (near, far) if forward else (far, near)
        # Forward: hop 0 is captured on arrival. Backward: on departure. The times of further hops differ by
        # the proxies' processing and the ways between them.
        offset_ns, between_ns = self._since_hop_0(hop), self._between(hop)
        near_ns = at_ns + offset_ns if forward else at_ns - offset_ns
        far_ns = near_ns + between_ns if forward else near_ns - between_ns
        found = []
        if hop > 0:
            found.append(Sighting(near_ns, self._agents[hop - 1], src, dst, Payload.SIP, payload))
        if hop < self.last_hop:
            found.append(Sighting(far_ns, self._agents[hop], src, dst, Payload.SIP, payload))
        return found

    def _since_hop_0(self, hop: int) -> int:
        """Return the time from hop 0 to the sending on this hop by the proxy before it."""
        call = self._call
        return 1000 * (hop * call.hop_us + sum(call.between_us(i) for i in range(hop - 1)))

    def _between(self, hop: int) -> int:
        """Return the time between the sending and the reception on a hop, where agents see both."""
        return 1000 * self._call.between_us(hop - 1) if 0 < hop < self.last_hop else 0

    def _address(self, node: int) -> Endpoint:
        if node == 0:
            return self._call.caller.sip
        if node > self.last_hop:
            return self._callee.sip
        return Endpoint(self._call.proxies[node - 1].ip, 5060)
