"""What the service tells by itself, once and not every slot: capture loss, drift, models benched or trusted again.

Capture loss becomes a mask, because what was counted is then less than what came; the others are findings, which
alerts read. Nothing is forecast here.
"""

from forecast.issue import Outcome
from forecast.knowledge import capture_loss
from forecast.localtime import DAY_S
from forecast.masks import LOSS_LIMIT, MaskReason
from forecast.signals import SECOND_NS
from forecast.stored import EVERYONE, SERVICE, Announced, record_announced, tenant_of
from forecast.targets import SeriesId
from forecast.tracking import drifts
from storage.rows import batch, shard_of
from storage.schema import ActionKind
from storage.seam import Reader, Writer
from telephony.durations import format_duration


class Findings:
    """Tells what is found; used by the service's thread."""

    def __init__(self, reader: Reader, writer: Writer, slot_s: int) -> None:
        self.masked_slots = 0
        """Slots masked because capture lost too much."""
        self._reader = reader
        self._writer = writer
        self._slot_s = slot_s
        self._looked_until_s = 0
        self._loss: Announced | None = None
        """The stretch of capture loss that goes on."""
        self._drifting: frozenset[tuple[SeriesId, str]] = frozenset()
        self._drift_day = -1

    @property
    def drifting(self) -> int:
        """How many series' forecasts are worse than they were."""
        return len({key for key, _ in self._drifting})

    def look_for_loss(self, now_s: int, known_s: int) -> None:
        """Record a mask where capture itself lost much in the slot that ended last. Raises StoreError."""
        until_s = known_s // self._slot_s * self._slot_s
        if until_s <= self._looked_until_s:
            return
        self._looked_until_s = until_s
        lost = capture_loss(self._reader, until_s - self._slot_s, until_s, LOSS_LIMIT)
        if lost is None:
            self._loss = None
            return
        self.masked_slots += 1
        since_s = until_s - self._slot_s
        if self._loss is not None and self._loss.end_s == since_s:
            since_s = self._loss.start_s
        name = f"{MaskReason.CAPTURE_LOSS.value} {100 * lost:.1f} %"
        self._loss = Announced(
            f"loss-{since_s}", ActionKind.MASK, name, EVERYONE, since_s, until_s, author=SERVICE
        )
        record_announced(self._writer, [self._loss], now_s * SECOND_NS)
        # It is read back at once: the slot that ended now must not be learned from.
        self._writer.flush()

    def look_for_drift(self, now_s: int) -> None:
        """Tell once a day which series' forecasts have become worse than they were. Raises StoreError."""
        if now_s // DAY_S == self._drift_day:
            return
        self._drift_day = now_s // DAY_S
        found = drifts(self._reader, now_s)
        for drift in found:
            if (drift.key, drift.lead) not in self._drifting:
                self._tell(drift.key, "forecast_drift", drift.text, now_s)
        self._drifting = frozenset((drift.key, drift.lead) for drift in found)

    def look_at_bench(self, outcome: Outcome, benched_before: int | None, slot_s: int, now_s: int) -> None:
        """Tell where a model begins to be replaced by the profile, or is trusted again; None: not known before."""
        after = len(outcome.benched)
        if benched_before is None or bool(benched_before) == bool(after):
            return
        if after:
            longest = format_duration(max(outcome.benched) * slot_s)
            said = f"lost to the weekly profile over two weeks at leads up to {longest}; the profile stands in"
        else:
            said = "beats the weekly profile again at every lead"
        self._tell(outcome.key, "forecast_benched", f"{outcome.key}: {outcome.model} {said}", now_s)

    def _tell(self, key: SeriesId, kind: str, text: str, now_s: int) -> None:
        row = {
            "time": now_s * SECOND_NS, "tenant": tenant_of(key), "node": SERVICE, "kind": kind,
            "shard": shard_of(str(key)), "subject": str(key), "text": text, "count": 1, "call_id": "",
        }  # fmt: skip
        self._writer.write("finding", batch("finding", [row]))
