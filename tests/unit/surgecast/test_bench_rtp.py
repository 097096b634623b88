"""The RTP benchmark's traffic is what it says, and both kernels count it alike."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from collectors.kernels.frames import FRAME
from collectors.tracking.streams import StreamSettings, StreamTable
from surgecast.bench import rtp, rtp_compile, rtp_file
from surgecast.bench.rtp_native import compile_native
from surgecast.bench.rtp_traffic import Traffic


def fed(table: StreamTable, traffic: Traffic, passes: int) -> StreamTable:
    for _ in range(passes):
        rtp._feed(table, traffic.memory, traffic.frames())
        traffic.advance()
    return table


def test_traffic_has_the_streams_and_the_loss_it_says() -> None:
    traffic = Traffic(200, 100)
    assert traffic.frames().dtype == FRAME
    table = fed(StreamTable(StreamSettings(), seed=1), traffic, 3)
    table.finish()
    totals = np.concatenate(table.take_ended())
    assert len(totals) == 200
    assert 0.005 < totals["lost"].sum() / totals["unique"].sum() < 0.02
    assert 0 == totals["restarts"].sum()


def test_kernel_in_c_counts_alike(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("missing: gcc (apt-get install gcc)")
    native = compile_native(tmp_path)
    ours, theirs = (StreamTable(StreamSettings(idle_ns=10**15), seed=1) for _ in range(2))
    for table in (ours, theirs):
        traffic = fed_traffic = Traffic(100, 20)
        fed(table, fed_traffic, 2)
        frames = traffic.frames()
        if table is ours:
            rtp._feed(table, traffic.memory, frames)
        else:
            assert 0 == rtp._feed_native(native, table, traffic.memory, frames)
        table.finish()
    one, other = (np.concatenate(table.take_ended()) for table in (ours, theirs))
    for name in (
        "unique",
        "lost",
        "duplicates",
        "reordered",
        "jitter_sum_us",
        "c11",
        "c22",
        "late_adaptive",
        "bytes",
    ):
        assert one[name].tolist() == other[name].tolist()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "streams.pcap"
    assert 1900 < rtp_file.write_capture(path, 40, 50) < 2100
    return path


def test_all_readers_find_the_streams_of_the_file(capture: Path) -> None:
    assert 40 == rtp_file._ours(capture)["streams_found"] == rtp_file._plain(capture)["streams_found"]


def test_tshark_reads_the_file_as_we_do(capture: Path, require_program: Callable[[str], str]) -> None:
    found = rtp_file._tshark(require_program("tshark"), capture)
    ours = rtp_file._ours(capture)
    assert 40 == found["streams_found"]
    # tshark takes what came (duplicates too) from what was expected, so that a duplicate hides a loss.
    assert ours["lost"] - ours["duplicates"] == found["lost"]


def test_the_second_process_finds_what_the_first_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import json, os, pathlib\n"
        "folder = pathlib.Path(os.environ['NUMBA_CACHE_DIR'])\n"
        "print(json.dumps({'found': folder.exists()}))\n"
        "folder.mkdir(exist_ok=True)"
    )
    monkeypatch.setattr(rtp_compile, "_PROGRAM", program)
    assert {"cold": {"found": False}, "cached": {"found": True}} == rtp_compile.run(tmp_path)


def test_the_times_until_the_kernel_is_ready_are_told(tmp_path: Path) -> None:
    (tmp_path / "kernels").symlink_to(os.environ["NUMBA_CACHE_DIR"])  # it is compiled there already
    measured = rtp_compile.run(tmp_path)
    assert {"numba_import_seconds", "kernels_seconds"} == set(measured["cold"])
    assert all(seconds > 0 for times in measured.values() for seconds in times.values())
