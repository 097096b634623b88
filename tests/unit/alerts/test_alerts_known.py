"""Announced events and a collector's beginning explain slots; nothing else is left out of what is judged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.catalog import Rule, watched
from alerts.incidents import Scope
from alerts.known import Known
from forecast.events import Event
from forecast.stored import Announced, record_announced
from storage.embedded.store import EmbeddedStore
from storage.rows import batch
from storage.schema import CAPTURE_BEGAN, ActionKind
from storage.seam import Scope as StoreScope
from storage.seam import Window

SLOT_S, COUNT = 300, 48
START_S = 1_790_000_000 // 86_400 * 86_400
BEGAN_SLOT, EVENT_SLOTS = 10, range(24, 30)
SALE = Event("sale", START_S + 24 * SLOT_S, START_S + 30 * SLOT_S, ("acme",), uplift=1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """Return a store in which capture began once and acme sells; carrier-a carries acme, carrier-b none of it."""
    path: Path = tmp_path_factory.mktemp("known")
    opened = EmbeddedStore(path)
    writer = opened.writer("collect")
    began_ns = (START_S + BEGAN_SLOT * SLOT_S + 7) * 10**9
    finding = {"time": began_ns, "tenant": "unassigned", "node": "collector", "kind": CAPTURE_BEGAN, "shard": "1",
               "subject": "collector", "text": "began", "count": 1}  # fmt: skip
    writer.write("finding", batch("finding", [finding]))
    rows = [
        {"time": START_S * 10**9, "region": "eu", "node": node, "tenant": tenant, "trunk": trunk, "attempts": 100}
        for tenant, trunk, node in (
            ("acme", "carrier-a", "edge-1"),
            ("globex", "carrier-a", "edge-1"),
            ("globex", "carrier-b", "edge-2"),
        )
    ]
    writer.write("session_minute", batch("session_minute", rows))
    told = Announced(
        "e-1", ActionKind.EVENT, "sale", "acme", SALE.start_s, SALE.end_s, recorded_ns=START_S * 10**9
    )
    record_announced(writer, [told], START_S * 10**9)
    writer.flush()
    yield opened
    writer.close()
    opened.close()


@pytest.fixture(scope="module")
def known(store: EmbeddedStore) -> Known:
    made = Known()
    window = Window(START_S * 10**9, (START_S + COUNT * SLOT_S) * 10**9)
    made.read(store.reader(StoreScope.everything("test")), window, SLOT_S)
    return made


def slots(known: Known, rule: Rule, scope: Scope) -> list[int]:
    found = watched(rule)
    assert found is not None
    return np.flatnonzero(known.explained(found, scope, START_S, SLOT_S, COUNT)).tolist()


@pytest.mark.parametrize(
    ("scope", "moved"),
    [
        (Scope("platform", "platform"), True),
        (Scope("tenant", "acme", "acme"), True),
        (Scope("tenant", "globex", "globex"), False),
        (Scope("trunk", "carrier-a"), True),
        (Scope("trunk", "carrier-b"), False),
        (Scope("node", "edge-1"), True),
        (Scope("node", "edge-2"), False),
    ],
)
def test_an_event_explains_the_load_of_who_carries_it(known: Known, scope: Scope, moved: bool) -> None:
    assert slots(known, Rule.ATTEMPTS, scope) == [BEGAN_SLOT - 1, BEGAN_SLOT, *(EVENT_SLOTS if moved else ())]


@pytest.mark.parametrize(
    ("rule", "explained"),
    [
        (Rule.AUTH_FAILURES, [BEGAN_SLOT - 1, BEGAN_SLOT]),
        (Rule.CALL_DURATION, list(range(BEGAN_SLOT - 1, BEGAN_SLOT + 1 + 3600 // SLOT_S))),
        (Rule.ANSWER_RATIO, []),
        (Rule.AGENT_MINUTES, []),
    ],
)
def test_a_beginning_leaves_counts_incomplete_and_ended_calls_short(
    known: Known, rule: Rule, explained: list[int]
) -> None:
    assert slots(known, rule, Scope("tenant", "acme", "acme")) == explained


def test_a_configured_event_counts_as_well(store: EmbeddedStore) -> None:
    known = Known((Event("everyone", START_S, START_S + SLOT_S),))
    known.read(
        store.reader(StoreScope.everything("test")), Window(START_S * 10**9, START_S * 10**9 + 10**13), SLOT_S
    )
    assert 0 in slots(known, Rule.ATTEMPTS, Scope("tenant", "globex", "globex"))
