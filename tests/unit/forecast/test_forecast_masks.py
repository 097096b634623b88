from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.masks import Mask, MaskReason, mask_of, masked_by, masks_of_slots, masks_of_spans, touched
from forecast.series import BadSeries, Series, State
from forecast.settings import MaskSettings

UTC = ZoneInfo("UTC")
OPEN, MASKED, MISSING = State.OPEN, State.MASKED, State.MISSING


def series() -> Series:
    y = np.array([1.0, 2.0, np.nan, 4.0])
    return Series(9000, 900, UTC, y, np.where(np.isfinite(y), OPEN, MISSING).astype(np.uint8))


@pytest.mark.parametrize(
    ("mask", "states"),
    [
        (Mask(9900, 11_700), [OPEN, MASKED, MISSING, OPEN]),
        (Mask(10_700, 10_750), [OPEN, MASKED, MISSING, OPEN]),
        (Mask(0, 9001), [MASKED, OPEN, MISSING, OPEN]),
        (Mask(0, 99_999), [MASKED, MASKED, MISSING, MASKED]),
        (Mask(0, 8000), [OPEN, OPEN, MISSING, OPEN]),
    ],
)
def test_measured_slots_that_a_mask_touches_are_masked(mask: Mask, states: list[State]) -> None:
    assert states == masked_by(series(), [mask]).state.tolist()


@pytest.mark.parametrize(("tenant", "count"), [("acme", 3), ("other", 0), (None, 3)])
def test_a_tenants_mask_spoils_its_series_and_the_pools(tenant: str | None, count: int) -> None:
    got = masked_by(series(), [Mask(0, 99_999, "acme")], tenant)
    assert count == (got.state == MASKED).sum()


def test_the_reason_is_noted() -> None:
    assert ("3 slots masked: load test",) == masked_by(series(), [Mask(0, 99_999, "", "load test")]).notes


def test_spans_that_touch_are_one_mask() -> None:
    got = masks_of_spans([(50, 60), (0, 20), (10, 30), (30, 35), (5, 5)], MaskReason.ALERT)
    assert (Mask(0, 35, "", "alert"), Mask(50, 60, "", "alert")) == got


def test_a_stretch_of_marked_slots_is_one_mask() -> None:
    got = masks_of_slots(np.array([False, True, True, False, True]), 9000, 900, MaskReason.NOT_BELIEVED)
    assert [(9900, 11_700), (12_600, 13_500)] == [(mask.start_s, mask.end_s) for mask in got]


@pytest.mark.parametrize("tenant", ["acme", "other", None])
def test_the_slots_that_masks_touch_are_those_that_get_masked(tenant: str | None) -> None:
    masks = [Mask(9950, 10_000), Mask(11_800, 20_000, "acme")]
    got = touched(masks, tenant, 9000, 900, 4) & np.isfinite(series().y)
    assert (masked_by(series(), masks, tenant).state == MASKED).tolist() == got.tolist()


def test_a_mask_of_the_configuration_is_local() -> None:
    settings = MaskSettings(start="2024-03-01T09:00", end="2024-03-01T10:00", reason="load test")
    assert Mask(1_709_280_000, 1_709_283_600, "", "load test") == mask_of(settings, ZoneInfo("Europe/Berlin"))


def test_a_mask_that_ends_before_it_starts_says_so() -> None:
    with pytest.raises(BadSeries, match="ends before"):
        Mask(10, 10)
