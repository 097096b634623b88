"""What spoils the load is masked by itself: left out at once, and shown on the page and the command line."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_runner import surgecast

sys.path.append(str(Path(__file__).parents[1] / "unit" / "forecast"))

from load_support import DAY_S, MONDAY_S, load_batch, watched_batch, write

from dashboards.capacity_views import Subject
from dashboards.queries.capacity import capacity_view
from forecast.issue import perform
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from storage.open import open_store
from storage.rows import batch
from storage.seam import Scope, Store, Window, Writer

SECOND_NS = 10**9
HOUR_S = 3600
DELAY_S = 61
TODAY_S = MONDAY_S + 16 * DAY_S
NOW_S = TODAY_S + 15 * HOUR_S + DELAY_S
"""The first step; two slots follow."""
OUTAGE_S = TODAY_S - 5 * HOUR_S, TODAY_S - 2 * HOUR_S
INCIDENT_S = TODAY_S + 12 * HOUR_S, TODAY_S + 14 * HOUR_S
ENGINEER = Scope.everything("test")
SETTINGS = ForecastServiceSettings.model_validate(
    {"slot": "1h", "workers": 0, "signals": {"tenant": ["arrivals"]}, "delay": "60s"}
)


def capture_lost(writer: Writer, slot_s: int) -> None:
    row = {
        "time": (slot_s + 600) * SECOND_NS, "tenant": "unassigned", "pool": "capture", "region": "eu",
        "node": "sbc", "datagrams": 90, "drops_kernel": 10, "drops_queue": 0, "frames": 0,
    }  # fmt: skip
    writer.write("load_now", batch("load_now", [row]))
    writer.flush()


def incident(writer: Writer, signal: str, *, tenant: str = "acme", number: int = 1) -> None:
    start_s, end_s = INCIDENT_S
    row = {
        "time": (NOW_S + 10 + number) * SECOND_NS, "tenant": tenant, "rule": signal, "severity": "critical",
        "state": "resolved", "scope_kind": "tenant", "scope": tenant, "incident_id": f"i{number}",
        "signal": signal, "direction": "above", "onset_at": start_s * SECOND_NS,
        "started_at": (start_s + 900) * SECOND_NS, "ended_at": end_s * SECOND_NS,
    }  # fmt: skip
    writer.write("alert_event", batch("alert_event", [row]))
    writer.flush()


class Told:
    """What the service told of each step."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.service = Service(
            store.reader(ENGINEER), store.writer("forecast"), SETTINGS, lambda tasks: map(perform, tasks)
        )
        self.inputs: list[dict] = []
        self.fits: list[int] = []

    def step(self, at_s: int) -> None:
        self.service.step(at_s)
        self.fits.append(self.service.stats.fits)
        rows = self.store.reader(ENGINEER).select(
            "forecast", Window(0, 4 * 10**18), where={"target": ("acme",), "horizon": ("short",)}, limit=1000
        )
        newest = max(rows.to_pylist(), key=lambda row: row["issued_at"])
        self.inputs.append(json.loads(newest["inputs"]))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def told(path: Path) -> Iterator[Told]:
    store = open_store(str(path))
    writer = store.writer("collect")
    # Nobody called during the outage, and collectors saw that.
    for since_s, until_s in ((MONDAY_S, OUTAGE_S[0]), (OUTAGE_S[1], NOW_S + DAY_S)):
        write(writer, load_batch(since_s, until_s))
    write(writer, watched_batch(MONDAY_S, NOW_S + DAY_S))
    capture_lost(writer, NOW_S - DELAY_S - HOUR_S)
    found = Told(store)
    found.step(NOW_S)
    incident(writer, "attempts")
    incident(writer, "quality_rating", tenant="beta", number=2)
    capture_lost(writer, NOW_S - DELAY_S)
    found.step(NOW_S + HOUR_S)
    found.step(NOW_S + 2 * HOUR_S)
    writer.close()
    yield found
    store.close()


def test_lost_capture_masks_the_slot_that_ended(told: Told) -> None:
    assert [1, 2 + 2, 2 + 2] == [inputs["masked"] for inputs in told.inputs]


def test_an_outage_is_not_believed_and_said_to_be(told: Told) -> None:
    assert {((OUTAGE_S[0], OUTAGE_S[1]),)} == {tuple(map(tuple, i["not_believed"])) for i in told.inputs}


def test_nothing_is_fitted_anew_within_the_day(told: Told) -> None:
    assert [2, 2, 2] == told.fits


def spans(told: Told, tenant: str) -> dict[str, tuple[int, int]]:
    at_ns = (NOW_S + 2 * HOUR_S) * SECOND_NS
    subject = Subject.from_search(f"?of=tenant:{tenant}&signal=arrivals")
    outlook = capacity_view(told.store, ENGINEER, subject, at_ns).outlook
    return {span.name: (span.start_ns // SECOND_NS, span.end_ns // SECOND_NS) for span in outlook.masks}


def test_the_capacity_page_shows_why(told: Told) -> None:
    lost = {"capture loss 10.0 %": (NOW_S - DELAY_S - HOUR_S, NOW_S - DELAY_S + HOUR_S)}
    everyones = lost | {"outage or absurd spike": OUTAGE_S}
    assert everyones | {"alert": INCIDENT_S} == spans(told, "acme")
    assert everyones == spans(told, "beta")


def test_explain_says_why(told: Told, path: Path) -> None:
    at = datetime.fromtimestamp(NOW_S + 2 * HOUR_S, UTC).isoformat()
    found = surgecast(
        "forecast", "explain", "--tenant", "acme", "--signal", "arrivals", "--at", at, "--store", path, "--json"
    ).json
    assert {"capture loss 10.0 %", "outage or absurd spike", "alert"} == {m["reason"] for m in found["masks"]}
