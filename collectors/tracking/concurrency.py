"""Concurrent calls per tenant, pool, region and node: exact mean and maximum of each minute.

Integrates at every change, so that a spike between two samples is not missed; capacity must follow the
maximum, not the mean.
"""

from dataclasses import dataclass
from math import floor

from collectors.tracking.rollups import MinuteTable
from telephony.model import MINUTE_NS

LoadKey = tuple[str, str, str, str]
"""tenant, pool, region, node."""

_SECOND_NS = 1_000_000_000
MAX_AHEAD_NS = 10 * MINUTE_NS
"""A fact further in the future than this has a wrong time: it counts now."""
MAX_GAP_NS = 120 * MINUTE_NS
"""After a longer jump of the clock the minutes in between are unknown, not as busy as the last one."""


@dataclass(slots=True)
class _Level:
    calls: int = 0
    packets_per_second: float = 0.0
    transcodes: int = 0
    since_ns: int = 0
    minute_ns: int = 0
    maximum: int = 0
    call_ns: float = 0.0
    packets: float = 0.0
    transcode_ns: float = 0.0
    second: int = 0
    second_arrivals: int = 0


class Concurrency:
    """Follows the number of answered calls per key and writes `load_minute` rows."""

    def __init__(self, table: MinuteTable) -> None:
        self._table = table
        self._levels: dict[LoadKey, _Level] = {}
        self._now_ns = 0

    def arrival(self, key: LoadKey, at_ns: int) -> None:
        """Count a session attempt towards arrivals and the busiest second."""
        at_ns = self._believed(at_ns)
        level = self._advance(key, at_ns)
        row = self._table.row(at_ns, *key)
        row.add("arrivals")
        second = at_ns // _SECOND_NS
        if second != level.second:
            level.second, level.second_arrivals = second, 0
        level.second_arrivals += 1
        row.raise_to("cps_max", level.second_arrivals)

    def change(
        self, key: LoadKey, at_ns: int, calls: int, packets_per_second: float = 0.0, transcodes: int = 0
    ) -> None:
        """Add (or with negative numbers take away) calls, their packet rate and those that are transcoded."""
        level = self._advance(key, self._believed(at_ns))
        level.calls = max(level.calls + calls, 0)
        level.packets_per_second = max(level.packets_per_second + packets_per_second, 0.0)
        level.transcodes = max(level.transcodes + transcodes, 0)
        level.maximum = max(level.maximum, level.calls)

    def advance(self, now_ns: int) -> None:
        """Bring every key's current minute up to `now_ns`."""
        self._now_ns = now_ns
        for key in list(self._levels):
            level = self._advance(key, now_ns)
            if not level.calls and now_ns - level.since_ns > 10 * MINUTE_NS:
                del self._levels[key]

    def current(self) -> dict[LoadKey, int]:
        """Return the calls up now per key; may be called from any thread."""
        return {key: level.calls for key, level in list(self._levels.items())}

    def _believed(self, at_ns: int) -> int:
        return self._now_ns if self._now_ns and at_ns > self._now_ns + MAX_AHEAD_NS else at_ns

    def _advance(self, key: LoadKey, at_ns: int) -> _Level:
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = _Level(since_ns=at_ns, minute_ns=at_ns - at_ns % MINUTE_NS)
        at_ns = max(at_ns, level.since_ns)  # a late fact changes the present, not the past
        if at_ns - level.minute_ns > MAX_GAP_NS:
            level.minute_ns, level.since_ns = at_ns - at_ns % MINUTE_NS, at_ns
            level.maximum, level.call_ns, level.packets, level.transcode_ns = level.calls, 0.0, 0.0, 0.0
        while at_ns >= level.minute_ns + MINUTE_NS:
            self._integrate(level, level.minute_ns + MINUTE_NS)
            self._publish(key, level)
            level.minute_ns += MINUTE_NS
            level.maximum, level.call_ns, level.packets, level.transcode_ns = level.calls, 0.0, 0.0, 0.0
            if not level.calls and at_ns - level.minute_ns > MINUTE_NS:
                # Nothing was up: skip the idle minutes instead of writing each as zero.
                level.minute_ns = at_ns - at_ns % MINUTE_NS
                level.since_ns = max(level.since_ns, level.minute_ns)
        self._integrate(level, at_ns)
        self._publish(key, level)
        return level

    @staticmethod
    def _integrate(level: _Level, until_ns: int) -> None:
        elapsed = until_ns - level.since_ns
        if elapsed > 0:
            level.call_ns += level.calls * elapsed
            level.packets += level.packets_per_second * elapsed / _SECOND_NS
            level.transcode_ns += level.transcodes * elapsed
            level.since_ns = until_ns

    def _publish(self, key: LoadKey, level: _Level) -> None:
        elapsed = level.since_ns - level.minute_ns
        row = self._table.row(level.minute_ns, *key)
        row.raise_to("concurrent_max", max(level.maximum, level.calls))
        if elapsed > 0:
            mean = level.call_ns / elapsed
            row.set("concurrent_mean", mean)
            row.set("erlangs", mean)
            row.set("transcodes", level.transcode_ns / elapsed)
            row.set("packets_per_second", floor(level.packets / elapsed * _SECOND_NS * 10) / 10)
