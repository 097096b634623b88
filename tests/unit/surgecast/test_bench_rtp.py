"""The RTP benchmark's traffic is what it says, and both kernels count it alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from collectors.kernels.frames import FRAME
from collectors.tracking.streams import StreamSettings, StreamTable
from surgecast.bench import rtp
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
