"""The InfluxDB store: one server, written and read by any number of processes."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock

from storage.embedded.cursors import Cursors, connect
from storage.embedded.layout import is_writer_name
from storage.influx.address import address_of
from storage.influx.admin import detected
from storage.influx.lineproto import prepare
from storage.influx.querier import Querier
from storage.influx.reader import InfluxReader
from storage.influx.rolling import Rolling
from storage.influx.sender import Sender
from storage.influx.source import Source
from storage.influx.status import ServerStatus, status_of
from storage.influx.targets import Databases
from storage.influx.writer import InfluxWriter
from storage.seam import BadQuery, Scope, StoreError
from storage.settings import StorageSettings


class InfluxStore:
    """See `storage.seam.Store`. Readers may be used from several threads, each writer from one at a time."""

    def __init__(
        self, url: str, settings: StorageSettings | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Take the address; the server need not be there yet. Raises StoreError for a wrong URL or secret."""
        settings = settings or StorageSettings()
        self._influx = settings.influx
        self._spool = settings.spool
        self._clock_ns = clock_ns
        self._address = address_of(url, settings.influx)
        self._databases = Databases(self._address.database, settings.influx.tenant_classes)
        self._sender = Sender(self._address, settings.influx)
        self._querier = Querier(self._address, settings.influx)
        self._cursors = Cursors(partial(connect, settings))
        self._source = Source(self._querier, self._databases, settings.influx, self._cursors)
        self._rolling = Rolling(self._source, self._sender, self._databases, settings)
        self._writers: list[InfluxWriter] = []
        self._lock = Lock()
        self._closed = False

    def writer(self, name: str) -> InfluxWriter:
        """Open the one writer of this name, with what a dead one left in its spool; see `storage.seam.Store`."""
        if not is_writer_name(name):
            raise BadQuery(f"{name[:60]!r} is not a name for a writer: use a-z, 0-9, - and _")
        self._check_open()
        prepare()
        directory = Path(self._spool.directory) / self._address.directory
        writer = InfluxWriter(
            name, self._sender, self._databases, self._influx, directory, self._spool, self._clock_ns
        )
        with self._lock:
            self._writers.append(writer)
        return writer

    def reader(self, scope: Scope) -> InfluxReader:
        """Open a reader; see `storage.seam.Store`."""
        self._check_open()
        return InfluxReader(self._source, scope)

    def check(self) -> None:
        """Raise StoreUnavailable where nothing answers at the address."""
        detected(self._sender, self._address)

    def status(self) -> ServerStatus:
        """Return what the server tells of what it holds; raises StoreUnavailable, StoreError."""
        self._check_open()
        server = detected(self._sender, self._address)
        return status_of(server, self._querier, self._source, self._databases, self._influx.org)

    def maintain(self, now_ns: int) -> None:
        """Make hour and day sums of minutes; the server removes by its own retention. Raises StoreUnavailable.

        Call it every few minutes from one thread of each process that writes.
        """
        self._check_open()
        if detected(self._sender, self._address).major:  # what tells no version (VictoriaMetrics) is not read
            self._rolling.turn(now_ns)

    def close(self) -> None:
        """Close the writers and release everything; idempotent."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            writers, self._writers = self._writers, []
        for writer in writers:
            writer.close()
        self._sender.close()
        self._querier.close()
        self._cursors.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
