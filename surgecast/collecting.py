"""The collect role: sources in threads of their own, one consumer, the store behind it.

Everything that could grow is bounded: the batch queue (sources wait, the kernel then counts what it drops),
every table of the pipeline, and the store's log. What was shed is read here and exported.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import structlog

from collectors.capture.base import BatchQueue, CaptureError, PacketBufferStats, RingTap, Source, SourceStats
from collectors.capture.interfaces import open_interfaces
from collectors.capture.listeners import open_listeners
from collectors.capture.tpacket import may_capture
from collectors.load import StoreBacklog, WireSetup
from collectors.pipeline import Pipeline, PipelineSettings
from collectors.publish import StoreSink
from collectors.settings import CollectorSettings
from collectors.tracking.dialogs import DialogSettings
from collectors.tracking.labels import Labeller, NodeRule, PoolOf, TenantRule, TrunkRule
from collectors.tracking.privacy import NumberPrivacy
from collectors.tracking.tracked_call import CallSettings
from storage.embedded.status import StoreFigures
from storage.embedded.store import EmbeddedStore
from storage.open import open_store
from storage.seam import StoreError, Writer, WriterHealth
from storage.settings import StorageSettings

log = structlog.get_logger()

WRITER_NAME = "collect"
QUEUE_BATCHES = 256
LINK_HEADERS = ("x-cid", "session-id")
"""Headers that join the legs of a call."""
_TICK_SECONDS = 0.1
_STREAM_IDLE_NS = 120_000_000_000
_FOREVER_NS = 2**62
"""A replay's streams are all listed at its end."""
_STALLED_SECONDS = 30.0
_MAINTAIN_SECONDS = 300.0


def labeller_of(settings: CollectorSettings) -> Labeller:
    """Return the labeller of the configured tenants, trunks and nodes."""
    return Labeller(
        tenants=(
            TenantRule(
                t.name,
                tuple(key.get_secret_value() for key in t.hep_keys),
                t.sip_domains,
                {header.lower(): values for header, values in t.headers.items()},
                t.networks,
            )
            for t in settings.tenants
        ),
        trunks=(TrunkRule(t.name, t.networks, t.sip_domains, t.tenant, t.region) for t in settings.trunks),
        nodes=(NodeRule(n.capture_id, n.name, n.region) for n in settings.nodes),
    )


def pools_of(settings: CollectorSettings) -> PoolOf:
    """Return which pool carries what, as configured."""
    return PoolOf(
        by_node={node: pool.name for pool in settings.pools for node in pool.nodes},
        by_region={region: pool.name for pool in settings.pools for region in pool.regions},
    )


def pipeline_settings(
    settings: CollectorSettings, labeller: Labeller, *, trust_capture_clock: bool = False
) -> PipelineSettings:
    """Return the pipeline's settings of the configured ones."""
    return PipelineSettings(
        trust_capture_clock=trust_capture_clock,
        stream_idle_ns=_FOREVER_NS if trust_capture_clock else _STREAM_IDLE_NS,
        rtp_tables=1 if trust_capture_clock else max(sum(i.rings for i in settings.interfaces), 1),
        calls=CallSettings(
            privacy=NumberPrivacy(settings.mask_numbers), hash_salt=settings.hash_salt.get_secret_value().encode()
        ),
        dialogs=DialogSettings(
            wanted_headers=(*LINK_HEADERS, *labeller.header_names),
            hash_seed=0 if trust_capture_clock else secrets.randbits(63),
        ),
    )


