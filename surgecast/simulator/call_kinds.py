"""Between whom a tenant's calls are, and in which codec: what the media of a call depends on, without its numbers.

The same choices as the live planner's (`calls`), as shares; the past is drawn from them.
"""

from dataclasses import dataclass

from surgecast.simulator.network import ClientMix, Flow, Network, Tenant, Trunk
from telephony.model import Direction


@dataclass(frozen=True, slots=True)
class CallKind:
    """The two ends of a call and the codec that they agree on."""

    caller: ClientMix | Trunk
    callee: ClientMix | Trunk
    codec: str

    def receiver(self, direction: Direction) -> ClientMix | Trunk:
        """Return the end that reports on the stream of this direction."""
        return self.callee if direction is Direction.TO_CALLEE else self.caller


def call_kinds(network: Network, tenant: Tenant, flow: Flow, trunk: str) -> list[tuple[CallKind, float]]:
    """Return the kinds of a tenant's calls of one flow over one trunk (internal ones: none), with their shares."""
    total = sum(weight for _, weight in tenant.clients)
    devices = [(network.client(name), weight / total) for name, weight in tenant.clients]
    gateway = [] if flow is Flow.INTERNAL else [(network.trunk(trunk), 1.0)]
    callers = gateway if flow is Flow.INBOUND else devices
    callees = devices if flow in (Flow.INBOUND, Flow.INTERNAL) else gateway
    return [
        (CallKind(caller, callee, next(c for c in caller.codecs if c in callee.codecs)), share * of_callees)
        for caller, share in callers
        for callee, of_callees in callees
    ]
