"""The embedded store: a directory that several processes write to and read from at once, without a server."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from storage.embedded.format import FORMAT, check_format
from storage.embedded.giveback import give_back
from storage.embedded.indexing import Indexing
from storage.embedded.layout import Layout, is_writer_name
from storage.embedded.lock import UPKEEP, WriterLock
from storage.embedded.reader import EmbeddedReader
from storage.embedded.relation import Database
from storage.embedded.retention import Retention, free_bytes
from storage.embedded.rolling import Rolling
from storage.embedded.sealer import Sealer
from storage.embedded.stats import StoreStats
from storage.embedded.status import StoreFigures, StoreStatus, sizes_of, status_of
from storage.embedded.upkeep import Upkeep
from storage.embedded.writer import EmbeddedWriter
from storage.seam import BadQuery, Scope, StoreError, StoreLocked, StoreUnavailable
from storage.settings import StorageSettings


class EmbeddedStore:
    """See `storage.seam.Store`. Readers may be used from several threads, each writer from one at a time."""

    def __init__(
        self, root: Path, settings: StorageSettings | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Open the directory, made where it is missing; raises StoreUnavailable."""
        self.stats = StoreStats()
        self._settings = settings or StorageSettings()
        self._clock_ns = clock_ns
        self._layout = Layout(root)
        try:
            self.migrated_from = check_format(root)
            self._layout.create()
        except OSError as error:
            raise StoreUnavailable(f"store {root}: {error.strerror}") from error
        self._writers: dict[str, EmbeddedWriter] = {}
        self._database: Database | None = None
        self._rolling = Rolling(self._layout, self._new_database, self.stats)
        self._lock = Lock()
        self._upkeep_lock = Lock()
        self._indexing = Indexing(self._layout, self.stats)
        self._upkeep = Upkeep(self._layout, self._settings, self.stats)
        self._retention = Retention(self._layout, self._settings, self.stats)
        self._closed = False

    def writer(self, name: str) -> EmbeddedWriter:
        """Open the one writer of this name, and recover what a dead one left; see `storage.seam.Store`."""
        if not is_writer_name(name):
            raise BadQuery(f"{name[:60]!r} is not a name for a writer: use a-z, 0-9, - and _")
        self._check_open()
        writer = EmbeddedWriter(self._layout, name, self._settings, self.stats, self._clock_ns)
        with self._lock:
            self._writers[name] = writer
        return writer

    def reader(self, scope: Scope) -> EmbeddedReader:
        """Open a reader; see `storage.seam.Store`."""
        self._check_open()
        return EmbeddedReader(self._open_database(), scope)

    def maintain(self, now_ns: int) -> None:
        """Apply retention, seal the logs of dead writers, compact closed days of writers not open elsewhere.

        Call it every few minutes from one thread of each process that writes. Raises StoreUnavailable.
        """
        self._check_open()
        with self._upkeep_lock:
            try:
                self._retention.expire(now_ns)
                with ExitStack() as locks:
                    self._upkeep.compact(self._owned(locks), now_ns)
                self._upkeep.digest()
                self._indexing.turn()
                self._rolling.turn(now_ns)
            except OSError as error:
                raise StoreUnavailable(f"store {self._layout.root}: {error}") from error
            finally:
                give_back()

    def status(self, now_ns: int) -> StoreStatus:
        """Return what the store holds and what goes next; raises StoreUnavailable."""
        try:
            return status_of(self._layout, self._settings, self._retention, FORMAT, now_ns)
        except OSError as error:
            raise StoreUnavailable(f"store {self._layout.root}: {error}") from error

    def figures(self) -> StoreFigures:
        """Return what this process counted and the files take; raises StoreUnavailable."""
        try:
            return StoreFigures(self.stats, sizes_of(self._layout), free_bytes(self._layout.root))
        except OSError as error:
            raise StoreUnavailable(f"store {self._layout.root}: {error}") from error

    def _owned(self, locks: ExitStack) -> set[str]:
        """Return the writers that are ours, or dead, whose names are then ours too while `locks` are held."""
        with self._lock:
            writers = {name for name, writer in self._writers.items() if not writer.closed}
        for name in self._layout.writers() - writers:
            try:
                lock = WriterLock(self._layout.locks / f"{name}.lock", name, UPKEEP)
            except StoreLocked:
                continue  # alive elsewhere
            locks.callback(lock.release)
            Sealer(self._layout, name, self.stats).recover()
            writers.add(name)
        return writers

    def close(self) -> None:
        """Close the writers and release everything; idempotent."""
        self._closed = True
        with self._lock:
            writers, database = list(self._writers.values()), self._database
            self._writers, self._database = {}, None
        for writer in writers:
            writer.close()
        if database is not None:
            database.close()

    def _open_database(self) -> Database:
        with self._lock:
            if self._database is None:
                self._database = self._new_database()
            return self._database

    def _new_database(self) -> Database:
        return Database(self._layout, self._settings, self.stats)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
