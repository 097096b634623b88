"""The cache between store and pages, on a clock that the test moves."""

from dataclasses import dataclass, field

import pytest

from dashboards.snapshots import Key, Refresher, SnapshotCache
from storage.seam import OutOfScope, Scope, StoreUnavailable

S_NS = 10**9
ENGINEER = Scope.everything("engineer")


@dataclass
class Source:
    """Answers with how often it was asked; fails as told."""

    asked: list[Key] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, key: Key, before: int | None, now_ns: int) -> int:
        self.asked.append(key)
        if self.error is not None:
            raise self.error
        return (before or 0) + 1


def key(subject: str = "", scope: Scope = ENGINEER) -> Key:
    return Key(scope, "live", subject)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(source: Source) -> SnapshotCache[int]:
    return SnapshotCache(source, every_seconds=2, idle_seconds=20, capacity=3)


def test_reading_never_asks_the_store(cache: SnapshotCache[int], source: Source) -> None:
    """The tick must not wait for a query."""
    assert cache.read(key(), S_NS).version == 0
    assert source.asked == []


def test_a_refresh_fills_what_is_watched(cache: SnapshotCache[int]) -> None:
    """And nothing else."""
    cache.read(key(), S_NS)
    assert cache.refresh(S_NS) == 1
    snapshot = cache.read(key(), 2 * S_NS)
    assert (1, 1, S_NS, "") == (snapshot.value, snapshot.version, snapshot.refreshed_ns, snapshot.error)


def test_a_fresh_snapshot_is_left_alone(cache: SnapshotCache[int]) -> None:
    """Until it is as old as the interval."""
    cache.read(key(), S_NS)
    cache.refresh(S_NS)
    assert [cache.refresh(at * S_NS) for at in (2, 3, 4)] == [0, 1, 0]


def test_what_nobody_watches_is_dropped(cache: SnapshotCache[int]) -> None:
    """And counted."""
    cache.read(key(), S_NS)
    cache.refresh(S_NS)
    cache.refresh(22 * S_NS)
    assert (len(cache), cache.stats.idle_dropped) == (0, 1)


def test_watching_keeps_it(cache: SnapshotCache[int], source: Source) -> None:
    """Each read counts as watching."""
    for at in range(1, 60, 2):
        cache.read(key(), at * S_NS)
        cache.refresh(at * S_NS)
    assert (1, 30) == (len(cache), len(source.asked))


def test_the_longest_unwatched_goes_when_it_is_full(cache: SnapshotCache[int]) -> None:
    """A crawler of links cannot fill the memory."""
    for at, subject in enumerate("abcd", start=1):
        cache.read(key(subject), at * S_NS)
    cache.refresh(5 * S_NS)
    assert (3, 1) == (len(cache), cache.stats.evicted)
    assert cache.read(key("a"), 6 * S_NS).version == 0


def test_scopes_do_not_share_snapshots(cache: SnapshotCache[int], source: Source) -> None:
    """The same view of two actors with different tenants is two keys."""
    cache.read(key(), S_NS)
    cache.read(key(scope=Scope.of("acme", "acme")), S_NS)
    cache.refresh(S_NS)
    assert {ENGINEER, Scope.of("acme", "acme")} == {asked.scope for asked in source.asked}


def test_a_failing_store_keeps_the_last_answer(cache: SnapshotCache[int], source: Source) -> None:
    """With its age and the reason."""
    cache.read(key(), S_NS)
    cache.refresh(S_NS)
    source.error = StoreUnavailable("disk is gone")
    cache.refresh(4 * S_NS)
    snapshot = cache.read(key(), 4 * S_NS)
    assert (1, S_NS, "disk is gone") == (snapshot.value, snapshot.refreshed_ns, snapshot.error)
    assert snapshot.version == 2


def test_it_recovers(cache: SnapshotCache[int], source: Source) -> None:
    """The error goes with the next answer."""
    source.error = StoreUnavailable("disk is gone")
    cache.read(key(), S_NS)
    cache.refresh(S_NS)
    source.error = None
    cache.refresh(4 * S_NS)
    assert (1, "") == (cache.read(key(), 4 * S_NS).value, cache.read(key(), 4 * S_NS).error)


def test_out_of_scope_is_not_found(cache: SnapshotCache[int], source: Source) -> None:
    """Never an error that tells that there is something."""
    source.error = OutOfScope("tenant globex")
    cache.read(key(), S_NS)
    cache.refresh(S_NS)
    snapshot = cache.read(key(), S_NS)
    assert (True, "", None) == (snapshot.not_found, snapshot.error, snapshot.value)


def test_a_defect_in_one_view_spares_the_others(source: Source) -> None:
    """The refresher of all pages must survive a bug in one."""

    def load(asked: Key, before: int | None, now_ns: int) -> int:
        if asked.subject == "bad":
            raise ZeroDivisionError
        return 7

    cache = SnapshotCache(load, every_seconds=2, idle_seconds=20, capacity=3)
    cache.read(key("bad"), S_NS)
    cache.read(key("good"), S_NS)
    cache.refresh(S_NS)
    assert "internal error: ZeroDivisionError" == cache.read(key("bad"), S_NS).error
    assert 7 == cache.read(key("good"), S_NS).value


def test_the_first_answer_can_be_waited_for(cache: SnapshotCache[int]) -> None:
    """Opening a page shows data, not a skeleton, where the store answers in time."""
    refresher = Refresher(cache, lambda: S_NS, "test")
    refresher.start()
    try:
        assert 1 == cache.read(key(), S_NS, wait_seconds=10).value
    finally:
        refresher.stop()
