"""Who is told of a group of incidents over its life: of its cause, once, and once when all of it is over."""

from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.archive import Archive
from alerts.incidents import Incident, Scope, Severity, State, incident_id
from alerts.judging import Judge
from alerts.notify import Message
from alerts.outbox import Outbox
from alerts.service import Service
from alerts.settings import AlertSettings
from storage.embedded.store import EmbeddedStore
from storage.seam import Scope as Reading

MINUTE_S, S = 60, 10**9
BEGAN_S = 1_790_000_040
TRUNK, ACME, NODE = Scope("trunk", "carrier-a"), Scope("tenant", "acme", "acme"), Scope("node", "edge-1")


class Desk:
    name = "desk"

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.scope: Scope | None = None
        """The only one it wants, if any."""

    def wants(self, incident: Incident) -> bool:
        return self.scope in (None, incident.scope)

    def send(self, message: Message) -> None:
        self.sent.append(message)


@dataclass(slots=True)
class Judged(Service):
    """A service that is given what the watches found."""

    def see(self, minute: int, *found: Incident) -> None:
        now_s = BEGAN_S + minute * MINUTE_S
        judge = Judge(self.settings, Archive((), 0, MINUTE_S, ZoneInfo("UTC")), {})
        self._update(judge, {one.id: one for one in found}, (), now_s)
        self.deliver(now_s)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def judged(tmp_path: Path, desk: Desk) -> Judged:
    store = EmbeddedStore(tmp_path)
    settings = AlertSettings(slot="60s", delay="0s")  # type: ignore[arg-type]
    return Judged(store.reader(Reading.everything("alerts")), store.writer("alerts"), settings, Outbox([desk]))


def incident(scope: Scope, excess: float = -50, rule: str = "answer_ratio", minute: int = 0) -> Incident:
    started_ns = (BEGAN_S + minute * MINUTE_S) * S
    return Incident(
        rule, scope, "below", started_ns, 0.1, 0.6, 0.5, 0.7, 20, 0.1, 500, excess,
        onset_ns=started_ns, id=incident_id(rule, scope, started_ns),
    )  # fmt: skip


def ended(one: Incident, minute: int) -> Incident:
    return replace(one, state=State.RESOLVED, ended_ns=(BEGAN_S + minute * MINUTE_S) * S)


def told(desk: Desk) -> list[tuple[str, str]]:
    return [(m.incident.scope.name, m.incident.state.value) for m in desk.sent]


def test_a_place_is_told_at_once(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(TRUNK))
    assert told(desk) == [("carrier-a", "firing")]


def test_a_tenant_waits_a_slot_for_its_cause(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(ACME))
    before = told(desk)
    judged.see(1, incident(ACME))
    assert (before, told(desk)) == ([], [("acme", "firing")])


def test_the_cause_that_shows_in_the_next_slot_is_told_instead(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(ACME))
    judged.see(1, incident(ACME), incident(TRUNK, minute=1))
    judged.see(2, incident(ACME), incident(TRUNK, minute=1))
    assert told(desk) == [("carrier-a", "firing")]


def test_a_cause_found_later_goes_on_with_the_message_that_was_sent(judged: Judged, desk: Desk) -> None:
    for minute in (0, 1):
        judged.see(minute, incident(ACME))
    judged.see(2, incident(ACME), incident(TRUNK, minute=2))
    judged.see(20, ended(incident(ACME), 5), ended(incident(TRUNK, minute=2), 5))
    assert told(desk) == [("acme", "firing"), ("carrier-a", "resolved")]


def test_a_route_that_is_not_told_of_the_cause_stays_with_what_it_was_told(judged: Judged, desk: Desk) -> None:
    desk.scope = ACME
    for minute in (0, 1):
        judged.see(minute, incident(ACME))
    judged.see(2, incident(ACME), incident(TRUNK, minute=2))
    judged.see(20, ended(incident(ACME), 5), ended(incident(TRUNK, minute=2), 5))
    assert told(desk) == [("acme", "firing"), ("acme", "resolved")]


def test_the_end_is_told_when_it_was_quiet_for_ten_minutes(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(TRUNK))
    judged.see(14, ended(incident(TRUNK), 5))
    before = told(desk)
    judged.see(15, ended(incident(TRUNK), 5))
    assert (before[1:], told(desk)[1:]) == ([], [("carrier-a", "resolved")])


def test_what_comes_back_while_it_is_not_over_is_no_news(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(TRUNK))
    judged.see(6, ended(incident(TRUNK), 5))
    judged.see(9, incident(TRUNK))
    assert told(desk) == [("carrier-a", "firing")]


def test_the_first_rule_to_end_ends_nothing(judged: Judged, desk: Desk) -> None:
    media = incident(TRUNK, 9, rule="media_loss")
    judged.see(0, incident(TRUNK), media)
    judged.see(20, ended(incident(TRUNK), 5), media)
    judged.see(32, ended(incident(TRUNK), 5), ended(media, 21))
    assert told(desk) == [("carrier-a", "firing"), ("carrier-a", "resolved")]


def test_what_outlasts_its_cause_by_far_is_told_by_itself(judged: Judged, desk: Desk) -> None:
    judged.see(0, incident(TRUNK), incident(ACME))
    judged.see(36, ended(incident(TRUNK), 5), incident(ACME))
    judged.see(37, ended(incident(TRUNK), 5), incident(ACME))
    assert told(desk) == [("carrier-a", "firing"), ("carrier-a", "resolved"), ("acme", "firing")]


def test_a_part_that_ends_a_minute_later_is_never_told_by_itself(judged: Judged, desk: Desk) -> None:
    """What explains it directly is over; what explains that one still leads."""
    media, calls, node = incident(TRUNK, 900, rule="media_loss"), incident(TRUNK), incident(NODE, -20)
    media = replace(media, severity=Severity.CRITICAL)
    judged.see(0, media, calls, node)
    for minute in (14, 15, 16):
        judged.see(minute, ended(media, 5), ended(calls, 4), ended(node, 6))
    assert told(desk) == [("carrier-a", "firing"), ("carrier-a", "resolved")]
