"""The server-side cache between the store and the pages.

A page's tick must answer within 50 ms (a slower callback than its interval freezes a Dash page), so it
never queries: it reads what a background thread has put here. Keys carry the scope, so no viewer can
be served what was read for another. Only what somebody watches is refreshed, and the number of views
kept is bounded.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from storage.seam import OutOfScope, Scope, StoreError

from .numbers import SECOND_NS

log = logging.getLogger(__name__)

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Key:
    """What is looked at, and by whom it may be seen."""

    scope: Scope
    page: str
    subject: str
    """Canonical query string of a live view, Call-ID of a call page."""

    @classmethod
    def of(cls, scope: Scope, page: str, subject: str) -> "Key":
        """Return the key of what everybody with the same tenants sees alike: one reading serves them all."""
        return cls(Scope(scope.tenants, page), page, subject)


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[V]):
    """The last answer for a key, with what went wrong since, if anything did."""

    value: V | None
    """None until the first answer, or where the key is out of scope."""
    version: int
    """Grows whenever the snapshot was refreshed with success or its error changed."""
    refreshed_ns: int
    """When `value` was read; 0 if never."""
    error: str = ""
    """Why the last refresh failed; empty when it did not."""
    not_found: bool = False
    """The subject does not exist within the scope."""


@dataclass(slots=True)
class _Entry(Generic[V]):
    snapshot: Snapshot[V]
    watched_ns: int
    tried_ns: int = 0


@dataclass(slots=True)
class CacheStats:
    """Counters for the exporter and the tests."""

    refreshes: int = 0
    failures: int = 0
    idle_dropped: int = 0
    evicted: int = 0


Load = Callable[[Key, V | None, int], V]
"""Reads a key's value anew, given the previous one and now (UTC ns)."""


class SnapshotCache(Generic[V]):
    """Snapshots by key; `read` is for request threads, `refresh` for the one background thread.

    Args:
        load: reads a value.
        every_seconds: age at which a watched snapshot is read again.
        idle_seconds: a snapshot not read for this long is dropped.
        capacity: keys kept at once.
    """

    def __init__(
        self,
        load: Load[V],
        *,
        every_seconds: float,
        idle_seconds: float,
        capacity: int,
    ) -> None:
        self.stats = CacheStats()
        self._load = load
        self.every_seconds = every_seconds
        self._every_ns = round(every_seconds * SECOND_NS)
        self._idle_ns = round(idle_seconds * SECOND_NS)
        self._capacity = capacity
        self._entries: dict[Key, _Entry[V]] = {}
        self._changed = threading.Condition()
        self._version = 0

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, key: Key, now_ns: int, *, wait_seconds: float = 0.0) -> Snapshot[V]:
        """Return the snapshot of a key and keep it watched; version 0 means that nothing was read yet.

        `wait_seconds` bounds how long to wait for a first answer (opening a page, changing a filter).
        """
        with self._changed:
            entry = self._entries.get(key)
            if entry is None:
                self._make_room()
                entry = self._entries[key] = _Entry(Snapshot(None, 0, 0), now_ns)
                self._changed.notify_all()
            entry.watched_ns = max(entry.watched_ns, now_ns)
            if wait_seconds > 0:
                self._changed.wait_for(lambda: entry.snapshot.version > 0, wait_seconds)
            return entry.snapshot

    def refresh(self, now_ns: int) -> int:
        """Drop what nobody watches, read again what is due, and return how many keys were read."""
        with self._changed:
            for key in [k for k, e in self._entries.items() if now_ns - e.watched_ns > self._idle_ns]:
                del self._entries[key]
                self.stats.idle_dropped += 1
            due = [
                (key, entry)
                for key, entry in self._entries.items()
                if not entry.tried_ns or now_ns - entry.tried_ns >= self._every_ns
            ]
        for key, entry in due:
            self._refresh_one(key, entry, now_ns)
        return len(due)

    def wait_for_work(self, timeout_seconds: float) -> None:
        """Block until a key that was never read is asked for, at most this long."""
        with self._changed:
            self._changed.wait_for(
                lambda: any(not entry.tried_ns for entry in self._entries.values()), timeout_seconds
            )

    def _make_room(self) -> None:
        while len(self._entries) >= self._capacity:
            oldest = min(self._entries, key=lambda k: self._entries[k].watched_ns)
            del self._entries[oldest]
            self.stats.evicted += 1

    def _refresh_one(self, key: Key, entry: _Entry[V], now_ns: int) -> None:
        before = entry.snapshot
        after: Snapshot[V]
        self._version += 1
        entry.tried_ns = now_ns
        try:
            value = self._load(key, before.value, now_ns)
        except OutOfScope:
            after = Snapshot(None, self._version, now_ns, not_found=True)
        except StoreError as error:
            self.stats.failures += 1
            after = replace(before, version=self._version, error=str(error) or type(error).__name__)
        except Exception as error:
            self.stats.failures += 1
            log.exception("cannot build page %s of %r", key.page, key.subject)
            after = replace(before, version=self._version, error=f"internal error: {type(error).__name__}")
        else:
            self.stats.refreshes += 1
            after = Snapshot(value, self._version, now_ns)
        with self._changed:
            entry.snapshot = after
            self._changed.notify_all()


class Refresher:
    """The background thread that keeps a cache fresh; `stop` ends it."""

    _STEP_SECONDS = 0.25

    def __init__(self, cache: SnapshotCache[V], clock: Callable[[], int], name: str) -> None:
        self._cache = cache
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"refresher-{name}", daemon=True)

    def start(self) -> None:
        """Begin refreshing."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the read it is in."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._cache.refresh(self._clock()):
                self._cache.wait_for_work(self._STEP_SECONDS)
