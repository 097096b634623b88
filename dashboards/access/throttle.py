"""Slows down whoever guesses passwords: tries are counted per user and address, and per address alone."""

import threading
from collections import OrderedDict

from dashboards.numbers import SECOND_NS

PER_USER = 5
PER_ADDRESS = 30
WINDOW_SECONDS = 300
_MOST_KEYS = 20_000

Key = tuple[str, str]


class Throttle:
    """Counts tries that did not succeed within the window. Bounded: the longest untouched is forgotten first."""

    def __init__(self) -> None:
        self._tries: OrderedDict[Key, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, user: str, address: str, now_ns: int) -> int:
        """Count a try and return 0, or how long to wait where there were too many; those are not counted."""
        now_s = now_ns // SECOND_NS
        limits = ((self._key(user, address), PER_USER), (("", address), PER_ADDRESS))
        with self._lock:
            recent = [self._recent(key, now_s) for key, _ in limits]
            waits = [
                tries[-limit] + WINDOW_SECONDS - now_s
                for tries, (_, limit) in zip(recent, limits, strict=True)
                if len(tries) >= limit
            ]
            if waits:
                return max(*waits, 1)
            for tries in recent:
                tries.append(now_s)
        return 0

    def succeeded(self, user: str, address: str) -> None:
        """Forget the tries of a user who has signed in, and take back the one of the address."""
        with self._lock:
            self._tries.pop(self._key(user, address), None)
            if tries := self._tries.get(("", address)):
                tries.pop()

    @staticmethod
    def _key(user: str, address: str) -> Key:
        return f"u{user[:128].casefold()}", address

    def _recent(self, key: Key, now_s: int) -> list[int]:
        tries = self._tries.setdefault(key, [])
        self._tries.move_to_end(key)
        tries[:] = [at for at in tries if at > now_s - WINDOW_SECONDS]
        while len(self._tries) > _MOST_KEYS:
            self._tries.popitem(last=False)
        return tries
