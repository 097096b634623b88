"""What could not be joined or believed, and why, in words; bounded, counted, never silent."""

from collections.abc import Iterator
from dataclasses import dataclass

from collectors.tracking.rollups import MAX_OPEN_MINUTES, Row
from storage.rows import shard_of
from telephony.model import MINUTE_NS


@dataclass(slots=True)
class _Finding:
    time_ns: int
    tenant: str
    node: str
    kind: str
    subject: str
    text: str
    call_id: str
    count: int = 0
    dirty: bool = True


class Findings:
    """The findings of the open minutes, one per minute, kind and subject, with how often it was seen."""

    def __init__(self, *, max_per_minute: int = 500, keep_minutes: int = 5) -> None:
        self.shed = 0
        """Findings that found no room in their minute."""
        self.totals: dict[str, int] = {}
        """Since start, by kind."""
        self._limit = max_per_minute
        self._keep_ns = keep_minutes * MINUTE_NS
        self._minutes: dict[int, dict[tuple[str, str], _Finding]] = {}

    def note(
        self, at_ns: int, kind: str, subject: str, text: str, *, tenant: str, node: str, call_id: str = ""
    ) -> None:
        """Record a finding; `kind` is one of a small fixed set, `subject` an address or a call."""
        self.totals[kind] = self.totals.get(kind, 0) + 1
        start_ns = at_ns - at_ns % MINUTE_NS
        minute = self._minutes.get(start_ns)
        if minute is None:
            if len(self._minutes) >= MAX_OPEN_MINUTES:
                self.shed += 1
                return
            minute = self._minutes[start_ns] = {}
        found = minute.get((kind, subject))
        if found is None:
            if len(minute) >= self._limit:
                self.shed += 1
                return
            found = minute[kind, subject] = _Finding(at_ns, tenant, node, kind, subject, text, call_id)
        found.count += 1
        found.dirty = True

    def take(self, now_ns: int) -> list[Row]:
        """Return the rows that changed, and drop the minutes that are over."""
        rows = list(self._changed())
        for minute in [m for m in self._minutes if m < now_ns - self._keep_ns]:
            del self._minutes[minute]
        return rows

    def _changed(self) -> Iterator[Row]:
        for minute in self._minutes.values():
            for finding in minute.values():
                if finding.dirty:
                    finding.dirty = False
                    yield {
                        "time": finding.time_ns,
                        "tenant": finding.tenant,
                        "node": finding.node,
                        "kind": finding.kind,
                        "shard": shard_of(finding.subject),
                        "subject": finding.subject,
                        "text": finding.text,
                        "count": finding.count,
                        "call_id": finding.call_id,
                    }
