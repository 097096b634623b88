"""What waits to be sent: retries, what is given up, and what takes the place of an older message."""

from dataclasses import replace

from alerts.incidents import Incident, Scope, Severity
from alerts.notify import Message, NotSent, message_of
from alerts.outbox import MOST_WAITING, Delivery, Fate, Outbox, RouteStats

ONE = Incident(
    "answer_ratio", Scope("trunk", "carrier-a"), "below", 0, 0.4, 0.6, 0.55, 0.65, 12.0, 0.1, 500, -100,
    severity=Severity.WARNING, id="i-1",
)  # fmt: skip
WARNED = Delivery("i-1", "desk", "warning")


class Sink:
    name = "desk"

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.tried = 0

    def wants(self, incident: Incident) -> bool:
        return True

    def send(self, message: Message) -> None:
        self.tried += 1
        if self.tried <= self.refusals:
            raise NotSent("not now")


def message() -> Message:
    return message_of(ONE, "ASR", {})


def flushed(outbox: Outbox, *times_s: float) -> list[tuple[Delivery, Fate]]:
    return [fate for now_s in times_s for fate in outbox.flush(now_s)]


def test_message_is_tried_again_later() -> None:
    outbox = Outbox([Sink(refusals=2)])
    outbox.put(WARNED, message(), 0.0)
    assert flushed(outbox, 0.0, 1.0, 10.0, 11.0, 40.0) == [(WARNED, Fate.SENT)]
    assert outbox.stats["desk"] == RouteStats(sent=1, failed=2)


def test_message_is_given_up_and_counted() -> None:
    outbox = Outbox([Sink(refusals=99)], attempts=3)
    outbox.put(WARNED, message(), 0.0)
    assert flushed(outbox, *map(float, range(0, 10_000, 100))) == [(WARNED, Fate.GIVEN_UP)]
    assert outbox.stats["desk"] == RouteStats(failed=3, dead=1)


def test_later_phase_takes_the_place_of_the_one_that_waits() -> None:
    sink = Sink(refusals=1)
    outbox = Outbox([sink])
    over = replace(WARNED, phase="resolved")
    outbox.put(WARNED, message(), 0.0)
    flushed(outbox, 0.0)
    outbox.put(over, message(), 1.0)
    assert flushed(outbox, 1.0, 99.0) == [(over, Fate.SENT)]


def test_route_that_refuses_is_left_alone_for_the_rest_of_the_turn() -> None:
    sink = Sink(refusals=99)
    outbox = Outbox([sink])
    for number in range(5):
        outbox.put(Delivery(f"i-{number}", "desk", "warning"), message(), 0.0)
    flushed(outbox, 0.0)
    assert sink.tried == 1


def test_what_has_no_room_is_shed_and_counted() -> None:
    outbox = Outbox([Sink()])
    taken = [outbox.put(Delivery(f"i-{n}", "desk", "warning"), message(), 0.0) for n in range(MOST_WAITING + 1)]
    assert (taken.count(False), outbox.stats["desk"].shed) == (1, 1)


def test_route_that_is_gone_takes_nothing() -> None:
    assert not Outbox([Sink()]).put(Delivery("i-1", "removed", "warning"), message(), 0.0)
