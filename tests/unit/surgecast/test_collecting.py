"""The collect role's inside: sources in threads, one consumer, everything released in order."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hep_traffic import START_NS, HepTraffic, batch_of, pipeline_of

from collectors.capture.base import CaptureError, Sink, SourceStats
from collectors.facts import DatagramBatch
from collectors.publish import StoreSink
from collectors.settings import CollectorSettings, InterfaceSettings
from collectors.tracking.privacy import NumberPrivacy
from storage.open import open_store
from storage.seam import Scope, StoreLocked, Window
from storage.settings import StorageSettings
from surgecast.collecting import Collector, collecting, labeller_of, pipeline_settings, pools_of
from telephony.model import UNASSIGNED, Endpoint, Labels

SETTINGS = CollectorSettings.model_validate(
    {
        "tenants": [{"name": "acme", "hep_keys": ["k1"], "headers": {"X-Tenant": ["acme"]}}],
        "trunks": [{"name": "carrier-a", "networks": ["192.0.2.0/24"], "tenant": "acme", "region": "eu"}],
        "nodes": [{"capture_id": 7, "name": "sbc-7", "region": "us"}],
        "pools": [{"name": "media-us", "nodes": ["sbc-7"]}, {"name": "media-eu", "regions": ["eu"]}],
        "mask_numbers": "hash",
        "hash_salt": "pepper",
        "listeners": [{"port": 0}],
    }
)


def test_settings_become_rules() -> None:
    labeller = labeller_of(SETTINGS)
    here, there = Endpoint("10.0.0.1", 1), Endpoint("192.0.2.9", 5060)
    assert Labels("acme", "carrier-a", "eu", "sbc-7") == labeller.addresses(here, there, 7)
    assert "acme" == labeller.addresses(here, here, 0, tenant_key="k1").tenant
    assert ("x-tenant",) == labeller.header_names


@pytest.mark.parametrize(
    ("expected", "labels"),
    [
        ("media-us", Labels(node="sbc-7", region="eu")),
        ("media-eu", Labels(node="other", region="eu")),
        ("default", Labels(UNASSIGNED)),
    ],
)
def test_pools_are_by_node_then_by_region(expected: str, labels: Labels) -> None:
    assert expected == pools_of(SETTINGS).of(labels)


def test_the_pipeline_looks_at_the_headers_that_rules_need_and_hashes_numbers() -> None:
    settings = pipeline_settings(SETTINGS, labeller_of(SETTINGS))
    assert {"x-cid", "session-id", "x-tenant"} == set(settings.dialogs.wanted_headers)
    assert (NumberPrivacy.HASH, b"pepper") == (settings.calls.privacy, settings.calls.hash_salt)
    assert settings.dialogs.hash_seed != pipeline_settings(SETTINGS, labeller_of(SETTINGS)).dialogs.hash_seed


def test_a_replay_is_the_same_every_time() -> None:
    once, again = (pipeline_settings(SETTINGS, labeller_of(SETTINGS), trust_capture_clock=True) for _ in range(2))
    assert once == again


class FakeSource:
    """Hands over batches, then does as told."""

    name = "fake://"

    def __init__(self, batches: list[DatagramBatch], then: Callable[[threading.Event], None]) -> None:
        self.batches = batches
        self.then = then

    def run(self, sink: Sink, stop: threading.Event) -> None:
        for batch in self.batches:
            sink(batch)
        self.then(stop)

    def stats(self) -> SourceStats:
        return SourceStats(frames=len(self.batches))


class NoWriter:
    """Takes everything."""

    def write(self, measurement: str, rows: object) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def released(datagrams: list[bytes], done: list[int]) -> DatagramBatch:
    batch = batch_of(datagrams)
    return DatagramBatch(batch.rows, batch.buffer, lambda: done.append(1))


def collector_of(source: FakeSource) -> Collector:
    pipeline, _ = pipeline_of()
    return Collector([source], pipeline, StoreSink(NoWriter(), lambda: 0.0))


def test_what_was_received_before_the_stop_is_fed_and_released() -> None:
    done: list[int] = []
    stop = threading.Event()
    batches = [released([datagram], done) for datagram in HepTraffic().answered_call().datagrams]
    source = FakeSource(batches, lambda stop: stop.set())
    collector = collector_of(source)
    collector.run(stop, lambda: START_NS + 60 * 10**9)
    assert len(batches) == len(done)
    assert 1 == collector.pipeline.calls.stats.ended
    assert len(batches) == collector.totals().frames
    assert "" == collector.trouble()


def fail(stop: threading.Event) -> None:
    raise CaptureError("the socket is gone")


def end(stop: threading.Event) -> None:
    """Return though nobody asked."""


@pytest.mark.parametrize("then", [fail, end])
def test_a_source_that_ends_by_itself_is_trouble(then: Callable[[threading.Event], None]) -> None:
    stop = threading.Event()
    collector = collector_of(FakeSource([], then))
    clock_looks = 0

    def clock() -> int:
        nonlocal clock_looks
        clock_looks += 1
        if collector.trouble() or clock_looks > 200:
            stop.set()
        return START_NS

    collector.run(stop, clock)
    assert "stopped reading: fake://" == collector.trouble()


def test_a_consumer_that_does_not_turn_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = collector_of(FakeSource([], end))
    monkeypatch.setattr("time.monotonic", lambda: collector._turned + 31)
    assert "the consumer has not turned for 31 s" == collector.trouble()


def test_two_collectors_of_one_store_are_told_apart(tmp_path: Path) -> None:
    storage = StorageSettings(url=f"embedded:{tmp_path}")
    with collecting(SETTINGS, storage), pytest.raises(StoreLocked), collecting(SETTINGS, storage):
        pytest.fail("the second one must not come so far")


def test_what_it_takes_is_in_the_store_afterwards(tmp_path: Path) -> None:
    storage = StorageSettings(url=f"embedded:{tmp_path}")
    with collecting(SETTINGS, storage) as collector:
        collector.pipeline.feed(batch_of(HepTraffic().answered_call().datagrams), START_NS + 31 * 10**9)
        collector.pipeline.finish(START_NS + 60 * 10**9)
    store = open_store(storage.url)
    calls = store.reader(Scope.everything("test")).select("call", Window(START_NS, START_NS + 10**12))
    store.close()
    assert ["c1"] == calls.column("call_id").to_pylist()


def test_a_collector_that_cannot_open_its_interfaces_leaves_the_reason_in_the_store(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"interfaces": (InterfaceSettings(name="missing0"),)})
    storage = StorageSettings(url=f"embedded:{tmp_path}")
    with pytest.raises(CaptureError, match="missing0"), collecting(settings, storage):
        pass
    store = open_store(storage.url)
    columns = ("interfaces", "interfaces_down", "agents_alive")
    rows = store.reader(Scope.everything("test")).select("load_now", Window(0, 2**62), columns=columns)
    store.close()
    assert [{"interfaces": "missing0", "interfaces_down": 1, "agents_alive": 0}] == rows.to_pylist()
