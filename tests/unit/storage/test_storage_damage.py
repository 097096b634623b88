"""Damaged files cost their own rows: they are put aside, counted, and everything else is read."""

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_support import EVER, NOW, interval, logs, sealing, segments, ssrcs, write_intervals

from storage.embedded.format import FORMAT
from storage.embedded.frames import framed, whole_frames
from storage.embedded.retention import Retention as Keeper
from storage.embedded.store import EmbeddedStore
from storage.rows import batch
from storage.schema import SESSION_MINUTE
from storage.seam import Scope, StoreError
from storage.settings import StorageSettings

_FORMAT_1 = Path(__file__).parents[2] / "data" / "store_format_1"


def _sealed(root: Path, batches: int = 3, rows: int = 200) -> EmbeddedStore:
    store = EmbeddedStore(root, sealing(1))
    writer = store.writer("collect")
    for number in range(batches):
        write_intervals(writer, [interval(number * rows + i, call_id=f"c{i}") for i in range(rows)])
    writer.close()
    return store


# --- segments ----------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["flip", "cut", "zero"]))
def test_a_damaged_segment_never_stops_a_query(
    tmp_path_factory: pytest.TempPathFactory, whole: Path, seed: int, kind: str
) -> None:
    root = tmp_path_factory.mktemp("damaged") / "store"
    shutil.copytree(whole, root)
    chance = random.Random(seed)
    path = segments(root, "stream_interval")[1]
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    if kind == "flip":
        content[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[at:]
    else:
        content[at : at + 512] = bytes(len(content[at : at + 512]))
    path.write_bytes(content)
    store = EmbeddedStore(root)
    found = set(ssrcs(store))
    store.reader(Scope.everything("x")).worst_calls(EVER)
    assert set(range(200)) | set(range(400, 600)) <= found
    assert path.exists() or (root / "quarantine" / "stream_interval" / path.name).exists()
    store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "store"
    _sealed(root).close()
    return root


def test_a_damaged_segment_is_put_aside_once_for_all_processes(tmp_path: Path) -> None:
    _sealed(tmp_path).close()
    segments(tmp_path, "stream_interval")[1].write_bytes(b"nonsense")
    first, second = EmbeddedStore(tmp_path), EmbeddedStore(tmp_path)
    assert 400 == len(ssrcs(first)) == len(ssrcs(second))
    assert (1, 0) == (first.stats.damaged_files, second.stats.damaged_files)
    assert 1 == len(list((tmp_path / "quarantine" / "stream_interval").iterdir()))
    first.close()
    second.close()


# --- logs --------------------------------------------------------------------------------------------------------


@given(
    messages=st.lists(st.binary(max_size=40), max_size=6),
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=3),
)
def test_frames_are_whole_or_absent(messages: list[bytes], cut: int, flips: list[tuple[int, int]]) -> None:
    content = bytearray(b"".join(bytes(part) for m in messages for part in framed(memoryview(m))))
    for at, bits in flips:
        if at < len(content):
            content[at] ^= bits
    found = [bytes(frame.message) for frame in whole_frames(memoryview(bytes(content[: len(content) - cut])))]
    position = 0
    for message in found:  # each is one of those that were written, in their order
        position = messages.index(message, position) + 1
    if not flips and not cut:
        assert messages == found


def test_damage_in_the_middle_of_a_log_costs_one_batch(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    writer = store.writer("collect")
    sizes = []
    for number in range(4):
        write_intervals(writer, [interval(number)])
        sizes.append(logs(tmp_path, "stream_interval")[0].stat().st_size)
    writer._lock.release()  # as a process that died
    (path,) = logs(tmp_path, "stream_interval")
    content = bytearray(path.read_bytes())
    content[(sizes[0] + sizes[1]) // 2] ^= 0x40
    path.write_bytes(content)
    other = EmbeddedStore(tmp_path)
    assert [0, 2, 3] == ssrcs(other)
    other.maintain(NOW)
    assert [0, 2, 3] == ssrcs(other)
    assert 1 == other.stats.damaged_files
    assert [path.name] == [aside.name for aside in (tmp_path / "quarantine" / "stream_interval").iterdir()]
    other.close()


# --- formats -----------------------------------------------------------------------------------------------------


def test_a_store_of_format_1_is_migrated(tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(_FORMAT_1, root)
    store = EmbeddedStore(root)
    assert (1, FORMAT) == (store.migrated_from, json.loads((root / "format").read_text())["format"])
    assert list(range(60)) == ssrcs(store)
    minutes = store.reader(Scope.everything("x")).select("session_minute", EVER, columns=["attempts"])
    assert [3, 3] == minutes["attempts"].to_pylist()
    store.maintain(NOW)
    assert list(range(60)) == ssrcs(store)
    assert 2 == len(list((root / "data").rglob("*.calls.arrow")))
    assert not list(root.rglob("*.arrows"))
    store.close()


def test_a_new_store_says_its_format(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "new")
    assert FORMAT == store.migrated_from
    assert {"format": FORMAT} == json.loads((tmp_path / "new" / "format").read_text())
    store.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"format": 4}', "has format 4; this version reads formats up to 3: use the newer surgecast"),
        ("three", "does not say the store's format"),
        ("[]", "does not say the store's format"),
        ('{"format": "2"}', "does not say the store's format"),
    ],
)
def test_a_store_of_an_unknown_format_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "format").write_text(text)
    with pytest.raises(StoreError, match=says):
        EmbeddedStore(tmp_path)


# --- a disk that is nearly full ----------------------------------------------------------------------------------


def test_the_least_precious_go_first_while_the_disk_is_nearly_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = _sealed(tmp_path, rows=1)
    writer = store.writer("collect")
    row = {"time": NOW} | dict.fromkeys(SESSION_MINUTE.tags, "one")
    writer.write("session_minute", batch("session_minute", [row]))
    writer.close()
    left = [4, 4, 10]  # the third look finds enough
    keeper = Keeper(store._layout, StorageSettings(min_free_bytes=10), store.stats, lambda _: left.pop(0))
    keeper.expire(NOW)
    assert (2, 0) == (store.stats.segments_shed, store.stats.segments_expired)
    assert (1, 1) == (len(ssrcs(store)), len(segments(tmp_path, "session_minute")))
    assert 2 == sum("before its time" in message for message in caplog.messages)
    store.close()


def test_nothing_left_to_delete_is_said_and_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = _sealed(tmp_path, rows=1)
    Keeper(store._layout, StorageSettings(min_free_bytes=10), store.stats, lambda _: 0).expire(NOW)
    assert (3, []) == (store.stats.segments_shed, ssrcs(store))
    assert "nothing is left to delete" in caplog.messages[-1]
    store.close()
