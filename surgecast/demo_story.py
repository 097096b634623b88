"""Tells the demo's story as it happens: each beat once, when the store shows it, with the page to look at.

What is told is read from what the product's own roles wrote; only when the campaign comes, and when the trunk
works again, is known beforehand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from storage.seam import Reader, Window

_SECOND_NS = 1_000_000_000
_AHEAD_NS = 10 * 60 * _SECOND_NS
_RISE = 1.25
"""A forecast of the campaign that is this many times the one of the minutes before shows it."""


class Beat(StrEnum):
    """What happens, in about this order."""

    FORECAST = "forecast"
    SCALED = "scaled"
    CAMPAIGN = "campaign"
    LATE = "late"
    INCIDENT = "incident"
    REPORT = "report"
    RECOVERED = "recovered"
    RESOLVED = "resolved"


@dataclass(slots=True)
class Story:
    """The beats that were told; `turn` tells what is new."""

    reader: Reader
    url: str
    """Of the pages."""
    pool: str
    trunk: str
    """The one that fails."""
    tenant: str
    """Who feels that most."""
    began_ns: int
    campaign_ns: int
    recovery_ns: int
    """When the trunk fails no longer."""
    tell: Callable[[str], None]
    told: dict[Beat, int] = field(default_factory=dict)
    """When, UTC nanoseconds."""
    _pods: int = 0
    """Before the pool was scaled ahead."""

    def turn(self, now_ns: int) -> None:
        """Look at the store, and tell what happened since."""
        for beat, look in (
            (Beat.FORECAST, self._forecast),
            (Beat.SCALED, self._scaled),
            (Beat.CAMPAIGN, self._campaign),
            (Beat.LATE, self._late),
            (Beat.INCIDENT, self._incident),
            (Beat.REPORT, self._report),
            (Beat.RECOVERED, self._recovered),
            (Beat.RESOLVED, self._resolved),
        ):
            if beat not in self.told and (text := look(now_ns)):
                self.told[beat] = now_ns
                self.tell(f"{_clock(now_ns)}  {text}")

    def _forecast(self, now_ns: int) -> str:
        slots = Window(self.campaign_ns - _AHEAD_NS, self.campaign_ns + _AHEAD_NS)
        where = {"target_kind": ("pool",), "target": (self.pool,), "signal": ("concurrent_max",)}
        table = self.reader.forecasts(slots, where=where)
        starts = table["slot"].cast(pa.int64()).to_pylist()
        due = dict(zip(starts, table["q90"].to_pylist(), strict=True))
        before = [value for at, value in due.items() if at < self.campaign_ns and value]
        after = [value for at, value in due.items() if at >= self.campaign_ns and value]
        if not before or not after or max(after) < _RISE * before[-1]:
            return ""
        return (
            f"the forecast shows the campaign of {_clock(self.campaign_ns)}: {self.pool} from {before[-1]:.0f} to "
            f"{max(after):.0f} calls   {self.url}/capacity?of=pool:{self.pool}&reach=4h"
        )

    def _scaled(self, now_ns: int) -> str:
        decisions = self._decisions(now_ns)
        if not decisions:
            return ""
        self._pods = self._pods or decisions[0]["current"]
        for one in decisions:
            if one["applied"] and one["final"] > one["current"] and one["binding_source"] == "forecast":
                ahead_s = (self.campaign_ns - one["time"]) / _SECOND_NS
                return (
                    f"{self.pool} is scaled from {one['current']} to {one['final']} pods, {ahead_s:.0f} s before "
                    f"the campaign; its load alone asks for {one['need_reactive']}   {self.url}/scaling"
                )
        return ""

    def _campaign(self, now_ns: int) -> str:
        return "the campaign begins: three times as many calls of its tenant" if now_ns >= self.campaign_ns else ""

    def _late(self, now_ns: int) -> str:
        for one in self._decisions(now_ns):
            if self._pods and (one["need_reactive"] or 0) > self._pods and one["time"] >= self.campaign_ns:
                late_s = (one["time"] - self.campaign_ns) / _SECOND_NS
                return (
                    f"only now, {late_s:.0f} s into the campaign, would a reactive policy add pods, ready "
                    f"{one['lead_seconds']:.0f} s later   {self.url}/scaling"
                )
        return ""

    def _incident(self, now_ns: int) -> str:
        one = self._alert(now_ns)
        if one is None:
            return ""
        rule = str(one["rule"]).replace("_", " ")
        return (
            f"incident: {rule} of trunk {self.trunk} is {one['observed']:.2f} where {one['expected']:.2f} is "
            f"normal (n = {one['n']})   {self.url}/incidents/{one['incident_id']}"
        )

    def _report(self, now_ns: int) -> str:
        if Beat.INCIDENT not in self.told:
            return ""
        where = {"tenant": (self.tenant,), "state": ("firing", "acknowledged", "resolved")}
        table = self.reader.latest(
            "alert_event", Window(self.began_ns, now_ns + 1), by=("incident_id",), where=where
        )
        if not table.num_rows:
            return ""
        return f"its tenant's report shows it: {self.url}/tenant/{self.tenant}?period=today"

    def _recovered(self, now_ns: int) -> str:
        if Beat.INCIDENT not in self.told or now_ns < self.recovery_ns:
            return ""
        return f"trunk {self.trunk} works again; its incident is over when it was quiet for ten minutes"

    def _resolved(self, now_ns: int) -> str:
        one = self._alert(now_ns)
        over = one is not None and one["state"] == "resolved"
        return f"the incident of trunk {self.trunk} is over   {self.url}/incidents?state=resolved" if over else ""

    def _alert(self, now_ns: int) -> dict[str, Any] | None:
        """Return the newest incident of the trunk that nothing else explains, as it stands."""
        table = self.reader.latest(
            "alert_event", Window(self.began_ns, now_ns + 1), by=("incident_id",),
            where={"scope_kind": ("trunk",), "scope": (self.trunk,)},
        )  # fmt: skip
        rows = [row for row in _rows(table, _ALERT) if not row["parent_id"]]
        return rows[-1] if rows else None

    def _decisions(self, now_ns: int) -> list[dict[str, Any]]:
        table = self.reader.select(
            "replica_decision", Window(self.began_ns, now_ns + 1), where={"pool": (self.pool,)}
        )
        return _rows(table, _DECISION)


_ALERT = ("incident_id", "parent_id", "rule", "state", "observed", "expected", "n")
_DECISION = ("current", "final", "applied", "binding_source", "need_reactive", "lead_seconds")


def _rows(table: pa.Table, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    times = table["time"].cast(pa.int64()).to_pylist()
    return [{**row, "time": at} for row, at in zip(table.select(columns).to_pylist(), times, strict=True)]


def _clock(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // _SECOND_NS, UTC):%H:%M:%S} UTC"
