"""When each horizon is due, by the local clock where it matters."""

from zoneinfo import ZoneInfo

import pytest

from forecast.horizons import Horizon, due_s, lead_class, local_midnight_s

BERLIN = ZoneInfo("Europe/Berlin")
AUTUMN_S = 1_729_987_200
"""2024-10-27 00:00 UTC, the day Berlin's clock goes back: local midnight was at 22:00 UTC."""


@pytest.mark.parametrize(
    ("horizon", "now_s", "expected"),
    [
        (Horizon.SHORT, AUTUMN_S + 1799, AUTUMN_S + 900),
        (Horizon.MEDIUM, AUTUMN_S + 1799, AUTUMN_S),
        (Horizon.LONG, AUTUMN_S + 1799, AUTUMN_S - 7200),
        (Horizon.LONG, AUTUMN_S + 23 * 3600 - 1, AUTUMN_S - 7200),
        (Horizon.LONG, AUTUMN_S + 23 * 3600, AUTUMN_S + 23 * 3600),
    ],
)
def test_due(horizon: Horizon, now_s: int, expected: int) -> None:
    assert expected == due_s(horizon, now_s, 900, BERLIN)


def test_a_day_of_25_hours_has_one_midnight() -> None:
    assert {AUTUMN_S - 7200} == {local_midnight_s(AUTUMN_S - 7200 + hour * 3600, BERLIN) for hour in range(25)}


def test_every_lead_has_a_class() -> None:
    assert ["15m", "1h", "4h", "24h", "7d", "28d", "28d"] == [
        lead_class(lead) for lead in (1, 3600, 14_400, 86_400, 604_800, 28 * 86_400, 10**9)
    ]
