"""Whom something that fails at a shared place hurts: tenants whose own figures need not be unusual yet.

A tenant sees incidents of its own only. So each that is hurt gets one, part of the incident of the place, with
nothing in it but the tenant's own figures and how many of its calls suffered there. Nothing here keeps state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alerts.archive import Archive
from alerts.catalog import Source, Watched, watched
from alerts.detectors import Window as Seen
from alerts.incidents import Incident, Scope, State, incident_id
from alerts.records import SECOND_NS
from alerts.signals import Kind
from storage.seam import Reader, Window
from telephony.model import UNASSIGNED, UNKNOWN

_SHARE = 0.5
"""Of the shift of the place, that a tenant's own calls there must show at least."""
_LEAST_CALLS = 1.0


@dataclass(frozen=True, slots=True)
class Affected:
    """A tenant, and what of it suffers at a place."""

    tenant: str
    calls: float
    """Units beyond (negative: short of) what the tenant is used to, there."""
    seen: Seen
    """All of the tenant's own, since it began."""


def explains(one: Incident) -> Watched | None:
    """Return the rule of an incident that may hurt tenants by how their calls fare; None for any other.

    Counts say how many calls there are, not how they fare.
    """
    rule = watched(one.signal or one.rule)
    if rule is None or one.scope.kind == "tenant" or "tenant" not in rule.dimensions:
        return None
    return rule if rule.source is Source.SUMS and rule.kind is not Kind.COUNT else None


def affected(
    reader: Reader, archive: Archive, one: Incident, rule: Watched, own: Callable[[str], Seen | None]
) -> Mapping[str, Affected]:
    """Return the tenants that an incident hurts, by name; `own` gives what one was seen to do since it began."""
    window = Window(one.onset_ns or one.started_ns, archive.until_s * SECOND_NS)
    if window.until_ns <= window.since_ns:
        return {}
    found: dict[str, Affected] = {}
    for tenant, amount, base in archive.by_tenant(reader, window, rule, one.scope):
        seen = own(tenant) if tenant not in ("", UNASSIGNED, UNKNOWN) and base > 0 else None
        if seen is None or seen.base <= 0:
            continue
        usual = seen.expected / seen.base
        shift, excess = one.observed - one.expected, amount - usual * base
        if rule.kind is Kind.MEAN:  # in calls, as of the incident itself
            if usual <= 0 or one.expected <= 0:
                continue
            shift, excess = shift / one.expected, excess / usual
        if excess * shift > 0 and abs(excess) >= max(_LEAST_CALLS, _SHARE * abs(shift) * base):
            found[tenant] = Affected(tenant, excess, seen)
    return found


def part_of(one: Incident, hurt: Affected, known: Incident | None, detectable_change: float) -> Incident:
    """Return a tenant's part of an incident, as it is now; `known` is the same as it was."""
    scope, seen = Scope("tenant", hurt.tenant, hurt.tenant), hurt.seen
    return replace(
        one,
        scope=scope,
        observed=seen.observed / seen.base,
        expected=seen.expected / seen.base,
        low=seen.low / seen.base,
        high=seen.high / seen.base,
        score=0.0,
        detectable_change=detectable_change,
        n=seen.base,
        excess=hurt.calls,
        state=State.FIRING,
        started_ns=known.started_ns if known else one.started_ns,
        onset_ns=known.onset_ns if known else one.onset_ns,
        ended_ns=None,
        parent_id=one.id,
        id=known.id if known else incident_id(one.rule, scope, one.started_ns),
    )
