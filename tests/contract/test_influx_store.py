"""The InfluxDB store passes the conformance suite, on real servers."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from influx_doubles import VersionDouble, as_user
from influx_servers import ORG, TOKEN, InfluxServer, influxd1, influxd2, influxd2_path, set_up
from store_conformance import EVER, StoreConformance, _write_batches
from store_queries_conformance import QueriesConformance

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.schema import MEASUREMENTS
from storage.seam import Reader, Scope, StoreError
from storage.settings import StorageSettings

_NUMBERS = itertools.count()
FOREVER = {name: {"age": "36500d"} for name in MEASUREMENTS}


class InfluxConformance(StoreConformance, QueriesConformance):
    """What differs on a server of its own: no batch is seen whole or not at all."""

    def test_another_process_is_read_while_it_writes(self, reader: Reader, store_url: str) -> None:
        """Nothing is lost or twice; a server may show half of a batch for a moment."""
        _write_batches(store_url, 12, 500)
        assert 6000 == reader.select("stream_interval", EVER, columns=["call_id"], limit=10**5).num_rows


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]
) -> Iterator[InfluxServer]:
    server = influxd1(require_program("influxd"), tmp_path_factory.mktemp("influxd1"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=["1.8.10", "3.4.1"])
def double(first: InfluxServer, request: pytest.FixtureRequest) -> Iterator[VersionDouble]:
    found = VersionDouble(first, request.param)
    yield found
    found.close()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    program = influxd2_path()
    if program is None:
        pytest.skip("missing: InfluxDB 2 (scripts/build-influxdb2.sh makes one; name it in SURGECAST_INFLUXD2)")
    server = influxd2(program, tmp_path_factory.mktemp("influxd2"))
    server.start()
    set_up(server)
    yield server
    server.kill()


@pytest.mark.slow
class TestInflux1(InfluxConformance):
    @pytest.fixture
    def store_url(self, first: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)  # where the spool lies
        url = f"influx://127.0.0.1:{first.port}/conformance{next(_NUMBERS)}"
        init(StorageSettings.model_validate({"url": url, "retention": FOREVER}))
        return url


@pytest.mark.slow
class TestInflux2(InfluxConformance):
    @pytest.fixture
    def store_url(self, second: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        url = f"influx://{TOKEN}@127.0.0.1:{second.port}/conformance{next(_NUMBERS)}"
        init(StorageSettings.model_validate({"url": url, "retention": FOREVER, "influx": {"org": ORG}}))
        return url


@pytest.mark.slow
class TestDoubles(InfluxConformance):
    """Versions that cannot run here, played by doubles over a real 1.6."""

    @pytest.fixture
    def store_url(self, double: VersionDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        database = f"double{next(_NUMBERS)}"
        url = as_user(f"influx://127.0.0.1:{double.port}/{database}", "user", "pass")
        if double.version.startswith("1"):
            init(StorageSettings.model_validate({"url": url, "retention": FOREVER}))
        return url


def test_a_3_makes_databases_itself(double: VersionDouble, tmp_path: Path) -> None:
    if not double.version.startswith("3"):
        pytest.skip("of 3.x")
    url = f"influx://a-token@127.0.0.1:{double.port}/fresh"
    settings = StorageSettings.model_validate({"url": url, "spool": {"directory": str(tmp_path)}})
    with pytest.raises(StoreError, match=r"InfluxDB 3.4.1 makes databases at the first write"):
        init(settings)
    store = InfluxStore(url, settings)
    found = store.reader(Scope.everything("engineer")).select("call", EVER)
    store.close()
    assert (0, {"Token a-token"}) == (found.num_rows, double.authorizations & {"Token a-token"})
