"""From minutes in a store to one incident that is sent once, also over a restart."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from alerts.catalog import STARTER, Rule
from alerts.incidents import Incident, State
from alerts.notify import Message, NotSent
from alerts.outbox import Outbox
from alerts.records import stored
from alerts.service import Service
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

    def __init__(self, refusals: int = 0) -> None:
        self.sent: list[Message] = []
        self.refusals = refusals

    def wants(self, incident: Incident) -> bool:
        return True

    def send(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotSent("not now")
        self.sent.append(message)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in which carrier-a stops answering an hour before now."""
    return written(tmp_path_factory.mktemp("store"), broken_s=BROKEN_S, until_s=NOW_S)


@pytest.fixture
def history(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of it for one test."""
    return Path(copytree(recorded, tmp_path / "store"))


def written(path: Path, *, broken_s: int, until_s: int) -> Path:
    """Write minutes until `until_s`; carrier-a answers almost nothing from `broken_s` on."""
    store = EmbeddedStore(path)
    writer = store.writer("collect")
    rng = np.random.default_rng(1)
    minutes = range(START_S, until_s, 60)
    place = {"tenant": "acme", "region": "eu", "node": "edge-1"}
    writer.write(
        "load_minute", batch("load_minute", [{"time": t * 10**9, **place, "pool": "media"} for t in minutes])
    )
    rows = []
    for trunk, mean in TRUNKS.items():
        for t in range(START_S, until_s, SLOT_S):
            attempts = int(rng.poisson(mean))
            good = 0.05 if trunk == "carrier-a" and t >= broken_s else 0.6
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


def test_a_service_that_runs_for_long_forgets_what_lies_before_its_history(history: Path) -> None:
    store, sink = EmbeddedStore(history), Sink()
    running = service(store, sink)
    running.settings = running.settings.model_copy(update={"history": 20 * 86_400.0})
    for now_s in range(NOW_S - 9 * 86_400, NOW_S + 1, 3 * 86_400):
        running.step(now_s)
    assert running._judge is not None
    archive = running._judge.archive
    assert (archive.until_s, archive.until_s - archive.start_s) == (NOW_S, int(22.5 * 86_400))
    assert [m.incident.scope.name for m in sink.sent] == ["carrier-a"]
    store.close()


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


def carrier(path: Path, service_: Service) -> str:
    return next(i.id for i in service_.incidents() if i.scope.name == "carrier-a")


def notified(store: EmbeddedStore, id_: str) -> str:
    return stored(store.reader(Scope.everything("test")), NOW_S + 60, id_)[0].notified


def test_incident_is_told_only_when_somebody_took_it_and_a_restart_sends_what_is_owed(history: Path) -> None:
    store, sink = EmbeddedStore(history), Sink(refusals=1)
    first = service(store, sink)
    first.step(NOW_S)
    key = carrier(history, first)
    assert (notified(store, key), len(sink.sent)) == ("not yet: desk", 0)

    first.writer.close()  # the process ends while the message waits
    again = service(store, sink)
    again.step(NOW_S + 1)
    assert (notified(store, key), len(sink.sent)) == ("desk", 1)
    again.writer.close()
    store.close()


def test_crash_between_sending_and_recording_sends_the_same_reference_again(history: Path) -> None:
    class Crash(Sink):
        def send(self, message: Message) -> None:
            super().send(message)
            raise KeyboardInterrupt

    store, sink = EmbeddedStore(history), Crash()
    first = service(store, sink)
    with pytest.raises(KeyboardInterrupt):
        first.step(NOW_S)
    first.writer.close()
    second = Sink()
    again = service(store, second)
    again.step(NOW_S + 1)
    references = [m.body.rpartition("Reference: ")[2] for m in (*sink.sent, *second.sent)]
    assert len(references) == 2
    assert len(set(references)) == 1
    again.writer.close()
    store.close()


def test_alert_that_lasts_longer_than_a_day_is_kept_open_over_a_restart(tmp_path: Path) -> None:
    day_ns = 86_400 * 10**9
    store = EmbeddedStore(written(tmp_path, broken_s=BROKEN_S, until_s=NOW_S + 40 * 3600))
    sink = Sink()
    first = service(store, sink)
    first.step(NOW_S)
    key = carrier(tmp_path, first)
    first.writer.close()

    again = service(store, sink)
    again.step(NOW_S + 40 * 3600)
    (kept,) = [one for one in again.incidents() if one.id == key]
    assert NOW_S * 10**9 + 40 * 3600 * 10**9 - kept.started_ns > day_ns
    assert [m.incident.severity for m in sink.sent if m.incident.id == key] == ["warning", "critical"]
    assert kept.state is State.FIRING
    again.writer.close()
    store.close()


def test_missing_data_is_one_incident_of_its_own_that_ends_when_data_return(tmp_path: Path) -> None:
    rules = [w for w in STARTER if w.rule is Rule.WATCHED_MINUTES]
    store, sink = EmbeddedStore(tmp_path), Sink()
    writer = store.writer("collect")
    place = {"tenant": "unassigned", "region": "eu", "node": "edge-1", "pool": "capture"}

    def watched_minutes(since_s: int, until_s: int) -> None:
        rows = [{"time": t * 10**9, **place} for t in range(since_s, until_s, 60)]
        writer.write("load_minute", batch("load_minute", rows))
        writer.flush()

    watched_minutes(NOW_S - 86_400, NOW_S)
    settings = AlertSettings(slot="15m", delay="0s", history="40d")  # type: ignore[arg-type]
    reader = store.reader(Scope.everything("alerts"))
    one = Service(reader, store.writer("alerts"), settings, Outbox([sink]), rules)
    one.step(NOW_S)
    assert one.incidents() == []
    one.step(NOW_S + 2 * SLOT_S)
    assert [(i.rule, i.state) for i in one.incidents()] == [("no_data", State.NO_DATA)]
    watched_minutes(NOW_S + 2 * SLOT_S, NOW_S + 4 * SLOT_S)
    one.step(NOW_S + 4 * SLOT_S)
    assert [m.incident.state for m in sink.sent] == [State.NO_DATA, State.RESOLVED]
    writer.close()
    one.writer.close()
    store.close()


def test_limit_broken_twice_is_two_incidents(tmp_path: Path) -> None:
    store, sink = EmbeddedStore(tmp_path), Sink()
    writer = store.writer("collect")
    place = {"tenant": "acme", "region": "eu", "node": "edge-1"}
    bad = {*range(4, 7), *range(10, 13)}
    for slot in range(16):
        t = (NOW_S + slot * SLOT_S) * 10**9
        minutes = [{"time": t + m * 60 * 10**9, **place, "pool": "media"} for m in range(SLOT_S // 60)]
        writer.write("load_minute", batch("load_minute", minutes))
        beats = {"options_sent": 30, "options_answered": 0 if slot in bad else 30}
        writer.write("trunk_minute", batch("trunk_minute", [{"time": t, **place, "trunk": "carrier-a", **beats}]))
    writer.close()
    settings = AlertSettings(slot="15m", delay="0s", history="40d")  # type: ignore[arg-type]
    rules = [w for w in STARTER if w.rule is Rule.HEARTBEATS]
    one = Service(
        store.reader(Scope.everything("alerts")), store.writer("alerts"), settings, Outbox([sink]), rules
    )
    for slot in range(2, 17):
        one.step(NOW_S + slot * SLOT_S)
    told = [(m.incident.state, m.incident.rule) for m in sink.sent]
    assert told == [(State.FIRING, "trunk_unreachable"), (State.RESOLVED, "trunk_unreachable")] * 2
    assert len({m.incident.id for m in sink.sent}) == 2
    one.writer.close()
    store.close()
