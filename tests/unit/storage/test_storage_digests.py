"""The worst calls are the same whether they are told from intervals or from the digests of segments."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from storage_support import DAY_NS, ENGINEER, EVER, NOW, interval, sealing, segments, write_intervals

from storage.embedded.digest_maps import Digests, MappedDigest
from storage.embedded.digests import HEAD_CALLS, SCHEMA, digest, digest_path
from storage.embedded.points import stored_schema
from storage.embedded.segments import in_order, read_segment
from storage.embedded.store import EmbeddedStore
from storage.rows import batch, shard_of, stream_interval_batch
from storage.schema import STREAM_INTERVAL
from storage.seam import Scope, Window
from storage.settings import StorageSettings
from telephony.model import INTERVAL_NS

_ROW = st.fixed_dictionaries(
    {
        "call_id": st.sampled_from(["", "a", "b", "c"]),
        "node": st.sampled_from(["x", "y"]),
        "codec": st.sampled_from(["PCMA", "OPUS"]),
        "observer": st.sampled_from(["rtcp_rr", "rtp"]),
        "r_factor": st.one_of(st.none(), st.floats(0, 120)),
        "mos": st.one_of(st.none(), st.floats(1, 5)),
        "mos_scale": st.sampled_from([None, "nb", "wb", "fb"]),
        "lost": st.one_of(st.none(), st.integers(0, 500)),
        "expected": st.one_of(st.none(), st.integers(0, 500)),
        "jitter_ms": st.one_of(st.none(), st.floats(0, 50)),
        "jitter_max_ms": st.one_of(st.none(), st.floats(0, 50)),
        "rtt_ms": st.one_of(st.none(), st.floats(0, 500)),
        "verdict": st.sampled_from([None, "", "dtx", "dtx hold"]),
    }
)


def _rows(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of several intervals and tenants."""
    return [
        row
        | {
            "time": NOW + i % 5 * INTERVAL_NS + i,
            "tenant": ("acme", "globex")[i % 7 == 0],
            "trunk": f"t{i % 2}",
            "region": "eu",
            "direction": "to_callee",
            "shard": shard_of(row["call_id"]),
        }
        for i, row in enumerate(drawn)
    ]


def _answers(root: Path, rows: list[dict[str, Any]], settings_: StorageSettings, windows: list[Window]) -> Any:
    store = EmbeddedStore(root, settings_)
    writer = store.writer("collect")
    for at in range(0, len(rows), 7):
        writer.write("stream_interval", batch("stream_interval", rows[at : at + 7]))
        writer.flush()
    if settings_.seal_rows == 1:
        writer.close()
    found = []
    for window in windows:
        for scope in (ENGINEER, Scope.of("client", "acme")):
            reader = store.reader(scope)
            found += [reader.worst_calls(window, limit=limit) for limit in (1, 2, 50)]
            found += [reader.worst_calls(window, where={"node": ["x"]})]
            found += [reader.worst_calls(window, where={"observer": ["rtp"]})]
    store.close()
    return [[_rounded(row) for row in table.to_pylist()] for table in found]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else str(value) for name, value in row.items()}


@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(drawn=st.lists(_ROW, min_size=1, max_size=40), cut=st.integers(0, 5 * INTERVAL_NS))
def test_digests_answer_as_intervals_do(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]], cut: int
) -> None:
    rows, windows = _rows(drawn), [EVER, Window(NOW + cut, NOW + DAY_NS), Window(NOW, NOW + cut)]
    from_rows = _answers(tmp_path_factory.mktemp("rows"), rows, StorageSettings(), windows)
    from_digests = _answers(tmp_path_factory.mktemp("digests"), rows, sealing(1), windows)
    assert from_rows == from_digests


_TIED = [
    {
        "time": NOW + i // 12 * INTERVAL_NS + i,
        "tenant": ("acme", "globex")[i % 36 == 17],  # of one Call-ID, which two tenants have
        "trunk": f"t{i % 2}",
        "region": "eu",
        "node": "x",
        "direction": "to_callee",
        "observer": "rtp",
        "codec": "PCMA",
        "call_id": f"c{i % 12}",
        "shard": shard_of(f"c{i % 12}"),
        # All calls have the same lowest R; that of the two tenants' has it with one of them only.
        "r_factor": 90.0 if i % 36 == 17 else 10.0 + i // 12 % 3,
        "mos": 3.0,
        "mos_scale": "nb",
        "lost": 400 if i % 36 == 17 else i * 7 % 31,
        "expected": 500,
        "verdict": "",
    }
    for i in range(72)
]


def test_calls_that_tie_are_ranked_by_all_of_their_losses(tmp_path: Path) -> None:
    windows = [Window(NOW + 3 * INTERVAL_NS, NOW + DAY_NS)]  # begins inside a segment
    from_rows = _answers(tmp_path / "rows", _TIED, StorageSettings(), windows)
    from_digests = _answers(tmp_path / "digests", _TIED, sealing(1), windows)
    assert from_rows == from_digests