class Collector:
    """Sources, pipeline and sink of one collect process."""

    def __init__(
        self,
        sources: Sequence[Source],
        pipeline: Pipeline,
        sink: StoreSink,
        maintain: Callable[[int], None] = lambda now_ns: None,
        kept: Callable[[], PacketBufferStats] = PacketBufferStats,
        store_health: Callable[[], WriterHealth] = WriterHealth,
        stored: Callable[[], StoreFigures] = StoreFigures,
    ) -> None:
        self.pipeline = pipeline
        self.store_health = store_health
        self.stored = stored
        self.kept = kept
        """The figures of the packet buffer; zeros where there is none."""
        self.sink = sink
        self._sources = sources
        self._maintain = maintain
        self._turned = time.monotonic()
        self._dead: list[str] = []
        pipeline.load.capture_totals = self.totals

    def totals(self) -> SourceStats:
        """Return what the sources read, refused and lost so far."""
        total = SourceStats()
        for source in self._sources:
            total.add(source.stats())
        return total

    def trouble(self) -> str:
        """Return what is wrong with this process, empty where nothing is: the answer of its health probe."""
        if self._dead:
            return f"stopped reading: {', '.join(self._dead)}"
        stalled = time.monotonic() - self._turned
        return f"the consumer has not turned for {stalled:.0f} s" if stalled > _STALLED_SECONDS else ""

    def run(self, stop: threading.Event, clock: Callable[[], int]) -> None:
        """Take traffic until `stop`; `clock` gives UTC nanoseconds."""
        queue = BatchQueue(QUEUE_BATCHES, stop)
        threads = [
            threading.Thread(target=self._read, args=(source, queue, stop), name=source.name, daemon=True)
            for source in self._sources
        ]
        for thread, source in zip(threads, self._sources, strict=True):
            thread.start()
            log.info("listening", source=source.name)
        upkeep = threading.Thread(target=self._keep_up, args=(stop, clock), name="upkeep", daemon=True)
        upkeep.start()
        try:
            while not stop.is_set():
                self._consume(queue, _TICK_SECONDS, clock)
                self.pipeline.tick(clock())
                self._turned = time.monotonic()
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=5.0)
            self._consume(queue, 0.0, clock)
            if queue.dropped:
                log.warning("received at the stop, and given up", batches=queue.dropped)
            self.pipeline.stop(clock())

    def _keep_up(self, stop: threading.Event, clock: Callable[[], int]) -> None:
        """Let the store apply retention and merge its files now and then, beside the traffic."""
        while not stop.wait(_MAINTAIN_SECONDS):
            try:
                self._maintain(clock())
            except StoreError as error:
                log.error("store upkeep failed", why=str(error))

    def _consume(self, queue: BatchQueue, wait_seconds: float, clock: Callable[[], int]) -> None:
        for batch in queue.take(wait_seconds):
            try:
                self.pipeline.feed(batch, clock())
            finally:
                batch.release()

    def _read(self, source: Source, queue: BatchQueue, stop: threading.Event) -> None:
        try:
            source.run(queue.put, stop)
        except CaptureError as error:
            log.error("source failed", source=source.name, why=str(error))
        finally:
            if not stop.is_set():
                self._dead.append(source.name)


@contextmanager
def collecting(settings: CollectorSettings, storage: StorageSettings) -> Iterator[Collector]:
    """Open everything a collector needs, and close it in order.

    Raises:
        CaptureError: A listener or the packet buffer cannot be opened, or an interface not be captured from.
        StoreError: The store cannot be opened for writing.
    """
    with ExitStack() as opened:
        store = open_store(storage.url, storage)
        opened.callback(store.close)
        writer = store.writer(WRITER_NAME)
        opened.callback(writer.close)
        listeners = open_listeners(settings)
        for listener in listeners:
            opened.callback(listener.close)
        sources: Sequence[Source] = listeners
        kept: Callable[[], PacketBufferStats] = PacketBufferStats
        stored = store.figures if isinstance(store, EmbeddedStore) else StoreFigures
        tap: RingTap | None = None
        if settings.packet_buffer.directory is not None:
            # Here and not above: its kernels compile when they are imported, and most installations do without.
            from collectors.capture.packetbuffer import BufferedSource, PacketBuffer

            buffer = PacketBuffer(settings.packet_buffer.directory, settings.packet_buffer)
            opened.callback(buffer.close)
            sources = [BufferedSource(listener, buffer) for listener in listeners]
            kept = buffer.stats
            tap = buffer.take_ring_block
        sink = StoreSink(writer, time.monotonic)
        labeller = labeller_of(settings)
        pipeline = Pipeline(labeller, pools_of(settings), sink, pipeline_settings(settings, labeller))
        pipeline.load.backlog = lambda: _backlog(writer, sink)
        pipeline.load.wire = WireSetup(tuple(i.name for i in settings.interfaces), may_capture())
        try:
            interfaces = open_interfaces(settings.interfaces, pipeline.rtp.tables, tap)
        except CaptureError:
            none_open = SourceStats(interfaces_down=len(settings.interfaces))
            pipeline.load.capture_totals = lambda: none_open
            pipeline.tick(time.time_ns())  # so that the pages can say why nothing comes
            raise
        for interface in interfaces:
            opened.callback(interface.close)
        yield Collector([*sources, *interfaces], pipeline, sink, store.maintain, kept, writer.health, stored)


def _backlog(writer: Writer, sink: StoreSink) -> StoreBacklog:
    health = writer.health()
    return StoreBacklog(health.spool_rows, health.spool_oldest_ns, sink.rows_shed)
