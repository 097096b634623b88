"""Masks: times whose measurements are shown but not learned from, and where they come from.

By hand from the configuration, from incidents (alerts, outages) and from capture loss, when what was counted is
less than what came. Pure functions over spans; who raised an alert or lost frames is read elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np

from forecast.events import instant_s
from forecast.localtime import Floats, Ints
from forecast.series import BadSeries, Series, State
from forecast.settings import MaskSettings

LOSS_LIMIT = 0.02
"""Share of frames lost by our own capture from which a slot's counts are not learned from."""


class MaskReason(StrEnum):
    """Why masks that nobody wrote exist."""

    ALERT = "alert"
    OUTAGE = "outage"
    CAPTURE_LOSS = "capture loss"
    NO_AGENT = "no capture agent"


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


def masks_of_spans(
    spans: Iterable[tuple[int, int]], reason: MaskReason, tenant: str = "", margin_s: int = 0
) -> tuple[Mask, ...]:
    """Return one mask for each stretch of incident spans (UTC seconds), widened by a margin and merged."""
    merged: list[list[int]] = []
    for start, end in sorted((start - margin_s, end + margin_s) for start, end in spans if end > start):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return tuple(Mask(start, end, tenant, reason.value) for start, end in merged)


def masks_of_loss(
    times_s: Ints, step_s: int, captured: Floats, lost: Floats, tenant: str = "", limit: float = LOSS_LIMIT
) -> tuple[Mask, ...]:
    """Return masks where our own capture lost more than `limit` of what came; one row per step of time."""
    came = captured + lost
    bad = (came > 0) & (lost > limit * came)
    return masks_of_spans(((int(t), int(t) + step_s) for t in times_s[bad]), MaskReason.CAPTURE_LOSS, tenant)


def masked_by(series: Series, masks: Iterable[Mask], tenant: str | None = None) -> Series:
    """Return the series with the measured slots that any mask touches in state MASKED, and a note of each."""
    state = series.state.copy()
    notes = list(series.notes)
    for mask in masks:
        if not mask.concerns(tenant):
            continue
        first = (mask.start_s - series.start_s) // series.slot_s
        last = -(-(mask.end_s - series.start_s) // series.slot_s)
        span = state[max(first, 0) : max(last, 0)]
        count = int((span == State.OPEN).sum())
        span[span == State.OPEN] = np.uint8(State.MASKED)
        if count:
            notes.append(f"{count} slots masked: {mask.reason}")
    return replace(series, state=state, notes=tuple(notes))
