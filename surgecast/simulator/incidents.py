"""What goes wrong, when and how badly: the degradations whose truth is known beforehand.

An incident is data. Media, calls and arrivals ask the plan what holds at a moment; nothing here draws a random
number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import hypot

import numpy as np
import numpy.typing as npt

from surgecast.simulator.warm import warm_from_ns

_SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * _SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS


class Place(StrEnum):
    """What kind of thing an incident happens to."""

    REGION = "region"
    RELAY = "relay"
    TRUNK = "trunk"
    CLIENT = "client"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Impairment:
    """What is added to the good day of a path."""

    loss_ratio: float = 0.0
    burst_packets: float = 1.0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0

    def plus(self, other: "Impairment") -> "Impairment":
        """Return both one after the other: losses are independent, jitters add as variances."""
        return Impairment(
            1 - (1 - self.loss_ratio) * (1 - other.loss_ratio),
            max(self.burst_packets, other.burst_packets),
            hypot(self.jitter_ms, other.jitter_ms),
            self.delay_ms + other.delay_ms,
        )


UNIMPAIRED = Impairment()


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing going wrong at one place, once or (with a period) again and again."""

    title: str
    place: Place
    name: str
    start_ns: int
    length_ns: int
    period_ns: int = 0
    """0: once only."""
    impairment: Impairment = UNIMPAIRED
    fail_ratio: float = 0.0
    """Share of the calls over this place that end in 503 instead of what they would have."""
    load_factor: float = 1.0
    """Factor on the tenant's arrivals."""

    def active(self, at_ns: int) -> bool:
        """Tell whether it happens at this moment."""
        since = at_ns - self.start_ns
        return 0 <= (since % self.period_ns if self.period_ns and since >= 0 else since) < self.length_ns

    def active_minutes(self, minutes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell, for UTC minutes since the epoch, in which of them it happens at their start."""
        since = minutes * MINUTE_NS - self.start_ns
        phase = np.where(since >= 0, since % self.period_ns, since) if self.period_ns else since
        return np.asarray((phase >= 0) & (phase < self.length_ns))


class IncidentPlan:
    """All incidents of a run."""

    def __init__(self, incidents: Iterable[Incident] = ()) -> None:
        self.incidents = tuple(incidents)
        self._impairing = tuple(i for i in self.incidents if i.impairment != UNIMPAIRED)

    def impairment(self, at_ns: int, places: Iterable[tuple[Place, str]]) -> Impairment:
        """Return what the incidents at these places add to a path now."""
        added = UNIMPAIRED
        for incident in self._impairing:
            if (incident.place, incident.name) in places and incident.active(at_ns):
                added = added.plus(incident.impairment)
        return added

    def fail_ratio(self, at_ns: int, place: Place, name: str) -> float:
        """Return the share of calls that this place refuses now."""
        here = (i for i in self.incidents if i.place is place and i.name == name and i.active(at_ns))
        return max((i.fail_ratio for i in here), default=0.0)

    def load_factors(self, minutes: npt.NDArray[np.int64], tenant: str) -> npt.NDArray[np.float64]:
        """Return the factor on a tenant's arrivals in UTC minutes since the epoch; the last listed one counts."""
        factors = np.ones(minutes.size)
        for incident in self.incidents:
            if incident.place is Place.TENANT and incident.name == tenant:
                factors[incident.active_minutes(minutes)] = incident.load_factor
        return factors


FAULT_NS = 4 * MINUTE_NS
"""Long enough for the incident to be seen and told, short enough to see its end: ten quiet minutes later."""


def fault_start_ns(start_ns: int) -> int:
    """Return when the trunk of a demo's story fails: the whole minute in which the network comes up.

    The one before is made of what a warm start tells again, and says nothing about the calls of the moment.
    """
    return warm_from_ns(start_ns) + MINUTE_NS


def campaign_start_ns(start_ns: int) -> int:
    """Return when the campaign of a demo begins: the first whole minute over 1.75 minutes after its start.

    The first forecast must be there a lead time before; whoever watches for three minutes must see it begin.
    """
    return -(-(start_ns + 105 * _SECOND_NS) // MINUTE_NS) * MINUTE_NS


def live_incidents(start_ns: int) -> IncidentPlan:
    """Return the incidents of a demo that starts now: something to see within a minute, and all day long.

    The first ten minutes tell one story: transit-x fails, its tenant feels it, a campaign comes, and the trunk
    recovers. What else goes wrong goes wrong later.
    """
    return IncidentPlan(
        (
            Incident(
                "transit-x refuses calls and loses media",
                Place.TRUNK,
                "transit-x",
                fault_start_ns(start_ns),
                FAULT_NS,
                120 * MINUTE_NS,
                Impairment(0.05, 3.0, 12.0, 20.0),
                fail_ratio=0.9,
            ),
            Incident(
                "Loss bursts in eu-west",
                Place.REGION,
                "eu-west",
                start_ns + 20 * MINUTE_NS,
                6 * MINUTE_NS,
                70 * MINUTE_NS,
                impairment=Impairment(0.045, 3.5, 4.0, 6.0),
            ),
            Incident(
                "High jitter on mobile apps",
                Place.CLIENT,
                "mobile-app",
                start_ns + 35 * MINUTE_NS,
                8 * MINUTE_NS,
                90 * MINUTE_NS,
                impairment=Impairment(0.01, 2.0, 38.0, 25.0),
            ),
            Incident(
                "relay-us-2 degraded",
                Place.RELAY,
                "relay-us-2",
                start_ns + 50 * MINUTE_NS,
                10 * MINUTE_NS,
                110 * MINUTE_NS,
                impairment=Impairment(0.02, 1.3, 18.0, 12.0),
            ),
            Incident(
                "carrier-c bad",
                Place.TRUNK,
                "carrier-c",
                start_ns + 75 * MINUTE_NS,
                20 * MINUTE_NS,
                180 * MINUTE_NS,
                Impairment(0.025, 2.5, 9.0, 15.0),
                fail_ratio=0.28,
            ),
            Incident(
                "Campaign of meridian-support",
                Place.TENANT,
                "meridian-support",
                campaign_start_ns(start_ns),
                45 * MINUTE_NS,
                load_factor=3.0,
            ),
        )
    )


def past_incidents(now_ns: int) -> IncidentPlan:
    """Return what went wrong in the six weeks before `now_ns`: the truth that history holds."""
    midnight_ns = now_ns - now_ns % DAY_NS

    def at(days_ago: int, hour: float) -> int:
        return midnight_ns - days_ago * DAY_NS + round(hour * HOUR_NS)

    return IncidentPlan(
        (
            Incident(
                "carrier-c bad in the afternoon",
                Place.TRUNK,
                "carrier-c",
                at(2, 18),  # 13:00 or 14:00 in New York
                150 * MINUTE_NS,
                impairment=Impairment(0.025, 2.5, 9.0, 15.0),
                fail_ratio=0.28,
            ),
            Incident(
                "relay-us-2 degraded",
                Place.RELAY,
                "relay-us-2",
                at(3, 15.5),
                100 * MINUTE_NS,
                impairment=Impairment(0.02, 1.3, 18.0, 12.0),
            ),
            Incident(
                "Loss in eu-west",
                Place.REGION,
                "eu-west",
                at(5, 9.25),
                55 * MINUTE_NS,
                impairment=Impairment(0.045, 3.5, 4.0, 6.0),
            ),
            Incident(
                "carrier-b refuses calls", Place.TRUNK, "carrier-b", at(9, 10), 75 * MINUTE_NS, fail_ratio=0.5
            ),
            Incident(
                "Campaign of meridian-support",
                Place.TENANT,
                "meridian-support",
                at(11, 8.5),
                180 * MINUTE_NS,
                load_factor=3.1,
            ),
            Incident(
                "lakeside-health cannot call",
                Place.TENANT,
                "lakeside-health",
                at(16, 14),
                40 * MINUTE_NS,
                load_factor=0.04,
            ),
            Incident(
                "High jitter on mobile apps",
                Place.CLIENT,
                "mobile-app",
                at(22, 12),
                240 * MINUTE_NS,
                impairment=Impairment(0.01, 2.0, 38.0, 25.0),
            ),
            Incident(
                "Campaign of meridian-support",
                Place.TENANT,
                "meridian-support",
                at(32, 9),
                180 * MINUTE_NS,
                load_factor=2.9,
            ),
        )
    )
