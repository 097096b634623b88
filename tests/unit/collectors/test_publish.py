"""Where facts meet the store: written in batches, shed by count while it is away."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pyarrow as pa
from hep_traffic import START_NS, HepTraffic, run

from collectors.facts import SipSighting
from collectors.publish import StoreSink
from storage.open import open_store
from storage.schema import MEASUREMENTS
from storage.seam import Scope, StoreUnavailable, Window
from telephony.model import Endpoint, Labels


@dataclass
class FakeWriter:
    """Keeps batches, or is away."""

    away: bool = False
    written: list[tuple[str, pa.RecordBatch]] = field(default_factory=list)
    flushed: int = 0

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        if self.away:
            raise StoreUnavailable("away")
        assert MEASUREMENTS[measurement].schema == rows.schema
        self.written.append((measurement, rows))

    def flush(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.flushed += 1

    def close(self) -> None:
        """Nothing to release."""


def ticking(step: float) -> Iterator[float]:
    return (step * i for i in count())


def sighting(branch: str, src: Endpoint) -> tuple[SipSighting, Labels]:
    here = Endpoint("10.0.0.9", 5060)
    return SipSighting(
        START_NS, "c1", src, here, 1, "n", "INVITE", 0, "sip:b", 1, "f", "", branch, 1, True, False
    ), Labels()


def test_what_a_pipeline_publishes_fits_the_store() -> None:
    _, published = run(HepTraffic().answered_call())
    writer = FakeWriter()
    sink = StoreSink(writer, lambda: 0.0)
    sink.intervals(published.kept_intervals)
    sink.calls(published.kept_calls)
    sink.registrations(published.kept_registrations)
    sink.messages(published.kept_messages)
    for measurement, rows in published.kept_rows.items():
        sink.rows(measurement, rows)
    sink.flush()
    assert {"stream_interval", "call", "sip_message", "session_minute", "load_now", "call_now"} < {
        measurement for measurement, _ in writer.written
    }
    assert sum(rows.num_rows for _, rows in writer.written) == sink.rows_written
    assert (0, 1) == (sink.rows_shed, writer.flushed)


def test_nothing_new_writes_nothing() -> None:
    writer = FakeWriter()
    sink = StoreSink(writer, lambda: 0.0)
    sink.intervals([])
    sink.calls([])
    sink.messages([])
    sink.rows("load_now", [])
    assert [] == writer.written


def test_rows_are_shed_by_count_while_the_store_is_away() -> None:
    _, published = run(HepTraffic().answered_call())
    writer = FakeWriter(away=True)
    sink = StoreSink(writer, lambda: 0.0)
    sink.intervals(published.kept_intervals)
    sink.calls(published.kept_calls)
    assert (0, len(published.kept_intervals) + 1) == (sink.rows_written, sink.rows_shed)
    writer.away = False
    sink.calls(published.kept_calls)
    assert 1 == sink.rows_written


def test_flushes_are_timed_also_when_they_fail() -> None:
    writer = FakeWriter()
    clock = ticking(0.5)
    sink = StoreSink(writer, lambda: next(clock))
    sink.flush()
    writer.away = True
    sink.flush()
    assert (2, 1, 0.5, 1.0) == (
        sink.flushes,
        sink.flushes_failed,
        sink.flush_seconds_last,
        sink.flush_seconds_sum,
    )
    assert 0 == sink.rows_shed, "the writer keeps what it has"


def test_two_hops_of_one_message_in_one_microsecond_stay_apart(tmp_path: Path) -> None:
    store = open_store(f"embedded:{tmp_path}")
    writer = store.writer("test")
    sink = StoreSink(writer, lambda: 0.0)
    sink.messages([sighting("z9hG4bK-1", Endpoint(f"10.0.0.{i}", 5060)) for i in range(4)])
    sink.flush()
    rows = store.reader(Scope.everything("test")).select("sip_message", Window(START_NS, START_NS + 10**9))
    writer.close()
    store.close()
    assert 4 == rows.num_rows
