"""Indexes of Call-IDs: they leave out what has no rows of a call, never what has, whatever becomes of them."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_support import DAY_NS, ENGINEER, NOW, interval, sealing, segments, write_intervals

from storage.embedded import indexing
from storage.embedded.call_index import CallIndex, IndexDamaged, packed, write_index
from storage.embedded.digest_maps import Digests
from storage.embedded.finding import CallFinder
from storage.embedded.layout import Layout
from storage.embedded.stats import StoreStats
from storage.embedded.store import EmbeddedStore
from storage.rows import batch, shard_of
from storage.schema import STREAM_INTERVAL
from storage.seam import OutOfScope
from storage.settings import StorageSettings

_AGE = 7 * 86400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path, StorageSettings(seal_rows=1, compact_rows=1))  # nothing is merged
    yield store
    store.close()


def _write(store: EmbeddedStore, first: int, count: int) -> None:
    """Write a segment per call `c<number>`, of one interval."""
    writer = store.writer("collect")
    for number in range(first, first + count):
        write_intervals(writer, [interval(number, time_ns=NOW + number * 10**10, call_id=f"c{number}")])
    writer.close()


def _indexes(root: Path) -> list[Path]:
    return sorted((root / "index" / "stream_interval").glob("*.calls"))


def _held(root: Path, call_id: str) -> list[int]:
    """Return the numbers of the segments, by time, that are read for a call."""
    layout = Layout(root)
    finder = CallFinder(layout, Digests(), StoreStats())
    found = sorted(layout.list_segments("stream_interval", 0, 1 << 62), key=lambda s: s.min_ns)
    held = finder.held(STREAM_INTERVAL, found, [call_id])
    return [number for number, segment in enumerate(found) if held[segment.path]]


def _ssrcs_of(store: EmbeddedStore, call_id: str) -> list[int]:
    try:
        found: list[int] = store.reader(ENGINEER).call(call_id).intervals["ssrc"].to_pylist()
    except OutOfScope:
        return []
    return found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), calls=st.sampled_from([0, 1, 1023, 1024, 5000]), shift=st.integers(0, 31))
def test_an_index_tells_each_segment_that_has_a_call(
    tmp_path_factory: pytest.TempPathFactory, seed: int, calls: int, shift: int
) -> None:
    chance = np.random.default_rng(seed)
    crcs = chance.integers(0, 1 << 32, calls, dtype=np.uint64) >> np.uint64(shift)  # all in few buckets too
    numbers = chance.integers(0, 3, calls, dtype=np.uint64)
    names = ["one", "two", "three"]
    path = write_index(tmp_path_factory.mktemp("index"), names, packed(crcs, numbers))
    wanted: dict[int, set[str]] = {0: set(), (1 << 32) - 1: set()}
    for crc, number in zip(crcs.tolist(), numbers.tolist(), strict=True):
        wanted.setdefault(crc, set()).add(names[number])
    found = CallIndex(path).find(wanted)
    assert wanted == {crc: set(holders) for crc, holders in found.items()}


def test_whatever_byte_is_damaged_nothing_wrong_is_told(tmp_path: Path) -> None:
    crcs = np.arange(3000, dtype=np.uint64) << np.uint64(20)
    path = write_index(tmp_path, ["one"], packed(crcs, np.uint64(0)))
    whole, chance, told = path.read_bytes(), random.Random(1), 0
    for at in [*range(24), *(chance.randrange(len(whole)) for _ in range(100))]:
        content = bytearray(whole)
        content[at] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            found = CallIndex(path).find(crcs.tolist()[::100])
        except IndexDamaged:
            continue
        told += 1
        assert {"one"} == {name for names in found.values() for name in names}
        assert all(found.values())
    assert told < 100


def test_after_upkeep_only_the_segment_of_a_call_is_read(store: EmbeddedStore, tmp_path: Path) -> None:
    _write(store, 0, 5)
    store.maintain(NOW)
    assert [3] == _held(tmp_path, "c3")
    assert [] == _held(tmp_path, "nobody")
    assert [3] == _ssrcs_of(store, "c3")
    assert [] == _ssrcs_of(store, "nobody")


def test_a_call_in_segments_that_no_index_names_is_found(store: EmbeddedStore, tmp_path: Path) -> None:
    _write(store, 0, 2)
    store.maintain(NOW)
    _write(store, 2, 2)
    for path in tmp_path.rglob("*.calls.arrow"):
        path.unlink()  # nor has it a digest
    assert [2, 3] == _held(tmp_path, "c3")
    assert [3] == _ssrcs_of(store, "c3")
    assert [1] == _ssrcs_of(store, "c1")


def test_many_calls_are_told_as_each_alone(store: EmbeddedStore, tmp_path: Path) -> None:
    """Of so many, digests are asked and not the index."""
    _write(store, 0, 3)
    store.maintain(NOW)
    layout = Layout(tmp_path)
    found = layout.list_segments("stream_interval", 0, 1 << 62)
    call_ids = [f"c{number}" for number in range(200)]
    held = CallFinder(layout, Digests(), StoreStats()).held(STREAM_INTERVAL, found, call_ids)
    assert [["c0"], ["c1"], ["c2"]] == [held[path] for path in sorted(held)]


def test_indexes_stay_few(store: EmbeddedStore, tmp_path: Path) -> None:
    for number in range(12):
        _write(store, number, 1)
        store.maintain(NOW)
        assert bin(number + 1).count("1") == len(_indexes(tmp_path))
    assert [[n] for n in range(12)] == [_held(tmp_path, f"c{n}") for n in range(12)]


def test_a_full_index_takes_in_no_more(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MOST_ENTRIES", 3)
    _write(store, 0, 7)
    store.maintain(NOW)
    assert [1, 3, 3] == sorted(CallIndex(path).entries for path in _indexes(tmp_path))


def test_an_index_goes_with_its_segments(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    _write(store, 0, 3)
    store.maintain(NOW)
    assert 1 == len(_indexes(tmp_path))
    store.maintain(NOW + (_AGE + 600) * 10**9)
    assert [] == segments(tmp_path, "stream_interval")
    assert [] == _indexes(tmp_path)
    store.close()


def test_an_index_of_mostly_gone_segments_is_made_anew(store: EmbeddedStore, tmp_path: Path) -> None:
    _write(store, 0, 5)
    store.maintain(NOW)
    for path in segments(tmp_path, "stream_interval")[:3]:
        path.unlink()
    store.maintain(NOW)
    assert [2] == [CallIndex(path).entries for path in _indexes(tmp_path)]


def test_merged_segments_are_indexed_instead_of_those_they_replace(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    _write(store, 0, 4)
    store.maintain(NOW)
    store.maintain(NOW + 2 * DAY_NS)
    names = [name for path in _indexes(tmp_path) for name in CallIndex(path).names]
    assert 1 == len(names)
    assert [2] == _ssrcs_of(store, "c2")
    store.close()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "names"])
def test_a_damaged_index_is_put_aside_and_made_again(store: EmbeddedStore, tmp_path: Path, damage: str) -> None:
    _write(store, 0, 3)
    store.maintain(NOW)
    (path,) = _indexes(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1  # the bucket of all
    elif damage == "cut":
        del content[-3:]
    elif damage == "empty":
        content.clear()
    else:
        content[30] ^= 1
    path.write_bytes(content)
    assert [1] == _ssrcs_of(store, "c1")
    assert 1 == store.stats.damaged_files
    assert [path.name] == [aside.name for aside in (tmp_path / "quarantine" / "stream_interval").iterdir()]
    store.maintain(NOW)
    assert [path] == _indexes(tmp_path)
    assert [1] == _held(tmp_path, "c1")


def test_what_a_crash_left_of_an_index_is_cleared(store: EmbeddedStore, tmp_path: Path) -> None:
    _write(store, 0, 1)
    store.maintain(NOW)
    (first,) = _indexes(tmp_path)
    kept = first.read_bytes()
    _write(store, 1, 1)
    store.maintain(NOW)
    first.write_bytes(kept)  # the crash came after the new one was renamed, before this one was deleted
    half = first.with_name("half.1.tmp")
    half.write_bytes(kept[:10])
    os.utime(half, (0, 0))
    assert [[0], [1]] == [_held(tmp_path, f"c{n}") for n in range(2)]
    store.maintain(NOW)
    assert 1 == len(_indexes(tmp_path))
    assert not half.exists()


def test_a_point_that_was_written_again_under_another_call_is_its_no_more(store: EmbeddedStore) -> None:
    names = [f"c{number}" for number in range(200)]
    wrong, right = [name for name in names if shard_of(name) == shard_of(names[0])][:2]
    tags = dict.fromkeys(STREAM_INTERVAL.tags, "any") | {"shard": shard_of(wrong)}
    writer = store.writer("collect")
    for call_id in (wrong, right):
        writer.write(
            "stream_interval", batch("stream_interval", [tags | {"time": NOW, "ssrc": 1, "call_id": call_id}])
        )
        writer.flush()
    writer.close()
    store.maintain(NOW)
    assert [[], [1]] == [_ssrcs_of(store, wrong), _ssrcs_of(store, right)]
