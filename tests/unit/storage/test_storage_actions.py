"""Actions as records: what was told last holds, and what is told together stays apart."""

from pathlib import Path

from storage.actions import Action, actions, record, record_all, withdraw
from storage.embedded.store import EmbeddedStore
from storage.rows import shard_of
from storage.schema import SHARDS, ActionKind
from storage.seam import Scope

NOW = 1_790_000_040_000_000_000
ENGINEER = Scope.everything("engineer")


def event(number: int) -> Action:
    return Action(
        ActionKind.EVENT, "tenant", "acme", "me", "sale", NOW, NOW + 10**12, tenant="acme", id=f"e-{number}"
    )


def test_actions_told_together_stay_apart_on_one_shard(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    told = [event(number) for number in range(2 * SHARDS)]
    assert len({shard_of(action.id) for action in told}) < len(told)
    record_all(store.writer("operator"), told, NOW)
    found = actions(store.reader(ENGINEER), [ActionKind.EVENT], NOW + 10**9)
    store.close()
    assert [action.id for action in told] == [action.id for action in found]


def test_the_newest_record_of_an_id_holds(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    writer, reader = store.writer("operator"), store.reader(ENGINEER)
    record(writer, event(1), NOW)
    gone = withdraw(reader, writer, "e-1", "you", NOW + 5)
    found = actions(reader, [ActionKind.EVENT], NOW + 6)
    store.close()
    assert ([gone], True, "you") == (found, found[0].withdrawn, found[0].author)
