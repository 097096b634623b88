"""What has still to be sent, with its retries, and what came of it.

A delivery is known by incident, route and phase: of each incident a route is owed at most one, the newest phase.
The outbox is memory alone; who fills it keeps what is owed in the store and hears the fate of each delivery, so
that a restart can fill it again. `now` is a parameter; nothing sleeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from alerts.incidents import Incident
from alerts.notify import Message, NotSent, Sink

BACKOFF_S = (10.0, 30.0, 120.0, 600.0, 1800.0)
MOST_WAITING = 1_000


class Fate(StrEnum):
    """What became of a delivery."""

    SENT = "sent"
    GIVEN_UP = "given_up"
    """Tried as often as is allowed."""
    SHED = "shed"
    """There was no room to wait."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one route."""

    incident: str
    route: str
    phase: str
    """The severity that it tells, or `resolved`."""


@dataclass(slots=True)
class RouteStats:
    """Counters of one route for the exporter."""

    sent: int = 0
    failed: int = 0
    """Attempts that were not taken."""
    dead: int = 0
    """Messages given up."""
    shed: int = 0
    """Messages for which there was no room to wait."""


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    message: Message
    due_s: float
    tried: int = 0


@dataclass(slots=True)
class Outbox:
    """Deliveries that wait, oldest first."""

    sinks: Sequence[Sink]
    attempts: int = 5
    stats: dict[str, RouteStats] = field(default_factory=dict)
    last_error: str = ""
    _waiting: dict[tuple[str, str], _Waiting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for sink in self.sinks:
            self.stats[sink.name] = RouteStats()

    def routes_for(self, incident: Incident) -> list[str]:
        """Return the names of the routes that want an incident."""
        return [sink.name for sink in self.sinks if sink.wants(incident)]

    def put(self, delivery: Delivery, message: Message, now_s: float) -> bool:
        """Queue a delivery, in place of an older phase of the same; False where there is no route or no room."""
        key = (delivery.incident, delivery.route)
        if delivery.route not in self.stats:
            return False
        if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
            self.stats[delivery.route].shed += 1
            return False
        self._waiting[key] = _Waiting(delivery, message, now_s)
        return True

    def withdraw(self, incident: str, route: str) -> None:
        """Forget what waits for a route of an incident."""
        self._waiting.pop((incident, route), None)

    def __contains__(self, delivery: Delivery) -> bool:
        held = self._waiting.get((delivery.incident, delivery.route))
        return held is not None and held.delivery == delivery

    def flush(self, now_s: float) -> Iterator[tuple[Delivery, Fate]]:
        """Send what is due, one by one, telling the fate of each before the next is tried.

        What is not taken waits longer each time. A route that did not take one is left alone until later.
        """
        sinks = {sink.name: sink for sink in self.sinks}
        refusing: set[str] = set()
        for key, one in list(self._waiting.items()):
            if one.due_s > now_s or one.delivery.route in refusing:
                continue
            stats = self.stats[one.delivery.route]
            try:
                sinks[one.delivery.route].send(one.message)
            except NotSent as error:
                refusing.add(one.delivery.route)
                stats.failed += 1
                self.last_error = str(error)
                one.tried += 1
                one.due_s = now_s + BACKOFF_S[min(one.tried - 1, len(BACKOFF_S) - 1)]
                if one.tried < self.attempts:
                    continue
                stats.dead += 1
                fate = Fate.GIVEN_UP
            else:
                stats.sent += 1
                fate = Fate.SENT
            del self._waiting[key]
            yield one.delivery, fate

    @property
    def due_s(self) -> float | None:
        """When the next delivery is due; None where nothing waits."""
        return min((one.due_s for one in self._waiting.values()), default=None)

    def __len__(self) -> int:
        return len(self._waiting)
