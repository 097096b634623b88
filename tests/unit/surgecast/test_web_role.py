"""The web role's metrics: what it refuses, who signs in and what its caches do, each documented."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from dashboards.app import build_app
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key, SnapshotCache
from dashboards.stats import AppStats, stats_of
from storage.open import open_store
from storage.seam import Scope, StoreError
from surgecast.config import MetricsSettings, settings_from
from surgecast.roles import web
from surgecast.web_metrics import WebMetrics

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"
S_NS = 1_000_000_000


def exposed(stats: AppStats) -> str:
    registry = CollectorRegistry()
    registry.register(WebMetrics(stats))
    return cast(bytes, generate_latest(registry)).decode()


def worked_cache() -> SnapshotCache[str]:
    """Return a cache that read one view, failed on another, forgot one for want of room and one as idle."""

    def load(key: Key, _before: str | None, _now_ns: int) -> str:
        if key.subject == "away":
            raise StoreError("gone")
        return key.subject

    cache = SnapshotCache(load, every_seconds=1.0, idle_seconds=10.0, capacity=2)
    everyone = Scope.everything("test")
    for second, subject in enumerate(("first", "here", "away")):
        cache.read(Key.of(everyone, "live", subject), second * S_NS)
    cache.refresh(11_500_000_000)
    return cache


@pytest.fixture(scope="module")
def text() -> str:
    return exposed(AppStats(Counter({400: 3}), Counter(wrong=2), {"live": worked_cache()}))


@pytest.mark.parametrize(
    "sample",
    [
        'surgecast_web_refused_total{status="400"} 3.0',
        'surgecast_web_sign_ins_total{outcome="wrong"} 2.0',
        'surgecast_web_snapshots{cache="live"} 1.0',
        'surgecast_web_snapshot_reads_total{cache="live",outcome="failed"} 1.0',
        'surgecast_web_snapshot_reads_total{cache="live",outcome="read"} 0.0',
        'surgecast_web_snapshots_dropped_total{cache="live",reason="full"} 1.0',
        'surgecast_web_snapshots_dropped_total{cache="live",reason="idle"} 1.0',
    ],
)
def test_samples(text: str, sample: str) -> None:
    assert sample in text


def test_every_family_is_documented_and_every_documented_one_exposed(text: str) -> None:
    documented = set(re.findall(r"^\| `(surgecast_web_\w+)`", DOCUMENTED.read_text(encoding="utf-8"), re.M))
    families = set(re.findall(r"^# TYPE (surgecast_web_\w+)", text, re.M))
    assert families == {name.removesuffix("_total") for name in documented}


def test_the_application_counts_what_it_refuses(tmp_path: Path) -> None:
    """A forged form, and a request of another site; what did not happen is there as 0."""
    store = open_store(str(tmp_path))
    app = build_app(Services.of(store, DashboardSettings(), lambda: 0))
    client = app.server.test_client()
    client.post("/sign-in", data={"name": "ada", "password": "guess"})
    client.post("/sign-in", headers={"Sec-Fetch-Site": "cross-site"})
    stats = stats_of(app)
    store.close()
    assert ({400: 0, 401: 0, 403: 1}, {"signed_in": 0, "wrong": 0, "too_many": 0, "stale": 1}) == (
        dict(stats.refused),
        dict(stats.sign_ins),
    )


def test_the_role_exports_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, found = threading.Event(), []

    @contextmanager
    def looked_at(
        _settings: MetricsSettings, port: int, collector: WebMetrics, healthy: Callable[[], str]
    ) -> Iterator[None]:
        found.append((port, type(collector), healthy()))
        stop.set()
        yield

    monkeypatch.setattr(web, "exporting", looked_at)
    web.run(settings_from({"storage": {"url": f"embedded:{tmp_path}"}, "web": {"port": 0}}, "test"), stop)
    assert [(9468, WebMetrics, "")] == found
