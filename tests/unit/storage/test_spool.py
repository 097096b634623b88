"""The spool: order, bounds, crashes, a full disk, damage."""

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.spool import Spool, SpoolFull, SpoolSettings

SMALL = SpoolSettings(segment_bytes=4096, fsync="never")


def opened(path: Path, settings: SpoolSettings = SMALL) -> Spool:
    return Spool(path / "spool", settings)


def drained(spool: Spool) -> list[bytes]:
    """Return every payload, in order, dropping each."""
    found = []
    while (record := spool.peek()) is not None:
        found.append(record.payload)
        spool.drop(record)
    return found


def segments(path: Path) -> list[Path]:
    return sorted((path / "spool").glob("*.spool"))


def test_records_come_back_in_order(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    payloads = [bytes([i]) * (i * 7) for i in range(200)]
    for i, payload in enumerate(payloads):
        spool.append(payload, i, i)
    assert payloads == drained(spool)
    assert spool.empty


def test_peeking_keeps_the_record(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(b"one", 1, 1)
    assert spool.peek() == spool.peek()


def test_depth_and_age_are_those_of_what_waits(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(3):
        spool.append(b"x" * 100, 10, 1000 + i)
    first = spool.peek()
    assert first is not None
    spool.drop(first)
    assert (2, 20, 1001) == (spool.records, spool.rows, spool.oldest_ns)


def test_what_is_left_is_found_again(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(100):
        spool.append(b"%d" % i * 40, 1, i)
    spool.close()
    again = opened(tmp_path)
    assert (100, 100, 0) == (again.records, again.rows, again.oldest_ns)
    assert [b"%d" % i * 40 for i in range(100)] == drained(again)


def test_a_segment_goes_with_its_last_record(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(10):
        spool.append(b"x" * 2000, 1, i)
    assert len(segments(tmp_path)) == 10 // 2
    for _ in range(4):
        record = spool.peek()
        assert record is not None
        spool.drop(record)
    assert len(segments(tmp_path)) == 3
    drained(spool)
    assert segments(tmp_path) == []


def test_a_crash_repeats_the_segment_that_was_being_read_and_no_more(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(10):
        spool.append(bytes([i]) * 2000, 1, i)
    for _ in range(5):  # two segments of two, and the first of the third
        record = spool.peek()
        assert record is not None
        spool.drop(record)
    assert [bytes([i]) * 2000 for i in range(4, 10)] == drained(opened(tmp_path))


def test_appending_goes_on_after_everything_was_read(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(5):
        spool.append(b"%d" % i, 1, i)
        assert [b"%d" % i] == drained(spool)


@given(cut=st.integers(1, 130))
def test_a_record_cut_short_is_recognised(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("spool")
    spool = opened(path)
    for i in range(3):
        spool.append(bytes([i]) * 110, 1, i)
    spool.close()
    last = segments(path)[-1]
    os.truncate(last, last.stat().st_size - cut)
    again = opened(path)
    expected = [bytes([i]) * 110 for i in range(2 if cut < 130 else 1 + (cut == 130))]
    again.append(b"more", 1, 9)
    assert [*expected, b"more"] == drained(again)
    assert again.stats.torn == (0 if cut == 130 else 1)


@given(flips=st.sets(st.integers(8, 3 * 130 + 7), min_size=1, max_size=3))
def test_damage_costs_records_but_never_invents_one(
    tmp_path_factory: pytest.TempPathFactory, flips: set[int]
) -> None:
    path = tmp_path_factory.mktemp("spool")
    spool = opened(path)
    payloads = [bytes([i]) * 110 for i in range(3)]
    for i, payload in enumerate(payloads):
        spool.append(payload, 1, i)
    spool.close()
    data = bytearray(segments(path)[0].read_bytes())
    for flip in flips:
        data[flip] ^= 0x55
    segments(path)[0].write_bytes(data)
    again = opened(path)
    found = drained(again)
    assert found == [payload for payload in payloads if payload in found]
    assert again.stats.damaged + again.stats.torn > 0


def test_a_record_with_a_wrong_checksum_is_skipped(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(4):
        spool.append(bytes([i]) * 10, 1, i)
    spool.close()
    data = bytearray(segments(tmp_path)[0].read_bytes())
    data[8 + 30 + 25] ^= 1
    data[8 + 60 + 25] ^= 1
    segments(tmp_path)[0].write_bytes(data)
    again = opened(tmp_path)
    assert (2, 2) == (again.records, again.stats.damaged)
    assert [bytes([i]) * 10 for i in (0, 3)] == drained(again)


def test_damage_while_it_is_open_loses_the_segment_and_goes_on(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(4):
        spool.append(bytes([i]) * 2000, 1, i)
    data = bytearray(segments(tmp_path)[0].read_bytes())
    data[100] ^= 1
    segments(tmp_path)[0].write_bytes(data)
    assert [bytes([i]) * 2000 for i in (2, 3)] == drained(spool)
    assert spool.stats.damaged == 2


def test_something_else_of_the_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "000000000007.spool").write_bytes(b"no spool at all")
    spool = opened(tmp_path)
    assert (True, 1) == (spool.empty, spool.stats.damaged)
    spool.append(b"x", 1, 1)
    assert ["000000000008.spool"] == [path.name for path in segments(tmp_path)]


def test_the_bound_is_kept_and_what_is_refused_counted(tmp_path: Path) -> None:
    spool = opened(tmp_path, SpoolSettings(bytes=1024**2, segment_bytes=256 * 1024))
    taken = 0
    for _ in range(20):
        try:
            spool.append(b"x" * 100_000, 1, 1)
            taken += 1
        except SpoolFull:
            pass
    assert (10, 10, 10) == (taken, spool.records, spool.stats.refused)
    assert spool.size_bytes <= 1024**2
    assert 10 == len(drained(spool))
    spool.append(b"x" * 100_000, 1, 1)
    assert spool.records == 1


@pytest.mark.parametrize(("policy", "fsyncs"), [("always", 5), ("interval", 2), ("never", 0)])
def test_the_fsync_policy_is_kept(tmp_path: Path, policy: str, fsyncs: int) -> None:
    spool = opened(tmp_path, SpoolSettings.model_validate({"fsync": policy, "fsync_interval": "1s"}))
    for i in range(5):
        spool.append(b"x", 1, 10**9 + i * 300_000_000)
    assert fsyncs == spool.stats.fsyncs


def test_what_is_due_is_forced_to_the_disk_without_another_record(tmp_path: Path) -> None:
    spool = opened(tmp_path, SpoolSettings(fsync="interval"))
    spool.append(b"x", 1, 10**9)
    spool.append(b"x", 1, 10**9 + 1)
    spool.sync(10**9 + 2)
    spool.sync(3 * 10**9)
    spool.sync(6 * 10**9)
    assert spool.stats.fsyncs == 2


def _append_until_killed(directory: str, acknowledged: "multiprocessing.Queue[int]") -> None:
    spool = Spool(Path(directory), SMALL)
    number = 0
    while True:
        spool.append(number.to_bytes(4, "big") * 200, 1, number)
        acknowledged.put(number)
        number += 1


@pytest.mark.parametrize("wanted", [3, 40])
def test_a_killed_process_loses_nothing_that_was_taken(tmp_path: Path, wanted: int) -> None:
    context = multiprocessing.get_context("spawn")
    acknowledged: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=_append_until_killed, args=(str(tmp_path / "spool"), acknowledged))
    process.start()
    last = 0
    while last < wanted:
        last = acknowledged.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found = [int.from_bytes(payload[:4], "big") for payload in drained(opened(tmp_path))]
    assert found == list(range(len(found)))
    assert len(found) > last


def _fill_limited(directory: str, limit: int, answer: "multiprocessing.Queue[tuple[int, int, int]]") -> None:
    """Append under a limit of file size, as on a full disk; then lift it and go on."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spool = Spool(Path(directory), SpoolSettings(segment_bytes=64 * 1024, fsync="always"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    taken, refused = 0, 0
    for number in range(30):
        try:
            spool.append(bytes([number]) * 1000, 1, number)
            taken += 1
        except SpoolFull:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    spool.append(b"after", 1, 99)
    found = drained(spool)
    whole = found[-1] == b"after" and all(len(set(payload)) == 1 for payload in found[:-1])
    answer.put((taken, refused, len(found) if whole else -1))


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[tuple[int, int, int]] = context.Queue()
    process = context.Process(target=_fill_limited, args=(str(tmp_path / "spool"), 10_500, answer))
    process.start()
    taken, refused, found = answer.get(timeout=60)
    process.join()
    assert (10, 20, 11) == (taken, refused, found)
