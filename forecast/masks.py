"""Masks: times whose measurements are shown but not learned from, and where they come from.

By hand from the configuration or an operator; by themselves from incidents that are over, from capture loss, when
what was counted is less than what came, and from slots that are not believed (`forecast.states`). Pure functions
over spans; who raised an alert or lost frames is read elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np

from forecast.events import instant_s
from forecast.localtime import Bools
from forecast.series import BadSeries, Series, State
from forecast.settings import MaskSettings

LOSS_LIMIT = 0.02
"""Share of frames lost by our own capture from which a slot's counts are not learned from."""


class MaskReason(StrEnum):
    """Why masks that nobody wrote exist. Where no collector watched there is none: that slot is missing."""

    ALERT = "alert"
    CAPTURE_LOSS = "capture loss"
    NOT_BELIEVED = "outage or absurd spike"


@dataclass(frozen=True, slots=True)
class Mask:
    """A span of UTC seconds, `end_s` exclusive, of one tenant (everyone's when empty)."""

    start_s: int
    end_s: int
    tenant: str = ""
    reason: str = "by hand"

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise BadSeries(f"mask {self.reason!r} ends before it starts")

    def concerns(self, tenant: str | None) -> bool:
        """Whether it applies to a tenant's series; None is a whole pool, which a tenant's mask spoils too."""
        return not self.tenant or tenant is None or tenant == self.tenant


def mask_of(settings: MaskSettings, zone: ZoneInfo) -> Mask:
    """Return the mask with its times in UTC; those without an offset are of `zone`. Raises BadSeries."""
    return Mask(instant_s(settings.start, zone), instant_s(settings.end, zone), settings.tenant, settings.reason)


def masks_of_spans(spans: Iterable[tuple[int, int]], reason: MaskReason) -> tuple[Mask, ...]:
    """Return one mask for each stretch of spans (UTC seconds) that overlap or touch."""
    merged: list[list[int]] = []
    for start, end in sorted((start, end) for start, end in spans if end > start):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return tuple(Mask(start, end, "", reason.value) for start, end in merged)


def masks_of_slots(slots: Bools, start_s: int, slot_s: int, reason: MaskReason) -> tuple[Mask, ...]:
    """Return one mask for each stretch of marked slots; the first starts at `start_s`."""
    starts = start_s + slot_s * np.flatnonzero(slots)
    return masks_of_spans(((int(start), int(start) + slot_s) for start in starts), reason)


def touched(masks: Iterable[Mask], tenant: str | None, start_s: int, slot_s: int, count: int) -> Bools:
    """Return which slots any mask that concerns a tenant (None: a whole pool) touches."""
    slots = np.zeros(count, np.bool_)
    for mask in masks:
        if mask.concerns(tenant):
            slots[_places(mask, start_s, slot_s)] = True
    return slots


def _places(mask: Mask, start_s: int, slot_s: int) -> slice:
    first, last = (mask.start_s - start_s) // slot_s, -(-(mask.end_s - start_s) // slot_s)
    return slice(max(first, 0), max(last, 0))


def masked_by(series: Series, masks: Iterable[Mask], tenant: str | None = None) -> Series:
    """Return the series with the measured slots that any mask touches in state MASKED, and a note of each."""
    state = series.state.copy()
    notes = list(series.notes)
    for mask in masks:
        if not mask.concerns(tenant):
            continue
        span = state[_places(mask, series.start_s, series.slot_s)]
        count = int((span == State.OPEN).sum())
        span[span == State.OPEN] = np.uint8(State.MASKED)
        if count:
            notes.append(f"{count} slots masked: {mask.reason}")
    return replace(series, state=state, notes=tuple(notes))
