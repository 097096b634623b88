"""Pools and tenants that are issued together add up to one load."""

import numpy as np
import pytest

from forecast.coherent import coherent
from forecast.horizons import Horizon
from forecast.issue import Issue, Outcome
from forecast.targets import Kind, SeriesId, Signal

WIDTHS = np.array([0.0, 1.0, 1.5, 2.0, 3.0])


def outcome(kind: Kind, name: str, median: float, width: float = 5.0, first_s: int = 0) -> Outcome:
    quantiles = np.tile(median + width * WIDTHS, (4, 1))
    return Outcome(SeriesId(kind, name, Signal.ARRIVALS), None, (Issue(Horizon.SHORT, first_s, quantiles),))


def medians(outcomes: list[Outcome], kind: Kind) -> list[float]:
    return [float(o.issues[0].quantiles[0, 0]) for o in outcomes if o.key.kind is kind]


POOLS = [outcome(Kind.POOL, "a", 100.0), outcome(Kind.POOL, "b", 50.0)]
TENANTS = [outcome(Kind.TENANT, "x", 90.0), outcome(Kind.TENANT, "y", 40.0, width=1.0)]


def test_pools_and_tenants_sum_to_the_same_between_both() -> None:
    found = coherent([*POOLS, *TENANTS])
    pools, tenants = (sum(medians(found, kind)) for kind in (Kind.POOL, Kind.TENANT))
    assert pools == pytest.approx(tenants)
    assert 130 < pools < 150


def test_the_less_sure_moves_more() -> None:
    x, y = medians(coherent([*POOLS, *TENANTS]), Kind.TENANT)
    assert x - 90 > y - 40 > 0


def test_all_slots_are_made_to_add_up_whatever_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> np.ndarray:
        return np.stack([each.issues[0].quantiles for each in coherent([*POOLS, *TENANTS])])

    expected = found()
    monkeypatch.setattr("forecast.coherent._SLOTS_AT_ONCE", 2)
    np.testing.assert_array_equal(expected, found())


def test_quantiles_still_rise() -> None:
    for found in coherent([*POOLS, *TENANTS]):
        assert (np.diff(found.issues[0].quantiles, axis=1) >= 0).all()


@pytest.mark.parametrize(
    "outcomes",
    [
        POOLS,
        [*POOLS, TENANTS[0], outcome(Kind.TENANT, "y", 40.0, first_s=900)],
        [*POOLS, TENANTS[0], Outcome(TENANTS[1].key, None)],
    ],
    ids=["no tenants", "other slots", "one not issued"],
)
def test_what_is_not_whole_stays_as_it_is(outcomes: list[Outcome]) -> None:
    before = [medians(outcomes[:2], Kind.POOL)]
    assert before == [medians(coherent(outcomes), Kind.POOL)]
