"""Whom a failing place hurts, and what its tenant may learn of that."""

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from alerts.affected import affected, explains, part_of
from alerts.archive import Archive
from alerts.detectors import Window as Seen
from alerts.incidents import Incident, Scope
from storage.seam import Reader

S = 1_000_000_000
FAILING = Incident(
    rule="answer_ratio", scope=Scope("trunk", "t1"), direction="below", started_ns=600 * S, onset_ns=540 * S,
    observed=0.1, expected=0.6, low=0.5, high=0.7, score=40.0, detectable_change=0.1, n=200, excess=-100.0,
    cause="trunk t1", id="i-1",
)  # fmt: skip
USUAL = Seen(observed=290.0, expected=300.0, base=500.0, low=280.0, high=320.0)
"""All of a tenant's calls: 60 % are answered."""


@dataclass
class Minutes:
    """Stands in for the archive: amount and base per tenant at the place."""

    rows: list[tuple[str, float, float]]
    until_s: int = 900

    def by_tenant(self, *_: object) -> list[tuple[str, float, float]]:
        return self.rows


def hurt(rows: list[tuple[str, float, float]], one: Incident = FAILING) -> dict[str, float]:
    rule = explains(one)
    assert rule is not None
    found = affected(cast(Reader, None), cast(Archive, Minutes(rows)), one, rule, lambda tenant: USUAL)
    return {name: round(each.calls, 6) for name, each in found.items()}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("acme", 5.0, 50.0)], {"acme": -25.0}, id="as badly as the place"),
        pytest.param([("acme", 30.0, 50.0)], {}, id="not at all"),
        pytest.param([("acme", 22.0, 50.0)], {}, id="less than half as badly"),
        pytest.param([("acme", 50.0, 50.0)], {}, id="better than usual"),
        pytest.param([("acme", 0.0, 1.0)], {}, id="less than a call"),
        pytest.param([("acme", 0.0, 0.0)], {}, id="no calls there"),
        pytest.param([("unassigned", 0.0, 50.0), ("", 0.0, 50.0)], {}, id="nobody's"),
    ],
)
def test_who_is_hurt(rows: list[tuple[str, float, float]], expected: dict[str, float]) -> None:
    assert hurt(rows) == expected


@pytest.mark.parametrize(
    ("change", "may"),
    [
        ({}, True),
        ({"rule": "attempts"}, False),
        ({"rule": "heartbeats"}, False),
        ({"rule": "silent_agent", "signal": "agent_minutes"}, False),
        ({"scope": Scope("tenant", "acme", "acme")}, False),
        ({"rule": "no such rule"}, False),
    ],
)
def test_what_may_hurt_tenants_tells_how_calls_fare(change: dict[str, Any], may: bool) -> None:
    assert (explains(replace(FAILING, **change)) is not None) is may


def test_the_part_of_a_tenant_holds_no_figure_of_others() -> None:
    rule = explains(FAILING)
    assert rule is not None
    minutes = cast(Archive, Minutes([("acme", 5.0, 50.0)]))
    found = affected(cast(Reader, None), minutes, FAILING, rule, lambda tenant: USUAL)["acme"]
    one = part_of(FAILING, found, None, 0.2)
    figures = (one.observed, one.expected, one.low, one.high, one.n, one.excess, one.detectable_change, one.score)
    assert figures == (0.58, 0.6, 0.56, 0.64, 500.0, -25.0, 0.2, 0.0)
    assert (one.scope, one.parent_id, one.id != FAILING.id) == (Scope("tenant", "acme", "acme"), "i-1", True)
