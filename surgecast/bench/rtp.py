"""`surgecast bench rtp`: nanoseconds a packet of the stream kernel, beside the same kernel in C and other readers.

Frames are in memory, headers only, and rounds of all streams come in ever new order, so that rows are touched at
random. Times are CPU time of this process; of several passes the best counts, for all contestants alike. What a
capture file costs us and others is `rtp_file`, until when the kernel is ready `rtp_compile`.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.tracking.streams import StreamSettings, StreamTable
from surgecast.bench import rtp_compile, rtp_file, rtp_live
from surgecast.bench.rtp_generator import compile_generator
from surgecast.bench.rtp_native import compile_native
from surgecast.bench.rtp_traffic import Traffic

_STREAMS = (60_000, 200_000)
_PACKETS_A_PASS = 1_000_000
_PASSES = 5
_WARMING = 4
"""Passes until all streams have a row, but for one or two whose losses never leave two packets in a row."""


def run(progress: Callable[[str], None] | None = None) -> dict[str, object]:
    """Measure and return the figures; `vs_c` is C's time divided by ours, 1.0 where they are equal."""
    figures: dict[str, object] = {
        "what": "ns of CPU time a packet, frames in memory, streams in random order",
        "machine": {"cpus": os.cpu_count(), "load_1m": os.getloadavg()[0]},
    }
    with tempfile.TemporaryDirectory() as folder:
        native = compile_native(Path(folder))
        for streams in _STREAMS:
            measured = _measure(streams, native)
            figures[f"streams_{streams}"] = measured
            if progress is not None:
                progress(f"{streams} streams: {measured['ns_per_packet']:.0f} ns a packet")
        figures["two_threads"] = _two_threads(native)
        figures["file"] = rtp_file.run(Path(folder), progress)
        figures["compile"] = rtp_compile.run(Path(folder))
        figures["live"] = rtp_live.run(partial(compile_generator, Path(folder)), progress=progress)
    return figures


def _warm(streams: int, seed: int = 1) -> tuple[Traffic, StreamTable]:
    """Return traffic, and a table that knows its streams."""
    traffic = Traffic(streams, max(_PACKETS_A_PASS // streams, 4), seed)
    settings = StreamSettings(
        streams=streams + streams // 8, max_streams=2 * streams, candidates=2 * streams, need_unknown=2
    )
    table = StreamTable(settings)
    for _ in range(_WARMING):
        _feed(table, traffic.memory, traffic.frames())
        traffic.advance()
    return traffic, table


def _feed(table: StreamTable, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void]) -> None:
    done = 0
    while done < len(frames):
        done += table.take(memory, frames[done:]).frames


def _feed_native(
    native: Any, table: StreamTable, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void]
) -> int:
    """Give frames to the kernel in C, and return how many were of streams without a row."""
    listed, slots, mask, rows, seed = table.addresses_for(frames)
    return int(native.take(memory.ctypes.data, listed, len(frames), slots, mask, rows, seed))


def _measure(streams: int, native: Any) -> dict[str, Any]:
    traffic, table = _warm(streams)
    ours, theirs = [], []
    for _ in range(_PASSES):
        frames = traffic.frames()
        started = time.process_time_ns()
        _feed(table, traffic.memory, frames)
        ours.append((time.process_time_ns() - started) / traffic.packets)
        traffic.advance()
        if native is not None:
            frames = traffic.frames()
            started = time.process_time_ns()
            unknown = _feed_native(native, table, traffic.memory, frames)
            assert unknown < 0.001 * len(frames)
            theirs.append((time.process_time_ns() - started) / traffic.packets)
            traffic.advance()
    figures: dict[str, Any] = {
        "streams": len(table),
        "packets_a_pass": traffic.packets,
        "ns_per_packet": min(ours),
        "mpps": 1000 / min(ours),
        "bytes_per_stream": table.bytes_per_stream,
    }
    if theirs:
        figures |= {"c_ns_per_packet": min(theirs), "vs_c": min(theirs) / min(ours)}
    return figures


_Feed = Callable[[StreamTable, npt.NDArray[np.uint8], npt.NDArray[np.void]], object]


def _two_threads(native: Any) -> dict[str, float]:
    """Return how much faster two threads with a table each are than one; C says what the machine allows."""
    pairs = [_warm(_STREAMS[0] // 2, seed) for seed in (1, 2)]

    def wall_mpps(chosen: list[tuple[Traffic, StreamTable]], feed: _Feed) -> float:
        work = [(table, traffic.memory, traffic.frames()) for traffic, table in chosen]
        threads = [threading.Thread(target=feed, args=arguments) for arguments in work]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - started
        for traffic, _ in chosen:
            traffic.advance()
        return sum(len(frames) for _, _, frames in work) / elapsed / 1e6

    def speeds(feed: _Feed) -> tuple[float, float]:
        one = max(wall_mpps(pairs[:1], feed) for _ in range(_PASSES))
        return one, max(wall_mpps(pairs, feed) for _ in range(_PASSES))

    one, two = speeds(_feed)
    figures = {"one_mpps": one, "two_mpps": two, "speedup": two / one}
    if native is not None:
        one, two = speeds(partial(_feed_native, native))
        figures["c_speedup"] = two / one
    return figures
