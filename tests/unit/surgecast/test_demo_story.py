"""Each beat of the demo's story is told once, when the store shows it and not before."""

from pathlib import Path

import numpy as np
import pytest

from forecast.horizons import Horizon
from forecast.issue import Issue, Outcome
from forecast.stored import Unwritten, forecast_batch
from forecast.targets import Kind, SeriesId, Signal
from storage.embedded.store import EmbeddedStore
from storage.rows import batch
from storage.seam import Scope
from surgecast.demo_story import Story

S = 1_000_000_000
BEGAN_NS = 1_795_428_000 * S
CAMPAIGN_NS = BEGAN_NS + 180 * S
RECOVERY_NS = BEGAN_NS + 240 * S


def decision(at_s: int, current: int, final: int, source: str, reactive: int) -> dict[str, object]:
    return {
        "time": BEGAN_NS + at_s * S, "tenant": "unassigned", "pool": "media-eu", "region": "eu", "mode": "act",
        "decision_id": f"d{at_s}", "current": current, "final": final, "applied": final != current,
        "binding_source": source, "need_reactive": reactive, "lead_seconds": 60.0,
    }  # fmt: skip


def alert(
    at_s: int, state: str, scope: str = "transit-x", parent: str = "", tenant: str = "unassigned"
) -> dict[str, object]:
    return {
        "time": BEGAN_NS + at_s * S, "tenant": tenant, "rule": "answer_ratio", "severity": "critical",
        "state": state,
        "scope_kind": "trunk" if tenant == "unassigned" else "tenant", "scope": scope,
        "incident_id": f"i-{scope}{parent}",
        "parent_id": parent, "observed": 0.05, "expected": 0.47, "n": 83,
    }  # fmt: skip


def told(
    path: Path, rows: dict[str, list[dict[str, object]]], *, at_s: int = 170, outcome: Outcome | None = None
) -> list[str]:
    """Return what is told of a store with these rows, looked at twice."""
    store = EmbeddedStore(path)
    writer = store.writer("test")
    for measurement, found in rows.items():
        writer.write(measurement, batch(measurement, found))
    if outcome is not None:
        writer.write("forecast", forecast_batch([Unwritten(outcome, 60, BEGAN_NS // S)]))
    writer.flush()
    lines: list[str] = []
    reader = store.reader(Scope.everything("test"))
    story = Story(
        reader,
        "http://here",
        "media-eu",
        "transit-x",
        "atlas-wholesale",
        BEGAN_NS,
        CAMPAIGN_NS,
        RECOVERY_NS,
        lines.append,
    )
    for _ in range(2):
        story.turn(BEGAN_NS + at_s * S)
    assert len(lines) == len(story.told)
    writer.close()
    store.close()
    return lines


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        pytest.param({}, [], id="nothing yet"),
        pytest.param(
            {"replica_decision": [decision(60, 10, 14, "forecast", 9)]},
            ["from 10 to 14 pods, 120 s before the campaign; its load alone asks for 9   http://here/scaling"],
            id="scaled ahead",
        ),
        pytest.param({"replica_decision": [decision(60, 10, 11, "reactive", 11)]}, [], id="scaled by its load"),
        pytest.param(
            {"alert_event": [alert(120, "firing"), alert(121, "firing", parent="i-other")]},
            [
                "answer ratio of trunk transit-x is 0.05 where 0.47 is normal (n = 83)   http://here/incidents/i-tr",
            ],
            id="an incident",
        ),
        pytest.param(
            {
                "alert_event": [
                    alert(120, "firing"),
                    alert(121, "firing", "atlas-wholesale", "i-transit-x", "atlas-wholesale"),
                ]
            },
            ["incident: answer ratio", "http://here/tenant/atlas-wholesale?period=today"],
            id="an incident that its tenant feels",
        ),
        pytest.param(
            {"alert_event": [alert(120, "firing", scope="carrier-a")]}, [], id="another trunk's incident"
        ),
        pytest.param(
            {"alert_event": [alert(120, "firing"), alert(150, "resolved")]},
            ["incident: answer ratio", "the incident of trunk transit-x is over"],
            id="an incident that is over",
        ),
    ],
)
def test_what_the_store_shows_is_told_once(
    tmp_path: Path, rows: dict[str, list[dict[str, object]]], parts: list[str]
) -> None:
    lines = told(tmp_path, rows)
    assert [part in line for part, line in zip(parts, lines, strict=True)] == [True] * len(parts)


def test_a_reactive_policy_is_late_when_its_first_pod_comes_after_the_campaign(tmp_path: Path) -> None:
    rows = [decision(60, 10, 14, "forecast", 9), decision(150, 14, 14, "forecast", 9),
            decision(200, 14, 14, "forecast", 11)]  # fmt: skip
    assert "only now, 20 s into the campaign" in told(tmp_path, {"replica_decision": rows}, at_s=210)[-1]


@pytest.mark.parametrize(("after", "shown"), [(220.0, 1), (150.0, 0)])
def test_a_forecast_is_told_that_shows_the_campaign(tmp_path: Path, after: float, shown: int) -> None:
    quantiles = np.repeat(np.array([140.0] * 3 + [after] * 5), 5).reshape(8, 5)
    key = SeriesId(Kind.POOL, "media-eu", Signal.CONCURRENT_MAX)
    issued = Outcome(key, None, (Issue(Horizon.SHORT, BEGAN_NS // S, quantiles),), "weekly-profile", inputs="{}")
    lines = told(tmp_path, {}, outcome=issued)
    assert [line.endswith("http://here/capacity?of=pool:media-eu&reach=4h") for line in lines] == [True] * shown
