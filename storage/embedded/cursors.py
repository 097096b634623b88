"""Cursors of a DuckDB database for several threads, and an end that does not wait for their queries.

What questions leave behind in a database, of its allocator and of each file that it ever read, stays and grows by
tens of megabytes an hour where a process asks every second. So after some hundred questions another database takes
the place of the one before, which goes with its last cursor: opening one takes some milliseconds.

DuckDB refuses to close while a cursor runs a query. So closing takes no new ones, interrupts those that run until
each has been given back, and closes then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Condition

import duckdb
import pyarrow as pa

from storage.seam import StoreError
from storage.settings import StorageSettings

_INTERRUPT_AGAIN_SECONDS = 0.05
"""An interrupt is for the query that runs now: what runs none at that moment may start another."""
_PATIENCE_TURNS = 60
_CURSORS_A_DATABASE = 256


def connect(settings: StorageSettings) -> "duckdb.DuckDBPyConnection":
    """Open a database in memory for the questions of this process; raises duckdb.Error."""
    import_module("pyarrow.dataset")  # DuckDB would, in the first question, and it takes a tenth of a second
    return duckdb.connect(
        ":memory:",
        config={
            "threads": settings.read_threads,
            "memory_limit": f"{settings.read_memory_bytes // 1024**2}MiB",
            "temp_directory": "",  # a query that needs more memory than it may use fails, and leaves no files
            # Without it each thread keeps what its queries freed, and a process that asks every few seconds grows.
            "allocator_background_threads": True,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )


class Cursors:
    """A database, and those of its cursors that are in use."""

    def __init__(self, connect: Callable[[], "duckdb.DuckDBPyConnection"]) -> None:
        """Open the database; raises duckdb.Error."""
        self._connect = connect
        self._root = connect()
        self._lent = 0
        self._used: list[duckdb.DuckDBPyConnection] = []
        self._condition = Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def one(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Lend a cursor; raises StoreError once closed, also for queries that this interrupted."""
        with self._condition:
            self._check_open()
            if self._lent == _CURSORS_A_DATABASE:
                self._root, self._lent = self._connect(), 0
            self._lent += 1
            cursor = self._root.cursor()
            self._used.append(cursor)
        try:
            yield cursor
        except (duckdb.InterruptException, pa.ArrowException, OSError):  # as what it ends depends on the query
            self._check_open()
            raise
        finally:
            with self._condition:
                cursor.close()
                self._used = [other for other in self._used if other is not cursor]
                self._condition.notify_all()

    def reopen(self) -> None:
        """Lend cursors of a new database from now on; raises StoreError, duckdb.Error."""
        with self._condition:
            self._check_open()
            self._root, self._lent = self._connect(), 0

    def close(self) -> None:
        """Interrupt what runs, and close the database; idempotent."""
        with self._condition:
            self._closed = True
            for _ in range(_PATIENCE_TURNS):
                if not self._used:
                    break
                for cursor in self._used:
                    cursor.interrupt()
                self._condition.wait(_INTERRUPT_AGAIN_SECONDS)
            else:
                return  # something else than a query takes its time; the database goes with the last cursor
            self._root.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
