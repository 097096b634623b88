"""Where the pipeline's facts meet the store: facts to record batches, batches to the writer."""

from collections.abc import Callable, Sequence
from zlib import crc32

from collectors.facts import SipSighting
from collectors.tracking.rollups import Row
from storage.rows import batch, call_batch, shard_of, stream_interval_batch
from storage.seam import StoreUnavailable, Writer
from telephony.model import CallRecord, Labels, Registration, StreamInterval


class StoreSink:
    """Writes what the pipeline publishes; while the store is unavailable, batches are shed, by count."""

    def __init__(self, writer: Writer, monotonic: Callable[[], float]) -> None:
        self.rows_written = 0
        self.rows_shed = 0
        self.flush_seconds_last = 0.0
        self.flush_seconds_sum = 0.0
        self.flushes = 0
        self.flushes_failed = 0
        """The writer keeps what it could not make durable, within its bound, and tries again."""
        self._writer = writer
        self._monotonic = monotonic

    def intervals(self, intervals: Sequence[StreamInterval]) -> None:
        """Write stream intervals."""
        self._write("stream_interval", len(intervals), lambda: stream_interval_batch(intervals))

    def calls(self, records: Sequence[CallRecord]) -> None:
        """Write call records."""
        self._write("call", len(records), lambda: call_batch(records))

    def registrations(self, registrations: Sequence[Registration]) -> None:
        """Registrations are stored as minute counts only, which come as rows."""

    def messages(self, sightings: Sequence[tuple[SipSighting, Labels]]) -> None:
        """Write the ladder's messages."""
        self._write("sip_message", len(sightings), lambda: batch("sip_message", [_message(*s) for s in sightings]))

    def rows(self, measurement: str, rows: Sequence[Row]) -> None:
        """Write rows of any measurement."""
        self._write(measurement, len(rows), lambda: batch(measurement, rows))

    def flush(self) -> None:
        """Make it visible; timed, for the exporter."""
        began = self._monotonic()
        try:
            self._writer.flush()
        except StoreUnavailable:
            self.flushes_failed += 1
        self.flush_seconds_last = self._monotonic() - began
        self.flush_seconds_sum += self.flush_seconds_last
        self.flushes += 1

    def _write(self, measurement: str, count: int, build: Callable[[], object]) -> None:
        if not count:
            return
        try:
            self._writer.write(measurement, build())
        except StoreUnavailable:
            self.rows_shed += count
        else:
            self.rows_written += count


def _message(sighting: SipSighting, labels: Labels) -> Row:
    return {
        # Two hops of one message can carry one microsecond: the branch and the hop tell their points apart.
        "time": sighting.at_ns
        + crc32(f"{sighting.src}{sighting.dst}{sighting.branch}".encode("utf-8", "replace")) % 1000,
        "tenant": labels.tenant,
        "node": labels.node,
        "shard": shard_of(sighting.call_id),
        "call_id": sighting.call_id,
        "src": str(sighting.src),
        "dst": str(sighting.dst),
        "method": sighting.method,
        "status": sighting.status,
        "reason": sighting.reason,
        "cseq": sighting.cseq,
        "vias": sighting.vias,
        "has_sdp": sighting.has_sdp,
        "retransmission": sighting.retransmission,
    }
