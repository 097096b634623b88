"""The forecast role as `surgecast up` runs it, over simulated history, read back by the command line."""

import threading
import time
import urllib.request
from pathlib import Path

import pytest
from cli_runner import surgecast
from ports import free_port

from storage.open import open_store
from surgecast.config import settings_from
from surgecast.roles.forecast import run
from surgecast.simulator.history import write_history

pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with ten days of the demo's network, up to now."""
    path = tmp_path_factory.mktemp("history")
    opened = open_store(str(path))
    write_history(opened.writer("history"), weeks=10 / 7, calls=100, seed=1, until_ns=time.time_ns())
    opened.close()
    return path


@pytest.fixture(scope="module")
def metrics(store: Path) -> str:
    """Run the role until the last series was issued; return what it exported."""
    port = free_port()
    settings = settings_from(
        {
            "storage": {"url": f"embedded:{store}"},
            "metrics": {"forecast_port": port},
            "forecast": {"workers": 1, "signals": {"pool": ["concurrent_max", "arrivals"]}},
        },
        origin="test",
    )
    stop = threading.Event()
    failed: list[BaseException] = []

    def role() -> None:
        try:
            run(settings, stop)
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            failed.append(error)

    thread = threading.Thread(target=role)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    text = ""
    while 'issues_total{horizon="long"} 6.0' not in text and not failed and time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            continue
    stop.set()
    thread.join(timeout=30)
    assert not failed
    return text


def test_it_exports_what_it_did(metrics: str) -> None:
    assert 'surgecast_forecast_issues_total{horizon="long"} 6.0' in metrics
    assert 'surgecast_forecast_model_series{model="universal"} 6.0' in metrics


def test_what_it_issued_is_read_back(metrics: str, store: Path) -> None:
    ran = surgecast(
        "query", "forecast", "--from", "-1h", "--to", "2100-01-01", "--where", "target=media-eu", "--where",
        "signal=concurrent_max", "--where", "horizon=short", "--store", store, "--json",
    )  # fmt: skip
    rows = ran.json["rows"]
    assert 4 == len(rows)
    assert {"universal"} == {row["model"] for row in rows}
    assert all(0 <= row["q50"] <= row["q95"] <= row["q99"] for row in rows)


def test_what_it_issued_is_what_run_says(metrics: str, store: Path) -> None:
    rows = surgecast(
        "query", "forecast", "--from", "-1h", "--to", "2100-01-01", "--where", "target=media-eu", "--where",
        "signal=arrivals", "--where", "horizon=short", "--store", store, "--json",
    ).json["rows"]  # fmt: skip
    issued_at = rows[0]["issued_at"]
    (said,) = surgecast(
        "forecast", "run", "--pool", "media-eu", "--signal", "arrivals", "--horizon", "short", "--store", store,
        "--at", issued_at, "--json",
    ).json["series"]  # fmt: skip
    mine = {row["slot"]: row["q90"] for row in rows}
    both = [(mine[slot["slot"]], slot["q90"]) for slot in said["slots"] if slot["slot"] in mine]
    assert both
    assert [b for _, b in both] == pytest.approx([a for a, _ in both])