def test_an_interval_written_again_is_not_told_from_a_digest(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    for lost in (1, 2):
        write_intervals(writer, [interval(1, lost=lost)])
    writer.close()
    (row,) = store.reader(ENGINEER).worst_calls(EVER).to_pylist()
    store.close()
    assert (1, 2 / 500) == (row["intervals"], row["loss_ratio"])


def test_each_segment_of_intervals_has_its_digest(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, call_id=f"c{i}") for i in range(3)])
    writer.close()
    store.close()
    (path,) = segments(tmp_path, "stream_interval")
    assert digest_path(path).exists()


@pytest.mark.parametrize("damage", [None, b"", b"nonsense"])
def test_a_digest_that_is_missing_or_damaged_costs_nothing_but_time(tmp_path: Path, damage: bytes | None) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, call_id=f"c{i}", lost=i) for i in range(3)])
    writer.close()
    expected = store.reader(ENGINEER).worst_calls(EVER)
    path = digest_path(segments(tmp_path, "stream_interval")[0])
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    store.close()
    store = EmbeddedStore(tmp_path)
    assert expected == store.reader(ENGINEER).worst_calls(EVER)
    assert int(damage is not None) == store.stats.damaged_files
    store.maintain(NOW)
    assert path.exists()
    assert expected == store.reader(ENGINEER).worst_calls(EVER)
    store.close()


def test_a_digest_that_points_beyond_itself_is_put_aside(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, call_id=f"c{i}", lost=i) for i in range(3)])
    writer.close()
    expected = store.reader(ENGINEER).worst_calls(EVER)
    store.close()
    path = digest_path(segments(tmp_path, "stream_interval")[0])
    ends = np.array([0, 2, 4, 6], "<i4").tobytes()
    damaged = np.array([0, 2, 1 << 30, 6], "<i4").tobytes()
    assert 1 == path.read_bytes().count(ends)
    path.write_bytes(path.read_bytes().replace(ends, damaged))
    store = EmbeddedStore(tmp_path)
    assert expected == store.reader(ENGINEER).worst_calls(EVER)
    assert not path.exists()
    store.maintain(NOW)
    assert expected == store.reader(ENGINEER).worst_calls(EVER)
    store.close()


def test_a_call_that_lies_beyond_its_digest_is_not_read(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    write_intervals(writer, [interval(i, call_id=f"c{i:04}") for i in range(HEAD_CALLS + 2)])
    writer.close()
    store.close()
    path = digest_path(segments(tmp_path, "stream_interval")[0])
    ends = np.array([0, 5, 10], "<i4").tobytes()  # of the two calls that are not in the head
    whole = path.read_bytes()
    at = whole.rindex(ends)
    path.write_bytes(whole[:at] + np.array([0, 1 << 30, 10], "<i4").tobytes() + whole[at + len(ends) :])
    digests = Digests()
    (segment,) = segments(tmp_path, "stream_interval")
    last_calls = MappedDigest(path).table()["call_id"].chunk(1).buffers()
    assert np.frombuffer(last_calls[1], "<i4")[:3].tolist() == [0, 1 << 30, 10]
    with pytest.raises(pa.ArrowInvalid, match="beyond"):
        digests.calls([segment], [f"c{i:04}" for i in range(HEAD_CALLS + 2)])


def test_more_words_than_a_digest_holds_make_none() -> None:
    facts = [interval(i, call_id="a") for i in range(70)]
    rows = pa.Table.from_batches([stream_interval_batch(facts)])
    at = rows.column_names.index("verdict")
    rows = rows.set_column(at, "verdict", pa.array([f"w{i}" for i in range(70)]))
    assert digest(rows) is None


def test_streams_of_no_call_are_left_out() -> None:
    rows = pa.Table.from_batches([stream_interval_batch([interval(1, call_id="")])])
    assert digest(rows) == SCHEMA.empty_table()


def test_rows_of_a_call_lie_together(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    writer = store.writer("collect")
    facts = [interval(i % 2, call_id=f"c{i % 50}", time_ns=NOW + i // 50 * INTERVAL_NS) for i in range(500)]
    random.Random(1).shuffle(facts)
    write_intervals(writer, facts)
    writer.close()
    store.close()
    schema = stored_schema(STREAM_INTERVAL)
    (segment,) = store._layout.list_segments("stream_interval", NOW, NOW + DAY_NS)
    rows = read_segment(segment, schema)
    calls = rows["call_id"].to_pylist()
    assert 50 == 1 + sum(a != b for a, b in pairwise(calls))
    assert rows["shard"].to_pylist() == sorted(rows["shard"].to_pylist())
    assert rows == in_order(STREAM_INTERVAL, rows)
