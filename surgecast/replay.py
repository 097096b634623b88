"""Capture files through the real path: what `surgecast replay` does, and what tests compare with the truth."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collectors.capture.base import SourceStats
from collectors.capture.files import open_capture
from collectors.capture.listeners import hep_parser
from collectors.facts import DatagramBatch, FramesTaken, SipSighting
from collectors.pipeline import Pipeline
from collectors.publish import StoreSink
from collectors.settings import CollectorSettings
from collectors.sink import Sink
from collectors.tracking.rollups import Row
from storage.open import open_store
from storage.settings import StorageSettings
from surgecast.collecting import labeller_of, pipeline_settings, pools_of
from telephony.model import CallRecord, Labels, Registration, StreamInterval

MAX_STEP_NS = 3600 * 1_000_000_000
"""A capture time this far ahead of its neighbours in the file is not believed."""
_SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class ReplayResult:
    """Everything a replay found."""

    streams: list[StreamInterval] = field(default_factory=list)
    """Each stream's totals over the capture, as its observer reported them."""
    calls: list[CallRecord] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    intervals: list[StreamInterval] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Rows of the other measurements, by name."""
    messages: list[SipSighting] = field(default_factory=list)
    rtcp_reports: int = 0
    rtcp_rejected: int = 0
    capture: SourceStats = field(default_factory=SourceStats)
    shed: dict[str, int] = field(default_factory=dict)
    """What tables gave up because they were full, by table."""


class _Keep:
    """A sink that keeps everything, and passes it on where there is a store."""

    def __init__(self, result: ReplayResult, onward: Sink | None) -> None:
        self._result = result
        self._onward = onward

    def intervals(self, intervals: Sequence[StreamInterval]) -> None:
        self._result.intervals += intervals
        if self._onward:
            self._onward.intervals(intervals)

    def calls(self, records: Sequence[CallRecord]) -> None:
        self._result.calls += records
        if self._onward:
            self._onward.calls(records)

    def registrations(self, registrations: Sequence[Registration]) -> None:
        self._result.registrations += registrations

    def messages(self, sightings: Sequence[tuple[SipSighting, Labels]]) -> None:
        self._result.messages += [sighting for sighting, _ in sightings]
        if self._onward:
            self._onward.messages(sightings)

    def rows(self, measurement: str, rows: Sequence[Row]) -> None:
        self._result.rows.setdefault(measurement, []).extend(rows)
        if self._onward:
            self._onward.rows(measurement, rows)

    def flush(self) -> None:
        if self._onward:
            self._onward.flush()


class _Reader:
    """Reads RTP for the pipeline, and lets its time pass where no datagram does."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def take(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], *, waiting: bool) -> FramesTaken:
        """Take frames (`collectors.capture.base.FrameReader`)."""
        rtp = self._pipeline.rtp
        if not waiting and rtp.newest_ns:
            self._pipeline.tick(rtp.newest_ns)
        return rtp.take(memory, frames, waiting=waiting)


def replay_files(
    paths: Sequence[Path],
    settings: CollectorSettings,
    *,
    store_url: str | None = None,
    storage: StorageSettings | None = None,
) -> ReplayResult:
    """Run files through the pipeline by the capture's own clock.

    Raises:
        CaptureError: A file cannot be read, or is none of the kinds that are known.
        StoreError: The store cannot be written.
    """
    result = ReplayResult()
    if store_url is None:
        _replay(paths, settings, result, None)
        return result
    store = open_store(store_url, storage)
    try:
        writer = store.writer(f"replay-{time.time_ns()}")
        try:
            _replay(paths, settings, result, StoreSink(writer, time.monotonic))
        finally:
            writer.close()
    finally:
        store.close()
    return result


def by_second(rows: npt.NDArray[np.void], newest_ns: int) -> Iterator[tuple[npt.NDArray[np.void], int, int]]:
    """Yield the rows of a batch second by second of the capture, each part with the clock before and after it.

    A file gives in one batch what took an hour to come: fed whole, its reports would all meet the last call that
    used their ports. A time far ahead of those around it is wrong and does not move the clock.
    """
    if not len(rows):
        return
    times = np.maximum(rows["captured_ns"], newest_ns)
    steps = np.diff(times)
    ahead = np.append(-steps > MAX_STEP_NS, steps[-1:] > MAX_STEP_NS) if len(rows) > 1 else np.zeros(1, np.bool_)
    clock = np.maximum.accumulate(np.where(ahead, newest_ns, times))
    cuts = np.flatnonzero(np.diff(clock // _SECOND_NS)) + 1
    for first, last in pairwise((0, *cuts.tolist(), len(rows))):
        yield rows[first:last], int(clock[first]), int(clock[last - 1])


def _replay(paths: Sequence[Path], settings: CollectorSettings, result: ReplayResult, onward: Sink | None) -> None:
    labeller = labeller_of(settings)
    pipeline = Pipeline(
        labeller,
        pools_of(settings),
        _Keep(result, onward),
        pipeline_settings(settings, labeller, trust_capture_clock=True),
    )
    pipeline.rtp.keep_totals = True
    newest_ns = 0

    def take(batch: DatagramBatch) -> None:
        nonlocal newest_ns
        for rows, since_ns, until_ns in by_second(batch.rows, newest_ns):
            newest_ns = until_ns
            pipeline.tick(since_ns)
            pipeline.feed(DatagramBatch(rows, batch.buffer), newest_ns)
        batch.release()

    # Every file is opened before the first is read: a wrong name must not cost the time of the right ones.
    sources = [open_capture(path, hep_parser(settings), _Reader(pipeline)) for path in paths]
    for source in sources:
        source.run(take, threading.Event())
        result.capture.add(source.stats())
    pipeline.finish(max(newest_ns, pipeline.rtp.newest_ns))
    reported = map(pipeline.rated_whole, pipeline.reports.streams())
    result.streams = [*sorted(pipeline.rtp.totals, key=lambda stream: stream.time_ns), *reported]
    result.rtcp_reports = pipeline.counters.rtcp_reports
    result.rtcp_rejected = sum(pipeline.counters.rtcp_rejected.values())
    fragments = pipeline.rtp.frames_by_kind()["rtp_fragment"]
    if fragments:
        result.capture.errors["rtp_fragment"] += fragments  # read from the first of each packet, but a fault
    result.shed = {table: count for table, count in pipeline.shed().items() if count}
