"""OPTIONS pings (RFC 3261 section 11): was the peer alive, and how long did it take to say so.

Each hop's transaction is a heartbeat of its own. Any final answer, whatever its code, means alive.
"""

from collections.abc import Callable

from collectors.facts import HeartbeatEnded
from collectors.tracking.names import Place
from collectors.tracking.timers import TimerWheel

_LINGER_NS = 5_000_000_000
"""How long an answered ping is remembered, so that copies of it are not taken for new ones."""


class _Ping:
    __slots__ = ("answered", "at_ns", "due_ns", "key", "place", "slot")

    def __init__(self, key: int, at_ns: int, place: Place) -> None:
        self.key = key
        self.at_ns = at_ns
        self.place = place
        self.answered = False
        self.due_ns = 0
        self.slot = 0


class HeartbeatTracker:
    """All OPTIONS transactions that are not final, by transaction key."""

    def __init__(self, limit: int, timeout_ns: int, emit: Callable[[HeartbeatEnded], None]) -> None:
        self.evicted = 0
        self._limit = limit
        self._timeout_ns = timeout_ns
        self._emit = emit
        self._pings: dict[int, _Ping] = {}
        self._wheel: TimerWheel[_Ping] = TimerWheel()

    def __len__(self) -> int:
        return len(self._pings)

    def request(self, key: int, at_ns: int, now_ns: int, place: Place) -> None:
        """Take an OPTIONS."""
        if key in self._pings:
            return
        if len(self._pings) >= self._limit:
            oldest = next(iter(self._pings.values()))
            self._forget(oldest)
            self.evicted += 1
        ping = self._pings[key] = _Ping(key, at_ns, place)
        self._wheel.arm(ping, now_ns + self._timeout_ns, now_ns)

    def response(self, key: int, at_ns: int, now_ns: int, status: int) -> None:
        """Take an answer to an OPTIONS."""
        ping = self._pings.get(key)
        if ping is None or ping.answered or status < 200:
            return
        ping.answered = True
        self._end(ping, at_ns, status, max(at_ns - ping.at_ns, 1))
        self._wheel.arm(ping, now_ns + _LINGER_NS, now_ns)

    def advance(self, now_ns: int) -> None:
        """Give up the pings that waited long enough."""
        for ping in self._wheel.expired(now_ns):
            if not ping.answered:
                self._end(ping, ping.at_ns + self._timeout_ns, 0, 0)
            self._forget(ping)

    def close(self) -> None:
        """Drop all; a ping without an answer yet says nothing."""
        self._pings.clear()
        self._wheel = TimerWheel()

    def _forget(self, ping: _Ping) -> None:
        self._wheel.cancel(ping)
        self._pings.pop(ping.key, None)

    def _end(self, ping: _Ping, at_ns: int, status: int, rtt_ns: int) -> None:
        src, dst, _, node_id, node_name, tenant_key = ping.place
        self._emit(HeartbeatEnded(at_ns, src, dst, node_id, node_name, tenant_key, status, rtt_ns))
