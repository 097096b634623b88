"""The capture-health strip: what it says of the store."""

from zoneinfo import ZoneInfo

import pytest

from dashboards.components.health import health_strip
from dashboards.views import READY, CaptureHealth

NOW_NS = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("waiting", "age_s", "shed", "says"),
    [(0, 0.0, 0, "in step"), (1200, 90.0, 0, "1,200 waiting"), (1200, 90.0, 5, "5 lost"), (None, None, None, "—")],
)
def test_the_store_is_in_step_behind_or_losing(
    waiting: int | None, age_s: float | None, shed: int | None, says: str
) -> None:
    view = CaptureHealth(READY, spool_rows=waiting, spool_age_s=age_s, store_rows_shed=shed)
    (cell,) = (c for c in health_strip(view, NOW_NS, ZoneInfo("UTC"))[0].children if "Store" in str(c))
    assert says in str(cell)
