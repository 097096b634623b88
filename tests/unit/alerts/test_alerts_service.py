"""From minutes in a store to one incident that is sent once, also over a restart."""

from pathlib import Path

import numpy as np
import pytest

from alerts.catalog import STARTER, Rule
from alerts.incidents import Incident, State
from alerts.notify import Message, Outbox
from alerts.service import Service, stored
from alerts.settings import AlertSettings
from storage.actions import Action, record
from storage.embedded.store import EmbeddedStore
from storage.rows import batch
from storage.schema import ActionKind
from storage.seam import Scope

SLOT_S, DAYS = 900, 30
START_S = 1_790_000_000 // 86_400 * 86_400
NOW_S = START_S + DAYS * 86_400 + 12 * 3600
BROKEN_S = NOW_S - 4 * SLOT_S
TRUNKS = {"carrier-a": 120, "carrier-b": 120}


class Sink:
    name = "desk"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def wants(self, incident: Incident) -> bool:
        return True

    def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in which carrier-a stops answering an hour before now."""
    path = tmp_path_factory.mktemp("store")
    store = EmbeddedStore(path)
    writer = store.writer("collect")
    rng = np.random.default_rng(1)
    minutes = range(START_S, NOW_S, 60)
    place = {"tenant": "acme", "region": "eu", "node": "edge-1"}
    writer.write(
        "load_minute", batch("load_minute", [{"time": t * 10**9, **place, "pool": "media"} for t in minutes])
    )
    rows = []
    for trunk, mean in TRUNKS.items():
        for t in range(START_S, NOW_S, SLOT_S):
            attempts = int(rng.poisson(mean))
            good = 0.05 if trunk == "carrier-a" and t >= BROKEN_S else 0.6
            answered = int(rng.binomial(attempts, good))
            rows.append(
                {
                    "time": t * 10**9,
                    **place,
                    "trunk": trunk,
                    "attempts": attempts,
                    "answered": answered,
                    "minutes": 0.0,
                }
            )
    writer.write("session_minute", batch("session_minute", rows))
    writer.close()
    store.close()
    return path


def service(store: EmbeddedStore, sink: Sink) -> Service:
    settings = AlertSettings(slot="15m", delay="0s", history="40d")  # type: ignore[arg-type]
    rules = [w for w in STARTER if w.rule is Rule.ANSWER_RATIO]
    return Service(
        store.reader(Scope.everything("alerts")), store.writer("alerts"), settings, Outbox([sink]), rules
    )


def test_broken_trunk_is_one_message_with_the_cause_and_survives_a_restart(history: Path) -> None:
    store, sink = EmbeddedStore(history), Sink()
    first = service(store, sink)
    first.step(NOW_S)
    open_now = {(str(i.scope), i.cause, bool(i.parent_id)) for i in first.incidents()}
    assert ("trunk carrier-a", "trunk carrier-a", False) in open_now
    assert [m.incident.scope.name for m in sink.sent] == ["carrier-a"]
    assert all(parent for scope, _, parent in open_now if scope != "trunk carrier-a")

    first.writer.close()
    again = service(store, sink)
    again.step(NOW_S)
    assert {i.id for i in again.incidents()} == {i.id for i in first.incidents()}
    assert len(sink.sent) == 1

    key = next(i.id for i in again.incidents() if i.scope.name == "carrier-a")
    record(again.writer, Action(ActionKind.ACKNOWLEDGE, "incident", key, "kim", "on it", 0), NOW_S * 10**9 - 1)
    again.step(NOW_S + 1)
    kept = stored(store.reader(Scope.everything("test")), NOW_S + 60, key)
    assert [(k.incident.state, k.notified) for k in kept] == [(State.ACKNOWLEDGED, "desk")]
    assert stored(store.reader(Scope.of("somebody", "globex")), NOW_S + 60, key) == []
    again.writer.close()
    store.close()
