"""A memory of what was used lately: two generations, so that forgetting costs nothing per entry."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Generations(Generic[K, V]):
    """A mapping that forgets what was not put for one to two lifetimes, or sooner where it is full.

    >>> recent = Generations[str, int](limit=2, lifetime_ns=10)
    >>> recent.put("a", 1, 0); recent.put("b", 2, 9); recent.put("b", 2, 11)
    >>> recent.get("a"), recent.get("b")
    (1, 2)
    >>> recent.put("c", 3, 22)
    >>> recent.get("a"), recent.get("b"), recent.get("c")
    (None, 2, 3)
    """

    def __init__(self, *, limit: int, lifetime_ns: int) -> None:
        self._limit = limit
        self._lifetime_ns = lifetime_ns
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._turns_ns = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: K) -> V | None:
        """Return what was put last under this key, if it is remembered."""
        value = self._new.get(key)
        return value if value is not None else self._old.get(key)

    def put(self, key: K, value: V, now_ns: int) -> None:
        """Remember a value; time goes on with the largest `now_ns`."""
        if now_ns >= self._turns_ns or len(self._new) >= self._limit:
            self._old, self._new = self._new, {}
            self._turns_ns = max(now_ns, self._turns_ns) + self._lifetime_ns
        self._new[key] = value
