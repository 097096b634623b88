"""The demo tells its story in a few minutes: what the product made of its network is read from the store."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import pyarrow as pa
import pytest

from alerts.incidents import Incident
from alerts.records import stored
from forecast.stored import announced
from storage.embedded.store import EmbeddedStore
from storage.seam import Reader, Scope, Window
from surgecast.demonstration import LEAD_TIME_S, POOL, TENANT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SECONDS = 300
S = 1_000_000_000


@dataclass
class Played:
    """What a demo left behind."""

    reader: Reader
    messages: list[dict[str, str]]
    said: str
    campaign_s: int

    @property
    def began_s(self) -> int:
        return self.campaign_s - 240

    def decisions(self) -> list[dict[str, int]]:
        window = Window(self.began_s * S, (self.campaign_s + 900) * S)
        table = self.reader.select("replica_decision", window, where={"pool": (POOL,)})
        seconds = [t // S for t in table["time"].cast(pa.int64()).to_pylist()]
        return [{**row, "at_s": at} for row, at in zip(table.to_pylist(), seconds, strict=True)]

    def incidents(self) -> list[Incident]:
        kept = stored(self.reader, self.campaign_s + 900)
        return [one.incident for one in kept if one.incident.started_ns >= self.began_s * S]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Run the demo as a user does, for some minutes."""
    data = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "surgecast", "demo", "--seconds", str(SECONDS), "--port", "0"]
    options = ["--weeks", "3", "--rtp-calls", "0", "--data", str(data)]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=850)
    assert ran.returncode == 0, ran.stderr[-2000:]
    store = EmbeddedStore(data)
    reader = store.reader(Scope.everything("test"))
    path = data / "messages.jsonl"
    sent = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    campaign_s = max(event.start_s for event in announced(reader, time.time_ns()))
    return Played(reader, sent, ran.stderr, campaign_s)


def test_the_forecast_shows_the_surge_before_it_comes(played: Played) -> None:
    slots = Window((played.campaign_s - 180) * S, (played.campaign_s + 600) * S)
    where = {"target_kind": ("pool",), "target": (POOL,), "signal": ("concurrent_max",)}
    table = played.reader.forecasts(slots, where=where, issued_until_ns=(played.campaign_s - LEAD_TIME_S) * S)
    starts = [t // S for t in table["slot"].cast(pa.int64()).to_pylist()]
    due = dict(zip(starts, table["q90"].to_pylist(), strict=True))
    before = max(value for at, value in due.items() if at < played.campaign_s)
    assert max(due.values()) > 1.25 * before


def test_pods_are_there_before_the_load_and_reacting_would_be_late(played: Played) -> None:
    decisions = played.decisions()
    before = decisions[0]["current"]
    grown = next(d for d in decisions if d["applied"] and d["final"] > before)
    reacting = [d["at_s"] for d in decisions if (d["need_reactive"] or 0) > before]
    assert grown["at_s"] <= played.campaign_s - LEAD_TIME_S
    assert all(at >= played.campaign_s for at in reacting)


def test_one_incident_with_its_cause_is_raised_and_nothing_else(played: Played) -> None:
    found = played.incidents()
    assert {str(one.scope) for one in found if not one.parent_id} == {"trunk transit-x"}
    assert {one.cause for one in found} == {"trunk transit-x"}
    assert TENANT in {one.scope.name for one in found}


def test_it_is_sent_once(played: Played) -> None:
    assert ["trunk transit-x" in message["title"] for message in played.messages] == [True]


@pytest.mark.parametrize(
    "beat", ["the forecast shows", "is scaled from", "the campaign begins", "incident:", "feels"]
)
def test_each_beat_is_said(played: Played, beat: str) -> None:
    assert beat in played.said
