"""What an operator is told about a pool's pods, each sentence with what to do."""

import pytest

from scaler.settings import PoolSettings
from scaler.target import Pod, TargetState
from scaler.warnings import warnings_of


def warned(method: str, grace_s: float | None, pre_stop: bool = False, owner: str = "") -> str:
    pool = PoolSettings.model_validate(
        {"name": "relay", "pod": {"sessions": 100}, "drain": {"method": method, "deadline": "30m"}}
    )
    pod = Pod("relay-0", 0.0, 1.0, True, grace_s=grace_s, pre_stop=pre_stop)
    return " | ".join(warnings_of(pool, TargetState(1, "", (pod,), owner)))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (warned("none", 30), "no pod is taken away: after 30 s (terminationGracePeriodSeconds) calls are cut"),
        (warned("none", 30), "set it to at least 1810, with a preStop hook"),
        (warned("none", 30), "or name a drain.method, or lower drain.deadline"),
        (warned("none", 1810), "pods have no preStop hook: calls of up to 30m (drain.deadline) are kept only if"),
        (warned("rtpengine-cli", 30), "by rollouts, evictions and node drains, after 30 s"),
        (warned("rtpengine-cli", 1810, owner="ScaledObject s"), "scaled by ScaledObject s, so never by us"),
    ],
)
def test_what_may_cut_calls_is_told(told: str, says: str) -> None:
    assert says in told


@pytest.mark.parametrize(
    "told", [warned("none", None), warned("none", 1810, pre_stop=True), warned("rtpengine-ng", 1810)]
)
def test_where_all_is_well_nothing_is_told(told: str) -> None:
    assert "" == told


def test_the_shortest_grace_period_counts() -> None:
    pods = tuple(Pod(f"p{n}", 0.0, None, False, grace_s=grace) for n, grace in enumerate((90.0, None, 30.0)))
    assert 30.0 == TargetState(3, "", pods).grace_s
