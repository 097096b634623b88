"""Points found more than once: the last write is told, and queries pay only for times at which there are any."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from storage_support import ENGINEER, EVER, NOW, interval, segments, write_intervals, write_minutes

from storage.embedded.catalog import snapshot
from storage.embedded.log import LogTails
from storage.embedded.relation import ScopedRows
from storage.embedded.repeats import NOWHERE, Repeats
from storage.embedded.store import EmbeddedStore
from storage.schema import MEASUREMENTS
from storage.seam import OutOfScope, Window
from storage.settings import StorageSettings

_WRITES = st.lists(
    st.tuples(
        st.sampled_from(["collect", "import"]),
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=8,
)
"""Batches: who writes, and times and streams of the rows; what they lost is the number of the batch."""


def repeats_of(store: EmbeddedStore, measurement: str) -> Repeats:
    """Return where a question over everything would look for equal points."""
    seen: list[Repeats] = []

    def question(rows: ScopedRows) -> None:
        seen.append(rows.repeats)

    store.reader(ENGINEER)._database.ask(ENGINEER, MEASUREMENTS[measurement], EVER, None, question)
    return seen[0]


def trace_rows(store: EmbeddedStore, call_id: str) -> list[dict[str, int]]:
    try:
        found: list[dict[str, int]] = store.reader(ENGINEER).call(call_id).intervals.select(["lost"]).to_pylist()
    except OutOfScope:
        return []
    return found


@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(writes=_WRITES, seal_rows=st.sampled_from([1, 4, 1000]), cut=st.integers(0, 30))
def test_the_last_write_of_each_point_is_told(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[str, list[tuple[int, int]]]],
    seal_rows: int,
    cut: int,
) -> None:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"), StorageSettings(seal_rows=seal_rows))
    writers = {name: store.writer(name) for name in ("collect", "import")}
    truth: dict[tuple[int, int], int] = {}
    for number, (name, rows) in enumerate(writes):
        facts = [interval(s, time_ns=NOW + t * 10**10, lost=number, call_id=f"c{s}") for t, s in rows]
        write_intervals(writers[name], facts)
        truth |= dict.fromkeys(rows, number)
    window = Window(NOW + cut * 10**10, EVER.until_ns)
    reader = store.reader(ENGINEER)
    found = reader.select("stream_interval", window, columns=["ssrc", "lost"]).to_pylist()
    by_call = [row["lost"] for s in range(3) for row in trace_rows(store, f"c{s}")]
    loss = {row["call_id"]: row["loss_ratio"] for row in reader.worst_calls(window).to_pylist()}
    store.close()
    within = {(t, s): lost for (t, s), lost in truth.items() if t >= cut}
    assert sorted((s, lost) for (_, s), lost in within.items()) == sorted((r["ssrc"], r["lost"]) for r in found)
    assert sorted(truth.values()) == sorted(by_call)
    lost_of = {f"c{s}": [n for (_, x), n in within.items() if x == s] for s in range(3)}
    assert {c: pytest.approx(sum(n) / 500 / len(n)) for c, n in lost_of.items() if n} == loss


def test_marks_of_rows_that_were_new_after_all_cost_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, StorageSettings(seal_rows=1))
    write_intervals(store.writer("collect"), [interval(1, time_ns=NOW)])
    store.close()
    store = EmbeddedStore(tmp_path, StorageSettings(seal_rows=1))
    write_intervals(
        store.writer("collect"), [interval(1, time_ns=NOW - 10**10)]
    )  # late, so it may have been written
    store.close()
    assert ["new", "rewrites"] == sorted(
        path.name.split(".")[-2] for path in segments(tmp_path, "stream_interval")
    )
    store = EmbeddedStore(tmp_path)
    found = repeats_of(store, "stream_interval")
    store.close()
    assert ([], NOWHERE) == (found.times.tolist(), found.every)


def test_a_minute_that_two_logs_hold_is_looked_for_at_its_time_only(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, StorageSettings(seal_rows=2))
    writer = store.writer("collect")
    for minute in range(4):
        write_minutes(writer, [NOW + minute * 60 * 10**9], attempts=minute)
    write_minutes(writer, [NOW + 60 * 10**9], attempts=7)
    writer.close()
    found = repeats_of(store, "session_minute")
    store.close()
    assert ([NOW + 60 * 10**9], NOWHERE) == (found.times.tolist(), found.every)


def test_only_the_span_that_two_writers_share_is_doubted(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    for name, first in (("history", 0), ("collect", 8)):
        write_intervals(
            store.writer(name), [interval(1, time_ns=NOW + t * 10**10) for t in range(first, first + 10)]
        )
    layout = store._layout
    files = snapshot(layout, LogTails(), MEASUREMENTS["stream_interval"], EVER, frozenset())
    shared = files.shared
    store.close()
    assert shared.until_ns - shared.since_ns < 3 * 10**10


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 4), False), ((0, 5), True), ((5, 5), True), ((6, 9), False), ((10, 12), True), ((15, 19), True),
     ((20, 30), False)],
)  # fmt: skip
def test_a_span_is_touched(span: tuple[int, int], expected: bool) -> None:
    assert expected == Repeats(np.array([5, 12]), Window(15, 20)).touch(*span)
